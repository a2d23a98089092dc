//! Shards, checkpoints and what happens to a stream while nobody reads it.

use super::*;
use crate::sources::ShardedStream;

/// The shard of each delivery, by the hundreds of its items.
fn order(bench: &Bench) -> Vec<u64> {
    bench.deliveries().iter().map(|delivery| delivery.items[0] / 100).collect()
}

fn fill(bench: &Bench, shard: &str, hundred: u64, records: u64) {
    (0..records).for_each(|number| bench.stream.push(shard, record(hundred * 100 + number, number, START_MICROS)));
}

#[tokio::test(start_paused = true)]
async fn parents_come_first_children_in_parallel_and_a_merged_one_after_both() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.batch_size = 1);
    fill(&bench, "s", 1, 3);
    for (id, parents, hundred) in [("a", &["s"][..], 2), ("b", &["s"], 3), ("m", &["a", "b"], 4)] {
        bench.stream.open(id, parents);
        fill(&bench, id, hundred, 4);
    }
    ["s", "a", "b"].iter().for_each(|id| bench.stream.close(id));
    bench.run_for(LONG).await;
    let order = order(&bench);
    assert_eq!(order.len(), 15);
    assert_eq!(order[..3], [1, 1, 1]);
    let children = &order[3..11];
    assert!(!children.is_sorted() && !children.iter().rev().is_sorted(), "one child after the other: {children:?}");
    assert_eq!(order[11..], [4, 4, 4, 4]);
    assert_eq!([bench.checkpoint("s"), bench.checkpoint("b")], [Some(Checkpoint::End), Some(Checkpoint::End)]);
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_for_a_parent_that_is_stuck() {
    let bench = Bench::new(throws(101));
    fill(&bench, "s", 1, 3);
    bench.stream.open("a", &["s"]);
    fill(&bench, "a", 2, 3);
    bench.stream.close("s");
    bench.run_for(LONG).await;
    assert!(order(&bench).iter().all(|shard| *shard == 1));
}

#[tokio::test(start_paused = true)]
async fn a_child_whose_parent_is_gone_is_read() {
    let bench = Bench::new(|_, _| well());
    bench.stream.open("a", &["trimmed-long-ago"]);
    fill(&bench, "a", 2, 1);
    bench.run_for(LONG).await;
    assert_eq!(order(&bench), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_mapping_goes_on_where_it_was() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.batch_size = 2).records(5);
    bench.run_for(Duration::from_secs(1)).await;
    (6..=8).for_each(|number| bench.stream.push("s", record(number, number, START_MICROS)));
    bench.run_for(Duration::from_secs(1)).await;
    assert_eq!(bench.trace(), "[12] [34] [5] [67] [8]");
}

#[tokio::test(start_paused = true)]
async fn a_stop_delivers_nothing_that_waits_for_its_window() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.batching_window = Duration::from_secs(5)).records(1);
    // Whichever of a shard's reader and its lane hears of the stop first.
    for _ in 0..20 {
        bench.run_for(Duration::from_secs(1)).await;
        assert_eq!((bench.trace().as_str(), bench.checkpoint("s")), ("", Some(Checkpoint::TrimHorizon)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_handed_out() {
    let bench = Bench::new(throws(2)).with(|settings| settings.maximum_retry_attempts = Some(0)).records(3);
    let (sender, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let mut mapping = Arc::into_inner(bench.mapping()).unwrap();
    mapping.destination = Some(Destination::Channel(sender));
    let mapping = Arc::new(mapping);
    let (meter, (_stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    assert!(tokio::time::timeout(LONG, mapping.run(stopped)).await.is_err());
    let event: Value = serde_json::from_str(&given_up.recv().await.unwrap()).unwrap();
    assert_eq!(event["Records"].as_array().map(Vec::len), Some(3));
    assert_eq!(meter.counts().on_failure_destination_delivered_event_count, 3);
}

#[tokio::test(start_paused = true)]
async fn a_crash_delivers_again_what_was_not_settled() {
    let mut bench = Bench::new(|_, _| well()).with(|settings| settings.batch_size = 2).records(6);
    Arc::get_mut(&mut bench.function).unwrap().lasts = Duration::from_secs(10);
    let (_stop, stopped) = watch::channel(false);
    // Dropped in the middle of the second invocation.
    let crashed = tokio::time::timeout(Duration::from_secs(15), bench.mapping().run(stopped)).await;
    assert!(crashed.is_err());
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[12] [34] [34] [56]");
}

#[tokio::test(start_paused = true)]
async fn latest_skips_what_was_there_and_reads_later_shards_from_their_beginning() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.starting_position = StartingPosition::Latest);
    let bench = bench.records(3);
    bench.run_for(Duration::from_secs(1)).await;
    // Written while no mapping runs: the place is remembered.
    bench.stream.push("s", record(4, 4, START_MICROS));
    bench.stream.open("a", &["s"]);
    bench.stream.push("a", record(5, 5, START_MICROS));
    bench.stream.close("s");
    bench.run_for(LONG).await;
    assert_eq!(bench.trace(), "[4] [5]");
}

#[tokio::test(start_paused = true)]
async fn a_trimmed_gap_is_counted_and_read_past() {
    let bench = Bench::new(|_, _| well()).records(3);
    bench.run_for(Duration::from_secs(1)).await;
    (4..=9).for_each(|number| bench.stream.push("s", record(number, number, START_MICROS)));
    bench.stream.trim("s", 6);
    let counts = bench.run_for(LONG).await;
    assert_eq!((bench.trace().as_str(), counts.trimmed_gaps), ("[123] [789]", 1));
}

#[tokio::test(start_paused = true)]
async fn a_lagging_checkpoint_delivers_settled_records_again() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.batch_size = 2).records(6);
    bench.run_for(Duration::from_secs(1)).await;
    bench.checkpoints.lock().unwrap().rewind(2).unwrap();
    bench.run_for(Duration::from_secs(1)).await;
    assert_eq!(bench.trace(), "[12] [34] [56] [34] [56]");
}

#[tokio::test(start_paused = true)]
async fn a_split_shard_is_read_without_pauses_between_pages() {
    let bench = Bench::new(|_, _| well()).with(|settings| settings.batch_size = 10_000);
    let sharded = ShardedStream::open(bench.stream.clone(), None, 1).unwrap();
    sharded.reshard(4).await.unwrap();
    let spread = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (1..=20_000).for_each(|number| bench.stream.push("s", record(number, spread(number), START_MICROS)));
    let mut mapping = Arc::into_inner(bench.mapping()).unwrap();
    mapping.source = Arc::new(sharded);
    let (meter, (stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    let running = tokio::spawn(Arc::new(mapping).run(stopped));
    // The shard before the split, the listing that shows its children, and then 20 pages each without a pause.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    assert_eq!(meter.counts().invoked_event_count, 20_000);
}

#[test]
fn a_checkpoint_file_of_an_unknown_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.json");
    // A later version may differ in more than its number.
    for rest in [format!(r#""stream_arn":"{ARN}","mapping_uuid":"u","shards":{{}}"#), r#""streams":[]"#.to_owned()] {
        let text = format!(r#"{{"version":2,{rest}}}"#);
        std::fs::write(&file, &text).unwrap();
        let error = Checkpoints::open(&file, ARN, "x").unwrap_err().to_string();
        let advice = "has format version 2, but this program reads version 1: run a newer version of this program, or delete the file to start over";
        assert!(error.ends_with(advice), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the file is left alone");
    }
}

#[test]
fn checkpoints_outlive_the_process_and_belong_to_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.json");
    let mut checkpoints = Checkpoints::open(&file, ARN, "first").unwrap();
    checkpoints.set("s", Checkpoint::After("9".to_owned())).unwrap();
    checkpoints.set("s", Checkpoint::After("10".to_owned())).unwrap();
    checkpoints.set("s", Checkpoint::After("9".to_owned())).unwrap();
    let again = Checkpoints::open(&file, ARN, "second").unwrap();
    assert_eq!(again.of("s"), Some(&Checkpoint::After("10".to_owned())), "never back");
    assert_eq!(again.mapping_uuid(), "first");
    assert!(Checkpoints::open(&file, "arn:another", "third").unwrap().is_empty());
    std::fs::write(&file, "{").unwrap();
    let refused = Checkpoints::open(&file, ARN, "x").unwrap_err();
    assert!(format!("{refused:#}").contains("delete it to start over"), "{refused:#}");
}
