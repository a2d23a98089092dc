//! Shards, checkpoints, and streams that change while no mapping runs.

use super::*;
use crate::sources::ShardedStream;

/// The shard of each delivery, which the hundreds of its items identify.
fn order(fixture: &Fixture) -> Vec<u64> {
    fixture.deliveries().iter().map(|delivery| delivery.items[0] / 100).collect()
}

fn fill(fixture: &Fixture, shard: &str, hundred: u64, records: u64) {
    (0..records).for_each(|number| fixture.stream.push(shard, record(hundred * 100 + number, number, START_MICROS)));
}

#[tokio::test(start_paused = true)]
async fn parents_run_first_then_children_in_parallel_then_their_merged_child() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.batch_size = 1);
    fill(&fixture, "s", 1, 3);
    for (id, parents, hundred) in [("a", &["s"][..], 2), ("b", &["s"], 3), ("m", &["a", "b"], 4)] {
        fixture.stream.open(id, parents);
        fill(&fixture, id, hundred, 4);
    }
    ["s", "a", "b"].iter().for_each(|id| fixture.stream.close(id));
    fixture.run_for(LONG).await;
    let order = order(&fixture);
    assert_eq!(order.len(), 15);
    assert_eq!(order[..3], [1, 1, 1]);
    let children = &order[3..11];
    assert!(
        !children.is_sorted() && !children.iter().rev().is_sorted(),
        "the children ran one after the other: {children:?}"
    );
    assert_eq!(order[11..], [4, 4, 4, 4]);
    assert_eq!([fixture.checkpoint("s"), fixture.checkpoint("b")], [Some(Checkpoint::End), Some(Checkpoint::End)]);
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_for_a_parent_that_keeps_failing() {
    let fixture = Fixture::new(fails_on(101));
    fill(&fixture, "s", 1, 3);
    fixture.stream.open("a", &["s"]);
    fill(&fixture, "a", 2, 3);
    fixture.stream.close("s");
    fixture.run_for(LONG).await;
    assert!(order(&fixture).iter().all(|shard| *shard == 1));
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_parent_that_no_longer_exists_is_read() {
    let fixture = Fixture::new(|_, _| success());
    fixture.stream.open("a", &["trimmed-long-ago"]);
    fill(&fixture, "a", 2, 1);
    fixture.run_for(LONG).await;
    assert_eq!(order(&fixture), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_mapping_continues_where_it_was() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.batch_size = 2).records(5);
    fixture.run_for(Duration::from_secs(1)).await;
    (6..=8).for_each(|number| fixture.stream.push("s", record(number, number, START_MICROS)));
    fixture.run_for(Duration::from_secs(1)).await;
    assert_eq!(fixture.trace(), "[12] [34] [5] [67] [8]");
}

#[tokio::test(start_paused = true)]
async fn a_stop_delivers_no_batch_that_waits_for_its_window() {
    let fixture =
        Fixture::new(|_, _| success()).with(|settings| settings.batching_window = Duration::from_secs(5)).records(1);
    // Repeated, because either the shard's reader or its lane may see the stop first.
    for _ in 0..20 {
        fixture.run_for(Duration::from_secs(1)).await;
        assert_eq!((fixture.trace().as_str(), fixture.checkpoint("s")), ("", Some(Checkpoint::TrimHorizon)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_receives_discarded_events() {
    let fixture = Fixture::new(fails_on(2)).with(|settings| settings.maximum_retry_attempts = Some(0)).records(3);
    let (sender, mut discarded) = tokio::sync::mpsc::unbounded_channel();
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.destination = Some(Destination::Channel(sender));
    let mapping = Arc::new(mapping);
    let (meter, (_stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    assert!(tokio::time::timeout(LONG, mapping.run(stopped)).await.is_err());
    let event: Value = serde_json::from_str(&discarded.recv().await.unwrap()).unwrap();
    assert_eq!(event["Records"].as_array().map(Vec::len), Some(3));
    assert_eq!(meter.counts().on_failure_destination_delivered_event_count, 3);
}

#[tokio::test(start_paused = true)]
async fn a_crash_redelivers_records_that_were_not_settled() {
    let mut fixture = Fixture::new(|_, _| success()).with(|settings| settings.batch_size = 2).records(6);
    Arc::get_mut(&mut fixture.function).unwrap().duration = Duration::from_secs(10);
    let (_stop, stopped) = watch::channel(false);
    // Dropped in the middle of the second invocation.
    let crashed = tokio::time::timeout(Duration::from_secs(15), fixture.mapping().run(stopped)).await;
    assert!(crashed.is_err());
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[12] [34] [34] [56]");
}

#[tokio::test(start_paused = true)]
async fn latest_skips_existing_records_and_reads_later_shards_from_their_beginning() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.starting_position = StartingPosition::Latest);
    let fixture = fixture.records(3);
    fixture.run_for(Duration::from_secs(1)).await;
    // Written while no mapping runs.
    fixture.stream.push("s", record(4, 4, START_MICROS));
    fixture.stream.open("a", &["s"]);
    fixture.stream.push("a", record(5, 5, START_MICROS));
    fixture.stream.close("s");
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[4] [5]");
}

/// The checkpoint of an empty stream used to stay at LATEST, which the next run applied again.
#[tokio::test(start_paused = true)]
async fn latest_of_an_empty_stream_is_remembered() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.starting_position = StartingPosition::Latest);
    fixture.run_for(Duration::from_secs(1)).await;
    fixture.checkpoints.lock().unwrap().rewind(9).unwrap();
    // Written while no mapping runs.
    fixture.stream.push("s", record(4, 4, START_MICROS));
    fixture.run_for(LONG).await;
    assert_eq!(fixture.trace(), "[4]");
}

/// A stream that answers a read at LATEST with what has just been written, as over HTTP.
struct Busy(Arc<MemoryStream>);

#[async_trait::async_trait]
impl Source for Busy {
    fn kind(&self) -> StreamKind {
        self.0.kind()
    }

    fn arn(&self) -> &str {
        self.0.arn()
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        self.0.shards().await
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let start = if *position == Position::Latest { &Position::TrimHorizon } else { position };
        self.0.read(shard, start, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_record_after_latest_is_remembered_while_it_fails() {
    let fixture = Fixture::new(fails_on(1)).with(|settings| settings.starting_position = StartingPosition::Latest);
    let fixture = fixture.records(2);
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.source = Arc::new(Busy(fixture.stream.clone()));
    let (_stop, stopped) = watch::channel(false);
    assert!(tokio::time::timeout(LONG, Arc::new(mapping).run(stopped)).await.is_err());
    assert_eq!(fixture.checkpoint("s"), Some(Checkpoint::At(sequence(1))));
}

#[tokio::test(start_paused = true)]
async fn trimmed_records_are_counted_and_the_rest_is_read() {
    let fixture = Fixture::new(|_, _| success()).records(3);
    fixture.run_for(Duration::from_secs(1)).await;
    (4..=9).for_each(|number| fixture.stream.push("s", record(number, number, START_MICROS)));
    fixture.stream.trim("s", 6);
    let counts = fixture.run_for(LONG).await;
    assert_eq!((fixture.trace().as_str(), counts.trimmed_gaps), ("[123] [789]", 1));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_not_saved_redelivers_settled_records() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.batch_size = 2).records(6);
    fixture.run_for(Duration::from_secs(1)).await;
    fixture.checkpoints.lock().unwrap().rewind(2).unwrap();
    fixture.run_for(Duration::from_secs(1)).await;
    assert_eq!(fixture.trace(), "[12] [34] [56] [34] [56]");
}

#[tokio::test(start_paused = true)]
async fn a_split_shard_is_read_without_pauses_between_pages() {
    let fixture = Fixture::new(|_, _| success()).with(|settings| settings.batch_size = 10_000);
    let sharded = ShardedStream::open(fixture.stream.clone(), None, 1).unwrap();
    sharded.reshard(4).await.unwrap();
    let spread = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (1..=20_000).for_each(|number| fixture.stream.push("s", record(number, spread(number), START_MICROS)));
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.source = Arc::new(sharded);
    let (meter, (stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    let running = tokio::spawn(Arc::new(mapping).run(stopped));
    // One listing interval until the children are read, and then 20 pages each without pauses.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    assert_eq!(meter.counts().invoked_event_count, 20_000);
}

/// A stream that can be taken away, as a table's whose stream is disabled, or whose endpoint is stopped.
struct Fragile {
    stream: Arc<MemoryStream>,
    error: Mutex<Option<fn() -> ReadError>>,
}

impl Fragile {
    fn check(&self) -> Result<(), ReadError> {
        self.error.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }
}

#[async_trait::async_trait]
impl Source for Fragile {
    fn kind(&self) -> StreamKind {
        self.stream.kind()
    }

    fn arn(&self) -> &str {
        self.stream.arn()
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        self.stream.shards().await
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        self.check()?;
        self.stream.read(shard, position, limit).await
    }
}

/// It used to look as if nothing waited.
#[tokio::test(start_paused = true)]
async fn regression_a_stream_that_is_gone_may_have_records_that_nobody_reads() {
    let fixture = Fixture::new(|_, _| success()).records(3);
    let stream = Arc::new(Fragile { stream: Arc::clone(&fixture.stream), error: Mutex::default() });
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.source = stream.clone();
    let (mapping, (stop, stopped)) = (Arc::new(mapping), watch::channel(false));
    let running = tokio::spawn(Arc::clone(&mapping).run(stopped));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!mapping.meter.progress().more_unread);
    *stream.error.lock().unwrap() = Some(|| ReadError::Gone);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (progress, counts) = (mapping.meter.progress(), mapping.meter.counts());
    assert_eq!((progress.stream_gone, progress.more_unread), (true, true), "{progress:#?}");
    assert_eq!((counts.gone_shards, counts.shards_finished, counts.distinct_processed), (1, 0, 3));
    stop.send_replace(true);
    running.await.unwrap().unwrap();
    assert!(mapping.has_unread().await);
}

/// Failed reads were counted nowhere.
#[tokio::test(start_paused = true)]
async fn regression_reads_that_fail_are_counted_and_reported_until_one_succeeds() {
    let fixture = Fixture::new(|_, _| success()).records(3);
    let stream = Arc::new(Fragile { stream: Arc::clone(&fixture.stream), error: Mutex::default() });
    let mut mapping = Arc::into_inner(fixture.mapping()).unwrap();
    mapping.source = stream.clone();
    let (meter, (stop, stopped)) = (Arc::clone(&mapping.meter), watch::channel(false));
    let running = tokio::spawn(Arc::new(mapping).run(stopped));
    *stream.error.lock().unwrap() = Some(|| ReadError::Other(anyhow::anyhow!("connection refused")));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let progress = meter.progress();
    assert_eq!((progress.read_error.as_deref(), progress.more_unread), (Some("connection refused"), true));
    assert!(meter.counts().failed_reads > 1, "{:#?}", meter.counts());
    *stream.error.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!((meter.progress(), meter.counts().distinct_processed), (Progress::default(), 3));
    stop.send_replace(true);
    running.await.unwrap().unwrap();
}
