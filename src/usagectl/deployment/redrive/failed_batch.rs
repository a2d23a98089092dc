//! A failed batch or quarantined record as a destination lists it: with `--json` one line for each document, else two lines
//! for each cause, with the time left to redrive it.

use std::collections::BTreeMap;

use event_source_mapping::StreamKind;
use serde_json::{Value, json};
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

use super::deadlines::Deadlines;
use crate::failure_document::{Cause, FailureDocument};
use crate::shell::console::{counted, plain};

/// Where a document is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In S3, with its records.
    Object {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// In SQS, with the positions of its records.
    Message {
        /// The message's id.
        id: String,
    },
}

/// A document in a destination.
#[derive(Debug)]
pub struct FailedBatch {
    /// Where it is.
    pub location: Location,
    /// What it says, or why it can't be redriven.
    pub summary: Result<BatchSummary, String>,
}

/// A document without its records.
#[derive(Debug, Clone)]
pub struct BatchSummary {
    /// What kind of stream the records are from.
    pub kind: StreamKind,
    /// Why the document was written.
    pub cause: Cause,
    /// How many records the batch had.
    pub records: usize,
    /// When the oldest record was written.
    pub first_arrival: Option<Timestamp>,
    /// The shard of the records.
    pub shard_id: String,
    /// The first record's sequence number.
    pub first: String,
    /// The last record's sequence number.
    pub last: String,
}

impl Location {
    /// Its name in reports.
    pub fn name(&self) -> String {
        match self {
            Location::Object { bucket, key } => format!("s3://{bucket}/{key}"),
            Location::Message { id } => format!("message {id}"),
        }
    }

    /// The service that it is stored in.
    pub fn destination(&self) -> &'static str {
        match self {
            Location::Object { .. } => "S3",
            Location::Message { .. } => "SQS",
        }
    }
}

impl BatchSummary {
    /// Summarizes a document that was written at `failed_at`, as far as its destination shows that.
    pub fn new(document: &FailureDocument, failed_at: Option<Timestamp>) -> BatchSummary {
        BatchSummary {
            kind: document.kind,
            cause: document.cause(),
            records: document.records(),
            first_arrival: document.first_arrival().or(failed_at),
            shard_id: document.position.shard_id.clone(),
            first: document.position.first.to_string(),
            last: document.position.last.to_string(),
        }
    }
}

/// One document as JSON.
pub fn line(batch: &FailedBatch, deadlines: &Deadlines) -> Value {
    let (name, destination) = (batch.location.name(), batch.location.destination());
    let waiting = match &batch.summary {
        Ok(summary) => json!({
            "document": name,
            "destination": destination,
            "condition": summary.cause.condition,
            "response": summary.cause.quarantine.is_none().then(|| summary.cause.response.text()),
            "rejection": summary.cause.quarantine,
            "records": summary.records,
            "shard_id": summary.shard_id,
            "first_sequence_number": summary.first,
            "last_sequence_number": summary.last,
            "age_seconds": deadlines.age_seconds(summary),
            "left_seconds": deadlines.left_seconds(&batch.location, summary),
        }),
        Err(why) => json!({ "document": name, "destination": destination, "skipped": why }),
    };
    json!({ "waiting": waiting })
}

/// The documents by cause, two lines for each.
pub fn by_cause(batches: &[FailedBatch], deadlines: &Deadlines) -> String {
    let mut causes: BTreeMap<(&str, String), Vec<(&Location, &BatchSummary)>> = BTreeMap::new();
    for FailedBatch { location, summary } in batches {
        if let Ok(summary) = summary {
            causes.entry((location.destination(), summary.cause.text())).or_default().push((location, summary));
        }
    }
    let lines = causes.into_iter().map(|((destination, cause), documents)| {
        let records: usize = documents.iter().map(|(_, summary)| summary.records).sum();
        let oldest = documents.iter().filter_map(|(_, summary)| deadlines.age_seconds(summary)).max();
        let left = documents.iter().filter_map(|(location, summary)| deadlines.left_seconds(location, summary)).min();
        let [documents, records] = [counted(documents.len(), "document"), counted(records, "record")];
        let oldest = oldest.map_or_else(|| "of unknown age".to_owned(), |age| format!("the oldest {} old", span(age)));
        let left = match left {
            None => String::new(),
            Some(..=0) => ", no time left".to_owned(),
            Some(left) => format!(", {} left", span(left)),
        };
        plain(&format!("{destination:<4} {cause}")) + &format!("\n     {documents} with {records}, {oldest}{left}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `17 d 3 h`, `3 h 20 min`, `5 min`, `12 s`.
fn span(seconds: i64) -> String {
    let (days, hours, minutes) =
        (seconds / DAY_SECONDS, seconds % DAY_SECONDS / HOUR_SECONDS, seconds % HOUR_SECONDS / 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure_document::{QuarantineReason, Response};

    #[test]
    fn the_time_left_ends_with_the_streams_retention_or_the_horizon() {
        let object = Location::Object { bucket: "b".to_owned(), key: "k".to_owned() };
        let message = Location::Message { id: "m".to_owned() };
        let arrival = Timestamp::parse("2026-09-17T10:00:00Z");
        let cause =
            Cause { condition: "RetryAttemptsExhausted".to_owned(), response: Response::Partial, quarantine: None };
        let (first, last) = ("1".to_owned(), "2".to_owned());
        let summary = |kind| BatchSummary {
            kind,
            cause: cause.clone(),
            records: 2,
            first_arrival: arrival,
            shard_id: "shardId-1".to_owned(),
            first: first.clone(),
            last: last.clone(),
        };
        let deadlines =
            Deadlines { now: Timestamp::parse("2026-09-17T12:30:00Z").unwrap(), horizon_days: 18, kinesis_hours: 48 };
        let left = |location, kind| deadlines.left_seconds(location, &summary(kind)).map(span).unwrap();
        assert_eq!(left(&object, StreamKind::DynamoDb), "17 d 21 h");
        assert_eq!(left(&message, StreamKind::DynamoDb), "21 h 30 min");
        assert_eq!(left(&message, StreamKind::Kinesis), "1 d 21 h");
        let short = Deadlines { horizon_days: 0, ..deadlines };
        assert_eq!(short.left_seconds(&message, &summary(StreamKind::Kinesis)), Some(-9_000));
        let early = Deadlines { now: Timestamp::parse("2026-09-17T09:59:59Z").unwrap(), ..deadlines };
        assert_eq!(early.age_seconds(&summary(StreamKind::DynamoDb)), Some(0));
        assert_eq!(
            (span(59), span(60), span(86_399)),
            ("59 s".to_owned(), "1 min".to_owned(), "23 h 59 min".to_owned())
        );

        let quarantine = Some(QuarantineReason {
            pipeline: "orders".to_owned(),
            code: "invalid_value".to_owned(),
            field: "NewImage.total".to_owned(),
            reason: "expected N, found S".to_owned(),
        });
        let rejected = Cause { condition: "RecordRejected".to_owned(), response: Response::None, quarantine };
        let quarantined = BatchSummary { cause: rejected, records: 1, ..summary(StreamKind::DynamoDb) };
        let batches = [
            FailedBatch { location: object.clone(), summary: Ok(quarantined.clone()) },
            FailedBatch { location: object.clone(), summary: Ok(BatchSummary { first_arrival: None, ..quarantined }) },
            FailedBatch { location: object, summary: Ok(summary(StreamKind::DynamoDb)) },
            FailedBatch { location: message, summary: Ok(summary(StreamKind::DynamoDb)) },
            FailedBatch {
                location: Location::Message { id: "x".to_owned() },
                summary: Err("is not a document".to_owned()),
            },
        ];
        insta::assert_snapshot!(by_cause(&batches, &deadlines));
        insta::assert_json_snapshot!(batches.iter().map(|batch| line(batch, &deadlines)).collect::<Vec<_>>());
    }
}
