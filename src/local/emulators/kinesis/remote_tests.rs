//! A stream read through the SDK and in the process.

use std::num::NonZeroU32;

use crate::emulators::kinesis::{KinesisSource, Streams};
use crate::emulators::{Services, sdk_config};
use event_source_mapping::sources::RemoteKinesis;
use event_source_mapping::sources::{Gap, read_range};
use event_source_mapping::{Position, Source, SourceRecord};
use stream_types::Timestamp;

const NAME: &str = "clicks";

fn put(streams: &Streams, number: i64) {
    let now = Timestamp::from_micros(1_789_651_658_250_123 + number).unwrap();
    streams.put(NAME, "key \"1\"", format!("{{\"n\":{number}}}").as_bytes(), now).unwrap();
}

fn content(record: &SourceRecord) -> serde_json::Value {
    let mut json: serde_json::Value = serde_json::from_str(&record.json).unwrap();
    json["invokeIdentityArn"] = serde_json::Value::Null;
    json
}

#[tokio::test]
async fn records_are_the_same_as_in_the_process_and_a_range_can_be_read_again() {
    let services = Services::start(None).unwrap();
    let now = Timestamp::from_seconds(1_789_651_600).unwrap();
    services.streams().create_stream(NAME, NonZeroU32::MIN, now).unwrap();
    (0..25).for_each(|number| put(services.streams(), number));
    let embedded = KinesisSource::new(services.streams(), NAME).unwrap();
    let client = services.kinesis_client(&sdk_config(None));
    let remote = RemoteKinesis::new(client, embedded.arn());
    assert_eq!(remote.shards().await.unwrap(), embedded.shards().await.unwrap());
    let shard = remote.shards().await.unwrap().remove(0).id;

    let mut position = Position::TrimHorizon;
    for _ in 0..3 {
        let pages =
            [remote.read(&shard, &position, 10).await.unwrap(), embedded.read(&shard, &position, 10).await.unwrap()];
        let [one, other] =
            pages.each_ref().map(|page| page.records.iter().map(|record| content(record)).collect::<Vec<_>>());
        assert_eq!(one, other);
        assert_eq!(
            (pages[0].records[0].created_at.micros() / 1_000, &pages[0].next, pages[0].end),
            (pages[1].records[0].created_at.micros() / 1_000, &pages[1].next, pages[1].end)
        );
        position = pages[0].next.clone();
    }

    let records = embedded.read(&shard, &Position::TrimHorizon, 100).await.unwrap().records;
    let range = read_range(&remote, &shard, &records[3].sequence, &records[20].sequence).await.unwrap();
    assert_eq!((range.records.len(), range.gap), (18, Gap::None));
    let gone = read_range(&remote, "shardId-000000000007", &records[3].sequence, &records[3].sequence).await.unwrap();
    assert_eq!(gone.gap, Gap::ShardGone);
}
