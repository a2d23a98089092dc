//! What follows an invocation: whether a batch is settled, retried, split or discarded. These are pure functions, which
//! neither wait nor invoke.
//!
//! They follow the rules of Lambda's event source mappings. docs/mapping.md lists the rules and where each was observed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::function::InvocationResult;
use crate::settings::Settings;
use crate::source::SourceRecord;
use stream_types::Timestamp;

/// The pause before the first retry. It doubles with each retry.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Records that are delivered together. When a batch is shortened or split, the results are new batches, whose attempts
/// start at zero.
#[derive(Debug, Clone)]
pub struct Batch {
    /// In stream order.
    pub records: Vec<Arc<SourceRecord>>,
    /// The same for every delivery of this batch.
    pub request_id: String,
    /// How often delivering the batch has failed.
    pub attempts: u32,
    /// How often the function ran with this batch.
    pub invocations: u32,
    /// How often in a row the function did not run.
    pub not_invoked_in_a_row: u32,
}

/// How Lambda reads the result of an invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All records were processed.
    Success,
    /// The record at this index, which is above 0, is the lowest that failed.
    Partial(usize),
    /// The batch failed as a whole.
    Failure(FailureResponse),
    /// The function did not run, so this is neither a success nor an attempt.
    NotInvoked,
}

/// What the function responded when a batch failed as a whole, for the document of a discarded batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureResponse {
    /// Nothing: the event exceeds the payload limit.
    None,
    /// A body that reports the first record as failed, or an invalid one.
    Reported,
    /// A function error.
    Unhandled,
}

/// Why records were discarded, under AWS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The batch failed more often than `MaximumRetryAttempts` allows.
    RetryAttemptsExhausted,
    /// The records are older than `MaximumRecordAgeInSeconds`.
    RecordAgeExceeded,
}

/// A batch that is not delivered anymore, and why.
#[derive(Debug, Clone)]
pub struct DiscardedBatch {
    /// The batch.
    pub batch: Batch,
    /// Why it was discarded.
    pub condition: Condition,
    /// The response to its last delivery.
    pub response: FailureResponse,
}

/// What to do after an invocation: settle, then discard, then pause, then redeliver.
#[derive(Debug, Default)]
pub struct NextStep {
    /// Records from the front of the batch that are done.
    pub settled: Vec<Arc<SourceRecord>>,
    /// The batch to discard.
    pub discarded: Option<DiscardedBatch>,
    /// How long to pause before the next delivery.
    pub pause: Option<Duration>,
    /// Batches to deliver, in this order, before any later record.
    pub redeliver: Vec<Batch>,
    /// Whether `redeliver` are the two halves of the batch.
    pub split: bool,
}

impl Batch {
    /// A batch that has not been delivered yet.
    pub fn new(records: Vec<Arc<SourceRecord>>, request_id: String) -> Batch {
        Batch { records, request_id, attempts: 0, invocations: 0, not_invoked_in_a_row: 0 }
    }

    /// The event that delivers this batch.
    pub fn event(&self) -> String {
        event_of(&self.records)
    }

    /// Splits off the records at the front that exceed the maximum age. Returns them and the rest; the rest is a new batch
    /// if any were split off.
    pub fn split_expired(
        mut self,
        now: Timestamp,
        settings: &Settings,
        request_id: impl FnOnce() -> String,
    ) -> (Option<DiscardedBatch>, Option<Batch>) {
        let Some(age) = settings.maximum_record_age else { return (None, Some(self)) };
        let oldest = now.micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let expired = self.records.iter().take_while(|record| record.created_at.micros() < oldest).count();
        if expired == 0 {
            return (None, Some(self));
        }
        let rest = self.records.split_off(expired);
        let rest = (!rest.is_empty()).then(|| Batch::new(rest, request_id()));
        let response = FailureResponse::None;
        (Some(DiscardedBatch { batch: self, condition: Condition::RecordAgeExceeded, response }), rest)
    }

    /// What follows from `verdict`.
    pub fn next_step(
        mut self,
        verdict: Verdict,
        settings: &Settings,
        mut request_id: impl FnMut() -> String,
    ) -> NextStep {
        if verdict != Verdict::NotInvoked {
            self.not_invoked_in_a_row = 0;
        }
        match verdict {
            Verdict::Success => NextStep { settled: self.records, ..NextStep::default() },
            Verdict::Partial(failed) => {
                let rest = self.records.split_off(failed.min(self.records.len()));
                let redeliver = vec![Batch::new(rest, request_id())];
                NextStep { settled: self.records, redeliver, ..NextStep::default() }
            }
            Verdict::NotInvoked => {
                let pause = Some(backoff(self.not_invoked_in_a_row, settings));
                self.not_invoked_in_a_row = self.not_invoked_in_a_row.saturating_add(1);
                NextStep { pause, redeliver: vec![self], ..NextStep::default() }
            }
            Verdict::Failure(_) if settings.bisect_batch_on_function_error && self.records.len() > 1 => {
                let second = self.records.split_off(self.records.len() / 2);
                let redeliver = [self.records, second].map(|half| Batch::new(half, request_id())).into();
                NextStep { redeliver, split: true, ..NextStep::default() }
            }
            Verdict::Failure(response) => self.retry_or_discard(response, settings),
        }
    }

    fn retry_or_discard(mut self, response: FailureResponse, settings: &Settings) -> NextStep {
        self.attempts = self.attempts.saturating_add(1);
        let has_more_attempts = settings.maximum_retry_attempts.is_none_or(|maximum| self.attempts <= maximum);
        // A record that exceeds the payload limit does so in every attempt.
        if response == FailureResponse::None || !has_more_attempts {
            let condition = Condition::RetryAttemptsExhausted;
            let discarded = Some(DiscardedBatch { batch: self, condition, response });
            return NextStep { discarded, ..NextStep::default() };
        }
        let pause = Some(backoff(self.attempts.saturating_sub(1), settings));
        NextStep { pause, redeliver: vec![self], ..NextStep::default() }
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
    let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
    FIRST_BACKOFF.saturating_mul(factor).min(settings.maximum_backoff)
}

/// About when a batch is discarded if every delivery fails at once: after its remaining attempts, or when its first record
/// exceeds the maximum age. `None` without a limit.
pub(crate) fn retried_until(
    batch: &Batch,
    first: &SourceRecord,
    now: Timestamp,
    pause: Duration,
    settings: &Settings,
) -> Option<Timestamp> {
    let attempts = settings.maximum_retry_attempts.map(|maximum| {
        // The pauses after this one.
        let pauses = (batch.attempts..maximum).map(|attempts| backoff(attempts, settings));
        later(now, pauses.fold(pause, Duration::saturating_add))
    });
    let age = settings.maximum_record_age.map(|age| later(first.created_at, age));
    attempts.into_iter().chain(age).min_by_key(|time| time.micros())
}

/// A time that is `delay` later.
pub(crate) fn later(time: Timestamp, delay: Duration) -> Timestamp {
    let micros = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(time.micros().saturating_add(micros)).unwrap_or(time)
}

/// Reads the result of an invocation as Lambda does.
pub fn verdict(result: &InvocationResult, batch: &Batch, settings: &Settings) -> Verdict {
    match result {
        InvocationResult::NotInvoked(_) => Verdict::NotInvoked,
        InvocationResult::FunctionError(_) => Verdict::Failure(FailureResponse::Unhandled),
        InvocationResult::Returned(_) if !settings.report_batch_item_failures => Verdict::Success,
        InvocationResult::Returned(body) => match lowest_failure(body, &batch.records) {
            Ok(None) => Verdict::Success,
            Ok(Some(index)) if index > 0 => Verdict::Partial(index),
            Ok(Some(_)) | Err(InvalidResponse) => Verdict::Failure(FailureResponse::Reported),
        },
    }
}

/// A response that is not valid, or reports a record that is not in the batch. Lambda then treats the whole batch as
/// failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response is not valid, or reports a record that is not in the batch")]
pub struct InvalidResponse;

/// The index of the lowest record that the response reports as failed; `None` if it reports none.
///
/// # Errors
/// If the response is not valid, or reports a record that is not in the batch.
pub fn lowest_failure(body: &[u8], records: &[Arc<SourceRecord>]) -> Result<Option<usize>, InvalidResponse> {
    if body.is_empty() {
        return Ok(None);
    }
    let failures = match serde_json::from_slice(body).map_err(|_| InvalidResponse)? {
        Value::Null => return Ok(None),
        Value::String(text) if text.is_empty() => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Object(mut fields) => match fields.remove("batchItemFailures") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Array(failures)) => failures,
            Some(_) => return Err(InvalidResponse),
        },
        _ => return Err(InvalidResponse),
    };
    let mut lowest = None;
    for failure in failures {
        let identifier = failure.get("itemIdentifier").and_then(Value::as_str).ok_or(InvalidResponse)?;
        let index = records.iter().position(|record| record.sequence.as_str() == identifier).ok_or(InvalidResponse)?;
        lowest = Some(lowest.map_or(index, |lowest: usize| lowest.min(index)));
    }
    Ok(lowest)
}

#[cfg(test)]
mod tests;
