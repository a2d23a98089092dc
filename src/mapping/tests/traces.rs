//! Deliveries that were observed on AWS. Unless a case says otherwise, item 2 of 4 fails, with one retry.

use super::*;

/// The deliveries, and the documents in the failure destination.
async fn trace_and_discarded(
    rule: impl Fn(&[u64], usize) -> InvocationResult + Send + Sync + 'static,
    change: impl FnOnce(&mut Settings),
) -> (String, Vec<Value>) {
    let fixture = Fixture::new(rule).with(|settings| settings.maximum_retry_attempts = Some(1)).with(change).records(4);
    fixture.run_for(LONG).await;
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(4))), "everything is settled in the end");
    (fixture.trace(), fixture.discarded())
}

async fn trace(
    rule: impl Fn(&[u64], usize) -> InvocationResult + Send + Sync + 'static,
    change: impl FnOnce(&mut Settings),
) -> String {
    trace_and_discarded(rule, change).await.0
}

fn exhausted(invocations: u64, first: u64, records: u64) -> Value {
    json!(["RetryAttemptsExhausted", invocations, sequence(first), records])
}

#[tokio::test(start_paused = true)]
async fn partial_responses_shorten_the_batch() {
    let seen = trace_and_discarded(reports(2), |_| {}).await;
    assert_eq!(seen, ("[1234] [234] [234]".to_owned(), vec![exhausted(2, 2, 3)]));
}

#[tokio::test(start_paused = true)]
async fn partial_responses_with_bisect_isolate_the_record() {
    let bisect = |settings: &mut Settings| settings.bisect_batch_on_function_error = true;
    let seen = trace_and_discarded(reports(2), bisect).await;
    assert_eq!(seen, ("[1234] [234] [2] [2] [34]".to_owned(), vec![exhausted(2, 2, 1)]));
}

#[tokio::test(start_paused = true)]
async fn function_errors_retry_the_whole_batch() {
    let twice = |settings: &mut Settings| settings.maximum_retry_attempts = Some(2);
    let seen = trace_and_discarded(fails_on(2), twice).await;
    assert_eq!(seen, ("[1234] [1234] [1234]".to_owned(), vec![exhausted(3, 1, 4)]));
}

#[tokio::test(start_paused = true)]
async fn function_errors_with_bisect_isolate_the_record() {
    let bisect = |settings: &mut Settings| settings.bisect_batch_on_function_error = true;
    assert_eq!(trace(fails_on(2), bisect).await, "[1234] [12] [1] [2] [2] [34]");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_destination_does_not_accept_is_dropped() {
    let fixture = Fixture::new(reports(2)).with(|settings| settings.maximum_retry_attempts = Some(0)).records(4);
    std::fs::write(fixture.failures.path().join("failures"), "a file in place of the folder").unwrap();
    let counts = fixture.run_for(LONG).await;
    assert_eq!((counts.dropped_event_count, counts.destination_delivery_failures, counts.lost_records()), (3, 1, 3));
    assert_eq!(counts.on_failure_destination_delivered_event_count, 0);
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(4))), "they are not delivered again");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_discarded_without_a_destination_is_lost() {
    let fixture = Fixture::new(reports(2)).with(|settings| settings.maximum_retry_attempts = Some(0)).records(4);
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.destination = None;
    let (meter, (_stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    assert!(tokio::time::timeout(LONG, Arc::new(mapping).run(stopped)).await.is_err());
    let counts = meter.counts();
    assert_eq!((counts.dropped_event_count, counts.discarded_without_destination, counts.lost_records()), (0, 3, 3));
}

#[tokio::test(start_paused = true)]
async fn bisect_splits_even_if_no_retries_are_allowed() {
    let change = |settings: &mut Settings| {
        settings.bisect_batch_on_function_error = true;
        settings.maximum_retry_attempts = Some(0);
    };
    assert_eq!(trace(fails_on(2), change).await, "[1234] [12] [1] [2] [34]");
}

#[tokio::test(start_paused = true)]
async fn partial_responses_are_ignored_if_disabled() {
    assert_eq!(trace(reports(2), |settings| settings.report_batch_item_failures = false).await, "[1234]");
}

#[tokio::test(start_paused = true)]
async fn an_empty_identifier_fails_the_whole_batch() {
    let answer =
        |_: &[u64], _| InvocationResult::Returned(br#"{"batchItemFailures":[{"itemIdentifier":""}]}"#.to_vec());
    assert_eq!(trace(answer, |settings| settings.maximum_retry_attempts = Some(0)).await, "[1234]");
}

#[tokio::test(start_paused = true)]
async fn the_batch_continues_from_the_lowest_of_several_failures() {
    let answer = |items: &[u64], _| match items.len() {
        4 => {
            let names = [4, 2, 3].map(|number| json!({ "itemIdentifier": sequence(number) }));
            InvocationResult::Returned(json!({ "batchItemFailures": names }).to_string().into_bytes())
        }
        _ => success(),
    };
    assert_eq!(trace(answer, |_| {}).await, "[1234] [234]");
}

#[tokio::test(start_paused = true)]
async fn item_six_in_batches_of_three_is_delivered_five_times() {
    let change = |settings: &mut Settings| {
        settings.batch_size = 3;
        settings.maximum_retry_attempts = Some(3);
    };
    let fixture = Fixture::new(reports(6)).with(change).records(6);
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[123] [456] [6] [6] [6] [6]");
    assert_eq!(fixture.discarded(), [exhausted(4, 6, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_the_request_id_and_a_new_batch_gets_another() {
    let fixture = Fixture::new(reports(2))
        .with(|settings| {
            settings.maximum_retry_attempts = Some(1);
            settings.bisect_batch_on_function_error = true;
        })
        .records(4);
    fixture.run_for(LONG).await;
    let ids: Vec<String> = fixture.deliveries().into_iter().map(|delivery| delivery.request_id).collect();
    assert_eq!(ids[2], ids[3], "the retry of [2]");
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_pause_for_200_ms_doubling_and_progress_needs_no_pause() {
    let fixture = Fixture::new(reports(2)).with(|settings| settings.maximum_retry_attempts = Some(4)).records(2);
    fixture.run_for(LONG).await;
    let times: Vec<u128> = fixture.deliveries().iter().map(|delivery| delivery.at_ms).collect();
    let waits: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
    assert_eq!(waits, [0, 200, 400, 800, 1600]);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_did_not_run_is_not_an_attempt() {
    let fixture =
        Fixture::new(
            |_, number| if number <= 5 { InvocationResult::NotInvoked("throttled".to_owned()) } else { success() },
        )
        .with(|settings| settings.maximum_retry_attempts = Some(0))
        .records(2);
    let counts = fixture.run_for(LONG).await;
    assert_eq!((fixture.trace().matches("[12]").count(), counts.not_invoked, counts.errors), (6, 5, 0));
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(2))));
}

#[tokio::test(start_paused = true)]
async fn expired_records_are_discarded_from_the_front_of_a_batch() {
    let fixture =
        Fixture::new(|_, _| success()).with(|settings| settings.maximum_record_age = Some(Duration::from_secs(60)));
    fixture.stream.push("s", record(1, 1, START_MICROS - 61_000_000));
    (2..=6).for_each(|number| fixture.stream.push("s", record(number, number, START_MICROS)));
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[23456]");
    assert_eq!(fixture.discarded(), [json!(["RecordAgeExceeded", 1, sequence(1), 1])]);
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(6))));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_expires_between_retries_is_discarded() {
    let fixture = Fixture::new(fails_on(1))
        .with(|settings| settings.maximum_record_age = Some(Duration::from_secs(60)))
        .records(1);
    fixture.run_for(LONG).await;
    // 0.2 + 0.4 + … + 25.6 s: eight deliveries within the minute, as on AWS, and one at its very end.
    assert_eq!(fixture.deliveries().len(), 9);
    assert_eq!(fixture.discarded(), [json!(["RecordAgeExceeded", 9, sequence(1), 1])]);
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(1))));
}
