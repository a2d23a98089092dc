//! What an on-failure destination gets, field by field as Lambda sends it.

use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;

use crate::local::mapping::failure::{Batch, Condition, Response};
use crate::local::mapping::source::{SourceRecord, StreamKind};
use crate::time::Timestamp;

/// What is known of discarded records.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    pub kind: StreamKind,
    pub mapping_uuid: &'a str,
    pub function_arn: &'a str,
    pub request_id: &'a str,
    pub condition: Condition,
    /// How often these records were delivered together, in this very batch.
    pub approximate_invoke_count: u32,
    pub response: Response,
    pub shard_id: &'a str,
    pub stream_arn: &'a str,
    pub records: &'a [Arc<SourceRecord>],
    pub discarded_at: Timestamp,
}

impl Document<'_> {
    /// The JSON that SQS and SNS get: all but the records.
    pub fn metadata(&self) -> anyhow::Result<String> {
        self.write(None)
    }

    /// The JSON that S3 gets: the same and, as an escaped text, the event that was delivered.
    pub fn with_payload(&self) -> anyhow::Result<String> {
        self.write(Some(self.event()))
    }

    /// The event that would deliver the records again.
    pub fn event(&self) -> String {
        Batch::new(self.records.to_vec(), String::new()).event()
    }

    /// The key of the object in S3.
    pub fn object_key(&self, unique: &str) -> String {
        let date = format_time(self.discarded_at, "%Y/%m/%d");
        format!("aws/lambda/{}/{}/{date}/{}", self.mapping_uuid, self.shard_id, self.object_name(unique))
    }

    /// The last part of the key.
    pub fn object_name(&self, unique: &str) -> String {
        format!("{}-{unique}", format_time(self.discarded_at, "%Y-%m-%dT%H.%M.%S"))
    }

    fn write(&self, payload: Option<String>) -> anyhow::Result<String> {
        let batch = self.batch_info();
        let (dynamodb, kinesis) = match self.kind {
            StreamKind::DynamoDb => (Some(batch), None),
            StreamKind::Kinesis => (None, Some(batch)),
        };
        let sent = Sent {
            request_context: self.request_context(),
            response_context: self.response_context(),
            version: "1.0",
            payload,
            timestamp: format_time(self.discarded_at, MILLISECONDS),
            dynamodb,
            kinesis,
        };
        serde_json::to_string(&sent).context("write the document of discarded records")
    }

    fn request_context(&self) -> RequestContext<'_> {
        let (condition, approximate_invoke_count) = match self.condition {
            Condition::RetryAttemptsExhausted => ("RetryAttemptsExhausted", self.approximate_invoke_count),
            // 1 even for records that were never delivered.
            Condition::RecordAgeExceeded => ("RecordAgeExceeded", self.approximate_invoke_count.max(1)),
        };
        let (request_id, function_arn) = (self.request_id, self.function_arn);
        RequestContext { request_id, function_arn, condition, approximate_invoke_count }
    }

    fn response_context(&self) -> Option<ResponseContext> {
        let function_error = match (self.condition, self.response) {
            (Condition::RecordAgeExceeded, _) | (_, Response::None) => return None,
            (Condition::RetryAttemptsExhausted, Response::Reported) => None,
            (Condition::RetryAttemptsExhausted, Response::Unhandled) => Some("Unhandled"),
        };
        Some(ResponseContext { status_code: 200, executed_version: "$LATEST", function_error })
    }

    fn batch_info(&self) -> BatchInfo<'_> {
        let format = match self.kind {
            StreamKind::DynamoDb => SECONDS,
            StreamKind::Kinesis => MILLISECONDS,
        };
        let (first, last) = (self.records.first(), self.records.last());
        let sequence = |record: &Arc<SourceRecord>| record.sequence.as_str().to_owned();
        let arrival = |record: &Arc<SourceRecord>| format_time(record.created_at, format);
        BatchInfo {
            shard_id: self.shard_id,
            start_sequence_number: first.map(sequence),
            end_sequence_number: last.map(sequence),
            approximate_arrival_of_first_record: first.map(arrival),
            approximate_arrival_of_last_record: last.map(arrival),
            batch_size: first.map(|_| self.records.len()),
            stream_arn: self.stream_arn,
        }
    }
}

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
const MILLISECONDS: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

fn format_time(time: Timestamp, format: &str) -> String {
    // Every Timestamp is one of jiff's too.
    jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default().strftime(format).to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'a> {
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_context: Option<ResponseContext>,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    timestamp: String,
    #[serde(rename = "DDBStreamBatchInfo", skip_serializing_if = "Option::is_none")]
    dynamodb: Option<BatchInfo<'a>>,
    #[serde(rename = "KinesisBatchInfo", skip_serializing_if = "Option::is_none")]
    kinesis: Option<BatchInfo<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    request_id: &'a str,
    function_arn: &'a str,
    condition: &'static str,
    approximate_invoke_count: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseContext {
    status_code: u16,
    executed_version: &'static str,
    /// Null where the function returned.
    function_error: Option<&'static str>,
}

/// Without records, as after the end of a window, only the shard and the stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchInfo<'a> {
    shard_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_of_first_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approximate_arrival_of_last_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<usize>,
    stream_arn: &'a str,
}
