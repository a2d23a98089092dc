//! The records in a payload, unchanged, with what a delivery needs to know about each of them.

use std::sync::Arc;

use event_source_mapping::SourceRecord;
use serde::Deserialize;
use serde_json::value::RawValue;
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

/// 2000-01-01: the earliest Timestamp.
const EARLIEST: i64 = 946_684_800;

#[derive(Deserialize)]
struct PayloadEvent<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct PayloadRecord<'a> {
    #[serde(borrow)]
    dynamodb: Option<Change<'a>>,
    #[serde(borrow)]
    kinesis: Option<Message<'a>>,
}

/// Times are read separately: a number that isn't a valid float may be the reason why the record was rejected.
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
    #[serde(rename = "ApproximateCreationDateTime", borrow, default)]
    created_at: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    sequence_number: String,
    #[serde(rename = "approximateArrivalTimestamp", borrow, default)]
    arrived_at: Option<&'a RawValue>,
}

/// Parses the records of `payload`. A record without a valid time has the time `otherwise`.
pub(super) fn records(payload: &str, otherwise: Option<Timestamp>) -> Result<Vec<Arc<SourceRecord>>, String> {
    let event: PayloadEvent<'_> = serde_json::from_str(payload)
        .map_err(|error| format!("has an invalid event in its payload (column {})", error.column()))?;
    let records: Option<Vec<_>> = event.records.into_iter().map(|raw| record(raw, otherwise)).collect();
    let records = records.ok_or("has a record without a sequence number in its payload")?;
    if records.is_empty() { Err("has no records in its payload".to_owned()) } else { Ok(records) }
}

fn record(raw: &RawValue, otherwise: Option<Timestamp>) -> Option<Arc<SourceRecord>> {
    let record: PayloadRecord<'_> = serde_json::from_str(raw.get()).ok()?;
    let (sequence, time) = match (record.dynamodb, record.kinesis) {
        (Some(change), _) => (change.sequence_number, change.created_at),
        (None, Some(message)) => (message.sequence_number, message.arrived_at),
        (None, None) => return None,
    };
    let created_at = time.and_then(seconds).or(otherwise).or(Timestamp::from_seconds(EARLIEST))?;
    let sequence = SequenceNumber::parse(sequence)?;
    Some(Arc::new(SourceRecord { sequence, item: 0, created_at, json: raw.get().to_owned() }))
}

/// Seconds since 1970, with a fraction.
fn seconds(time: &RawValue) -> Option<Timestamp> {
    let span = jiff::SignedDuration::try_from_secs_f64(serde_json::from_str(time.get()).ok()?).ok()?;
    let instant = jiff::Timestamp::UNIX_EPOCH.checked_add(span).ok()?;
    Timestamp::from_micros(instant.as_microsecond())
}
