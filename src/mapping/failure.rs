//! The failure machine: what becomes of a batch after an answer. Pure: it neither waits nor invokes.
//!
//! The rules, with where each was seen, are those of Lambda's event source mappings: docs/mapping.md.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::function::Answer;
use super::settings::Settings;
use super::source::SourceRecord;
use stream_types::Timestamp;

/// The pause before the first retry; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Records that are delivered together, in one of its incarnations: a suffix or a half is another batch.
#[derive(Debug, Clone)]
pub struct Batch {
    pub records: Vec<Arc<SourceRecord>>,
    /// The same for every delivery of this batch.
    pub request_id: String,
    /// Failed attempts.
    pub attempts: u32,
    pub invocations: u32,
    /// Invocations that did not happen, since the last that did.
    pub refusals: u32,
}

/// How Lambda reads an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Success,
    /// The record at this position, not the first, is the lowest that failed.
    Partial(usize),
    Failure(Response),
    /// Neither a success nor an attempt.
    NotInvoked,
}

/// What a failed invocation responded, for the failure destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Nothing: the event is larger than an invocation takes.
    None,
    /// A body that reports failures, or one that can't be read.
    Reported,
    /// A function error.
    Unhandled,
}

/// Why records are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

/// Records that are given up, and what led to it.
#[derive(Debug, Clone)]
pub struct Discard {
    pub batch: Batch,
    pub condition: Condition,
    pub response: Response,
}

/// What to do next: settle, then discard, then wait, then deliver what is left.
#[derive(Debug, Default)]
pub struct Next {
    /// The records from the front that are done with.
    pub settled: Vec<Arc<SourceRecord>>,
    pub discard: Option<Discard>,
    pub pause: Option<Duration>,
    /// Batches to deliver, in this order, before any newer record.
    pub again: Vec<Batch>,
    /// Whether `again` are the two halves of the batch.
    pub split: bool,
}

impl Batch {
    pub fn new(records: Vec<Arc<SourceRecord>>, request_id: String) -> Batch {
        Batch { records, request_id, attempts: 0, invocations: 0, refusals: 0 }
    }

    /// The event that delivers this batch.
    pub fn event(&self) -> String {
        event_of(&self.records)
    }

    /// Parts the records that are older than the settings allow, from the front, and the rest.
    pub fn cut_expired(
        mut self,
        now: Timestamp,
        settings: &Settings,
        request_id: impl FnOnce() -> String,
    ) -> (Option<Discard>, Option<Batch>) {
        let Some(age) = settings.maximum_record_age else { return (None, Some(self)) };
        let oldest = now.micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let expired = self.records.iter().take_while(|record| record.created_at.micros() < oldest).count();
        if expired == 0 {
            return (None, Some(self));
        }
        let rest = self.records.split_off(expired);
        let rest = (!rest.is_empty()).then(|| Batch::new(rest, request_id()));
        let discard = Discard { batch: self, condition: Condition::RecordAgeExceeded, response: Response::None };
        (Some(discard), rest)
    }

    /// What follows from `verdict`.
    pub fn after(mut self, verdict: Verdict, settings: &Settings, mut request_id: impl FnMut() -> String) -> Next {
        if verdict != Verdict::NotInvoked {
            self.refusals = 0;
        }
        match verdict {
            Verdict::Success => Next { settled: self.records, ..Next::default() },
            Verdict::Partial(failed) => {
                let rest = self.records.split_off(failed.min(self.records.len()));
                let again = vec![Batch::new(rest, request_id())];
                Next { settled: self.records, again, ..Next::default() }
            }
            Verdict::NotInvoked => {
                let pause = Some(backoff(self.refusals, settings));
                self.refusals = self.refusals.saturating_add(1);
                Next { pause, again: vec![self], ..Next::default() }
            }
            Verdict::Failure(_) if settings.bisect_batch_on_function_error && self.records.len() > 1 => {
                let second = self.records.split_off(self.records.len() / 2);
                let again = [self.records, second].map(|half| Batch::new(half, request_id())).into();
                Next { again, split: true, ..Next::default() }
            }
            Verdict::Failure(response) => {
                self.attempts = self.attempts.saturating_add(1);
                if settings.maximum_retry_attempts.is_some_and(|maximum| self.attempts > maximum) {
                    let condition = Condition::RetryAttemptsExhausted;
                    return Next { discard: Some(Discard { batch: self, condition, response }), ..Next::default() };
                }
                let pause = Some(backoff(self.attempts.saturating_sub(1), settings));
                Next { pause, again: vec![self], ..Next::default() }
            }
        }
    }
}

/// The event that delivers these records.
pub fn event_of(records: &[Arc<SourceRecord>]) -> String {
    let mut event = String::with_capacity(14 + records.iter().map(|record| record.json.len() + 1).sum::<usize>());
    event.push_str("{\"Records\":[");
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            event.push(',');
        }
        event.push_str(&record.json);
    }
    event.push_str("]}");
    event
}

fn backoff(doublings: u32, settings: &Settings) -> Duration {
    let factor = 1_u32.checked_shl(doublings).filter(|factor| *factor > 0).unwrap_or(u32::MAX);
    FIRST_BACKOFF.saturating_mul(factor).min(settings.maximum_backoff)
}

/// Reads `answer` as Lambda does.
pub fn verdict(answer: &Answer, batch: &Batch, settings: &Settings) -> Verdict {
    match answer {
        Answer::NotInvoked(_) => Verdict::NotInvoked,
        Answer::FunctionError(_) => Verdict::Failure(Response::Unhandled),
        Answer::Returned(_) if !settings.report_batch_item_failures => Verdict::Success,
        Answer::Returned(body) => match lowest_failure(body, &batch.records) {
            Ok(None) => Verdict::Success,
            Ok(Some(index)) if index > 0 => Verdict::Partial(index),
            Ok(Some(_)) | Err(Unreadable) => Verdict::Failure(Response::Reported),
        },
    }
}

/// A body that names no record of the batch where it ought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The position of the lowest record that `body` reports as failed; none where all are durable.
///
/// # Errors
/// When the body can't be read, or names what isn't among the records: then none of them counts as durable.
pub fn lowest_failure(body: &[u8], records: &[Arc<SourceRecord>]) -> Result<Option<usize>, Unreadable> {
    if body.is_empty() {
        return Ok(None);
    }
    let failures = match serde_json::from_slice(body).map_err(|_| Unreadable)? {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Object(mut fields) => match fields.remove("batchItemFailures") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(failures)) => failures,
            Some(_) => return Err(Unreadable),
        },
        _ => return Err(Unreadable),
    };
    let position = |failure: &Value| {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str).ok_or(Unreadable)?;
        records.iter().position(|record| record.sequence.as_str() == identifier).ok_or(Unreadable)
    };
    failures.iter().map(position).try_fold(None, |lowest: Option<usize>, position| {
        let position = position?;
        Ok(Some(lowest.map_or(position, |lowest| lowest.min(position))))
    })
}
