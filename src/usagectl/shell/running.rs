//! What a running `usagectl local` or `serve` tells other commands: where its services are.

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

/// The URLs of a process that has the data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub dynamodb: String,
    pub s3: String,
    pub cloudwatch: String,
    pub kinesis: String,
    /// Of `local` alone.
    pub control: Option<String>,
    /// Of `local` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<RunningMapping>,
}

/// The event source mapping of a `usagectl local`, and its function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningMapping {
    pub uuid: String,
    pub function: String,
    pub source_arn: String,
    pub batch_size: usize,
    pub batching_window_seconds: u64,
    pub parallelization_factor: usize,
    pub timeout_seconds: u64,
}

impl Running {
    pub fn new(services: &Services, control: Option<String>) -> Running {
        Running {
            dynamodb: services.dynamodb_url().to_owned(),
            s3: services.s3_url().to_owned(),
            cloudwatch: services.cloudwatch_url().to_owned(),
            kinesis: services.kinesis_url().to_owned(),
            control,
            mapping: None,
        }
    }

    /// What the process that has `folder` wrote down; nothing if there is none.
    pub fn read(folder: &Path) -> Option<Running> {
        // The file of a process that died may still be there.
        if !Folder::is_locked(folder) {
            return None;
        }
        serde_json::from_str(&std::fs::read_to_string(folder.join(FILE)).ok()?).ok()
    }

    /// Writes it down in one step.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        write_atomically(&folder.join(FILE), &serde_json::to_string(self)?)
    }
}

/// Where the data folder is in use, points at its services what no option or variable points elsewhere.
pub fn join(options: &mut Options) {
    let Some(running) = Running::read(&options.data) else { return };
    let Running { dynamodb, s3, cloudwatch, kinesis, control: _, mapping: _ } = running;
    for (endpoint, url) in [
        (&mut options.dynamodb_endpoint, dynamodb),
        (&mut options.s3_endpoint, s3),
        (&mut options.cloudwatch_endpoint, cloudwatch),
        (&mut options.kinesis_endpoint, kinesis),
    ] {
        endpoint.get_or_insert(url);
    }
}

/// Asks the control endpoint of a running `usagectl local`.
pub async fn call(method: Method, url: &str, body: String) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::builder().method(method).uri(url).body(Full::new(Bytes::from(body)))?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.with_context(|| format!("reach {url}: has it ended?"))?;
    let status = response.status();
    Ok((status, String::from_utf8(response.into_body().collect().await?.to_bytes().into())?))
}
