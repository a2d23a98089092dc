//! What waits in a local run, and what it waits for: as the run reports it to other commands, and as text for people.

use std::time::Duration;

use event_source_mapping::{Blocked, FailureCause, Progress, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shell::console::plain;
use crate::shell::durations::span;
use crate::shell::lines::{USUAL_WIDTH, wrapped};
use crate::shell::numbers::whole;

/// The records that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Records that are not settled, as far as they are known.
    pub records: u64,
    /// Whether the stream has more of them, which are not read yet.
    pub more_unread: bool,
    /// Whether the mapping is disabled, so nothing is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// Whether the stream no longer exists.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stream_gone: bool,
    /// Why the stream can't be read, if the last attempts have failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_error: Option<String>,
    /// The age of the oldest of them, by the clock: it grows while a batch waits for its next attempt.
    pub oldest_age_ms: u64,
    /// The batches that block a lane, the one that has blocked the longest first.
    pub blocked: Vec<Blocked>,
    /// The last record that the function reported as failed.
    pub last_rejected: Option<Blocked>,
}

impl Waiting {
    /// What a mapping reports at `now`.
    pub fn new(progress: Progress, now: Timestamp) -> Waiting {
        let mut blocked = progress.blocked;
        blocked.sort_by_key(|blocked| blocked.since.micros());
        Waiting {
            records: progress.unsettled_records,
            more_unread: progress.more_unread,
            disabled: progress.disabled,
            stream_gone: progress.stream_gone,
            read_error: progress.read_error,
            oldest_age_ms: progress.oldest_unsettled.map_or(0, |oldest| milliseconds(oldest, now)),
            blocked,
            last_rejected: progress.last_rejected,
        }
    }

    /// Whether anything waits.
    pub fn is_some(&self) -> bool {
        self.records > 0 || self.more_unread || !self.blocked.is_empty()
    }

    /// Whether the stream can't be read, so that nothing is known of the records that it may have.
    pub fn is_unreadable(&self) -> bool {
        self.stream_gone || self.read_error.is_some()
    }

    /// The batch that has blocked its lane the longest.
    pub fn first_blocked(&self) -> Option<&Blocked> {
        self.blocked.first()
    }

    /// How many records wait: `5`, or `5,000+` if there are more.
    pub fn count(&self) -> String {
        at_least(self.records, self.more_unread)
    }

    /// How many records wait at least, if records that haven't been read wait.
    pub fn at_least(&self) -> u64 {
        self.records.max(u64::from(self.more_unread))
    }

    /// The age of the oldest record.
    pub fn oldest_age(&self) -> Duration {
        Duration::from_millis(self.oldest_age_ms)
    }
}

/// Why the stream of the source or of the ledger can't be read, and what to do; `None` if it can.
pub fn unreadable(waiting: &Waiting, whose: &str) -> Option<String> {
    if waiting.stream_gone {
        let remedy = "restart `usagectl local` to read the new one";
        return Some(format!(
            "The stream of the {whose} no longer exists, because it was disabled or deleted: {remedy}"
        ));
    }
    let error = waiting.read_error.as_ref()?;
    Some(plain(&format!("The stream of the {whose} can't be read: {error}")))
}

/// How many records wait for this batch: `5`, or `5,000+` if there are more.
pub fn behind(blocked: &Blocked) -> String {
    at_least(blocked.waiting_records, blocked.more_unread)
}

fn at_least(records: u64, more: bool) -> String {
    format!("{}{}", whole(records), if more { "+" } else { "" })
}

/// What waits for a batch, and why it fails, in lines.
pub fn described(blocked: &Blocked) -> Vec<String> {
    const INDENT: &str = "  ";
    let attempts = match blocked.maximum_attempts {
        Some(maximum) => format!("{} of {} attempts", whole(blocked.failed_attempts.into()), whole(maximum.into())),
        None => format!("{} attempts", whole(blocked.failed_attempts.into())),
    };
    let first = format!("{} wait behind {} ({attempts}):", behind(blocked), record(blocked));
    let reason = wrapped(&cause(&blocked.cause), USUAL_WIDTH - INDENT.len(), 3);
    let indented = reason.into_iter().chain([format!("shard {}", blocked.shard)]).map(|line| format!("{INDENT}{line}"));
    wrapped(&first, USUAL_WIDTH, 3).into_iter().chain(indented).collect()
}

/// Why a delivery failed: code, field and reason, or the function's error.
pub fn cause(cause: &FailureCause) -> String {
    match cause {
        FailureCause::Reported(Some(reason)) => plain(&format!("{}: {} {}", reason.code, reason.field, reason.reason)),
        FailureCause::Reported(None) => "rejected; for the reason, see the function's log".to_owned(),
        FailureCause::InvalidResponse => "the function's response is not valid".to_owned(),
        FailureCause::FunctionError(_) if cause.summary() == "timeout" => "the function timed out".to_owned(),
        FailureCause::FunctionError(message) => plain(&format!("the function failed: {message}")),
        FailureCause::NotInvoked(reason) => plain(&format!("the function was not invoked: {reason}")),
        FailureCause::TooLarge => "the event exceeds Lambda's limit of 6 MB".to_owned(),
    }
}

/// The record or records that block: `record 312`, or `record 312 and the 7 after it` if any of them may be at fault.
pub fn record(blocked: &Blocked) -> String {
    let first = &blocked.sequence_number;
    if is_one_record(blocked) {
        return format!("record {first}");
    }
    format!("record {first} and the {} after it", whole(blocked.records.saturating_sub(1)))
}

/// Whether it is known which record is at fault.
pub fn is_one_record(blocked: &Blocked) -> bool {
    matches!(blocked.cause, FailureCause::Reported(_)) || blocked.records < 2
}

/// How often it was tried, when it is tried again, and when it is given up.
pub fn attempts(blocked: &Blocked, now: Timestamp) -> String {
    let in_time = |time: Timestamp| span(Duration::from_millis(milliseconds(now, time)));
    let limit = blocked.maximum_attempts.map(|maximum| format!(" of {}", whole(maximum.into()))).unwrap_or_default();
    let next = if blocked.next_attempt.micros() > now.micros() {
        format!("next in {}", in_time(blocked.next_attempt))
    } else {
        "next one is running".to_owned()
    };
    format!("{}{limit}, {next}", whole(blocked.failed_attempts.into()))
}

/// When a batch is discarded, in words.
pub fn time_left(blocked: &Blocked, now: Timestamp) -> String {
    match blocked.retried_until {
        Some(until) => format!("retried for about {}", span(Duration::from_millis(milliseconds(now, until)))),
        None => "retried without limit".to_owned(),
    }
}

/// A blocked batch for `--json`, with the texts that people see.
pub fn json(blocked: &Blocked) -> Value {
    let mut object = serde_json::to_value(blocked).unwrap_or_default();
    if let (Value::Object(fields), Some(reason)) = (&mut object, reason(blocked)) {
        fields.extend([
            ("code".to_owned(), json!(reason.code)),
            ("field".to_owned(), json!(reason.field)),
            ("reason".to_owned(), json!(reason.reason)),
        ]);
    }
    object
}

fn reason(blocked: &Blocked) -> Option<&event_source_mapping::RejectionReason> {
    match &blocked.cause {
        FailureCause::Reported(reason) => reason.as_ref(),
        _ => None,
    }
}

/// The milliseconds from one time to another; 0 if it is earlier.
fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.micros().saturating_sub(from.micros()) / 1_000).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use event_source_mapping::RejectionReason;

    /// When the batch of [`blocked`] is looked at.
    pub(crate) fn now() -> Timestamp {
        Timestamp::parse("2026-11-28T12:00:06.2Z").unwrap()
    }

    /// A record that was rejected five times.
    pub(crate) fn blocked() -> Blocked {
        let at = |text: &str| Timestamp::parse(&format!("2026-11-28T12:00:{text}Z")).unwrap();
        let reason = RejectionReason {
            code: "missing_attribute".to_owned(),
            field: "NewImage.total".to_owned(),
            reason: "is missing; the schema of order needs it".to_owned(),
        };
        Blocked {
            shard: "shardId-00000000000000000000-00000000".to_owned(),
            sequence_number: "800000000000000000312".to_owned(),
            records: 1,
            waiting_records: 3_204,
            more_unread: false,
            failed_attempts: 5,
            maximum_attempts: Some(11),
            created_at: at("00"),
            since: at("01"),
            next_attempt: at("09.4"),
            retried_until: Some(Timestamp::parse("2026-11-28T12:01:54.2Z").unwrap()),
            cause: FailureCause::Reported(Some(reason)),
        }
    }

    #[test]
    fn a_blocked_record_is_described_with_its_reason_and_its_time() {
        let blocked = blocked();
        assert_eq!(record(&blocked), "record 800000000000000000312");
        assert_eq!(cause(&blocked.cause), "missing_attribute: NewImage.total is missing; the schema of order needs it");
        assert_eq!(attempts(&blocked, now()), "5 of 11, next in 3.2 s");
        assert_eq!(time_left(&blocked, now()), "retried for about 108 s");
        let endless = Blocked { maximum_attempts: None, retried_until: None, ..blocked };
        assert_eq!(attempts(&endless, endless.next_attempt), "5, next one is running");
        assert_eq!(time_left(&endless, now()), "retried without limit");
    }

    #[test]
    fn a_failed_batch_is_described_by_its_first_record_and_the_error() {
        let error = |text: &str| FailureCause::FunctionError(text.to_owned());
        let batch = Blocked { records: 8, cause: error("boom\u{1b}[2J"), ..blocked() };
        assert_eq!(record(&batch), "record 800000000000000000312 and the 7 after it");
        assert_eq!(cause(&batch.cause), "the function failed: boom\u{fffd}[2J");
        assert_eq!(cause(&error("Task timed out after 60.00 seconds")), "the function timed out");
        assert_eq!(cause(&FailureCause::Reported(None)), "rejected; for the reason, see the function's log");
    }

    #[test]
    fn a_stream_that_cannot_be_read_is_described_with_what_to_do() {
        let gone = Waiting { stream_gone: true, read_error: Some("refused".to_owned()), ..Waiting::default() };
        let text = "The stream of the source no longer exists, because it was disabled or deleted: restart `usagectl local` to read the new one";
        assert_eq!(unreadable(&gone, "source").as_deref(), Some(text));
        let failing = Waiting { stream_gone: false, ..gone };
        let text = "The stream of the ledger can't be read: refused";
        assert_eq!(unreadable(&failing, "ledger").as_deref(), Some(text));
        assert_eq!(unreadable(&Waiting::default(), "source"), None);
    }

    #[test]
    fn the_oldest_age_grows_with_the_clock() {
        let progress = Progress { oldest_unsettled: Some(blocked().created_at), ..Progress::default() };
        assert_eq!(Waiting::new(progress, now()).oldest_age_ms, 6_200);
    }

    #[test]
    fn the_json_of_a_blocked_record_names_code_field_and_reason() {
        let json = json(&blocked());
        assert_eq!((&json["code"], &json["field"]), (&json!("missing_attribute"), &json!("NewImage.total")));
        assert_eq!(json["retried_until"], json!("2026-11-28T12:01:54.2Z"));
    }
}
