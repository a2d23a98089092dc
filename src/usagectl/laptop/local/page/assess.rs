//! How a run is doing: calm, a warning or a problem, and why.

use event_source_mapping::{Blocked, Counts, Timestamp};
use laptop::emulators::{Severity, State};

use crate::laptop::local::screen::COMPOSITES;
use crate::laptop::local::status::Status;
use crate::page::buckets::Failures;
use crate::page::summary::{Assessment, Findings, Level};
use crate::shell::numbers::whole;
use crate::shell::waiting;

/// A batch that has failed fewer times is on the way to succeed, as under faults that pass.
const FEW_ATTEMPTS: u32 = 3;
/// Records or pages that wait for longer are late.
const LATE_MS: u64 = 60_000;

/// Assesses the status, and the documents in the failure bucket, at `now`.
pub(super) fn assess(status: &Status, failures: Option<&Failures>, now: Timestamp) -> Assessment {
    let mut findings = Findings::default();
    let mut add = |level: Level, text: String| findings.add(level, text);
    if status.waiting.disabled {
        add(Level::Warning, "The mapping is disabled: nothing is read".to_owned());
    }
    let ledger = status.fold.as_ref().and_then(|fold| waiting::unreadable(&fold.waiting, "ledger"));
    for reason in waiting::unreadable(&status.waiting, "source").into_iter().chain(ledger) {
        add(Level::Problem, reason);
    }
    if let Some(blocked) = status.waiting.first_blocked() {
        let behind = waiting::behind(blocked);
        add(
            level_of(blocked),
            format!("A shard is blocked: {behind} {} behind it, {}", wait(&behind), until(blocked, now)),
        );
    }
    if let Some(blocked) = status.fold.as_ref().and_then(|fold| fold.waiting.first_blocked()) {
        let cause = waiting::cause(&blocked.cause);
        add(level_of(blocked), format!("The fold fails, {}: {cause}", until(blocked, now)));
    }
    let fold = status.fold.as_ref().map(|fold| (&fold.mapping, "page"));
    for (counts, what) in [(&status.mapping, "record")].into_iter().chain(fold) {
        losses(counts, what).into_iter().for_each(|loss| add(Level::Problem, loss));
    }
    for alarm in &status.alarms {
        if alarm.state == State::Alarm && !COMPOSITES.contains(&alarm.name.as_str()) {
            // Alarms look back for minutes. When nothing waits any longer, the run has healed.
            let is_problem = alarm.severity == Severity::Page && waits(status);
            let level = if is_problem { Level::Problem } else { Level::Warning };
            add(level, format!("The alarm {} is firing: {}", alarm.name, alarm.reason));
        }
    }
    if let Some(failures) = failures {
        findings.add_stored(failures);
    }
    let late = [(status.waiting.oldest_age_ms, "record"), (fold_age(status), "page")];
    for (age, what) in late.into_iter().filter(|(age, _)| *age > LATE_MS) {
        let age = crate::shell::durations::span(std::time::Duration::from_millis(age));
        findings.add(Level::Warning, format!("The oldest {what} has waited for {age}"));
    }
    findings.finish(if waits(status) { "Working: everything is on time" } else { "Calm: nothing waits" })
}

/// What a mapping has lost.
fn losses(counts: &Counts, what: &str) -> Vec<String> {
    let (dropped, discarded) = (counts.dropped_event_count, counts.discarded_without_destination);
    let mut losses = Vec::new();
    if dropped > 0 {
        losses.push(format!("{} discarded because the failure destination refused them", were(dropped, what)));
    }
    if discarded > 0 {
        losses.push(format!("{} discarded without a failure destination", were(discarded, what)));
    }
    if counts.trimmed_gaps > 0 {
        losses.push(format!("Some {what}s were trimmed from the stream before they were read"));
    }
    losses
}

fn level_of(blocked: &Blocked) -> Level {
    if blocked.failed_attempts < FEW_ATTEMPTS { Level::Warning } else { Level::Problem }
}

fn until(blocked: &Blocked, now: Timestamp) -> String {
    waiting::time_left(blocked, now)
}

fn wait(count: &str) -> &'static str {
    if count == "1" { "record waits" } else { "records wait" }
}

fn were(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what} was"),
        count => format!("{} {what}s were", whole(count)),
    }
}

/// Whether records or pages wait.
fn waits(status: &Status) -> bool {
    status.waiting.is_some() || status.fold.as_ref().is_some_and(|fold| fold.waiting.is_some())
}

fn fold_age(status: &Status) -> u64 {
    status.fold.as_ref().map_or(0, |fold| fold.waiting.oldest_age_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laptop::local::screen::tests::alarms;
    use crate::laptop::local::status::MappingStatus;
    use crate::shell::waiting::Waiting;
    use crate::shell::waiting::tests::{blocked, now};

    fn levels(status: &Status) -> (Level, usize) {
        let Assessment { level, reasons, .. } = assess(status, None, now());
        (level, reasons.len())
    }

    #[test]
    fn a_run_is_calm_until_something_is_late_or_wrong() {
        let mut status = Status::default();
        assert_eq!(assess(&status, None, now()).title, "Calm: nothing waits");
        status.waiting.records = 5;
        assert_eq!(assess(&status, None, now()).title, "Working: everything is on time");
        status.waiting.oldest_age_ms = 61_000;
        let late = assess(&status, None, now());
        assert_eq!(
            (late.level, late.reasons),
            (Level::Warning, vec!["The oldest record has waited for 61 s".to_owned()])
        );
        let failures = Failures { batches: 2, ..Failures::default() };
        let failed = assess(&Status::default(), Some(&failures), now());
        assert_eq!(failed.reasons, ["2 failed batches: redrive"]);
        status.mapping.dropped_event_count = 1;
        assert_eq!(levels(&status), (Level::Problem, 2));
    }

    /// Only what the destination of the source's mapping refused used to be shown.
    #[test]
    fn what_either_mapping_has_lost_is_a_problem() {
        let lost = Counts { discarded_without_destination: 2, ..Counts::default() };
        let folding = Counts { dropped_event_count: 1, trimmed_gaps: 1, ..Counts::default() };
        let fold = Some(MappingStatus { mapping: folding, ..MappingStatus::default() });
        let found = assess(&Status { mapping: lost, fold, ..Status::default() }, None, now());
        let reasons = [
            "2 records were discarded without a failure destination",
            "1 page was discarded because the failure destination refused them",
            "Some pages were trimmed from the stream before they were read",
        ];
        assert_eq!((found.level, found.reasons), (Level::Problem, reasons.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_disabled_mapping_is_not_calm() {
        let waiting = Waiting { more_unread: true, disabled: true, ..Waiting::default() };
        let assessed = assess(&Status { waiting, ..Status::default() }, None, now());
        let reason = "The mapping is disabled: nothing is read";
        assert_eq!((assessed.level, assessed.reasons), (Level::Warning, vec![reason.to_owned()]));
    }

    /// The page used to be calm.
    #[test]
    fn regression_a_stream_that_cannot_be_read_is_a_problem() {
        let gone = Waiting { more_unread: true, stream_gone: true, ..Waiting::default() };
        let failing = Waiting { more_unread: true, read_error: Some("refused".to_owned()), ..Waiting::default() };
        let fold = Some(MappingStatus { waiting: failing, ..MappingStatus::default() });
        let found = assess(&Status { waiting: gone, fold, ..Status::default() }, None, now());
        assert_eq!((found.level, found.reasons.len()), (Level::Problem, 2), "{found:?}");
        assert!(found.reasons[0].contains("restart `usagectl local`"), "{found:?}");
        assert_eq!(found.reasons[1], "The stream of the ledger can't be read: refused");
    }

    #[test]
    fn a_batch_that_keeps_failing_is_a_problem_and_a_single_retry_a_warning() {
        let of = |failed_attempts| Blocked { failed_attempts, ..blocked() };
        let status =
            |blocked| Status { waiting: Waiting { blocked: vec![blocked], ..Waiting::default() }, ..Status::default() };
        assert_eq!(levels(&status(of(1))), (Level::Warning, 1));
        let stuck = assess(&status(of(5)), None, now());
        let reason = "A shard is blocked: 3,204 records wait behind it, retried for about 108 s";
        assert_eq!((stuck.level, stuck.reasons), (Level::Problem, vec![reason.to_owned()]));
        let fold = MappingStatus { waiting: status(of(5)).waiting, ..MappingStatus::default() };
        assert_eq!(levels(&Status { fold: Some(fold), ..Status::default() }), (Level::Problem, 1));
    }

    #[test]
    fn an_alarm_that_pages_is_a_problem_until_nothing_waits_and_one_that_fired_earlier_is_none() {
        let firing = alarms().into_iter().filter(|alarm| alarm.state == State::Alarm);
        let firing = firing.filter(|alarm| !COMPOSITES.contains(&alarm.name.as_str())).count();
        let mut status = Status { alarms: alarms(), ..Status::default() };
        assert_eq!(levels(&status), (Level::Warning, firing), "they look back");
        status.waiting.records = 1;
        assert_eq!(levels(&status), (Level::Problem, firing));
        let earlier = alarms().into_iter().map(|alarm| laptop::emulators::AlarmStatus { state: State::Ok, ..alarm });
        assert_eq!(levels(&Status { alarms: earlier.collect(), ..Status::default() }), (Level::Calm, 0));
    }
}
