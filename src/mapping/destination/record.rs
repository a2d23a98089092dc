//! The JSON of an on-failure destination, field by field as Lambda writes it. A mapping serializes it; a tool that replays
//! discarded batches deserializes it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::{SourceRecord, StreamKind};
use stream_types::Timestamp;

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
pub(super) const MILLISECONDS: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// What AWS calls an invocation record. S3 gets it with the `payload`; SQS and SNS get it without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvocationRecord {
    /// The invocation.
    pub request_context: RequestContext,
    /// The response; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_context: Option<ResponseContext>,
    /// The version of this format, `1.0`.
    #[serde(default)]
    pub version: String,
    /// The event, as a JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// When the batch was discarded.
    pub timestamp: String,
    /// The batch, if it is from a DynamoDB stream.
    #[serde(rename = "DDBStreamBatchInfo", skip_serializing_if = "Option::is_none")]
    pub dynamodb: Option<BatchInfo>,
    /// The batch, if it is from a Kinesis stream.
    #[serde(rename = "KinesisBatchInfo", skip_serializing_if = "Option::is_none")]
    pub kinesis: Option<BatchInfo>,
    /// The window, if the batch is from a tumbling window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_window_info: Option<Value>,
}

/// The invocation whose batch was discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    /// The request ID of the batch's deliveries.
    pub request_id: String,
    /// The ARN of the function, or of its alias.
    pub function_arn: String,
    /// `RetryAttemptsExhausted` or `RecordAgeExceeded`.
    pub condition: String,
    /// How often the function ran with exactly this batch.
    #[serde(default)]
    pub approximate_invoke_count: u32,
}

/// The response to the last delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseContext {
    /// 200, even after a function error.
    #[serde(default)]
    pub status_code: u16,
    /// The version of the function, such as `$LATEST`.
    #[serde(default)]
    pub executed_version: String,
    /// `Unhandled`; null if the function returned a response.
    pub function_error: Option<String>,
}

/// The discarded batch. Without records, as at the end of a tumbling window, only the shard and the stream are set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    /// The ID of the shard.
    pub shard_id: String,
    /// The sequence number of the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_sequence_number: Option<String>,
    /// The sequence number of the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_sequence_number: Option<String>,
    /// The time of the first record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_arrival_of_first_record: Option<String>,
    /// The time of the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_arrival_of_last_record: Option<String>,
    /// The number of records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// The ARN of the stream.
    pub stream_arn: String,
}

impl BatchInfo {
    /// Describes these records of a shard.
    pub fn of(kind: StreamKind, shard_id: &str, stream_arn: &str, records: &[Arc<SourceRecord>]) -> BatchInfo {
        let format = match kind {
            StreamKind::DynamoDb => SECONDS,
            StreamKind::Kinesis => MILLISECONDS,
        };
        let (first, last) = (records.first(), records.last());
        let sequence = |record: &Arc<SourceRecord>| record.sequence.as_str().to_owned();
        let arrival = |record: &Arc<SourceRecord>| format_time(record.created_at, format);
        BatchInfo {
            shard_id: shard_id.to_owned(),
            start_sequence_number: first.map(sequence),
            end_sequence_number: last.map(sequence),
            approximate_arrival_of_first_record: first.map(arrival),
            approximate_arrival_of_last_record: last.map(arrival),
            batch_size: first.map(|_| records.len()),
            stream_arn: stream_arn.to_owned(),
        }
    }
}

pub(super) fn format_time(time: Timestamp, format: &str) -> String {
    // Never fails: every Timestamp is a valid jiff timestamp.
    jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default().strftime(format).to_string()
}
