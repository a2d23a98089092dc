//! How records become batches.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_window_counts_from_the_end_of_the_last_invocation() {
    let bench = Bench::new(|_, _| well())
        .with(|settings| {
            settings.batch_size = 2;
            settings.batching_window = Duration::from_secs(5);
        })
        .records(5);
    bench.run_for(LONG).await;
    let seen: Vec<_> = bench.deliveries().into_iter().map(|delivery| (delivery.items, delivery.at_ms / 100)).collect();
    assert_eq!(seen, [(vec![1, 2], 0), (vec![3, 4], 0), (vec![5], 50)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_6_mb() {
    let bench = Bench::new(|_, _| well());
    for number in 1..=5 {
        let mut record = record(number, number, START_MICROS);
        record.json = json!({ "n": number, "padding": "x".repeat(2_000_000) }).to_string();
        bench.stream.push("s", record);
    }
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[123] [45]");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_no_event_can_hold_is_given_up_without_an_invocation() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.maximum_retry_attempts = Some(1));
    for (number, bytes) in [(1, 10), (2, MAXIMUM_PAYLOAD_BYTES), (3, 10)] {
        let mut record = record(number, number, START_MICROS);
        record.json = json!({ "n": number, "padding": "x".repeat(bytes) }).to_string();
        bench.stream.push("s", record);
    }
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[1] [3]");
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(3))));
}

#[tokio::test(start_paused = true)]
async fn lanes_keep_the_order_of_each_item_and_do_not_wait_for_each_other() {
    // Item 1 is stuck until the twentieth invocation.
    let stuck = |items: &[u64], number| match items.contains(&1) && number < 20 {
        true => Answer::FunctionError("boom".to_owned()),
        false => well(),
    };
    let bench = Bench::new(stuck).with(|settings| {
        settings.parallelization_factor = 4;
        settings.batch_size = 1;
        settings.maximum_backoff = Duration::from_millis(200);
    });
    for number in 1..=24 {
        bench.stream.push("s", record(number, 1 + (number - 1) % 4, START_MICROS));
    }
    bench.run_for(LONG).await;
    let mut settled: Vec<u64> = Vec::new();
    for delivery in bench.deliveries() {
        settled.retain(|number| *number != delivery.items[0]);
        settled.push(delivery.items[0]);
    }
    assert_eq!(settled.len(), 24);
    for item in 0..4 {
        let lane: Vec<u64> = settled.iter().copied().filter(|number| (number - 1) % 4 == item).collect();
        assert!(lane.is_sorted(), "{lane:?}");
    }
    let first_done = settled.iter().position(|number| *number == 1).unwrap();
    assert!(first_done >= 17, "the other lanes went on: {settled:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_stays_behind_a_record_that_is_stuck_in_its_lane() {
    let bench = Bench::new(throws(2)).with(|settings| settings.parallelization_factor = 2).records(6);
    bench.run_for(LONG).await;
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(1))));
}

#[tokio::test(start_paused = true)]
async fn every_poll_is_counted_also_an_empty_one() {
    let bench = Bench::new(|_, _| well()).records(3);
    let counts = bench.run_for(Duration::from_secs(10)).await;
    assert_eq!((counts.polled_event_count, counts.invocations, counts.polls), (3, 1, 40));
}

#[tokio::test(start_paused = true)]
async fn filtered_records_are_never_delivered_and_the_checkpoint_passes_them() {
    let odd = r#"{"n":[1,3,5]}"#.to_owned();
    let bench =
        Bench::new(|_, _| well()).with(|settings| settings.filters = Filters::parse(&[odd]).unwrap()).records(6);
    let counts = bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[135]");
    assert_eq!((counts.polled_event_count, counts.filtered_out_event_count, counts.invoked_event_count), (6, 3, 3));
    assert_eq!(bench.checkpoint("s"), Some(Checkpoint::After(sequence(6))));
    let none = r#"{"n":[9]}"#.to_owned();
    let bench =
        Bench::new(|_, _| well()).with(|settings| settings.filters = Filters::parse(&[none]).unwrap()).records(6);
    assert_eq!(bench.run_for(LONG).await.invocations, 0);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_stays_in_the_stream() {
    let mut bench = Bench::new(|_, _| well()).records(50_000);
    Arc::get_mut(&mut bench.function).unwrap().lasts = Duration::from_secs(1);
    let counts = bench.run_for(Duration::from_secs(10)).await;
    let ahead = counts.polled_event_count - counts.invoked_event_count;
    // Two pages in the channel, one in the reader's hand, one in the queue.
    assert!(ahead <= 4 * 1_000, "{ahead} records were read ahead of {} delivered ones", counts.invoked_event_count);
    bench.stream.trim("s", 20_000);
    let counts = bench.run_for(Duration::from_secs(10)).await;
    assert_eq!(counts.trimmed_gaps, 1, "records that were only in the stream are lost, and that is noticed");
}
