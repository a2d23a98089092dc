//! A stream of a Kinesis that runs elsewhere, read through the SDK. A mapping on this machine reads its own in the process;
//! this is for who reads a range again.

use std::sync::Arc;

use anyhow::Context;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::hash;
use super::source::Message;
use crate::local::mapping::{Page, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use crate::local::sources::{Iterators, read_error};
use crate::record::SequenceNumber;
use crate::time::Timestamp;

/// The stream of one ARN, of which nobody has asked yet whether it is there.
#[derive(Debug)]
pub struct RemoteKinesis {
    client: Client,
    arn: String,
    region: String,
    /// Of whoever reads; the mapping's own isn't known here.
    role: String,
    iterators: Iterators,
}

impl RemoteKinesis {
    pub fn of_arn(client: Client, arn: &str) -> RemoteKinesis {
        // arn:aws:kinesis:us-east-1:123456789012:stream/alleycat
        let part = |place| arn.split(':').nth(place).unwrap_or_default();
        let (region, role) = (part(3).to_owned(), format!("arn:aws:iam::{}:role/redrive", part(4)));
        RemoteKinesis { client, arn: arn.to_owned(), region, role, iterators: Iterators::default() }
    }

    async fn iterator(&self, shard: &str, position: &Position) -> Result<Option<String>, ReadError> {
        if let Some(iterator) = self.iterators.take(shard, position) {
            return Ok(Some(iterator));
        }
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard);
        let request = match position {
            Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            Position::Latest => request.shard_iterator_type(ShardIteratorType::Latest),
            Position::AtTimestamp(time) => request
                .shard_iterator_type(ShardIteratorType::AtTimestamp)
                .timestamp(aws_sdk_kinesis::primitives::DateTime::from_millis(time.micros() / 1_000)),
            Position::At(sequence) => request
                .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
                .starting_sequence_number(sequence.as_str()),
            Position::After(sequence) => request
                .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                .starting_sequence_number(sequence.as_str()),
        };
        let answer = request.send().await.map_err(|error| read_error(error.into_service_error()))?;
        Ok(answer.shard_iterator)
    }

    fn record(&self, shard: &str, record: &Record) -> anyhow::Result<Arc<SourceRecord>> {
        let number = record.sequence_number();
        let sequence =
            SequenceNumber::parse(number.to_owned()).with_context(|| format!("{number} is no sequence number"))?;
        let arrived = record.approximate_arrival_timestamp().context("the record has no time of arrival")?;
        let micros = i64::try_from(arrived.as_nanos() / 1_000)?;
        let created_at =
            Timestamp::from_micros(micros).with_context(|| format!("record {sequence} has no usable time"))?;
        // Streams that distribute records by themselves may have no key.
        let (key, data) = (record.partition_key().unwrap_or_default(), BASE64.encode(record.data().as_ref()));
        let message = Message { arn: &self.arn, region: &self.region, role: &self.role, key, data: &data };
        let json = message.json(shard, &sequence, micros)?;
        Ok(Arc::new(SourceRecord { sequence, item: hash::item(key), created_at, json }))
    }
}

#[async_trait::async_trait]
impl Source for RemoteKinesis {
    fn kind(&self) -> StreamKind {
        StreamKind::Kinesis
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        let mut shards = Vec::new();
        let mut token = None;
        loop {
            // A token stands for the stream that it is of.
            let arn = token.is_none().then(|| self.arn.clone());
            let request = self.client.list_shards().set_stream_arn(arn).set_next_token(token);
            let answer = request.send().await.context("list the shards (kinesis:ListShards)")?;
            let listed = answer.shards.unwrap_or_default().into_iter();
            shards.extend(listed.map(|shard| Shard {
                id: shard.shard_id,
                parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
            }));
            token = answer.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let closed = Page { records: Vec::new(), next: position.clone(), closed: true };
        let Some(iterator) = self.iterator(shard, position).await? else { return Ok(closed) };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let request = self.client.get_records().shard_iterator(iterator).stream_arn(&self.arn).limit(limit);
        let answer = request.send().await.map_err(|error| read_error(error.into_service_error()))?;
        let records: Vec<_> =
            answer.records().iter().map(|record| self.record(shard, record)).collect::<anyhow::Result<_>>()?;
        let next = records.last().map_or_else(|| position.clone(), |last| Position::After(last.sequence.clone()));
        let closed = answer.next_shard_iterator.is_none();
        if let Some(iterator) = answer.next_shard_iterator {
            self.iterators.keep(shard, &next, iterator);
        }
        Ok(Page { records, next, closed })
    }
}

#[cfg(test)]
mod tests {
    //! The same stream through the SDK and in the process.

    use std::num::NonZeroU32;

    use super::*;
    use crate::local::kinesis::{KinesisSource, Streams};
    use crate::local::sources::{Gap, read_range};
    use crate::local::{Services, sdk_config};

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
        let remote = RemoteKinesis::of_arn(client, embedded.arn());
        assert_eq!(remote.shards().await.unwrap(), embedded.shards().await.unwrap());
        let shard = remote.shards().await.unwrap().remove(0).id;

        let mut position = Position::TrimHorizon;
        for _ in 0..3 {
            let pages = [
                remote.read(&shard, &position, 10).await.unwrap(),
                embedded.read(&shard, &position, 10).await.unwrap(),
            ];
            let [one, other] =
                pages.each_ref().map(|page| page.records.iter().map(|record| content(record)).collect::<Vec<_>>());
            assert_eq!(one, other);
            assert_eq!(
                (pages[0].records[0].created_at.micros() / 1_000, &pages[0].next, pages[0].closed),
                (pages[1].records[0].created_at.micros() / 1_000, &pages[1].next, false)
            );
            position = pages[0].next.clone();
        }
        assert!(remote.read(&shard, &Position::Latest, 10).await.unwrap().records.is_empty());

        let records = embedded.read(&shard, &Position::TrimHorizon, 100).await.unwrap().records;
        let range = read_range(&remote, &shard, &records[3].sequence, &records[20].sequence).await.unwrap();
        assert_eq!((range.records.len(), range.gap), (18, Gap::None));
        let gone =
            read_range(&remote, "shardId-000000000007", &records[3].sequence, &records[3].sequence).await.unwrap();
        assert_eq!(gone.gap, Gap::ShardGone);
        // A closed shard ends.
        services.streams().split_shard(NAME, &shard, None).unwrap();
        assert!(remote.read(&shard, &position, 10).await.unwrap().closed);
    }
}
