//! The deliveries that were seen on AWS: poison is item 2 of 4, one retry, unless a case says otherwise.

use super::*;

/// The deliveries, and the records in the failure destination: condition, invocations, the first, how many.
async fn trace_and_discarded(
    rule: impl Fn(&[u64], usize) -> Answer + Send + Sync + 'static,
    change: impl FnOnce(&mut Settings),
) -> (String, Vec<Value>) {
    let bench = Bench::new(rule).with(|settings| settings.maximum_retry_attempts = Some(1)).with(change).records(4);
    bench.run_for(LONG).await;
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(4))), "all is settled in the end");
    (bench.trace(), bench.discarded())
}

async fn trace(
    rule: impl Fn(&[u64], usize) -> Answer + Send + Sync + 'static,
    change: impl FnOnce(&mut Settings),
) -> String {
    trace_and_discarded(rule, change).await.0
}

fn exhausted(invocations: u64, first: u64, records: u64) -> Value {
    json!(["RetryAttemptsExhausted", invocations, sequence(first), records])
}

#[tokio::test(start_paused = true)]
async fn partial_responses() {
    let seen = trace_and_discarded(names(2), |_| {}).await;
    assert_eq!(seen, ("[1234] [234] [234]".to_owned(), vec![exhausted(2, 2, 3)]));
}

#[tokio::test(start_paused = true)]
async fn partial_responses_and_bisect() {
    let bisect = |settings: &mut Settings| settings.bisect_batch_on_function_error = true;
    let seen = trace_and_discarded(names(2), bisect).await;
    assert_eq!(seen, ("[1234] [234] [2] [2] [34]".to_owned(), vec![exhausted(2, 2, 1)]));
}

#[tokio::test(start_paused = true)]
async fn exceptions() {
    let twice = |settings: &mut Settings| settings.maximum_retry_attempts = Some(2);
    let seen = trace_and_discarded(throws(2), twice).await;
    assert_eq!(seen, ("[1234] [1234] [1234]".to_owned(), vec![exhausted(3, 1, 4)]));
}

#[tokio::test(start_paused = true)]
async fn exceptions_and_bisect() {
    let bisect = |settings: &mut Settings| settings.bisect_batch_on_function_error = true;
    assert_eq!(trace(throws(2), bisect).await, "[1234] [12] [1] [2] [2] [34]");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_refuses_makes_records_dropped() {
    let bench = Bench::new(names(2)).with(|settings| settings.maximum_retry_attempts = Some(0)).records(4);
    std::fs::write(bench.failures.path().join("failures"), "a file where the folder ought to be").unwrap();
    let counts = bench.run_for(LONG).await;
    assert_eq!((counts.dropped_event_count, counts.destination_delivery_failures), (3, 1));
    assert_eq!(counts.on_failure_destination_delivered_event_count, 0);
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(4))), "they never come again");
}

#[tokio::test(start_paused = true)]
async fn bisect_splits_even_without_retries() {
    let change = |settings: &mut Settings| {
        settings.bisect_batch_on_function_error = true;
        settings.maximum_retry_attempts = Some(0);
    };
    assert_eq!(trace(throws(2), change).await, "[1234] [12] [1] [2] [34]");
}

#[tokio::test(start_paused = true)]
async fn partial_responses_switched_off_are_ignored() {
    assert_eq!(trace(names(2), |settings| settings.report_batch_item_failures = false).await, "[1234]");
}

#[tokio::test(start_paused = true)]
async fn an_empty_identifier_fails_the_whole_batch() {
    let answer = |_: &[u64], _| Answer::Returned(br#"{"batchItemFailures":[{"itemIdentifier":""}]}"#.to_vec());
    assert_eq!(trace(answer, |settings| settings.maximum_retry_attempts = Some(0)).await, "[1234]");
}

#[tokio::test(start_paused = true)]
async fn the_lowest_of_several_failures_counts() {
    let answer = |items: &[u64], _| match items.len() {
        4 => {
            let names = [4, 2, 3].map(|number| json!({ "itemIdentifier": sequence(number) }));
            Answer::Returned(json!({ "batchItemFailures": names }).to_string().into_bytes())
        }
        _ => well(),
    };
    assert_eq!(trace(answer, |_| {}).await, "[1234] [234]");
}

#[tokio::test(start_paused = true)]
async fn item_six_in_batches_of_three_comes_five_times() {
    let change = |settings: &mut Settings| {
        settings.batch_size = 3;
        settings.maximum_retry_attempts = Some(3);
    };
    let bench = Bench::new(names(6)).with(change).records(6);
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[123] [456] [6] [6] [6] [6]");
    assert_eq!(bench.discarded(), [exhausted(4, 6, 1)]);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_mean_success() {
    for body in ["[]", "null", "{}", "\"\"", "", r#"{"batchItemFailures":[]}"#, r#"{"batchItemFailures":null}"#] {
        let answer = move |_: &[u64], _| Answer::Returned(body.as_bytes().to_vec());
        assert_eq!(trace(answer, |_| {}).await, "[1234]", "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_mean_failure_of_the_whole_batch() {
    let first = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}}]}}"#, sequence(1));
    let mixed = format!(r#"{{"batchItemFailures":[{{"itemIdentifier":"{}"}},{{}}]}}"#, sequence(3));
    let named = ["123", r#""""#, "null", r#""foo""#]
        .map(|id| format!(r#"{{"batchItemFailures":[{{"itemIdentifier":{id}}}]}}"#));
    let others = [r#"{"batchItemFailures":[{"foo":null}]}"#, r#"{"batchItemFailures":"x"}"#, "17", "not json"];
    for body in named.into_iter().chain(others.map(str::to_owned)).chain([first, mixed]) {
        let (shown, answer) = (body.clone(), move |_: &[u64], _| Answer::Returned(body.clone().into_bytes()));
        assert_eq!(trace(answer, |_| {}).await, "[1234] [1234]", "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_has_the_same_request_id_and_a_new_batch_another() {
    let bench = Bench::new(names(2))
        .with(|settings| {
            settings.maximum_retry_attempts = Some(1);
            settings.bisect_batch_on_function_error = true;
        })
        .records(4);
    bench.run_for(LONG).await;
    let ids: Vec<String> = bench.deliveries().into_iter().map(|delivery| delivery.request_id).collect();
    assert_eq!(ids[2], ids[3], "the retry of [2]");
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_wait_from_200_ms_doubling_and_what_makes_progress_does_not() {
    let bench = Bench::new(names(2)).with(|settings| settings.maximum_retry_attempts = Some(4)).records(2);
    bench.run_for(LONG).await;
    let times: Vec<u128> = bench.deliveries().iter().map(|delivery| delivery.at_ms).collect();
    let waits: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
    assert_eq!(waits, [0, 200, 400, 800, 1600]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_invoked_is_not_counted_as_an_attempt() {
    let bench = Bench::new(|_, number| if number <= 5 { Answer::NotInvoked("throttled".to_owned()) } else { well() })
        .with(|settings| settings.maximum_retry_attempts = Some(0))
        .records(2);
    let counts = bench.run_for(LONG).await;
    assert_eq!((bench.trace().matches("[12]").count(), counts.not_invoked, counts.errors), (6, 5, 0));
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(2))));
}

#[tokio::test(start_paused = true)]
async fn records_that_are_too_old_are_cut_from_the_front() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.maximum_record_age = Some(Duration::from_secs(60)));
    bench.stream.push("s", record(1, 1, START_MICROS - 61_000_000));
    (2..=6).for_each(|number| bench.stream.push("s", record(number, number, START_MICROS)));
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[23456]");
    assert_eq!(bench.discarded(), [json!(["RecordAgeExceeded", 1, sequence(1), 1])]);
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(6))));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_grows_too_old_while_it_is_retried_is_given_up() {
    let bench =
        Bench::new(throws(1)).with(|settings| settings.maximum_record_age = Some(Duration::from_secs(60))).records(1);
    bench.run_for(LONG).await;
    // 0.2 + 0.4 + … + 25.6 s: eight deliveries within the minute, as on AWS, and one that came just in time.
    assert_eq!(bench.deliveries().len(), 9);
    assert_eq!(bench.discarded(), [json!(["RecordAgeExceeded", 9, sequence(1), 1])]);
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(1))));
}
