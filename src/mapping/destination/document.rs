//! What an on-failure destination gets about a discarded batch. `record` defines the JSON.

use std::sync::Arc;

use anyhow::Context;

use super::record::{BatchInfo, InvocationRecord, MILLISECONDS, RequestContext, ResponseContext, format_time};
use crate::failure::{Condition, FailureResponse, event_of};
use crate::source::{SourceRecord, StreamKind};
use stream_types::Timestamp;

/// A discarded batch, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The kind of stream that the batch is from.
    pub kind: StreamKind,
    /// The UUID of the event source mapping.
    pub mapping_uuid: &'a str,
    /// The ARN of the function.
    pub function_arn: &'a str,
    /// The request ID of the batch's deliveries.
    pub request_id: &'a str,
    /// Why the batch was discarded.
    pub condition: Condition,
    /// How often the function ran with exactly this batch.
    pub approximate_invoke_count: u32,
    /// What the function responded to the last delivery.
    pub response: FailureResponse,
    /// The ID of the shard.
    pub shard_id: &'a str,
    /// The ARN of the stream.
    pub stream_arn: &'a str,
    /// The records, in stream order.
    pub records: &'a [Arc<SourceRecord>],
    /// When the batch was discarded.
    pub discarded_at: Timestamp,
}

impl Document<'_> {
    /// The JSON for SQS and SNS, which has everything but the records.
    ///
    /// # Errors
    /// If it can't be serialized.
    pub fn metadata(&self) -> anyhow::Result<String> {
        self.write(None)
    }

    /// The JSON for S3, which also has the event as an escaped string.
    ///
    /// # Errors
    /// If it can't be serialized.
    pub fn with_payload(&self) -> anyhow::Result<String> {
        self.write(Some(self.event()))
    }

    /// The event that delivers the records again.
    pub fn event(&self) -> String {
        event_of(self.records)
    }

    /// The key of the S3 object.
    pub fn object_key(&self, unique: &str) -> String {
        let date = format_time(self.discarded_at, "%Y/%m/%d");
        format!("aws/lambda/{}/{}/{date}/{}", self.mapping_uuid, self.shard_id, self.object_name(unique))
    }

    /// The last part of the object's key.
    pub fn object_name(&self, unique: &str) -> String {
        format!("{}-{unique}", format_time(self.discarded_at, "%Y-%m-%dT%H.%M.%S"))
    }

    fn write(&self, payload: Option<String>) -> anyhow::Result<String> {
        let batch = BatchInfo::of(self.kind, self.shard_id, self.stream_arn, self.records);
        let (dynamodb, kinesis) = match self.kind {
            StreamKind::DynamoDb => (Some(batch), None),
            StreamKind::Kinesis => (None, Some(batch)),
        };
        let record = InvocationRecord {
            request_context: self.request_context(),
            response_context: self.response_context(),
            version: "1.0".to_owned(),
            payload,
            timestamp: format_time(self.discarded_at, MILLISECONDS),
            dynamodb,
            kinesis,
            time_window_info: None,
        };
        serde_json::to_string(&record).context("failed to serialize the document of a discarded batch")
    }

    fn request_context(&self) -> RequestContext {
        let (condition, approximate_invoke_count) = match self.condition {
            Condition::RetryAttemptsExhausted => ("RetryAttemptsExhausted", self.approximate_invoke_count),
            // Lambda reports 1 even for records that were never delivered.
            Condition::RecordAgeExceeded => ("RecordAgeExceeded", self.approximate_invoke_count.max(1)),
        };
        let (request_id, function_arn) = (self.request_id.to_owned(), self.function_arn.to_owned());
        RequestContext { request_id, function_arn, condition: condition.to_owned(), approximate_invoke_count }
    }

    fn response_context(&self) -> Option<ResponseContext> {
        let function_error = match (self.condition, self.response) {
            (Condition::RecordAgeExceeded, _) | (_, FailureResponse::None) => return None,
            (Condition::RetryAttemptsExhausted, FailureResponse::Reported) => None,
            (Condition::RetryAttemptsExhausted, FailureResponse::Unhandled) => Some("Unhandled"),
        };
        let function_error = function_error.map(str::to_owned);
        Some(ResponseContext { status_code: 200, executed_version: "$LATEST".to_owned(), function_error })
    }
}
