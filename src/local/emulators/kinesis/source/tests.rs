//! The stream as the mapping and the function read it.

use std::num::NonZeroU32;

use serde_json::Value;

use super::*;
use usage_aggregator::decode;

struct Place {
    _folder: tempfile::TempDir,
    streams: Streams,
    source: KinesisSource,
}

const FIRST: &str = "shardId-000000000000";

fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_795_230_306_000_000 + micros).unwrap()
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let streams = Streams::open(folder.path()).unwrap();
    streams.create_stream("clicks", NonZeroU32::MIN, time(0)).unwrap();
    let source = KinesisSource::new(&streams, "clicks").unwrap();
    Place { _folder: folder, streams, source }
}

impl Place {
    fn put(&self, key: &str, micros: i64) {
        let data = format!(r#"{{"key":{}}}"#, Value::from(key));
        self.streams.put("clicks", key, data.as_bytes(), time(micros)).unwrap();
    }
}

#[tokio::test]
async fn a_record_is_as_lambda_delivers_it() {
    let place = place();
    place.put("7\"ä", 301_999);
    place.put("7\"ä", 2_000_000);
    let page = place.source.read(FIRST, &Position::TrimHorizon, 10).await.unwrap();
    insta::assert_snapshot!(page.records[0].json);
    assert!(
        page.records[1].json.contains(r#""approximateArrivalTimestamp":1795230308.000}"#),
        "{}",
        page.records[1].json
    );
    assert_eq!(page.records[0].created_at, time(301_999));
    assert_eq!(place.source.arn(), "arn:aws:kinesis:us-east-1:000000000000:stream/clicks");
    assert_eq!(place.source.kind(), StreamKind::Kinesis);
    // The function takes it for what it is.
    let event = format!(r#"{{"Records":[{}]}}"#, page.records[0].json);
    let event = decode::Event::read(event.as_bytes()).unwrap();
    let mut scratch = Vec::new();
    let record = event.records()[0].decode(&mut scratch).unwrap();
    assert_eq!(record.sequence, page.records[0].sequence);
    assert_eq!(record.source.name, "clicks");
    assert_eq!(record.created_at, time(301_000));
}

#[tokio::test]
async fn children_name_the_shard_that_was_split() {
    let place = place();
    let [low, high] = place.streams.split_shard("clicks", FIRST, None).unwrap();
    let shard = |id: &str, parents: &[&str]| Shard {
        id: id.to_owned(),
        parents: parents.iter().map(|id| (*id).to_owned()).collect(),
    };
    let shards = place.source.shards().await.unwrap();
    assert_eq!(shards, [shard(FIRST, &[]), shard(&low, &[FIRST]), shard(&high, &[FIRST])]);
}

#[tokio::test]
async fn positions_and_streams_that_dont_exist_are_errors() {
    let place = place();
    let foreign = Position::After(SequenceNumber::parse("123").unwrap());
    let error = place.source.read(FIRST, &foreign, 1).await.unwrap_err();
    assert_eq!(error.to_string(), "123 is not a valid sequence number of this stream");
    assert!(matches!(KinesisSource::new(&place.streams, "visits"), Err(StreamError::NotFound(_))));
}

#[tokio::test]
async fn records_with_one_partition_key_belong_to_one_item() {
    let place = place();
    ["a", "b", "a"].iter().for_each(|key| place.put(key, 0));
    let page = place.source.read(FIRST, &Position::TrimHorizon, 10).await.unwrap();
    let items: Vec<u64> = page.records.iter().map(|record| record.item).collect();
    assert!(items[0] == items[2] && items[0] != items[1]);
}
