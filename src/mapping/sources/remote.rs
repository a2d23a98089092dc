//! The stream of a DynamoDB table, read through the AWS SDK.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::{AttributeValue, Record, ShardIteratorType, StreamRecord};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Iterators;
use super::lambda::{LambdaChange, LambdaIdentity, LambdaRecord, parse_sequence, to_raw_json};
use crate::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};

/// 512 KiB: half of GetRecords' limit of 1 MB. DynamoDB doesn't say whether that limit ended a page; a page of half of it
/// may have ended because the next record did not fit.
const FULL_PAGE_BYTES: i64 = 512 * 1024;

/// The stream of a DynamoDB table, read through the AWS SDK.
#[derive(Debug)]
pub struct RemoteStream {
    client: Client,
    arn: String,
    region: String,
    iterators: Iterators,
}

impl RemoteStream {
    /// The stream with this ARN. Whether it exists is not checked.
    pub fn new(client: Client, arn: &str) -> RemoteStream {
        let region = arn.split(':').nth(3).unwrap_or_default().to_owned();
        RemoteStream { client, arn: arn.to_owned(), region, iterators: Iterators::default() }
    }

    async fn iterator(&self, shard: &str, position: &Position) -> Result<Option<String>, ReadError> {
        if let Some(iterator) = self.iterators.take(shard, position) {
            return Ok(Some(iterator));
        }
        let (kind, sequence) = match position {
            Position::Latest => (ShardIteratorType::Latest, None),
            Position::At(sequence) => (ShardIteratorType::AtSequenceNumber, Some(sequence.as_str().to_owned())),
            Position::After(sequence) => (ShardIteratorType::AfterSequenceNumber, Some(sequence.as_str().to_owned())),
            // Event source mappings of DynamoDB streams have no AT_TIMESTAMP.
            Position::TrimHorizon | Position::AtTimestamp(_) => (ShardIteratorType::TrimHorizon, None),
        };
        let request = self.client.get_shard_iterator().stream_arn(&self.arn).shard_id(shard);
        let response = request.shard_iterator_type(kind).set_sequence_number(sequence).send().await;
        Ok(response.map_err(|error| read_error(error.into_service_error()))?.shard_iterator)
    }

    fn record(&self, record: Record) -> anyhow::Result<Arc<SourceRecord>> {
        let change = record.dynamodb.context("the record has no `dynamodb` field")?;
        let created = change.approximate_creation_date_time.context("the record has no creation time")?;
        let image =
            |image: Option<HashMap<String, AttributeValue>>| image.map(|image| to_raw_json(&item(&image))).transpose();
        let record = LambdaRecord {
            event_id: record.event_id.unwrap_or_default(),
            event_name: record.event_name.context("the record has no event name")?.as_str().to_owned(),
            event_version: "1.1",
            event_source: "aws:dynamodb",
            aws_region: &self.region,
            dynamodb: LambdaChange {
                approximate_creation_date_time: created.as_secs_f64(),
                keys: to_raw_json(&item(&change.keys.unwrap_or_default()))?,
                new_image: image(change.new_image)?,
                old_image: image(change.old_image)?,
                sequence_number: change.sequence_number.context("the record has no sequence number")?,
                size_bytes: change.size_bytes.unwrap_or_default(),
                stream_view_type: change.stream_view_type.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            },
            user_identity: record.user_identity.map(|identity| LambdaIdentity {
                kind: identity.r#type.unwrap_or_default(),
                principal_id: identity.principal_id.unwrap_or_default(),
            }),
            event_source_arn: &self.arn,
        };
        Ok(Arc::new(record.try_into()?))
    }
}

#[async_trait::async_trait]
impl Source for RemoteStream {
    fn kind(&self) -> StreamKind {
        StreamKind::DynamoDb
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        let mut shards = Vec::new();
        let mut from = None;
        loop {
            let request = self.client.describe_stream().stream_arn(&self.arn).set_exclusive_start_shard_id(from);
            let response = request.send().await.context("failed to list the shards (dynamodb:DescribeStream)")?;
            let description = response.stream_description.context("the response has no stream description")?;
            let listed = description.shards.unwrap_or_default().into_iter();
            shards.extend(listed.filter_map(|shard| {
                Some(Shard { id: shard.shard_id?, parents: shard.parent_shard_id.into_iter().collect() })
            }));
            from = description.last_evaluated_shard_id;
            if from.is_none() {
                return Ok(shards);
            }
        }
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let closed = Page { records: Vec::new(), next: position.clone(), end: PageEnd::ShardEnd };
        let Some(iterator) = self.iterator(shard, position).await? else { return Ok(closed) };
        let maximum = i32::try_from(limit).unwrap_or(i32::MAX);
        let response = self.client.get_records().shard_iterator(iterator).limit(maximum).send().await;
        let response = response.map_err(|error| read_error(error.into_service_error()))?;
        let mut found = response.records.unwrap_or_default();
        let last = found.last().and_then(|record| record.dynamodb.as_ref()?.sequence_number.as_deref());
        let next = last.map(parse_sequence).transpose()?.map_or_else(|| position.clone(), Position::After);
        let full = found.len() >= limit || size_bytes(&found) >= FULL_PAGE_BYTES;
        // DynamoDB writes no record for a write that changes nothing, but some emulators do.
        found.retain(|record| !record.dynamodb.as_ref().is_some_and(changes_nothing));
        let records = found.into_iter().map(|record| self.record(record)).collect::<anyhow::Result<Vec<_>>>()?;
        let end = match &response.next_shard_iterator {
            None => PageEnd::ShardEnd,
            Some(_) if full => PageEnd::MoreAvailable,
            Some(_) => PageEnd::CaughtUp,
        };
        if let Some(iterator) = response.next_shard_iterator {
            self.iterators.keep(shard, &next, iterator);
        }
        Ok(Page { records, next, end })
    }
}

/// The size of the records as DynamoDB counts it.
fn size_bytes(records: &[Record]) -> i64 {
    records.iter().filter_map(|record| record.dynamodb.as_ref()?.size_bytes).sum()
}

fn changes_nothing(change: &StreamRecord) -> bool {
    change.new_image.is_some() && change.new_image == change.old_image
}

/// Classifies an error of GetShardIterator or GetRecords, of DynamoDB or Kinesis.
pub(super) fn read_error(error: impl ProvideErrorMetadata + std::error::Error + Send + Sync + 'static) -> ReadError {
    match error.code() {
        Some("ExpiredIteratorException") => ReadError::Expired,
        Some("TrimmedDataAccessException") => ReadError::Trimmed,
        Some("LimitExceededException" | "ProvisionedThroughputExceededException") => ReadError::Throttled,
        Some("ResourceNotFoundException") => ReadError::Gone,
        _ => ReadError::Other(anyhow::Error::new(error)),
    }
}

/// An item in DynamoDB's JSON, its attributes sorted by name.
fn item(attributes: &HashMap<String, AttributeValue>) -> BTreeMap<&str, Value> {
    attributes.iter().map(|(name, attribute)| (name.as_str(), value(attribute))).collect()
}

fn value(attribute: &AttributeValue) -> Value {
    let base64 = |bytes: &aws_sdk_dynamodbstreams::primitives::Blob| STANDARD.encode(bytes);
    match attribute {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": base64(bytes) }),
        AttributeValue::Bool(truth) => json!({ "BOOL": truth }),
        AttributeValue::Null(_) => json!({ "NULL": true }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(list) => json!({ "BS": list.iter().map(base64).collect::<Vec<_>>() }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(value).collect::<Vec<_>>() }),
        AttributeValue::M(map) => json!({ "M": item(map) }),
        // A type that is newer than this program. The function will report it as unknown.
        other => json!({ "UNKNOWN": format!("{other:?}") }),
    }
}
