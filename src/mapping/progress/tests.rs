//! Summaries of causes, and the progress of several runs.

use super::*;
use crate::activity::LaneActivity;
use crate::function::RejectionReason;

fn number(text: &str) -> SequenceNumber<'static> {
    SequenceNumber::parse(text.to_owned()).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_795_219_200 + seconds).unwrap()
}

#[test]
fn failures_of_one_kind_have_one_summary() {
    let reason = |code: &str, field: &str| RejectionReason {
        code: code.to_owned(),
        field: field.to_owned(),
        reason: "is missing".to_owned(),
    };
    let error = |text: &str| FailureCause::FunctionError(text.to_owned());
    let cases = [
        (FailureCause::Reported(Some(reason("too_many_keys", "NewImage"))), "too_many_keys NewImage"),
        (FailureCause::Reported(None), "reported by the function"),
        (error("Task timed out after 60.00 seconds"), "timeout"),
        (error("2026-11-28T12:00:00Z 5f Task timed out after 3.00 seconds"), "timeout"),
        (error(r#"{"errorType":"Error","errorMessage":"put s3://a/0123456789ab: 503"}"#), "put s3://a/#ab: 503"),
        (error("first line\nsecond line"), "first line"),
        (error(&"long ".repeat(40)), "long long long long long long long long long long long long …"),
        (FailureCause::NotInvoked("throttled".to_owned()), "not invoked: throttled"),
        (FailureCause::InvalidResponse, "invalid response"),
        (FailureCause::TooLarge, "event over 6 MB"),
    ];
    for (cause, summary) in cases {
        assert_eq!(cause.summary(), summary);
    }
}

#[test]
fn records_that_a_run_repeats_from_an_older_checkpoint_are_counted_once() {
    let mut runs = Runs::default();
    let first = |runs: &mut Runs, shard, numbers: &[&str]| {
        numbers.iter().filter(|text| runs.is_first(shard, &number(text))).count()
    };
    assert_eq!(first(&mut runs, "a", &["9", "10", "11"]), 3);
    assert_eq!(first(&mut runs, "a", &["9", "10", "11", "12"]), 1);
    assert_eq!(first(&mut runs, "b", &["9", "10"]), 2, "shards have their own numbers");
}

#[test]
fn of_two_runs_of_a_shard_the_one_ahead_counts_and_a_run_that_ends_leaves_nothing() {
    let mut runs = Runs::default();
    let (behind, ahead) = (runs.begin("a"), runs.begin("a"));
    for (run, unsettled_records, oldest) in [(behind, 30, at(0)), (ahead, 10, at(20))] {
        runs.change(run, |run| {
            run.unsettled_records = unsettled_records;
            run.oldest_unsettled = Some(oldest);
        });
    }
    let progress = runs.progress();
    assert_eq!((progress.unsettled_records, progress.oldest_unsettled), (10, Some(at(20))));
    runs.end(ahead);
    assert_eq!(runs.progress().unsettled_records, 30);
    runs.end(behind);
    assert_eq!(runs.progress(), Progress::default());
}

#[test]
fn a_shard_behind_its_parent_may_have_more_records_unless_a_mapping_has_come_to_it() {
    let mut runs = Runs { behind_parents: ["child".to_owned()].into(), ..Runs::default() };
    assert!(runs.progress().more_unread);
    let run = runs.begin("child");
    assert!(!runs.progress().more_unread, "another mapping reads it");
    runs.end(run);
    assert!(runs.is_first("child", &number("9")));
    assert!(!runs.progress().more_unread, "another mapping has read it");
}

/// A run ended with "0 pages still wait to be folded" because a second mapping delivered settled pages again.
#[test]
fn regression_nothing_waits_for_a_blocked_batch_that_another_mapping_has_settled() {
    let mut runs = Runs::default();
    let run = runs.begin("a");
    runs.block(run, 0, Some(blocked()));
    assert_eq!(runs.progress().blocked, []);
    runs.change(run, |run| run.unsettled_records = 1);
    assert_eq!(runs.progress().blocked.len(), 1);
}

fn blocked() -> Blocked {
    Blocked {
        shard: "a".to_owned(),
        sequence_number: "9".to_owned(),
        records: 1,
        waiting_records: 5,
        more_unread: false,
        failed_attempts: 3,
        maximum_attempts: Some(11),
        created_at: at(0),
        since: at(1),
        next_attempt: at(2),
        retried_until: None,
        cause: FailureCause::Reported(None),
    }
}

#[test]
fn progress_survives_json() {
    let progress = Progress { blocked: vec![blocked()], oldest_unsettled: Some(at(0)), ..Progress::default() };
    let json = serde_json::to_string(&progress).unwrap();
    assert_eq!(serde_json::from_str::<Progress>(&json).unwrap(), progress);
}

#[test]
fn the_lanes_of_a_shard_show_what_they_deliver_and_whether_a_batch_blocks_them() {
    let mut runs = Runs::default();
    let (run, twin) = (runs.begin("a"), runs.begin("a"));
    let delivering = Delivering { records: 40, retries: 2 };
    runs.change(run, |run| {
        run.unsettled_records = 70;
        run.delivering.insert(1, delivering);
    });
    let [shard] = runs.activity().try_into().unwrap();
    assert_eq!((shard.shard.as_str(), shard.readers), ("a", 2));
    runs.end(twin);
    let [shard] = runs.activity().try_into().unwrap();
    assert_eq!((shard.readers, shard.unsettled_records), (1, 70));
    assert_eq!(shard.lanes, [LaneActivity { lane: 1, delivering: Some(delivering), is_blocked: false }]);
    runs.end(run);
    assert_eq!(runs.activity(), []);
}
