//! Checks of a local run, which knows the record and the reason where an account has only sums.

use event_source_mapping::{Blocked, FailureCause};

use super::super::facts::Facts;
use super::super::finding::{CheckResult, ok, problem, warning};
use super::{of, span};
use crate::shell::numbers::whole;
use crate::shell::waiting;

/// No batch blocks its shard now. However many batches succeeded before, nothing behind it is processed.
pub(super) fn blocked_shard(facts: &Facts) -> CheckResult {
    let waiting = &of(&facts.local)?.waiting;
    let Some(blocked) = waiting.first_blocked() else { return ok("no shard is blocked now") };
    let more = match waiting.blocked.len() {
        0 | 1 => String::new(),
        lanes => format!("; {} more are blocked", lanes - 1),
    };
    let meaning = format!(
        "{} {} the shard {}: {}; attempts: {}, {}; {} records wait, the oldest {} old{more}",
        waiting::record(blocked),
        if waiting::is_one_record(blocked) { "blocks" } else { "block" },
        blocked.shard,
        waiting::cause(&blocked.cause),
        waiting::attempts(blocked, facts.now),
        waiting::time_left(blocked, facts.now),
        whole(waiting.records),
        span(i64::try_from(waiting.oldest_age().as_secs()).unwrap_or(i64::MAX)),
    );
    problem(meaning, remedy(blocked))
}

/// A command that lets the records behind a batch through, or shows why it fails.
fn remedy(blocked: &Blocked) -> &'static str {
    match blocked.cause {
        FailureCause::Reported(_) => "usagectl local --rejected-records quarantine",
        _ => "usagectl local --verbose",
    }
}

/// The last record that was rejected, whether it blocks, was set aside or was given up.
pub(super) fn rejected(facts: &Facts) -> CheckResult {
    let local = of(&facts.local)?;
    if let Some(last) = local.quarantined.as_ref().and_then(|quarantined| quarantined.last.as_ref()) {
        let reason = &last.reason;
        let records = local.quarantined.as_ref().map_or(0, |quarantined| quarantined.records);
        let meaning = format!(
            "records quarantined in this run: {records}; the last is {}: {}: {} {}",
            last.sequence_number, reason.code, reason.field, reason.reason
        );
        return warning(meaning, "usagectl redrive --local --dry-run");
    }
    let Some(last) = &local.waiting.last_rejected else { return ok("no record was rejected in this run") };
    let age = span(facts.now.seconds() - last.created_at.seconds());
    let is_same = |blocked: &&Blocked| blocked.sequence_number == last.sequence_number;
    let (state, command) = match local.waiting.blocked.iter().find(is_same) {
        Some(blocked) => {
            let (attempts, left) = (waiting::attempts(blocked, facts.now), waiting::time_left(blocked, facts.now));
            (format!("attempts: {attempts}, {left}"), remedy(blocked))
        }
        None => ("it no longer blocks its shard".to_owned(), "usagectl redrive --local --dry-run"),
    };
    let meaning = format!(
        "the last rejected record is {}, {age} old: {}; {state}",
        last.sequence_number,
        waiting::cause(&last.cause)
    );
    warning(meaning, command)
}
