//! `usagectl serve`: the embedded services for other programs, for example the function under cargo-lambda, until Ctrl-C.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use event_source_mapping::write_atomically;
use laptop::emulators::{Ports, Services};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::shell::console::{self, Done};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::quote::quoted;
use crate::shell::remembered::remember;
use crate::shell::running::Running;
use crate::shell::workplace::Workplace;

/// Run the embedded DynamoDB, S3, CloudWatch, Kinesis and EventBridge until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// Port for DynamoDB; 0 picks a free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    dynamodb_port: u16,
    /// Port for S3; 0 picks a free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    s3_port: u16,
    /// Port for CloudWatch; 0 picks a free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    cloudwatch_port: u16,
    /// Port for Kinesis; 0 picks a free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    kinesis_port: u16,
    /// Port for EventBridge; 0 picks a free port
    #[arg(long, default_value_t = 0, value_name = "PORT")]
    eventbridge_port: u16,
    /// Write the environment variables to this file as NAME=VALUE lines when everything is ready
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl serve --dynamodb-port 8000 --s3-port 9000
  usagectl serve --env-file .usage/env & cargo lambda watch --env-file .usage/env

The pipeline's tables and bucket are created. The services listen on the loopback interface only;
endpoint options are ignored.";

impl Serve {
    /// Runs the services until a signal stops them.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let ports = Ports {
            dynamodb: self.dynamodb_port,
            s3: self.s3_port,
            cloudwatch: self.cloudwatch_port,
            kinesis: self.kinesis_port,
            eventbridge: self.eventbridge_port,
        };
        let place = Workplace::serve(options, ports).await?;
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let variables = Variables::new(options, &Sample::default());
        place.site(variables.clone()).await?;
        remember(&options.data, &variables, None)?;
        if let Some(services) = place.services() {
            Running::new(services, None).write(&options.data)?;
        }
        let lines = place.services().map(|services| environment(services, &variables)).unwrap_or_default();
        if let Some(path) = &self.env_file {
            write_environment(path, &lines)?;
        }
        let shown = if options.json { json(&lines) } else { text(&lines, "export ").trim_end().to_owned() };
        console::print(&shown)?;
        console::note("serving (Ctrl-C to stop)");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(Done::Well)
    }
}

/// The environment variables with which the function finds these services.
pub fn environment(services: &Services, variables: &Variables) -> Vec<(String, String)> {
    let fixed = [
        ("AWS_ENDPOINT_URL_DYNAMODB", services.dynamodb_url()),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", services.dynamodb_url()),
        ("AWS_ENDPOINT_URL_S3", services.s3_url()),
        ("AWS_ENDPOINT_URL_CLOUDWATCH", services.cloudwatch_url()),
        ("AWS_ENDPOINT_URL_KINESIS", services.kinesis_url()),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", services.eventbridge_url()),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_REGION", "us-east-1"),
        // What boto3 and the aws CLI read instead.
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("METRICS_SINK", "cloudwatch"),
    ];
    fixed.into_iter().chain(variables.iter()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn json(lines: &[(String, String)]) -> String {
    let variables = lines.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    Value::Object(variables.collect()).to_string()
}

fn text(lines: &[(String, String)], before: &str) -> String {
    let mut text = String::new();
    for (name, value) in lines {
        // A shell needs quotes; an env file is read literally.
        let value = if before.is_empty() { value.clone() } else { quoted(value) };
        // Writing to a String can't fail.
        let _ = writeln!(text, "{before}{name}={value}");
    }
    text
}

/// Writes NAME=VALUE lines atomically, so that a program waiting for the file never reads half of it.
pub fn write_environment(path: &Path, lines: &[(String, String)]) -> anyhow::Result<()> {
    write_atomically(path, &text(lines, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gets_quotes_and_an_env_file_does_not() {
        let lines = [("URL", "http://127.0.0.1:8000"), ("PREFIX", "it's mine")];
        let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let exports = "export URL=http://127.0.0.1:8000\nexport PREFIX='it'\\''s mine'\n";
        assert_eq!(text(&lines, "export "), exports);
        assert_eq!(text(&lines, ""), "URL=http://127.0.0.1:8000\nPREFIX=it's mine\n");
    }
}
