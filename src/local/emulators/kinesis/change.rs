//! A table's change in the form that Kinesis Data Streams for DynamoDB writes to a stream.

use std::borrow::Cow;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::REGION;
use event_source_mapping::{SourceRecord, uuid};

/// The unit of a change's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// AWS's default. Identical changes of one item within a millisecond can't be told apart.
    Millisecond,
    /// Distinguishes changes of one item that are a microsecond apart.
    Microsecond,
}

/// The data of the Kinesis record for a DynamoDB Streams record. The same record gives the same data.
///
/// # Errors
/// When `record` isn't from a DynamoDB stream.
pub fn change_of(record: &SourceRecord, precision: Precision) -> anyhow::Result<String> {
    let wrong = || format!("read record {} as a record of a DynamoDB stream", record.sequence);
    let streamed: Streamed<'_> = serde_json::from_str(&record.json).with_context(wrong)?;
    let (time, stated) = match precision {
        Precision::Millisecond => (record.created_at.micros() / 1000, "MILLISECOND"),
        Precision::Microsecond => (record.created_at.micros(), "MICROSECOND"),
    };
    let change = Change {
        aws_region: REGION,
        event_id: event_uuid(&streamed.event_id),
        event_name: &streamed.event_name,
        user_identity: streamed.user_identity,
        record_format: "application/json",
        table_name: table_of(&streamed.event_source_arn).with_context(wrong)?,
        dynamodb: Images {
            time,
            keys: streamed.dynamodb.keys,
            new_image: streamed.dynamodb.new_image,
            old_image: streamed.dynamodb.old_image,
            size_bytes: streamed.dynamodb.size_bytes,
            precision: stated,
        },
        event_source: "aws:dynamodb",
    };
    serde_json::to_string(&change).context("write a change")
}

/// The partition key of a change. All changes of an item have the same one.
pub(super) fn partition_key(record: &SourceRecord) -> String {
    let hash = blake3::hash(&record.item.to_be_bytes());
    hash.as_bytes().iter().take(16).map(|byte| format!("{byte:02X}")).collect()
}

/// The event's 32 digits as a UUID, as Kinesis Data Streams writes them.
fn event_uuid(event_id: &str) -> String {
    let digits = (event_id.len() == 32).then(|| u128::from_str_radix(event_id, 16).ok()).flatten();
    let hash =
        || blake3::hash(event_id.as_bytes()).as_bytes().first_chunk().map_or(0, |first| u128::from_be_bytes(*first));
    uuid(digits.unwrap_or_else(hash))
}

/// `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL` -> NAME
fn table_of(stream_arn: &str) -> Option<&str> {
    stream_arn.split_once(":table/")?.1.split_once("/stream/").map(|(name, _)| name)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Streamed<'a> {
    #[serde(rename = "eventID", borrow)]
    event_id: Cow<'a, str>,
    event_name: Cow<'a, str>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: Cow<'a, str>,
    user_identity: Option<&'a RawValue>,
    dynamodb: StreamedImages<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StreamedImages<'a> {
    #[serde(borrow)]
    keys: &'a RawValue,
    new_image: Option<&'a RawValue>,
    old_image: Option<&'a RawValue>,
    size_bytes: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<'a> {
    aws_region: &'static str,
    #[serde(rename = "eventID")]
    event_id: String,
    event_name: &'a str,
    /// An explicit null unless time to live removed the item.
    user_identity: Option<&'a RawValue>,
    record_format: &'static str,
    table_name: &'a str,
    dynamodb: Images<'a>,
    event_source: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Images<'a> {
    #[serde(rename = "ApproximateCreationDateTime")]
    time: i64,
    keys: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    new_image: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_image: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(rename = "ApproximateCreationDateTimePrecision")]
    precision: &'static str,
}

#[cfg(test)]
mod tests;
