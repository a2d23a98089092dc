//! Nothing is lost, whenever the process ends; the seed decides which records are repeated or overtaken.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tempfile::TempDir;

use super::*;
use crate::emulators::kinesis::KinesisSource;
use event_source_mapping::StreamKind;
use usage_aggregator::decode;
use usage_aggregator::record::{ChangeRecord, SequenceNumber, Value};

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-02T08:15:27.416";

fn time() -> Timestamp {
    Timestamp::from_seconds(1_795_230_305).unwrap()
}

/// The insertion of an item as the table's stream has it.
pub(crate) fn streamed(number: u64, item: u64) -> Arc<SourceRecord> {
    let json = format!(
        r#"{{"eventID":"{number:032x}","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{{"ApproximateCreationDateTime":1.795230305E9,"Keys":{{"pk":{{"N":"{item}"}}}},"NewImage":{{"pk":{{"N":"{item}"}},"number":{{"N":"{number}"}}}},"SequenceNumber":"{number}","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"{ARN}"}}"#
    );
    let sequence = SequenceNumber::parse(number.to_string()).unwrap();
    Arc::new(SourceRecord { sequence, item, created_at: time(), json })
}

/// What `look` returns for changes that came through Kinesis, each as its own record.
pub(crate) fn decoded_through_kinesis<T>(changes: &[String], look: impl Fn(&ChangeRecord<'_>) -> T) -> Vec<T> {
    let record = |(index, change): (usize, &String)| {
        let data = BASE64.encode(change);
        format!(
            r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"A","sequenceNumber":"49{index}","data":"{data}","approximateArrivalTimestamp":1795230306.123}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000000:49{index}","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::000000000000:role/r","awsRegion":"us-east-1","eventSourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders"}}"#
        )
    };
    let records: Vec<String> = changes.iter().enumerate().map(record).collect();
    decoded(&records, look)
}

fn decoded<T>(records: &[String], look: impl Fn(&ChangeRecord<'_>) -> T) -> Vec<T> {
    let event = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let event = decode::Event::read(event.as_bytes()).unwrap();
    let mut scratch = Vec::new();
    event.records().iter().map(|raw| look(&raw.decode(&mut scratch).unwrap())).collect()
}

/// A table's stream: a parent of 30 records and a child of 30, in pages of 7, with every third read of either refused.
struct Table {
    reads: Mutex<u32>,
}

#[async_trait::async_trait]
impl Source for Table {
    fn kind(&self) -> StreamKind {
        StreamKind::DynamoDb
    }

    fn arn(&self) -> &str {
        ARN
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        let shard = |id: &str, parents: &[&str]| Shard {
            id: id.to_owned(),
            parents: parents.iter().map(|id| (*id).to_owned()).collect(),
        };
        // The child first; and a parent of old that is gone.
        Ok(vec![shard("child", &["parent"]), shard("parent", &["gone"]), shard("trimmed", &[])])
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let reads = {
            let mut reads = self.reads.lock().unwrap();
            *reads += 1;
            *reads
        };
        match reads % 6 {
            2 => return Err(ReadError::Expired),
            5 => return Err(ReadError::Throttled),
            _ => {}
        }
        let (first, closed) = match shard {
            "parent" => (101, true),
            "child" => (201, false),
            _ => return Err(ReadError::Gone),
        };
        let start = match position {
            Position::After(sequence) => sequence.as_str().parse::<u64>().unwrap() + 1,
            _ => first,
        };
        let end = first + 30;
        let numbers = start..end.min(start + 7).min(start + u64::try_from(limit).unwrap());
        let records: Vec<_> = numbers.map(|number| streamed(number, number % 10)).collect();
        let next = records.last().map_or_else(|| position.clone(), |record| Position::After(record.sequence.clone()));
        let end = match (start + 7 < end, closed) {
            (true, _) => PageEnd::MoreAvailable,
            (false, true) => PageEnd::ShardEnd,
            (false, false) => PageEnd::CaughtUp,
        };
        Ok(Page { records, next, end })
    }
}

struct Place {
    folder: TempDir,
    streams: Streams,
    source: Arc<Table>,
}

fn place(shards: u32) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(&folder.path().join("kinesis")).unwrap();
    streams.create_stream("orders", NonZeroU32::new(shards).unwrap(), time()).unwrap();
    Place { folder, streams, source: Arc::new(Table { reads: Mutex::default() }) }
}

impl Place {
    fn positions(&self) -> std::path::PathBuf {
        self.folder.path().join("positions.json")
    }

    fn replicator(&self) -> Replicator {
        let source = Arc::clone(&self.source);
        Replicator::open(source, &self.streams, "orders", Precision::Microsecond, &self.positions()).unwrap()
    }

    /// Copies until nothing came for as many steps as reads may be refused in a row.
    async fn copy_all(&self, disturbance: Disturbance) -> Copied {
        let (mut replicator, mut all, mut idle) = (self.replicator(), Copied::default(), 0);
        while idle < 6 {
            let copied = replicator.step(time(), disturbance).await.unwrap();
            idle = if copied.records == 0 { idle + 1 } else { 0 };
            (all.records, all.puts) = (all.records + copied.records, all.puts + copied.puts);
        }
        all
    }

    /// The item and the number of each change that the function sees, shard by shard.
    async fn arrived(&self) -> Vec<Vec<(u64, u64)>> {
        let source = KinesisSource::new(&self.streams, "orders").unwrap();
        let mut shards = Vec::new();
        for shard in source.shards().await.unwrap() {
            let page = source.read(&shard.id, &Position::TrimHorizon, 10_000).await.unwrap();
            let records: Vec<String> = page.records.iter().map(|record| record.json.clone()).collect();
            let number =
                |record: &ChangeRecord<'_>, name: &str| match record.newest_image().item().unwrap().attribute(name) {
                    Some(Value::N(number)) => number.to_string().parse().unwrap(),
                    other => panic!("{other:?}"),
                };
            shards.push(decoded(&records, |record| (number(record, "pk"), number(record, "number"))));
        }
        shards
    }
}

fn all_numbers() -> BTreeSet<u64> {
    (101..131).chain(201..231).collect()
}

#[tokio::test]
async fn undisturbed_changes_are_put_once_in_order_and_each_item_in_one_shard() {
    let place = place(4);
    assert_eq!(place.copy_all(Disturbance::default()).await, Copied { records: 60, puts: 60, ..Copied::default() });
    let shards = place.arrived().await;
    assert!(shards.iter().filter(|shard| !shard.is_empty()).count() > 1);
    for item in 0..10 {
        let with_item: Vec<Vec<u64>> = shards
            .iter()
            .map(|shard| shard.iter().filter(|(of, _)| *of == item).map(|(_, number)| *number).collect())
            .filter(|numbers: &Vec<u64>| !numbers.is_empty())
            .collect();
        assert_eq!(with_item.len(), 1, "{item}");
        assert!(with_item[0].len() == 6 && with_item[0].is_sorted(), "{with_item:?}");
    }
    // Nothing more comes, in this process or the next.
    assert_eq!(place.copy_all(Disturbance::default()).await, Copied::default());
}

#[tokio::test]
async fn a_change_that_is_too_large_for_the_stream_is_left_out_as_in_aws() {
    let place = place(1);
    let small = streamed(1, 1);
    let text = format!(r#""N":"2"}},"text":{{"S":"{}"}}}},"SequenceNumber""#, "x".repeat(1_100_000));
    let json = streamed(2, 2).json.replace(r#""N":"2"}},"SequenceNumber""#, &text);
    assert!(json.len() > 1_100_000);
    let large = Arc::new(SourceRecord { json, ..SourceRecord::clone(&streamed(2, 2)) });
    let page = Page { records: vec![large, small], next: Position::TrimHorizon, end: PageEnd::CaughtUp };
    place.replicator().put(&page, time(), Disturbance::default()).await.unwrap();
    assert_eq!(place.arrived().await.concat(), [(1, 1)]);
}

#[tokio::test]
async fn a_process_that_dies_before_saving_its_position_repeats_changes_and_loses_none() {
    let place = place(2);
    let mut died = 0;
    for _ in 0..40 {
        let before = std::fs::read(place.positions()).ok();
        place.replicator().step(time(), Disturbance::default()).await.unwrap();
        // Every other process dies before its position is written.
        if died < 15 {
            died += 1;
            match (&before, died % 2) {
                (Some(before), 0) => std::fs::write(place.positions(), before).unwrap(),
                (None, 0) => std::fs::remove_file(place.positions()).unwrap(),
                _ => {}
            }
        }
    }
    let arrived: Vec<u64> = place.arrived().await.concat().into_iter().map(|(_, number)| number).collect();
    assert_eq!(arrived.iter().copied().collect::<BTreeSet<_>>(), all_numbers());
    assert!(arrived.len() > 60);
}

#[tokio::test]
async fn no_disturbed_change_is_lost_and_a_seed_disturbs_the_same_changes() {
    let disturbance = Disturbance { seed: 7, repeat_percent: 20, swap_percent: 30 };
    let (first, second, other) = (place(1), place(1), place(1));
    let copied = first.copy_all(disturbance).await;
    assert!(copied.records == 60 && copied.puts > 60, "{copied:?}");
    assert_eq!(second.copy_all(disturbance).await, copied);
    other.copy_all(Disturbance { seed: 8, ..disturbance }).await;
    let numbers =
        async |place: &Place| place.arrived().await.concat().into_iter().map(|(_, n)| n).collect::<Vec<u64>>();
    let arrived = numbers(&first).await;
    assert_eq!(arrived.iter().copied().collect::<BTreeSet<_>>(), all_numbers());
    assert!(!arrived.is_sorted());
    assert_eq!(arrived, numbers(&second).await);
    assert_ne!(arrived, numbers(&other).await);
}

#[test]
fn at_most_four_records_overtake_one() {
    let records: Vec<_> = (1..=500).map(|number| streamed(number, number)).collect();
    let number = |record: &Arc<SourceRecord>| record.sequence.as_str().parse::<u64>().unwrap();
    let swapped = disturb(&records, Disturbance { seed: 1, repeat_percent: 0, swap_percent: 10 });
    assert_eq!(swapped.iter().map(number).collect::<BTreeSet<_>>().len(), 500);
    let overtaken: Vec<usize> = (0..500)
        .map(|at| swapped[..at].iter().filter(|earlier| number(earlier) > number(&swapped[at])).count())
        .collect();
    let count = overtaken.iter().filter(|by| **by > 0).count();
    assert!(*overtaken.iter().max().unwrap() <= 4 && (20..80).contains(&count), "{count}");
    let repeated = disturb(&records, Disturbance { seed: 1, repeat_percent: 10, swap_percent: 0 });
    assert!((520..580).contains(&repeated.len()), "{}", repeated.len());
    let always = disturb(&records, Disturbance { seed: 1, repeat_percent: 100, swap_percent: 0 });
    assert_eq!(always.len(), 1000);
    assert_eq!(disturb(&records, Disturbance { seed: 1, ..Disturbance::default() }).len(), 500);
}

#[tokio::test]
async fn opening_fails_if_the_stream_does_not_exist() {
    let place = place(1);
    let source = Arc::clone(&place.source);
    let open = |stream: &str| {
        Replicator::open(source.clone(), &place.streams, stream, Precision::Millisecond, &place.positions())
    };
    assert!(open("orders").is_ok());
    let error = open("clicks").err().unwrap().to_string();
    assert_eq!(error, "stream clicks not found in account 000000000000: create it first");
}

#[tokio::test(start_paused = true)]
async fn a_running_replicator_copies_whatever_comes() {
    let place = place(1);
    let mut replicator = place.replicator();
    let running = replicator.run(Duration::from_millis(250), time, Disturbance::default, |_| {});
    let all_arrived = async {
        while place.arrived().await.concat().len() < 60 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        ended = running => panic!("{ended:?}"),
        () = all_arrived => {}
    }
}

#[tokio::test]
async fn a_disturbance_can_start_and_end_during_a_run() {
    let place = place(1);
    let mut replicator = place.replicator();
    let always = Disturbance { seed: 1, repeat_percent: 100, swap_percent: 0 };
    let mut repeated = Vec::new();
    for disturbance in [Disturbance::default(), always, Disturbance::default()] {
        let mut copied = Copied::default();
        while copied.records == 0 {
            copied = replicator.step(time(), disturbance).await.unwrap();
        }
        repeated.push(copied.puts - copied.records);
    }
    assert_eq!(repeated, [0, 7, 0]);
}
