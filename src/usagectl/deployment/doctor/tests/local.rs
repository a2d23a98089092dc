//! The checks of a local run, which names the record that blocks or was rejected.

use event_source_mapping::{Blocked, FailureCause, RejectionReason};
use laptop::proof::{QuarantinedRecord, QuarantinedRecords};

use super::super::check::Check;
use super::super::facts::{Facts, LocalFacts};
use super::super::finding::{Finding, Verdict};
use super::cases::numbers;
use super::good::good;
use crate::shell::waiting::Waiting;
use crate::shell::waiting::tests::{blocked, now};

/// A run in which a million batches succeeded and this one blocks.
fn run(waiting: Waiting) -> Facts {
    let mut facts = good();
    facts.here = true;
    facts.now = now();
    numbers(&mut facts).invocations = Some(1_000_000.0);
    numbers(&mut facts).errors = Some(5.0);
    facts.local = Ok(LocalFacts { waiting, ..LocalFacts::default() });
    facts
}

fn blocked_run() -> Facts {
    let blocked = vec![blocked()];
    let last_rejected = blocked.first().cloned();
    run(Waiting { records: 3_205, oldest_age_ms: 6_200, blocked, last_rejected, ..Waiting::default() })
}

fn find(check: Check, facts: &Facts) -> Finding {
    check.find(facts).unwrap()
}

#[test]
fn a_blocked_shard_is_a_problem_however_many_batches_succeeded_before() {
    let facts = blocked_run();
    let errors = find(Check::BlockedShard, &facts);
    assert_eq!(errors.verdict, Verdict::Problem);
    insta::assert_snapshot!(errors.meaning, @"record 800000000000000000312 blocks the shard shardId-00000000000000000000-00000000: missing_attribute: NewImage.total is missing; the schema of order needs it; attempts: 5 of 11, next in 3.2 s, retried for about 108 s; 3,205 records wait, the oldest 6 s old");
    assert_eq!(errors.command.as_deref(), Some("usagectl local --rejected-records quarantine"));
    assert_eq!(find(Check::BlockedShard, &run(Waiting::default())).verdict, Verdict::Ok);
}

#[test]
fn a_failing_batch_that_blocks_is_a_problem_too() {
    let cause = FailureCause::FunctionError("put s3://archive/a: SlowDown".to_owned());
    let blocked = vec![Blocked { records: 8, cause, ..blocked() }];
    let errors = find(Check::BlockedShard, &run(Waiting { records: 9, blocked, ..Waiting::default() }));
    assert!(errors.meaning.contains("and the 7 after it block the shard"), "{errors:?}");
    assert!(errors.meaning.contains("the function failed: put s3://archive/a: SlowDown"), "{errors:?}");
    assert_eq!(errors.command.as_deref(), Some("usagectl local --verbose"));
}

#[test]
fn the_last_rejected_record_is_named_while_it_blocks_and_after() {
    let mut facts = blocked_run();
    let rejected = find(Check::Rejected, &facts);
    assert_eq!(rejected.verdict, Verdict::Warning);
    insta::assert_snapshot!(rejected.meaning, @"the last rejected record is 800000000000000000312, 6 s old: missing_attribute: NewImage.total is missing; the schema of order needs it; attempts: 5 of 11, next in 3.2 s, retried for about 108 s");
    facts.local.as_mut().unwrap().waiting.blocked.clear();
    let after = find(Check::Rejected, &facts);
    assert!(after.meaning.ends_with("the schema of order needs it; it no longer blocks its shard"), "{after:?}");
    assert_eq!(after.command.as_deref(), Some("usagectl redrive --local --dry-run"));
    assert_eq!(find(Check::Rejected, &run(Waiting::default())).verdict, Verdict::Ok);
}

#[test]
fn quarantined_records_are_counted_and_the_last_is_named() {
    let mut facts = run(Waiting::default());
    let text = |text: &str| text.to_owned();
    let reason =
        RejectionReason { code: text("invalid_value"), field: text("NewImage.total"), reason: text("expected N") };
    let last = Some(QuarantinedRecord { sequence_number: text("80000"), reason });
    facts.local.as_mut().unwrap().quarantined = Some(QuarantinedRecords { records: 27, last });
    let rejected = find(Check::Rejected, &facts);
    let expected = "records quarantined in this run: 27; the last is 80000: invalid_value: NewImage.total expected N";
    assert_eq!((rejected.verdict, &*rejected.meaning), (Verdict::Warning, expected));
}

/// The age used to be that of the last notice, and the window that of a stack, or none.
#[test]
fn notices_that_waited_while_no_run_folded_them_are_no_lasting_problem() {
    let mut facts = run(Waiting::default());
    facts.ledger_mapping = Err(super::Unavailable::NotApplicable("a local mapping is configured by its command line"));
    facts.local.as_mut().unwrap().fold_window_seconds = 300;
    let mut fold_age = |age_ms: f64, iterator_age_ms: f64| {
        let fold = &mut numbers(&mut facts).fold;
        (fold.age_ms, fold.iterator_age_ms) = (Some(age_ms), Some(iterator_age_ms));
        find(Check::FoldAge, &facts).verdict
    };
    assert_eq!(fold_age(610_000.0, 300.0), Verdict::Ok);
    assert_eq!(fold_age(90_000_000.0, 300.0), Verdict::Warning);
    assert_eq!(fold_age(90_000_000.0, 700_000.0), Verdict::Problem);
}

#[test]
fn no_command_for_a_blocked_local_run_needs_an_account_or_more_lanes() {
    let mut facts = blocked_run();
    numbers(&mut facts).iterator_age_ms = Some(303_000.0);
    facts.mapping = Err(super::Unavailable::NotApplicable("a local mapping is configured by its command line"));
    for check in [Check::Errors, Check::BlockedShard, Check::Rejected, Check::IteratorAge, Check::Traffic] {
        let command = find(check, &facts).command.unwrap_or_default();
        assert!(!command.contains("aws ") && !command.contains("parallelization"), "{command}");
    }
}
