//! The file through which a running `usagectl local` or `serve` publishes the addresses of its services for other commands.

use std::path::Path;

use anyhow::Context;
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use event_source_mapping::write_atomically;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use laptop::emulators::Services;
use serde::{Deserialize, Serialize};

use crate::shell::folder::Folder;
use crate::shell::options::Options;

const FILE: &str = "running.json";

/// The services of the process that uses the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// URL of DynamoDB.
    pub dynamodb: String,
    /// URL of S3.
    pub s3: String,
    /// URL of CloudWatch.
    pub cloudwatch: String,
    /// URL of Kinesis.
    pub kinesis: String,
    /// URL of EventBridge.
    pub eventbridge: String,
    /// URL of the control endpoint; only `local` has one.
    pub control: Option<String>,
    /// The event source mapping; only `local` has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<RunningMapping>,
    /// The event source mapping of the ledger; only a `local` whose pipeline counts has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<RunningMapping>,
}

/// The event source mapping of a `usagectl local`, and its function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningMapping {
    /// The UUID in its checkpoint file, with which the keys of failed batches start.
    pub uuid: String,
    /// Name of the function.
    pub function: String,
    /// ARN of the stream.
    pub source_arn: String,
    /// BatchSize.
    pub batch_size: usize,
    /// MaximumBatchingWindowInSeconds.
    pub batching_window_seconds: u64,
    /// ParallelizationFactor.
    pub parallelization_factor: usize,
    /// Timeout of the function.
    pub timeout_seconds: u64,
}

impl Running {
    /// The URLs of `services`, without a mapping.
    pub fn new(services: &Services, control: Option<String>) -> Running {
        Running {
            dynamodb: services.dynamodb_url().to_owned(),
            s3: services.s3_url().to_owned(),
            cloudwatch: services.cloudwatch_url().to_owned(),
            kinesis: services.kinesis_url().to_owned(),
            eventbridge: services.eventbridge_url().to_owned(),
            control,
            mapping: None,
            fold: None,
        }
    }

    /// Reads the file of the process that uses `folder`, if one does.
    pub fn read(folder: &Path) -> Option<Running> {
        // A process that died leaves its file behind.
        if !Folder::is_locked(folder) {
            return None;
        }
        serde_json::from_str(&std::fs::read_to_string(folder.join(FILE)).ok()?).ok()
    }

    /// Writes the file atomically.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_atomically(&folder.join(FILE), &serde_json::to_string(self)?)
    }
}

/// Uses the services of the process that runs in the data folder, except where an option or variable sets an endpoint.
pub fn join(options: &mut Options) {
    let Some(running) = Running::read(&options.data) else { return };
    let Running { dynamodb, s3, cloudwatch, kinesis, eventbridge, control: _, mapping: _, fold: _ } = running;
    for (endpoint, url) in [
        (&mut options.dynamodb_endpoint, dynamodb),
        (&mut options.s3_endpoint, s3),
        (&mut options.cloudwatch_endpoint, cloudwatch),
        (&mut options.kinesis_endpoint, kinesis),
        (&mut options.eventbridge_endpoint, eventbridge),
    ] {
        endpoint.get_or_insert(url);
    }
}

/// Sends a request to the control endpoint of a running `usagectl local`.
pub async fn call(method: Method, url: &str, body: String) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::builder().method(method).uri(url).body(Full::new(Bytes::from(body)))?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client
        .request(request)
        .await
        .with_context(|| format!("reach the running `usagectl local` at {url}: is it still running?"))?;
    let status = response.status();
    Ok((status, String::from_utf8(response.into_body().collect().await?.to_bytes().into())?))
}
