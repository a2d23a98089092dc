//! Batching: windows, sizes, lanes and filters.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_batching_window_begins_when_the_last_invocation_ends() {
    let fixture = Fixture::new(|_, _| success())
        .with(|settings| {
            settings.batch_size = 2;
            settings.batching_window = Duration::from_secs(5);
        })
        .records(5);
    fixture.run_for(LONG).await;
    let seen: Vec<_> =
        fixture.deliveries().into_iter().map(|delivery| (delivery.items, delivery.at_ms / 100)).collect();
    assert_eq!(seen, [(vec![1, 2], 0), (vec![3, 4], 0), (vec![5], 50)]);
}

#[tokio::test(start_paused = true)]
async fn the_iterator_age_is_that_of_the_last_record_and_the_acknowledged_age_that_of_the_first() {
    let fixture = Fixture::new(|_, _| success());
    for (number, seconds_ago) in [(1, 60), (2, 10)] {
        fixture.stream.push("s", record(number, number, START_MICROS - seconds_ago * 1_000_000));
    }
    let counts = fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[12]");
    assert_eq!((counts.iterator_age_max_ms, counts.acknowledged_age_max_ms), (10_000, 60_001));
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_up_to_6_mb() {
    let fixture = Fixture::new(|_, _| success());
    for number in 1..=5 {
        let mut record = record(number, number, START_MICROS);
        record.json = json!({ "n": number, "padding": "x".repeat(2_000_000) }).to_string();
        fixture.stream.push("s", record);
    }
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[123] [45]");
}

/// It used to be retried, and without a limit of attempts never discarded, while its shard waited.
#[tokio::test(start_paused = true)]
async fn regression_a_record_over_6_mb_is_discarded_without_an_invocation_or_a_retry() {
    let fixture = Fixture::new(|_, _| success());
    assert_eq!(fixture.settings.maximum_retry_attempts, None);
    for (number, bytes) in [(1, 10), (2, MAXIMUM_PAYLOAD_BYTES), (3, 10)] {
        let mut record = record(number, number, START_MICROS);
        record.json = json!({ "n": number, "padding": "x".repeat(bytes) }).to_string();
        fixture.stream.push("s", record);
    }
    let counts = fixture.run_for(Duration::from_secs(5)).await;
    assert_eq!(fixture.trace(), "[1] [3]");
    assert_eq!(fixture.discarded(), [json!(["RetryAttemptsExhausted", 0, sequence(2), 1])]);
    assert_eq!(counts.failures_by_cause, [("event over 6 MB".to_owned(), 1)].into());
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(3))));
}

#[tokio::test(start_paused = true)]
async fn lanes_keep_items_in_order_and_do_not_wait_for_each_other() {
    // Item 1 is stuck until the twentieth invocation.
    let stuck = |items: &[u64], number| match items.contains(&1) && number < 20 {
        true => InvocationResult::FunctionError("boom".to_owned()),
        false => success(),
    };
    let fixture = Fixture::new(stuck).with(|settings| {
        settings.parallelization_factor = 4;
        settings.batch_size = 1;
        settings.maximum_backoff = Duration::from_millis(200);
    });
    for number in 1..=24 {
        fixture.stream.push("s", record(number, 1 + (number - 1) % 4, START_MICROS));
    }
    fixture.run_for(LONG).await;
    let mut settled: Vec<u64> = Vec::new();
    for delivery in fixture.deliveries() {
        settled.retain(|number| *number != delivery.items[0]);
        settled.push(delivery.items[0]);
    }
    assert_eq!(settled.len(), 24);
    for item in 0..4 {
        let lane: Vec<u64> = settled.iter().copied().filter(|number| (number - 1) % 4 == item).collect();
        assert!(lane.is_sorted(), "{lane:?}");
    }
    let first_done = settled.iter().position(|number| *number == 1).unwrap();
    assert!(first_done >= 17, "the other lanes waited: {settled:?}");
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_stays_before_a_record_that_keeps_failing() {
    let fixture = Fixture::new(fails_on(2)).with(|settings| settings.parallelization_factor = 2).records(6);
    fixture.run_for(LONG).await;
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(1))));
}

#[tokio::test(start_paused = true)]
async fn polls_without_records_are_counted() {
    let fixture = Fixture::new(|_, _| success()).records(3);
    let counts = fixture.run_for(Duration::from_secs(10)).await;
    assert_eq!((counts.polled_event_count, counts.invocations, counts.polls), (3, 1, 40));
}

#[tokio::test(start_paused = true)]
async fn filtered_records_are_not_delivered_and_the_checkpoint_moves_past_them() {
    let odd = r#"{"n":[1,3,5]}"#.to_owned();
    let fixture =
        Fixture::new(|_, _| success()).with(|settings| settings.filters = Filters::parse(&[odd]).unwrap()).records(6);
    let counts = fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[135]");
    assert_eq!((counts.polled_event_count, counts.filtered_out_event_count, counts.invoked_event_count), (6, 3, 3));
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::After(sequence(6))));
    let none = r#"{"n":[9]}"#.to_owned();
    let fixture =
        Fixture::new(|_, _| success()).with(|settings| settings.filters = Filters::parse(&[none]).unwrap()).records(6);
    assert_eq!(fixture.run_for(LONG).await.invocations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_stays_in_the_stream() {
    let mut fixture = Fixture::new(|_, _| success()).records(50_000);
    Arc::get_mut(&mut fixture.function).unwrap().duration = Duration::from_secs(1);
    let counts = fixture.run_for(Duration::from_secs(10)).await;
    let ahead = counts.polled_event_count - counts.invoked_event_count;
    // Two pages in the channel, one that waits for room in it, and one in the queue.
    assert!(
        ahead <= 4 * 1_000,
        "{ahead} records were read ahead of {} that were delivered",
        counts.invoked_event_count
    );
    fixture.stream.trim("s", 20_000);
    let counts = fixture.run_for(Duration::from_secs(10)).await;
    assert_eq!(counts.trimmed_gaps, 1, "the trimmed part of the backlog is noticed");
}
