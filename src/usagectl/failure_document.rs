//! A failure document: what Lambda writes about a discarded batch, or the function about a quarantined record. It has
//! metadata, mostly records, and the document that replaces it when only some of its records remain. Pure. `redrive` replays
//! it, `explain` and `invoke` read the event in it.

mod payload;

use std::sync::Arc;

use event_source_mapping::{BatchInfo, InvocationRecord, SourceRecord, StreamKind, event_of};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

/// A document that can be redriven.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureDocument {
    sent: InvocationRecord,
    /// What kind of stream the records are from.
    pub kind: StreamKind,
    /// The records' place in their stream. A quarantined record that could not be read may have no stream and no shard.
    pub position: Position,
    /// Why the function rejected the record, if it quarantined the record.
    pub quarantine: Option<QuarantineReason>,
}

/// Why a record is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct QuarantineReason {
    /// The pipeline that rejected it.
    pub pipeline: String,
    /// What is wrong, as a constant.
    pub code: String,
    /// The field at fault.
    pub field: String,
    /// What is wrong, in words.
    pub reason: String,
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

/// Why a document was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// Lambda's condition, for example `RetryAttemptsExhausted`; `RecordRejected` if the function quarantined the record.
    pub condition: String,
    /// How the last invocation ended.
    pub response: Response,
    /// Why the record is quarantined, if it is.
    pub quarantine: Option<QuarantineReason>,
}

impl Cause {
    /// The cause in words: `RetryAttemptsExhausted, partial response`.
    pub fn text(&self) -> String {
        match &self.quarantine {
            Some(QuarantineReason { code, field, reason, .. }) => {
                let parts = [code, field, reason].into_iter().map(String::as_str).filter(|part| !part.is_empty());
                format!("{}, {}", self.condition, parts.collect::<Vec<_>>().join(": "))
            }
            None => format!("{}, {}", self.condition, self.response.text()),
        }
    }
}

/// How the last invocation with a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    /// The function failed as a whole.
    FunctionError,
    /// The function returned a list of failed records.
    Partial,
    /// The function wasn't invoked, didn't respond, or quarantined the record itself.
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

impl FailureDocument {
    /// Parses the body of an object or a message.
    ///
    /// # Errors
    /// The reason why it can't be redriven, to be printed after the document's name.
    pub fn parse(body: &[u8]) -> Result<FailureDocument, String> {
        let (sent, quarantine) = match envelope(body) {
            Ok(envelope) => envelope,
            Err(error) => match notification(body) {
                Some(message) => return FailureDocument::parse(message.as_bytes()),
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
        Ok(FailureDocument { kind, position, quarantine, sent })
    }

    /// Parses the metadata at the beginning of a document that is cut off within its payload. `None` if some of it is missing:
    /// Lambda may write it after the payload.
    pub fn parse_head(head: &[u8]) -> Option<FailureDocument> {
        // Within a JSON string the quotes would be escaped.
        const PAYLOAD: &[u8] = br#","payload":"#;
        let end = head.windows(PAYLOAD.len()).position(|bytes| bytes == PAYLOAD)?;
        let metadata = [head.get(..end)?, b"}"].concat();
        FailureDocument::parse(&metadata).ok()
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

    /// Why the document was written.
    pub fn cause(&self) -> Cause {
        let response = match &self.sent.response_context {
            None => Response::None,
            Some(context) if context.function_error.is_some() => Response::FunctionError,
            Some(_) => Response::Partial,
        };
        let (condition, quarantine) = (self.sent.request_context.condition.clone(), self.quarantine.clone());
        Cause { condition, response, quarantine }
    }

    /// When the mapping discarded the batch. A quarantine document has the time of its record instead, if it is known.
    pub fn discarded_at(&self) -> Option<Timestamp> {
        Timestamp::parse(&self.sent.timestamp)
    }

    /// When the oldest record was written, or if that is missing, when the batch was discarded.
    pub fn first_arrival(&self) -> Option<Timestamp> {
        let arrival = self.batch().and_then(|batch| batch.approximate_arrival_of_first_record.as_deref());
        arrival.and_then(Timestamp::parse).or_else(|| self.discarded_at())
    }

    /// The event in the payload.
    ///
    /// # Errors
    /// The reason why there is none, to be printed after the document's name.
    pub fn payload(&self) -> Result<&str, String> {
        let missing =
            "has no payload: it is a message for a queue, which has the positions of its records but not the records";
        self.sent.payload.as_deref().ok_or_else(|| missing.to_owned())
    }

    /// Parses the records in the payload.
    ///
    /// # Errors
    /// The reason why there are none, or some have no sequence number, to be printed after the document's name.
    pub fn payload_records(&self) -> Result<Vec<Arc<SourceRecord>>, String> {
        payload::records(self.payload()?, self.first_arrival())
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

/// The event in `body`: the payload if it is a failure document, or else `body` itself.
///
/// # Errors
/// The reason why a failure document has no event, to be printed after the document's name.
pub fn event_in(body: Vec<u8>) -> Result<(Vec<u8>, Option<FailureDocument>), String> {
    /// The fields that no event has at its top level.
    #[derive(Deserialize)]
    struct Shape {
        #[serde(rename = "requestContext")]
        request_context: Option<IgnoredAny>,
        #[serde(rename = "Records")]
        records: Option<IgnoredAny>,
    }
    let shape = serde_json::from_slice::<Shape>(&body).ok();
    let is_document = shape.is_some_and(|shape| shape.records.is_none() && shape.request_context.is_some())
        || notification(&body).is_some();
    if !is_document {
        return Ok((body, None));
    }
    let document = FailureDocument::parse(&body)?;
    Ok((document.payload()?.as_bytes().to_vec(), Some(document)))
}

/// The fields of a document. The function writes null for the time of a record that it can't read.
fn envelope(body: &[u8]) -> serde_json::Result<(InvocationRecord, Option<QuarantineReason>)> {
    #[derive(Deserialize)]
    struct Quarantined {
        rejection: Option<QuarantineReason>,
    }
    let reason = |body: &[u8]| serde_json::from_slice(body).map(|Quarantined { rejection }| rejection);
    match serde_json::from_slice(body) {
        Ok(sent) => Ok((sent, reason(body)?)),
        Err(error) => {
            let mut fields: Value = serde_json::from_slice(body)?;
            match fields.get_mut("timestamp") {
                Some(time @ Value::Null) => *time = Value::String(String::new()),
                _ => return Err(error),
            }
            let sent = serde_json::from_value(fields).map_err(|_| error)?;
            Ok((sent, reason(body)?))
        }
    }
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
    // Unwrapped once only: nested notifications could continue without end.
    let nested = serde_json::from_str::<Notification>(&notification.message).is_ok();
    (notification.r#type == "Notification" && !nested).then_some(notification.message)
}

#[cfg(test)]
pub(crate) mod tests;
