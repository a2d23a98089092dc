//! A change of a table as Lambda delivers it, with the fields in the order observed there.

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::SourceRecord;
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// A record of a DynamoDB stream, as an element of the event's `Records`.
#[derive(Debug, Serialize)]
pub struct LambdaRecord<'a> {
    /// A globally unique ID.
    #[serde(rename = "eventID")]
    pub event_id: String,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    #[serde(rename = "eventName")]
    pub event_name: String,
    /// The version of this format, `1.1`.
    #[serde(rename = "eventVersion")]
    pub event_version: &'static str,
    /// `aws:dynamodb`.
    #[serde(rename = "eventSource")]
    pub event_source: &'static str,
    /// The stream's region.
    #[serde(rename = "awsRegion")]
    pub aws_region: &'a str,
    /// The change.
    pub dynamodb: LambdaChange,
    /// Who made the change, if it was not a client.
    #[serde(rename = "userIdentity", skip_serializing_if = "Option::is_none")]
    pub user_identity: Option<LambdaIdentity>,
    /// The stream's ARN.
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'a str,
}

/// The change itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LambdaChange {
    /// Seconds since 1970.
    pub approximate_creation_date_time: f64,
    /// The item's keys, sorted by name, so that the same keys give the same text.
    pub keys: Box<RawValue>,
    /// The item after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_image: Option<Box<RawValue>>,
    /// The item before the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_image: Option<Box<RawValue>>,
    /// The record's sequence number.
    pub sequence_number: String,
    /// The size of keys and images.
    pub size_bytes: i64,
    /// Which images the stream has, such as `NEW_AND_OLD_IMAGES`.
    pub stream_view_type: String,
}

/// Who made a change: DynamoDB itself, when an item expired.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaIdentity {
    /// `Service`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `dynamodb.amazonaws.com`.
    pub principal_id: String,
}

impl TryFrom<LambdaRecord<'_>> for SourceRecord {
    type Error = anyhow::Error;

    fn try_from(record: LambdaRecord<'_>) -> anyhow::Result<SourceRecord> {
        let sequence = parse_sequence(&record.dynamodb.sequence_number)?;
        let hash = blake3::hash(record.dynamodb.keys.get().as_bytes());
        let item = hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let seconds = jiff::SignedDuration::try_from_secs_f64(record.dynamodb.approximate_creation_date_time)?;
        let created_at = Timestamp::from_micros(jiff::Timestamp::UNIX_EPOCH.checked_add(seconds)?.as_microsecond());
        let created_at = created_at.with_context(|| format!("record {sequence} has a time outside 2000 to 2099"))?;
        Ok(SourceRecord { sequence, item, created_at, json: serde_json::to_string(&record)? })
    }
}

/// Serializes a value as raw JSON.
///
/// # Errors
/// If it can't be serialized.
pub fn to_raw_json(value: &impl Serialize) -> anyhow::Result<Box<RawValue>> {
    Ok(serde_json::value::to_raw_value(value)?)
}

/// Parses a sequence number.
///
/// # Errors
/// If the text is not 1 to 129 decimal digits.
pub fn parse_sequence(text: &str) -> anyhow::Result<SequenceNumber<'static>> {
    SequenceNumber::parse(text.to_owned()).with_context(|| format!("`{text}` is not a valid sequence number"))
}
