//! One line per case: what an invocation returned, and what follows.

use super::*;
use stream_types::SequenceNumber;

/// A batch of the records 100 to 103, one second apart.
fn batch() -> Batch {
    let record = |number: i64| {
        let sequence = SequenceNumber::parse(number.to_string()).unwrap();
        let created_at = Timestamp::from_seconds(1_795_219_100 + number).unwrap();
        Arc::new(SourceRecord { sequence, item: 0, created_at, json: format!("{{\"n\":{number}}}") })
    };
    Batch::new((100..104).map(record).collect(), "first".to_owned())
}

fn settings() -> Settings {
    Settings { maximum_retry_attempts: Some(1), ..Settings::new(Duration::from_millis(250)) }
}

fn numbers(records: &[Arc<SourceRecord>]) -> Vec<&str> {
    records.iter().map(|record| record.sequence.as_str()).collect()
}

fn next_step(batch: Batch, verdict: Verdict, settings: &Settings) -> NextStep {
    batch.next_step(verdict, settings, || "new".to_owned())
}

#[test]
fn response_bodies_are_read_as_lambda_reads_them() {
    let reported = Verdict::Failure(FailureResponse::Reported);
    let cases = [
        ("", Verdict::Success),
        ("[]", Verdict::Success),
        ("null", Verdict::Success),
        ("{}", Verdict::Success),
        (r#""""#, Verdict::Success),
        (r#"{"batchItemFailures":[]}"#, Verdict::Success),
        (r#"{"batchItemFailures":null}"#, Verdict::Success),
        (r#"{"batchItemFailures":[{"itemIdentifier":"102"}]}"#, Verdict::Partial(2)),
        (r#"{"batchItemFailures":[{"itemIdentifier":"103"},{"itemIdentifier":"101"}]}"#, Verdict::Partial(1)),
        // No progress.
        (r#"{"batchItemFailures":[{"itemIdentifier":"100"}]}"#, reported),
        // One invalid identifier makes the whole response invalid.
        (r#"{"batchItemFailures":[{"itemIdentifier":"102"},{}]}"#, reported),
        (r#"{"batchItemFailures":[{"itemIdentifier":102}]}"#, reported),
        (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, reported),
        (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, reported),
        (r#"{"batchItemFailures":[{"itemIdentifier":"104"}]}"#, reported),
        (r#"{"batchItemFailures":[{"foo":null}]}"#, reported),
        (r#"{"batchItemFailures":"x"}"#, reported),
        (r#""x""#, reported),
        ("[1]", reported),
        ("17", reported),
        ("not json", reported),
    ];
    for (body, expected) in cases {
        let result = InvocationResult::Returned(body.as_bytes().to_vec());
        assert_eq!(verdict(&result, &batch(), &settings()), expected, "{body}");
        let ignored = Settings { report_batch_item_failures: false, ..settings() };
        assert_eq!(verdict(&result, &batch(), &ignored), Verdict::Success, "{body}");
    }
}

#[test]
fn a_partial_failure_settles_the_records_before_it_and_redelivers_the_rest_as_a_new_batch() {
    let next = next_step(Batch { attempts: 1, ..batch() }, Verdict::Partial(1), &settings());
    assert_eq!((numbers(&next.settled), next.pause), (vec!["100"], None));
    let [rest] = next.redeliver.as_slice() else { panic!("{next:?}") };
    assert_eq!(
        (numbers(&rest.records), rest.attempts, rest.request_id.as_str()),
        (vec!["101", "102", "103"], 0, "new")
    );
}

#[test]
fn a_failure_is_retried_then_discarded() {
    let failure = Verdict::Failure(FailureResponse::Unhandled);
    let mut next = next_step(batch(), failure, &settings());
    assert_eq!((next.settled.len(), next.pause), (0, Some(Duration::from_millis(200))));
    let retried = next.redeliver.remove(0);
    assert_eq!((retried.attempts, retried.request_id.as_str()), (1, "first"));
    let next = next_step(retried, failure, &settings());
    assert_eq!((next.redeliver.len(), next.pause), (0, None));
    let discarded = next.discarded.unwrap();
    assert_eq!(
        (discarded.condition, discarded.response),
        (Condition::RetryAttemptsExhausted, FailureResponse::Unhandled)
    );
}

#[test]
fn a_failure_with_bisect_splits_the_batch_and_the_larger_half_is_second() {
    let bisect = Settings { bisect_batch_on_function_error: true, ..settings() };
    let mut three = batch();
    three.records.remove(0);
    let next = next_step(three, Verdict::Failure(FailureResponse::Unhandled), &bisect);
    let halves: Vec<_> = next.redeliver.iter().map(|half| numbers(&half.records)).collect();
    assert_eq!((halves, next.split, next.pause), (vec![vec!["101"], vec!["102", "103"]], true, None));
    // A single record is retried.
    let mut one = batch();
    one.records.truncate(1);
    let next = next_step(one, Verdict::Failure(FailureResponse::Unhandled), &bisect);
    assert_eq!((numbers(&next.redeliver[0].records), next.redeliver[0].attempts, next.split), (vec!["100"], 1, false));
}

#[test]
fn pauses_double_up_to_the_maximum_backoff() {
    let unlimited = Settings { maximum_retry_attempts: None, ..settings() };
    let pause = |attempts| {
        let failed = Batch { attempts, ..batch() };
        next_step(failed, Verdict::Failure(FailureResponse::Unhandled), &unlimited).pause.unwrap().as_millis()
    };
    assert_eq!([0, 1, 2, 7, 8, 31, 32, u32::MAX].map(pause), [200, 400, 800, 25_600, 30_000, 30_000, 30_000, 30_000]);
}

#[test]
fn an_invocation_that_did_not_run_pauses_longer_each_time_but_is_no_attempt() {
    let first = next_step(batch(), Verdict::NotInvoked, &settings()).redeliver.remove(0);
    let second = next_step(first, Verdict::NotInvoked, &settings());
    assert_eq!((second.pause, second.redeliver[0].attempts), (Some(Duration::from_millis(400)), 0));
}

#[test]
fn records_that_exceed_the_maximum_age_are_split_off() {
    let settings = Settings { maximum_record_age: Some(Duration::from_secs(60)), ..settings() };
    for (age_of_the_first_seconds, expired) in [(60, 0), (61, 1), (62, 2), (64, 4)] {
        let now = Timestamp::from_seconds(1_795_219_200 + age_of_the_first_seconds).unwrap();
        let (discarded, rest) = batch().split_expired(now, &settings, || "new".to_owned());
        assert_eq!(discarded.map_or(0, |discarded| discarded.batch.records.len()), expired);
        assert_eq!(rest.map_or(0, |rest| rest.records.len()), 4 - expired);
    }
}
