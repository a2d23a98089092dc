//! GetShardIterator and GetRecords. An iterator is its position in plain text, and never expires.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{INTERNAL_FAILURE, Refusal, invalid, read};
use crate::emulators::kinesis::KinesisSource;
use crate::emulators::kinesis::streams::{StreamError, Streams};
use event_source_mapping::{Page, PageEnd, Position, ReadError, SourceRecord};
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// 10,000: the most records that GetRecords returns.
const MAXIMUM_RECORDS: usize = 10_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetShardIterator {
    shard_id: String,
    shard_iterator_type: String,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

/// A record as a [`KinesisSource`] returns it.
#[derive(Deserialize)]
struct Delivered {
    kinesis: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    partition_key: String,
    sequence_number: String,
    data: String,
    approximate_arrival_timestamp: f64,
}

pub(super) fn get_shard_iterator(streams: &Streams, body: &[u8]) -> Result<Value, Refusal> {
    let (name, request): (String, GetShardIterator) = read(body)?;
    let GetShardIterator { shard_id, shard_iterator_type, starting_sequence_number, timestamp } = request;
    let missing = || invalid(format!("{shard_iterator_type} needs a valid StartingSequenceNumber or Timestamp"));
    let sequence = || starting_sequence_number.clone().and_then(SequenceNumber::parse).ok_or_else(missing);
    let position = match shard_iterator_type.as_str() {
        "TRIM_HORIZON" => Position::TrimHorizon,
        "LATEST" => page(streams, &name, &shard_id, &Position::Latest, 1)?.next,
        "AT_SEQUENCE_NUMBER" => Position::At(sequence()?),
        "AFTER_SEQUENCE_NUMBER" => Position::After(sequence()?),
        "AT_TIMESTAMP" => Position::AtTimestamp(timestamp.and_then(time).ok_or_else(missing)?),
        other => return Err(invalid(format!("{other} is not a valid ShardIteratorType"))),
    };
    // Fails if the shard doesn't exist.
    page(streams, &name, &shard_id, &position, 1)?;
    Ok(json!({ "ShardIterator": iterator(&name, &shard_id, &position) }))
}

pub(super) fn get_records(streams: &Streams, body: &[u8], now: Timestamp) -> Result<Value, Refusal> {
    let refused = |error: serde_json::Error| invalid(format!("the embedded Kinesis can't read this request: {error}"));
    let GetRecords { shard_iterator, limit } = serde_json::from_slice(body).map_err(refused)?;
    let (name, shard, position) = position_of(&shard_iterator)
        .ok_or_else(|| invalid(format!("{shard_iterator:?} is not a valid shard iterator")))?;
    let limit = limit.unwrap_or(MAXIMUM_RECORDS).min(MAXIMUM_RECORDS);
    let Page { records, next, end } = page(streams, &name, &shard, &position, limit)?;
    let behind = match (end, records.last()) {
        // At least 1, which says that there is more.
        (PageEnd::MoreAvailable, Some(last)) => ((now.micros() - last.created_at.micros()) / 1_000).max(1),
        (PageEnd::MoreAvailable, None) => 1,
        (PageEnd::CaughtUp | PageEnd::ShardEnd, _) => 0,
    };
    let records: Vec<Value> = records.iter().filter_map(|record| described(record)).collect();
    let next = (end != PageEnd::ShardEnd).then(|| iterator(&name, &shard, &next));
    Ok(json!({ "Records": records, "NextShardIterator": next, "MillisBehindLatest": behind }))
}

fn page(streams: &Streams, name: &str, shard: &str, position: &Position, limit: usize) -> Result<Page, Refusal> {
    let source = KinesisSource::new(streams, name)?;
    let page = match source.read_now(shard, position, limit) {
        // Kinesis continues with the oldest record, and doesn't say so.
        Err(ReadError::Trimmed) => source.read_now(shard, &Position::TrimHorizon, limit),
        page => page,
    };
    page.map_err(|error| match error {
        ReadError::Gone => StreamError::NoShard(shard.to_owned()).into(),
        error => Refusal { code: INTERNAL_FAILURE, message: format!("{error:#}") },
    })
}

fn described(record: &SourceRecord) -> Option<Value> {
    let Delivered { kinesis } = serde_json::from_str(&record.json).ok()?;
    Some(json!({
        "SequenceNumber": kinesis.sequence_number,
        "ApproximateArrivalTimestamp": kinesis.approximate_arrival_timestamp,
        "Data": kinesis.data,
        "PartitionKey": kinesis.partition_key,
    }))
}

fn iterator(name: &str, shard: &str, position: &Position) -> String {
    match position {
        Position::TrimHorizon | Position::Latest => format!("{name} {shard} first"),
        Position::AtTimestamp(time) => format!("{name} {shard} time {}", time.micros()),
        Position::At(sequence) => format!("{name} {shard} at {sequence}"),
        Position::After(sequence) => format!("{name} {shard} after {sequence}"),
    }
}

fn position_of(iterator: &str) -> Option<(String, String, Position)> {
    let mut words = iterator.split(' ').map(str::to_owned);
    let (name, shard) = (words.next()?, words.next()?);
    let position = match (words.next()?.as_str(), words.next()) {
        ("first", None) => Position::TrimHorizon,
        ("time", Some(micros)) => Position::AtTimestamp(Timestamp::from_micros(micros.parse().ok()?)?),
        ("at", Some(sequence)) => Position::At(SequenceNumber::parse(sequence)?),
        ("after", Some(sequence)) => Position::After(SequenceNumber::parse(sequence)?),
        _ => return None,
    };
    Some((name, shard, position))
}

fn time(seconds: f64) -> Option<Timestamp> {
    let span = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    Timestamp::from_micros(i64::try_from(span.as_micros()).ok()?)
}
