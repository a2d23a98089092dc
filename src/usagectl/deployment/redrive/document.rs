//! A waiting document, as Lambda wrote it: what it is about, the records that it holds, and what it says once only some of
//! them remain. Pure. Whether it is one of this deployment's is `foreign`'s.

use std::sync::Arc;

use event_source_mapping::{BatchInfo, InvocationRecord, SourceRecord, StreamKind, event_of};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

/// A document that can be redriven.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    sent: InvocationRecord,
    pub kind: StreamKind,
    pub position: Position,
}

/// Which records a document is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    pub stream_arn: String,
    pub shard_id: String,
    pub first: SequenceNumber<'static>,
    pub last: SequenceNumber<'static>,
}

/// Why records were given up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    pub condition: String,
    pub response: Response,
}

/// What the last delivery was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    FunctionError,
    /// The function returned, and named records that had failed.
    Partial,
    /// There was no delivery, or no answer.
    None,
}

impl Response {
    pub fn text(self) -> &'static str {
        match self {
            Response::FunctionError => "function error",
            Response::Partial => "partial answer",
            Response::None => "no answer",
        }
    }
}

impl Document {
    /// Reads what a bucket or a queue holds.
    ///
    /// # Errors
    /// When it is nothing that can be redriven; the text says why and reads after its name.
    pub fn parse(body: &[u8]) -> Result<Document, String> {
        let sent: InvocationRecord = match serde_json::from_slice(body) {
            Ok(sent) => sent,
            Err(error) => match notification(body) {
                Some(message) => return Document::parse(message.as_bytes()),
                // Not the parser's own words, which quote values.
                None => {
                    let (line, column) = (error.line(), error.column());
                    return Err(format!("is no document of an event source mapping (line {line}, column {column})"));
                }
            },
        };
        if sent.time_window_info.is_some() {
            return Err("is of a tumbling window, whose state is gone; the function takes none".to_owned());
        }
        let (kind, batch) = match (&sent.dynamodb, &sent.kinesis) {
            (Some(batch), None) => (StreamKind::DynamoDb, batch),
            (None, Some(batch)) => (StreamKind::Kinesis, batch),
            _ => return Err("names neither a table's stream nor a Kinesis stream".to_owned()),
        };
        let sequence = |number: &Option<String>| number.clone().and_then(SequenceNumber::parse);
        let ends = sequence(&batch.start_sequence_number).zip(sequence(&batch.end_sequence_number));
        let (first, last) = ends.ok_or("names no records by their sequence numbers")?;
        if last < first {
            return Err("ends before it starts, by its sequence numbers".to_owned());
        }
        let (stream_arn, shard_id) = (batch.stream_arn.clone(), batch.shard_id.clone());
        let position = Position { stream_arn, shard_id, first, last };
        Ok(Document { kind, position, sent })
    }

    fn batch(&self) -> Option<&BatchInfo> {
        self.sent.dynamodb.as_ref().or(self.sent.kinesis.as_ref())
    }

    /// How many records were given up together.
    pub fn records(&self) -> usize {
        self.batch().and_then(|batch| batch.batch_size).unwrap_or(1)
    }

    pub fn function_arn(&self) -> &str {
        &self.sent.request_context.function_arn
    }

    pub fn cause(&self) -> Cause {
        let response = match &self.sent.response_context {
            None => Response::None,
            Some(context) if context.function_error.is_some() => Response::FunctionError,
            Some(_) => Response::Partial,
        };
        Cause { condition: self.sent.request_context.condition.clone(), response }
    }

    /// When the oldest record was made or arrived; if nobody knows, when the batch was given up.
    pub fn first_arrival(&self) -> Option<Timestamp> {
        let arrival = self.batch().and_then(|batch| batch.approximate_arrival_of_first_record.as_deref());
        arrival.and_then(Timestamp::parse).or_else(|| Timestamp::parse(&self.sent.timestamp))
    }

    /// The records that the document itself holds.
    ///
    /// # Errors
    /// When it holds none, or they can't be told apart; the text reads after the document's name.
    pub fn payload_records(&self) -> Result<Vec<Arc<SourceRecord>>, String> {
        let payload = self.sent.payload.as_deref().ok_or("has no payload: it is a copy of what a queue gets")?;
        let event: Event<'_> = serde_json::from_str(payload)
            .map_err(|error| format!("has no event in its payload (column {})", error.column()))?;
        let records: Option<Vec<_>> = event.records.into_iter().map(|raw| self.record(raw)).collect();
        let records = records.ok_or("has a record without a sequence number in its payload")?;
        if records.is_empty() { Err("has no records in its payload".to_owned()) } else { Ok(records) }
    }

    fn record(&self, raw: &RawValue) -> Option<Arc<SourceRecord>> {
        let record: Record = serde_json::from_str(raw.get()).ok()?;
        let (sequence, time) = match (record.dynamodb, record.kinesis) {
            (Some(change), _) => (change.sequence_number, change.created_at),
            (None, Some(message)) => (message.sequence_number, message.arrived_at),
            (None, None) => return None,
        };
        // A poisonous time is one of the faults that bring records here.
        let created_at = seconds(&time).or_else(|| self.first_arrival()).or(Timestamp::from_seconds(EARLIEST))?;
        let sequence = SequenceNumber::parse(sequence)?;
        Some(Arc::new(SourceRecord { sequence, item: 0, created_at, json: raw.get().to_owned() }))
    }

    /// The document of `records` alone, which are some of this one's; with their payload if this one has one.
    pub fn narrowed(&self, records: &[Arc<SourceRecord>]) -> InvocationRecord {
        let batch = BatchInfo::of(self.kind, &self.position.shard_id, &self.position.stream_arn, records);
        let (dynamodb, kinesis) = match self.kind {
            StreamKind::DynamoDb => (Some(batch), None),
            StreamKind::Kinesis => (None, Some(batch)),
        };
        let payload = self.sent.payload.as_ref().map(|_| event_of(records));
        InvocationRecord { payload, dynamodb, kinesis, ..self.sent.clone() }
    }
}

/// 2000: the first year of a Timestamp.
const EARLIEST: i64 = 946_684_800;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Record {
    dynamodb: Option<Change>,
    kinesis: Option<Message>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "SequenceNumber")]
    sequence_number: String,
    #[serde(rename = "ApproximateCreationDateTime", default)]
    created_at: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    sequence_number: String,
    #[serde(rename = "approximateArrivalTimestamp", default)]
    arrived_at: Value,
}

/// What an SNS topic wraps around a message that it hands to a queue.
fn notification(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Notification {
        r#type: String,
        message: String,
    }
    let notification: Notification = serde_json::from_slice(body).ok()?;
    // A notification of a notification is no document, and must not be looked into for ever.
    let nested = serde_json::from_str::<Notification>(&notification.message).is_ok();
    (notification.r#type == "Notification" && !nested).then_some(notification.message)
}

/// Seconds since 1970, with a fraction.
fn seconds(time: &Value) -> Option<Timestamp> {
    let span = jiff::SignedDuration::try_from_secs_f64(time.as_f64()?).ok()?;
    let instant = jiff::Timestamp::UNIX_EPOCH.checked_add(span).ok()?;
    Timestamp::from_micros(instant.as_microsecond())
}

#[cfg(test)]
pub mod tests;
