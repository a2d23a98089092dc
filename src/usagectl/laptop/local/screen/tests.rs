//! The rows at 80 and at 40 columns.

use std::collections::BTreeMap;

use event_source_mapping::{FailureCause, RejectionReason};
use laptop::emulators::Severity;
use laptop::proof::QuarantinedRecord;

use super::*;
use crate::shell::waiting::Waiting;
use crate::shell::waiting::tests::{blocked, now};

/// Two composites, an alarm that pages, a ticket, and one that has cleared.
pub(in crate::laptop::local) fn alarms() -> Vec<AlarmStatus> {
    let alarm = |name: &str, severity, state, reason: &str| AlarmStatus {
        name: name.to_owned(),
        state,
        since: Some("2026-11-21T03:04:00Z".to_owned()),
        reason: reason.to_owned(),
        severity,
    };
    vec![
        alarm("Page", Severity::Page, State::Alarm, "RecordsFailed"),
        alarm("Ticket", Severity::Ticket, State::Alarm, "AnyError"),
        alarm("RecordsFailed", Severity::Page, State::Alarm, "100 (> 1) in 2 of 3 × 5 min"),
        alarm("AnyError", Severity::Ticket, State::Alarm, "31 (> 0) in 1 of 1 × 5 min"),
        alarm("Rejected", Severity::Ticket, State::Ok, "no data in 1 × 5 min"),
    ]
}

#[test]
fn alarms_that_have_cleared_are_counted_and_those_that_fire_are_named() {
    let mut fired = alarms();
    let lines = |fired: &[AlarmStatus]| super::alarms(fired).unwrap().lines(80);
    let firing = [
        "alarms      PAGE RecordsFailed: 100 (> 1) in 2 of 3 × 5 min",
        "            TICKET AnyError: 31 (> 0) in 1 of 1 × 5 min",
    ];
    assert_eq!(lines(&fired), firing);
    fired.iter_mut().for_each(|alarm| alarm.state = State::Ok);
    assert_eq!(lines(&fired), ["alarms      none is firing; 3 alarms earlier"]);
    assert_eq!(super::alarms(&[]), None);
}

/// A busy run with long names and large numbers.
fn status() -> Status {
    let causes = [
        ("missing_attribute NewImage.total", 27),
        ("timeout", 3),
        ("put s3://archive-of-a-company-with-a-long-name/#: SlowDown: …", 1_204),
        ("not invoked: throttled", 2),
    ];
    let mapping = Counts {
        distinct_processed: 12_185_000,
        distinct_filtered_out: 31,
        distinct_discarded: 4,
        invoked_event_count: 27_631_000,
        invocations: 41_200,
        retries: 3_112,
        splits: 900,
        largest_batch: 10_000,
        dropped_event_count: 1,
        on_failure_destination_delivered_event_count: 3,
        trimmed_gaps: 1,
        failures_by_cause: causes.map(|(cause, count)| (cause.to_owned(), count)).into(),
        ..Counts::default()
    };
    let reason = RejectionReason {
        code: "invalid_value".to_owned(),
        field: "NewImage.currency".to_owned(),
        reason: "is a number where the schema of order needs a string".to_owned(),
    };
    let last = Some(QuarantinedRecord { sequence_number: "80000".to_owned(), reason });
    let function = [("PagesWritten", 15_446.0), ("SnapshotsUpdated", 8_000.0), ("FilesWritten", 300.0)];
    let folding = Counts {
        distinct_processed: 41_190,
        invoked_event_count: 88_000,
        invocations: 900,
        retries: 12,
        largest_batch: 1_300,
        failures_by_cause: [("put s3: SlowDown".to_owned(), 7)].into(),
        ..Counts::default()
    };
    let error =
        FailureCause::FunctionError("write a snapshot: snapshots are ahead of the ledger; raise FOLD_EPOCH".to_owned());
    let held = Blocked { maximum_attempts: None, retried_until: None, cause: error, ..blocked() };
    let unfolded = Waiting { records: 10, oldest_age_ms: 4_000, blocked: vec![held], ..Waiting::default() };
    Status {
        seconds: 12.0,
        mapping,
        alarms: alarms(),
        waiting: Waiting {
            records: 3_205,
            more_unread: true,
            oldest_age_ms: 303_000,
            blocked: vec![blocked(), blocked()],
            ..Waiting::default()
        },
        quarantined: Some(QuarantinedRecords { records: 1_027, last }),
        function: function.map(|(name, value)| (name.to_owned(), value)).into(),
        fold: Some(MappingStatus { mapping: folding, waiting: unfolded, ..MappingStatus::default() }),
        shards: 4,
        faults: "redeliver=5,crash=2,refuse=5,lose=5,throttle=5,conflict=5,503=5,slow=5,iterator=5,poison=0.5,twins"
            .to_owned(),
        written: Some(12_190_000),
        ..Status::default()
    }
}

fn shown(status: &Status, width: usize) -> String {
    let lines: Vec<String> = rows(status, now()).iter().flat_map(|row| row.lines(width)).collect();
    for line in &lines {
        assert!(line.chars().count() <= width, "{line}");
    }
    lines.join("\n")
}

#[test]
fn a_busy_run_fits_80_columns() {
    insta::assert_snapshot!(shown(&status(), 80));
}

#[test]
fn a_busy_run_fits_40_columns_with_the_important_figures() {
    insta::assert_snapshot!(shown(&status(), 40));
}

#[test]
fn a_quiet_run_is_short() {
    let mapping = Counts {
        distinct_processed: 40,
        invoked_event_count: 40,
        invocations: 1,
        largest_batch: 40,
        ..Counts::default()
    };
    let function = BTreeMap::from([("SnapshotsUpdated".to_owned(), 12.0), ("FilesWritten".to_owned(), 3.0)]);
    let status = Status { mapping, function, shards: 1, faults: "none".to_owned(), ..Status::default() };
    insta::assert_snapshot!(shown(&status, 80));
}

#[test]
fn records_that_are_discarded_without_a_destination_are_shown_as_lost() {
    let mapping = Counts { distinct_discarded: 2, discarded_without_destination: 2, ..Counts::default() };
    let folding = Counts { distinct_discarded: 1, discarded_without_destination: 1, ..Counts::default() };
    let fold = Some(MappingStatus { mapping: folding, ..MappingStatus::default() });
    let rows = rows(&Status { mapping, fold, ..Status::default() }, now());
    let problems: Vec<String> = rows.iter().filter(|row| row.is_problem).flat_map(|row| row.lines(80)).collect();
    assert_eq!(problems, ["discarded   2 records LOST, no destination", "folded      0 pages, 1 page DISCARDED"]);
}

#[test]
fn a_stream_that_no_longer_exists_is_a_problem() {
    let waiting = Waiting { stream_gone: true, ..Waiting::default() };
    let rows = rows(&Status { waiting, ..Status::default() }, now());
    let problems: Vec<String> = rows.iter().filter(|row| row.is_problem).flat_map(|row| row.lines(80)).collect();
    let expected = [
        "NOT READ    The stream of the source no longer exists, because it was disabled",
        "            or deleted: restart `usagectl local` to read the new one",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn a_batch_of_a_remote_function_that_blocks_fits_80_columns() {
    let rejected = Blocked { cause: FailureCause::Reported(None), ..blocked() };
    let shard = "shardId-000000000000".to_owned();
    let sequence_number = "49590338271490256608559692538361571095921575989136588898".to_owned();
    let error = FailureCause::FunctionError("the connection to http://127.0.0.1:9000 was lost: ".repeat(6));
    let failing = Blocked { shard, sequence_number, records: 1_000, cause: error, ..blocked() };
    for (name, blocked) in [("rejected", rejected), ("failing", failing)] {
        let waiting = Waiting { records: 3_205, blocked: vec![blocked], ..Waiting::default() };
        let status = Status { waiting, faults: "none".to_owned(), ..Status::default() };
        insta::assert_snapshot!(name, shown(&status, 80));
    }
}

#[test]
fn nothing_that_only_the_clock_changes_counts_as_a_change() {
    let before = status();
    let mut after = before.clone();
    after.seconds += 1.0;
    after.waiting.oldest_age_ms += 1_000;
    after.mapping.polls += 4;
    let now = now();
    assert_eq!(before.without_clock(now), after.without_clock(now));
    after.waiting.blocked[0].failed_attempts += 1;
    assert_ne!(before.without_clock(now), after.without_clock(now));
}
