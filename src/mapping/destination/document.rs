//! What an on-failure destination gets of discarded records. How that is written is in `sent`.

use std::sync::Arc;

use anyhow::Context;

use super::sent::{BatchInfo, MILLISECONDS, RequestContext, ResponseContext, Sent, format_time};
use crate::failure::{Condition, Response, event_of};
use crate::source::{SourceRecord, StreamKind};
use stream_types::Timestamp;

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
        event_of(self.records)
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
        let batch = BatchInfo::of(self.kind, self.shard_id, self.stream_arn, self.records);
        let (dynamodb, kinesis) = match self.kind {
            StreamKind::DynamoDb => (Some(batch), None),
            StreamKind::Kinesis => (None, Some(batch)),
        };
        let sent = Sent {
            request_context: self.request_context(),
            response_context: self.response_context(),
            version: "1.0".to_owned(),
            payload,
            timestamp: format_time(self.discarded_at, MILLISECONDS),
            dynamodb,
            kinesis,
            time_window_info: None,
        };
        serde_json::to_string(&sent).context("write the document of discarded records")
    }

    fn request_context(&self) -> RequestContext {
        let (condition, approximate_invoke_count) = match self.condition {
            Condition::RetryAttemptsExhausted => ("RetryAttemptsExhausted", self.approximate_invoke_count),
            // 1 even for records that were never delivered.
            Condition::RecordAgeExceeded => ("RecordAgeExceeded", self.approximate_invoke_count.max(1)),
        };
        let (request_id, function_arn) = (self.request_id.to_owned(), self.function_arn.to_owned());
        RequestContext { request_id, function_arn, condition: condition.to_owned(), approximate_invoke_count }
    }

    fn response_context(&self) -> Option<ResponseContext> {
        let function_error = match (self.condition, self.response) {
            (Condition::RecordAgeExceeded, _) | (_, Response::None) => return None,
            (Condition::RetryAttemptsExhausted, Response::Reported) => None,
            (Condition::RetryAttemptsExhausted, Response::Unhandled) => Some("Unhandled"),
        };
        let function_error = function_error.map(str::to_owned);
        Some(ResponseContext { status_code: 200, executed_version: "$LATEST".to_owned(), function_error })
    }
}
