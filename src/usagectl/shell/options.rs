//! The options that all commands share: the data folder, the pipeline and the endpoints.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use clap::Args;

use crate::shell::console::UsageError;
use crate::shell::folder::LEDGERS;
use crate::shell::pipeline_choice::environment;
use crate::shell::remembered::Remembered;

/// The data folder, unless an option or this variable names another.
const DEFAULT_DATA: &str = ".usage";
const DATA_VARIABLE: &str = "USAGECTL_DATA";

/// The options that every command accepts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// Print JSON, one object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// Folder for the data of the embedded services
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = DEFAULT_DATA,
        env = DATA_VARIABLE,
        hide_env_values = true
    )]
    pub data: PathBuf,
    /// Use this shipped pipeline (or set PIPELINE) [default: the one that reads the event's table or stream, else the one that
    /// the data folder was last used with, else orders]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "pipeline_dir")]
    pub pipeline: Option<String>,
    /// Use the pipeline in this folder (or set PIPELINE_DIR)
    #[arg(long, global = true, value_name = "DIR")]
    pub pipeline_dir: Option<PathBuf>,
    /// Use this DynamoDB instead of the embedded one
    #[arg(
        long,
        visible_alias = "endpoint-url",
        global = true,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL_DYNAMODB",
        hide_env_values = true
    )]
    pub dynamodb_endpoint: Option<String>,
    /// Use this S3 instead of the embedded one
    #[arg(long, global = true, value_name = "URL", env = "AWS_ENDPOINT_URL_S3", hide_env_values = true)]
    pub s3_endpoint: Option<String>,
    /// Write generated load to this Kinesis
    #[arg(long, global = true, value_name = "URL", env = "AWS_ENDPOINT_URL_KINESIS", hide_env_values = true)]
    pub kinesis_endpoint: Option<String>,
    /// Use this CloudWatch instead of the embedded one
    #[arg(long, global = true, value_name = "URL", env = "AWS_ENDPOINT_URL_CLOUDWATCH", hide_env_values = true)]
    pub cloudwatch_endpoint: Option<String>,
    /// Send alerts to this EventBridge instead of the embedded one
    #[arg(long, global = true, value_name = "URL", env = "AWS_ENDPOINT_URL_EVENTBRIDGE", hide_env_values = true)]
    pub eventbridge_endpoint: Option<String>,
    /// Allow endpoints on other machines, using the AWS credentials of the environment
    #[arg(long, global = true)]
    pub allow_remote: bool,
    /// Print the function's logs to stderr
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// The pipeline that the data folder was last used with.
    #[arg(skip)]
    pub remembered: Option<Remembered>,
}

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// In this process, with its data in the data folder.
    Embedded,
    /// On this machine: dummy credentials are enough, and missing tables and buckets are created.
    Loopback(String),
    /// On another machine: real credentials are used, and nothing is created.
    Remote(String),
}

impl Options {
    /// These options without a remembered pipeline if the data folder is about to be cleared.
    #[must_use]
    pub fn forgetting(&self, is_fresh: bool) -> Options {
        let mut options = self.clone();
        options.remembered = options.remembered.filter(|_| !is_fresh);
        options
    }

    /// Where DynamoDB is.
    ///
    /// # Errors
    /// If the URL is invalid, or is on another machine and that isn't allowed; the same for the other services.
    pub fn dynamodb(&self) -> Result<Endpoint, UsageError> {
        self.endpoint("--dynamodb-endpoint", self.dynamodb_endpoint.as_deref())
    }

    /// Where S3 is.
    ///
    /// # Errors
    /// See [`Options::dynamodb`].
    pub fn s3(&self) -> Result<Endpoint, UsageError> {
        self.endpoint("--s3-endpoint", self.s3_endpoint.as_deref())
    }

    /// Where CloudWatch is.
    ///
    /// # Errors
    /// See [`Options::dynamodb`].
    pub fn cloudwatch(&self) -> Result<Endpoint, UsageError> {
        self.endpoint("--cloudwatch-endpoint", self.cloudwatch_endpoint.as_deref())
    }

    /// Where Kinesis is.
    ///
    /// # Errors
    /// See [`Options::dynamodb`].
    pub fn kinesis(&self) -> Result<Endpoint, UsageError> {
        self.endpoint("--kinesis-endpoint", self.kinesis_endpoint.as_deref())
    }

    /// Where EventBridge is.
    ///
    /// # Errors
    /// See [`Options::dynamodb`].
    pub fn eventbridge(&self) -> Result<Endpoint, UsageError> {
        self.endpoint("--eventbridge-endpoint", self.eventbridge_endpoint.as_deref())
    }

    /// Whether a command uses this data folder without an option that names it.
    pub fn has_usual_data(&self) -> bool {
        self.data == Path::new(DEFAULT_DATA) && environment(DATA_VARIABLE).is_none()
    }

    /// The folder of the ledgers that simulations write.
    pub fn ledgers(&self) -> PathBuf {
        self.data.join(LEDGERS)
    }

    fn endpoint(&self, option: &str, url: Option<&str>) -> Result<Endpoint, UsageError> {
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(Endpoint::Embedded) };
        let host = host(url).ok_or_else(|| {
            UsageError(format!("{option}: `{url}` is not a valid URL; expected a form like http://127.0.0.1:8000"))
        })?;
        match (is_this_machine(&host), self.allow_remote) {
            (true, _) => Ok(Endpoint::Loopback(url.to_owned())),
            (false, true) => Ok(Endpoint::Remote(url.to_owned())),
            (false, false) => Err(UsageError(format!(
                "{option}: {host} is not this machine; add --allow-remote to use it with the AWS credentials of the environment"
            ))),
        }
    }
}

fn host(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    uri.host().filter(|host| is_http && !host.is_empty()).map(str::to_owned)
}

/// Whether a host name is a loopback name or address.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in
            ["http://localhost:1", "http://LOCALHOST", "http://127.0.0.1:8000", "https://127.8.9.1", "http://[::1]:9"]
        {
            assert!(is_this_machine(&host(url).unwrap()), "{url}");
        }
        let others = [
            "http://localhost@evil.example:80",
            "http://127.0.0.1.evil.example",
            "http://[::]:1",
            "http://0.0.0.0",
            "http://10.0.0.1",
        ];
        for url in others {
            assert!(!is_this_machine(&host(url).unwrap()), "{url}");
        }
        for url in ["localhost:8000", "ftp://localhost", "http://", "", "127.0.0.1"] {
            assert_eq!(host(url), None, "{url}");
        }
    }
}
