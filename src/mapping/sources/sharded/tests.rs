//! A resharded stream: every record is in exactly one shard, and items are in order from parent to child.

use super::*;
use crate::sources::MemoryStream;
use stream_types::Timestamp;

fn record(number: u64) -> SourceRecord {
    SourceRecord {
        sequence: SequenceNumber::parse((1_000 + number).to_string()).unwrap(),
        item: number.wrapping_mul(0x9E37_79B9_7F4A_7C15),
        created_at: Timestamp::from_seconds(1_795_219_200).unwrap(),
        json: "{}".to_owned(),
    }
}

fn stream() -> Arc<MemoryStream> {
    let stream = MemoryStream::new(StreamKind::DynamoDb, "arn");
    stream.open("only", &[]);
    Arc::new(stream)
}

/// Reads a shard a few records at a time until it has no more. Returns the records' numbers, and whether it is closed.
async fn drain(stream: &ShardedStream, shard: &str) -> (Vec<u64>, bool) {
    let (mut position, mut numbers) = (Position::TrimHorizon, Vec::new());
    loop {
        let page = stream.read(shard, &position, 3).await.unwrap();
        numbers.extend(page.records.iter().map(|record| record.sequence.as_str().parse::<u64>().unwrap() - 1_000));
        if page.end != PageEnd::MoreAvailable {
            return (numbers, page.end == PageEnd::ShardEnd);
        }
        position = page.next;
    }
}

#[tokio::test]
async fn after_splits_and_merges_every_record_is_in_exactly_one_shard() {
    let inner = stream();
    let sharded = ShardedStream::open(inner.clone(), None, 1).unwrap();
    for (records, shards) in [(0..20, 3), (20..40, 2), (40..60, 5), (60..60, 1)] {
        records.for_each(|number| inner.push("only", record(number)));
        sharded.reshard(shards).await.unwrap();
    }
    inner.push("only", record(60));
    let mut seen = Vec::new();
    let shards = sharded.shards().await.unwrap();
    assert_eq!(shards.len(), 1 + 3 + 2 + 5 + 1);
    for shard in &shards {
        let (numbers, closed) = drain(&sharded, &shard.id).await;
        assert!(numbers.is_sorted());
        assert_eq!(closed, shard.id != shards.last().unwrap().id, "{}", shard.id);
        seen.extend(numbers);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..=60).collect::<Vec<u64>>());
    assert_eq!(shards.last().unwrap().parents.len(), 5, "a merged shard has all of its parents");
    assert_eq!(shards[1].parents, [shards[0].id.clone()]);
}

#[tokio::test]
async fn saved_shards_belong_to_one_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shards.json");
    let inner = stream();
    inner.push("only", record(1));
    let sharded = ShardedStream::open(inner.clone(), Some(&file), 1).unwrap();
    sharded.reshard(4).await.unwrap();
    let again = ShardedStream::open(inner, Some(&file), 1).unwrap();
    assert_eq!(again.shards().await.unwrap(), sharded.shards().await.unwrap());
    let other = MemoryStream::new(StreamKind::DynamoDb, "another");
    other.open("only", &[]);
    let other = ShardedStream::open(Arc::new(other), Some(&file), 1).unwrap();
    assert_eq!(other.shards().await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_empty_stream_can_be_split() {
    let inner = stream();
    let sharded = ShardedStream::open(inner.clone(), None, 1).unwrap();
    sharded.reshard(2).await.unwrap();
    inner.push("only", record(1));
    let shards = sharded.shards().await.unwrap();
    assert_eq!(drain(&sharded, &shards[0].id).await, (vec![], true));
    let children = [drain(&sharded, &shards[1].id).await.0, drain(&sharded, &shards[2].id).await.0].concat();
    assert_eq!(children, [1]);
}

#[tokio::test]
async fn reads_fail_as_often_as_configured() {
    let sharded = ShardedStream::open(stream(), None, 1).unwrap();
    sharded.set_read_faults(ReadFaults { expired_percent: 30, throttled_percent: 30 });
    let shard = sharded.shards().await.unwrap().remove(0).id;
    let mut counts = [0; 3];
    for _ in 0..300 {
        match sharded.read(&shard, &Position::TrimHorizon, 1).await {
            Ok(_) => counts[0] += 1,
            Err(ReadError::Expired) => counts[1] += 1,
            Err(ReadError::Throttled) => counts[2] += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(counts.iter().all(|count| *count > 60), "{counts:?}");
}
