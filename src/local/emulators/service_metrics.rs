//! The metrics that DynamoDB, S3 and Kinesis publish about requests to them, as far as alarms watch them: taken from the
//! responses that the function gets, injected ones included, because in AWS the service itself would have sent those.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use event_source_mapping::{Clock, Page, Position, ReadError, Shard, Source, StreamKind};
use serde::Deserialize;

use super::Metrics;
use super::faults::{Call, Service};

const DYNAMODB: &str = "AWS/DynamoDB";
const S3: &str = "AWS/S3";
const KINESIS: &str = "AWS/Kinesis";
/// The name of the archive bucket's request metrics in the template.
const FILTER: &str = "archive";

/// An HTTP client whose responses are published as metrics. S3 publishes request metrics only of buckets that ask for it,
/// which is `archive`.
pub fn measured_http(http: SharedHttpClient, metrics: Metrics, archive: Option<String>) -> SharedHttpClient {
    http_client_fn(move |settings, components| {
        let inner = http.http_connector(settings, components);
        SharedHttpConnector::new(Measured { inner, metrics: metrics.clone(), archive: archive.clone() })
    })
}

#[derive(Clone)]
struct Measured {
    inner: SharedHttpConnector,
    metrics: Metrics,
    archive: Option<String>,
}

impl HttpConnector for Measured {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let call = Call::of(&request, 0);
        let table = match call.service {
            Service::DynamoDb => request.body().bytes().and_then(table),
            Service::S3 | Service::CloudWatch | Service::EventBridge => None,
        };
        let (measured, response) = (self.clone(), self.inner.call(request));
        HttpConnectorFuture::new(async move {
            let response = response.await?;
            measured.publish(&call, table.as_deref(), &response);
            Ok(response)
        })
    }
}

impl Measured {
    fn publish(&self, call: &Call, table: Option<&str>, response: &HttpResponse) {
        let status = response.status().as_u16();
        match (call.service, table) {
            (Service::DynamoDb, Some(table)) if status >= 400 => {
                let code = response.body().bytes().and_then(code).unwrap_or_default();
                self.publish_refusal(&call.operation, table, status, &code);
            }
            (Service::S3, _) => {
                let bucket = call.path.trim_start_matches('/').split('/').next();
                let Some(bucket) = self.archive.as_deref().filter(|archive| bucket == Some(archive)) else { return };
                let dimensions = [("BucketName", bucket), ("FilterId", FILTER)];
                for (metric, counts) in [
                    ("AllRequests", true),
                    ("PutRequests", call.operation == "PutObject"),
                    ("4xxErrors", (400..500).contains(&status)),
                    ("5xxErrors", status >= 500),
                ] {
                    // Errors are rates, which have a 0 for each other request.
                    if counts || metric.ends_with("Errors") {
                        self.metrics.publish_of(S3, metric, &dimensions, f64::from(u8::from(counts)));
                    }
                }
            }
            _ => {}
        }
    }

    /// DynamoDB has no data where nothing was refused.
    fn publish_refusal(&self, operation: &str, table: &str, status: u16, code: &str) {
        let of_table = [("TableName", table)];
        let of_operation = [("TableName", table), ("Operation", operation)];
        let is_read = matches!(operation, "Query" | "GetItem" | "BatchGetItem" | "Scan");
        match code {
            "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded" => {
                let metric = if is_read { "ReadThrottleEvents" } else { "WriteThrottleEvents" };
                self.metrics.publish_of(DYNAMODB, metric, &of_table, 1.0);
                self.metrics.publish_of(DYNAMODB, "ThrottledRequests", &of_operation, 1.0);
            }
            "TransactionConflictException" | "TransactionCanceledException" => {
                self.metrics.publish_of(DYNAMODB, "TransactionConflict", &of_table, 1.0);
            }
            _ if status >= 500 => self.metrics.publish_of(DYNAMODB, "SystemErrors", &of_operation, 1.0),
            _ => {}
        }
    }
}

impl fmt::Debug for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    table_name: Option<String>,
    #[serde(default)]
    transact_items: Vec<std::collections::HashMap<String, Action>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Action {
    table_name: String,
}

/// The table of a request, or of the first action of a transaction.
fn table(body: &[u8]) -> Option<String> {
    let Body { table_name, transact_items } = serde_json::from_slice(body).ok()?;
    let of_actions =
        transact_items.into_iter().flat_map(|actions| actions.into_values()).map(|action| action.table_name);
    table_name.or(of_actions.into_iter().next())
}

/// The code of an error: `com.amazonaws.dynamodb.v20120810#Code`. A transaction that was canceled for another reason than a
/// conflict has none here.
fn code(body: &[u8]) -> Option<String> {
    let error: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = error.get("__type")?.as_str()?.rsplit('#').next()?.to_owned();
    let reasons = error.get("CancellationReasons").and_then(serde_json::Value::as_array);
    let conflicts = |reasons: &Vec<serde_json::Value>| {
        reasons.iter().any(|reason| reason.get("Code").is_some_and(|code| code == "TransactionConflict"))
    };
    (code != "TransactionCanceledException" || reasons.is_some_and(conflicts)).then_some(code)
}

/// A source whose reads are published as metrics, if it is a Kinesis stream.
pub struct MeasuredSource {
    source: Arc<dyn Source>,
    metrics: Metrics,
    clock: Clock,
}

impl MeasuredSource {
    /// Wraps `source`.
    pub fn new(source: Arc<dyn Source>, metrics: Metrics, clock: Clock) -> MeasuredSource {
        MeasuredSource { source, metrics, clock }
    }

    fn publish(&self, read: &Result<Page, ReadError>) {
        // arn:aws:kinesis:us-east-1:123456789012:stream/alleycat
        let Some(stream) = self.source.arn().split('/').nth(1) else { return };
        let publish = |metric, value| self.metrics.publish(KINESIS, metric, ("StreamName", stream), value);
        match read {
            Ok(page) => {
                // Without records, the reader has caught up.
                let written = page.records.last().map(|record| record.created_at.micros());
                let age = written.map_or(0, |written| self.clock.now().micros().saturating_sub(written).max(0));
                let age = std::time::Duration::from_micros(age.unsigned_abs());
                publish("GetRecords.IteratorAgeMilliseconds", age.as_secs_f64() * 1_000.0);
                publish("ReadProvisionedThroughputExceeded", 0.0);
            }
            Err(ReadError::Throttled) => publish("ReadProvisionedThroughputExceeded", 1.0),
            Err(_) => {}
        }
    }
}

#[async_trait::async_trait]
impl Source for MeasuredSource {
    fn kind(&self) -> StreamKind {
        self.source.kind()
    }

    fn arn(&self) -> &str {
        self.source.arn()
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        self.source.shards().await
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let read = self.source.read(shard, position, limit).await;
        if self.source.kind() == StreamKind::Kinesis {
            self.publish(&read);
        }
        read
    }
}

#[cfg(test)]
mod tests;
