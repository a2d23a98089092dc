//! The JSON that an on-failure destination gets, field by field as Lambda writes it: the mapping writes it, and a redrive
//! reads it again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::{SourceRecord, StreamKind};
use stream_types::Timestamp;

const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";
pub(super) const MILLISECONDS: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

/// A document. S3 gets it with a `payload`, the event as text; SQS and SNS without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    pub request_context: RequestContext,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_context: Option<ResponseContext>,
    #[serde(default)]
    pub version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    pub timestamp: String,
    #[serde(rename = "DDBStreamBatchInfo", skip_serializing_if = "Option::is_none")]
    pub dynamodb: Option<BatchInfo>,
    #[serde(rename = "KinesisBatchInfo", skip_serializing_if = "Option::is_none")]
    pub kinesis: Option<BatchInfo>,
    /// Of a tumbling window's batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_window_info: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestContext {
    pub request_id: String,
    pub function_arn: String,
    pub condition: String,
    #[serde(default)]
    pub approximate_invoke_count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseContext {
    #[serde(default)]
    pub status_code: u16,
    #[serde(default)]
    pub executed_version: String,
    /// Null where the function returned.
    pub function_error: Option<String>,
}

/// Without records, as after the end of a window, only the shard and the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchInfo {
    pub shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_sequence_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_arrival_of_first_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approximate_arrival_of_last_record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    pub stream_arn: String,
}

impl BatchInfo {
    /// What describes these records of a shard.
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
    // Every Timestamp is one of jiff's too.
    jiff::Timestamp::from_microsecond(time.micros()).unwrap_or_default().strftime(format).to_string()
}
