//! A Kinesis stream, read through the AWS SDK.

use std::sync::Arc;

use anyhow::Context;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Iterators, KinesisMessage, read_error};
use crate::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// A Kinesis stream, read through the AWS SDK.
#[derive(Debug)]
pub struct RemoteKinesis {
    client: Client,
    arn: String,
    region: String,
    /// Stands for the function's execution role, which is not known here.
    role: String,
    iterators: Iterators,
}

impl RemoteKinesis {
    /// The stream with this ARN. Whether it exists is not checked.
    pub fn new(client: Client, arn: &str) -> RemoteKinesis {
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
        let response = request.send().await.map_err(|error| read_error(error.into_service_error()))?;
        Ok(response.shard_iterator)
    }

    fn record(&self, shard: &str, record: &Record) -> anyhow::Result<Arc<SourceRecord>> {
        let number = record.sequence_number();
        let sequence = SequenceNumber::parse(number.to_owned())
            .with_context(|| format!("`{number}` is not a valid sequence number"))?;
        let arrived = record.approximate_arrival_timestamp().context("the record has no arrival time")?;
        let micros = i64::try_from(arrived.as_nanos() / 1_000)?;
        let created_at = Timestamp::from_micros(micros)
            .with_context(|| format!("record {sequence} has an arrival time outside 2000 to 2099"))?;
        // Records of streams with automatic record distribution may have no key.
        let (key, data) = (record.partition_key().unwrap_or_default(), BASE64.encode(record.data().as_ref()));
        let message = KinesisMessage { arn: &self.arn, region: &self.region, role: &self.role, key, data: &data };
        let json = message.json(shard, &sequence, micros)?;
        Ok(Arc::new(SourceRecord { sequence, item: message.item(), created_at, json }))
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
            // A token identifies the stream; ListShards rejects both at once.
            let arn = token.is_none().then(|| self.arn.clone());
            let request = self.client.list_shards().set_stream_arn(arn).set_next_token(token);
            let response = request.send().await.context("failed to list the shards (kinesis:ListShards)")?;
            let listed = response.shards.unwrap_or_default().into_iter();
            shards.extend(listed.map(|shard| Shard {
                id: shard.shard_id,
                parents: shard.parent_shard_id.into_iter().chain(shard.adjacent_parent_shard_id).collect(),
            }));
            token = response.next_token;
            if token.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let closed = Page { records: Vec::new(), next: position.clone(), end: PageEnd::ShardEnd };
        let Some(iterator) = self.iterator(shard, position).await? else { return Ok(closed) };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let request = self.client.get_records().shard_iterator(iterator).stream_arn(&self.arn).limit(limit);
        let response = request.send().await.map_err(|error| read_error(error.into_service_error()))?;
        let records: Vec<_> =
            response.records().iter().map(|record| self.record(shard, record)).collect::<anyhow::Result<_>>()?;
        let next = records.last().map_or_else(|| position.clone(), |last| Position::After(last.sequence.clone()));
        let end = match (&response.next_shard_iterator, response.millis_behind_latest) {
            (None, _) => PageEnd::ShardEnd,
            (Some(_), Some(behind)) if behind > 0 => PageEnd::MoreAvailable,
            (Some(_), _) => PageEnd::CaughtUp,
        };
        if let Some(iterator) = response.next_shard_iterator {
            self.iterators.keep(shard, &next, iterator);
        }
        Ok(Page { records, next, end })
    }
}
