//! A change of a table as Lambda delivers it, field for field in the order seen there.

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::SourceRecord;
use stream_types::SequenceNumber;
use stream_types::Timestamp;

#[derive(Serialize)]
pub struct LambdaRecord<'a> {
    #[serde(rename = "eventID")]
    pub event_id: String,
    #[serde(rename = "eventName")]
    pub event_name: String,
    #[serde(rename = "eventVersion")]
    pub event_version: &'static str,
    #[serde(rename = "eventSource")]
    pub event_source: &'static str,
    #[serde(rename = "awsRegion")]
    pub aws_region: &'a str,
    pub dynamodb: LambdaChange,
    #[serde(rename = "userIdentity", skip_serializing_if = "Option::is_none")]
    pub user_identity: Option<LambdaIdentity>,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LambdaChange {
    /// Seconds since the epoch.
    pub approximate_creation_date_time: f64,
    /// In order of their names, so that the same keys are the same text.
    pub keys: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_image: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_image: Option<Box<RawValue>>,
    pub sequence_number: String,
    pub size_bytes: i64,
    pub stream_view_type: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LambdaIdentity {
    #[serde(rename = "type")]
    pub kind: String,
    pub principal_id: String,
}

impl TryFrom<LambdaRecord<'_>> for SourceRecord {
    type Error = anyhow::Error;

    fn try_from(record: LambdaRecord<'_>) -> anyhow::Result<SourceRecord> {
        let sequence = sequence(&record.dynamodb.sequence_number)?;
        let hash = blake3::hash(record.dynamodb.keys.get().as_bytes());
        let item = hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
        let seconds = jiff::SignedDuration::try_from_secs_f64(record.dynamodb.approximate_creation_date_time)?;
        let created_at = Timestamp::from_micros(jiff::Timestamp::UNIX_EPOCH.checked_add(seconds)?.as_microsecond());
        let created_at = created_at.with_context(|| format!("the record {sequence} has no usable time"))?;
        Ok(SourceRecord { sequence, item, created_at, json: serde_json::to_string(&record)? })
    }
}

pub fn raw(value: &impl Serialize) -> anyhow::Result<Box<RawValue>> {
    Ok(serde_json::value::to_raw_value(value)?)
}

pub fn sequence(text: &str) -> anyhow::Result<SequenceNumber<'static>> {
    SequenceNumber::parse(text.to_owned()).with_context(|| format!("{text} is no sequence number"))
}
