//! A document of a failed batch, as Lambda wrote it: its metadata, its records, and the document that replaces it when only
//! some of them remain. Pure. `ownership` decides whether it belongs to this deployment.

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
    /// What kind of stream the records are from.
    pub kind: StreamKind,
    /// The records' place in their stream.
    pub position: Position,
}

/// A range of records in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The stream.
    pub stream_arn: String,
    /// Its shard.
    pub shard_id: String,
    /// The first record.
    pub first: SequenceNumber<'static>,
    /// The last record.
    pub last: SequenceNumber<'static>,
}

/// Why the mapping discarded a batch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Lambda's condition, for example `RetryAttemptsExhausted`.
    pub condition: String,
    /// How the last invocation ended.
    pub response: Response,
}

/// How the last invocation with a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    /// The function failed as a whole.
    FunctionError,
    /// The function returned a list of failed records.
    Partial,
    /// The function wasn't invoked, or didn't respond.
    None,
}

impl Response {
    /// Its name in reports.
    pub fn text(self) -> &'static str {
        match self {
            Response::FunctionError => "function error",
            Response::Partial => "partial response",
            Response::None => "no response",
        }
    }
}

impl Document {
    /// Parses the body of an object or a message.
    ///
    /// # Errors
    /// The reason why it can't be redriven, to be printed after the document's name.
    pub fn parse(body: &[u8]) -> Result<Document, String> {
        let sent: InvocationRecord = match serde_json::from_slice(body) {
            Ok(sent) => sent,
            Err(error) => match notification(body) {
                Some(message) => return Document::parse(message.as_bytes()),
                // Not the parser's own words, which quote values.
                None => {
                    let (line, column) = (error.line(), error.column());
                    return Err(format!("is not a document of an event source mapping (line {line}, column {column})"));
                }
            },
        };
        if sent.time_window_info.is_some() {
            return Err("is from a tumbling window, which the function doesn't support".to_owned());
        }
        let (kind, batch) = match (&sent.dynamodb, &sent.kinesis) {
            (Some(batch), None) => (StreamKind::DynamoDb, batch),
            (None, Some(batch)) => (StreamKind::Kinesis, batch),
            _ => return Err("names neither a DynamoDB stream nor a Kinesis stream".to_owned()),
        };
        let sequence = |number: &Option<String>| number.clone().and_then(SequenceNumber::parse);
        let ends = sequence(&batch.start_sequence_number).zip(sequence(&batch.end_sequence_number));
        let (first, last) = ends.ok_or("has no valid sequence numbers")?;
        if last < first {
            return Err("has an end sequence number before its start sequence number".to_owned());
        }
        let (stream_arn, shard_id) = (batch.stream_arn.clone(), batch.shard_id.clone());
        let position = Position { stream_arn, shard_id, first, last };
        Ok(Document { kind, position, sent })
    }

    /// Parses the metadata at the beginning of a document that is cut off within its payload. `None` if some of it is missing:
    /// Lambda may write it after the payload.
    pub fn parse_head(head: &[u8]) -> Option<Document> {
        // Within a JSON string the quotes would be escaped.
        const PAYLOAD: &[u8] = br#","payload":"#;
        let end = head.windows(PAYLOAD.len()).position(|bytes| bytes == PAYLOAD)?;
        let metadata = [head.get(..end)?, b"}"].concat();
        Document::parse(&metadata).ok()
    }

    fn batch(&self) -> Option<&BatchInfo> {
        self.sent.dynamodb.as_ref().or(self.sent.kinesis.as_ref())
    }

    /// How many records the batch had.
    pub fn records(&self) -> usize {
        self.batch().and_then(|batch| batch.batch_size).unwrap_or(1)
    }

    /// The function that failed.
    pub fn function_arn(&self) -> &str {
        &self.sent.request_context.function_arn
    }

    /// Why the mapping discarded the batch.
    pub fn cause(&self) -> Cause {
        let response = match &self.sent.response_context {
            None => Response::None,
            Some(context) if context.function_error.is_some() => Response::FunctionError,
            Some(_) => Response::Partial,
        };
        Cause { condition: self.sent.request_context.condition.clone(), response }
    }

    /// When the mapping discarded the batch.
    pub fn discarded_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.sent.timestamp)
    }

    /// When the oldest record was written, or if that is missing, when the batch was discarded.
    pub fn first_arrival(&self) -> Option<Timestamp> {
        let arrival = self.batch().and_then(|batch| batch.approximate_arrival_of_first_record.as_deref());
        arrival.and_then(Timestamp::parse).or_else(|| self.discarded_at())
    }

    /// Parses the records in the payload.
    ///
    /// # Errors
    /// The reason why there are none, or some have no sequence number, to be printed after the document's name.
    pub fn payload_records(&self) -> Result<Vec<Arc<SourceRecord>>, String> {
        let payload = self.sent.payload.as_deref().ok_or("has no payload: it is a copy of a message for a queue")?;
        let event: PayloadEvent<'_> = serde_json::from_str(payload)
            .map_err(|error| format!("has an invalid event in its payload (column {})", error.column()))?;
        let records: Option<Vec<_>> = event.records.into_iter().map(|raw| self.record(raw)).collect();
        let records = records.ok_or("has a record without a sequence number in its payload")?;
        if records.is_empty() { Err("has no records in its payload".to_owned()) } else { Ok(records) }
    }

    fn record(&self, raw: &RawValue) -> Option<Arc<SourceRecord>> {
        let record: PayloadRecord = serde_json::from_str(raw.get()).ok()?;
        let (sequence, time) = match (record.dynamodb, record.kinesis) {
            (Some(change), _) => (change.sequence_number, change.created_at),
            (None, Some(message)) => (message.sequence_number, message.arrived_at),
            (None, None) => return None,
        };
        // An invalid time may be the reason why the record failed.
        let created_at = seconds(&time).or_else(|| self.first_arrival()).or(Timestamp::from_seconds(EARLIEST))?;
        let sequence = SequenceNumber::parse(sequence)?;
        Some(Arc::new(SourceRecord { sequence, item: 0, created_at, json: raw.get().to_owned() }))
    }

    /// A document like this one for some of its records, with a payload if this one has a payload.
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

/// 2000-01-01: the earliest Timestamp.
const EARLIEST: i64 = 946_684_800;

#[derive(Deserialize)]
struct PayloadEvent<'a> {
    #[serde(rename = "Records", borrow)]
    records: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct PayloadRecord {
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

/// The message in a notification that an SNS topic has sent to a queue.
fn notification(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Notification {
        r#type: String,
        message: String,
    }
    let notification: Notification = serde_json::from_slice(body).ok()?;
    // Unwrapped once only: nested notifications could go on without end.
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
pub(crate) mod tests;
