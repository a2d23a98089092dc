//! The operations by name, and those that manage streams and shards. An unsupported parameter is refused.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Refusal, hash_key_of, read, reads, records};
use crate::emulators::kinesis::streams::{ShardDescription, Streams, check_record_kib, stream_arn};
use stream_types::Timestamp;

const OPERATIONS: &str = "CreateStream, DescribeStream, DescribeStreamSummary, GetRecords, GetShardIterator, ListShards, ListStreams, MergeShards, PutRecord, PutRecords, SplitShard, UpdateMaxRecordSize";
/// 24: the retention in hours that a stream has by default.
const RETENTION_HOURS: u32 = 24;
/// 100: the shards of one DescribeStream by default.
const SHARDS_PER_PAGE: usize = 100;

/// Runs one operation. Some return nothing.
pub(super) fn run(streams: &Streams, operation: &str, body: &[u8], now: Timestamp) -> Result<Option<Value>, Refusal> {
    match operation {
        "CreateStream" => create_stream(streams, body, now).map(|()| None),
        "DescribeStream" => describe_stream(streams, body).map(Some),
        "DescribeStreamSummary" => describe_stream_summary(streams, body).map(Some),
        "GetRecords" => reads::get_records(streams, body, now).map(Some),
        "GetShardIterator" => reads::get_shard_iterator(streams, body).map(Some),
        "ListShards" => list_shards(streams, body).map(Some),
        "ListStreams" => Ok(Some(json!({ "StreamNames": streams.names(), "HasMoreStreams": false }))),
        "PutRecord" => records::put_record(streams, body, now).map(Some),
        "PutRecords" => records::put_records(streams, body, now).map(Some),
        "SplitShard" => split_shard(streams, body).map(|()| None),
        "UpdateMaxRecordSize" => update_max_record_size(streams, body).map(|()| None),
        "MergeShards" => merge_shards(streams, body).map(|()| None),
        other => {
            let message = format!("the embedded Kinesis doesn't support {other:?}; it supports {OPERATIONS}");
            Err(Refusal { code: "UnknownOperationException", message })
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStream {
    limit: Option<usize>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateStream {
    shard_count: NonZeroU32,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateMaxRecordSize {
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_kib: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SplitShard {
    shard_to_split: String,
    new_starting_hash_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct MergeShards {
    shard_to_merge: String,
    adjacent_shard_to_merge: String,
}

fn create_stream(streams: &Streams, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
    let (name, CreateStream { shard_count, max_record_kib }) = read(body)?;
    max_record_kib.map_or(Ok(()), check_record_kib)?;
    streams.create_stream(&name, shard_count, now)?;
    Ok(max_record_kib.map_or(Ok(()), |kib| streams.set_max_record_kib(&name, kib))?)
}

fn update_max_record_size(streams: &Streams, body: &[u8]) -> Result<(), Refusal> {
    let (name, UpdateMaxRecordSize { max_record_kib }) = read(body)?;
    Ok(streams.set_max_record_kib(&name, max_record_kib)?)
}

fn split_shard(streams: &Streams, body: &[u8]) -> Result<(), Refusal> {
    let (name, SplitShard { shard_to_split, new_starting_hash_key }) = read(body)?;
    streams.split_shard(&name, &shard_to_split, Some(hash_key_of(&new_starting_hash_key)?))?;
    Ok(())
}

fn merge_shards(streams: &Streams, body: &[u8]) -> Result<(), Refusal> {
    let (name, MergeShards { shard_to_merge, adjacent_shard_to_merge }) = read(body)?;
    streams.merge_shards(&name, &shard_to_merge, &adjacent_shard_to_merge)?;
    Ok(())
}

/// What the waiters `stream_exists` and `stream_not_exists` of the SDKs call.
fn describe_stream(streams: &Streams, body: &[u8]) -> Result<Value, Refusal> {
    let (name, DescribeStream { limit, exclusive_start_shard_id }) = read(body)?;
    let described = streams.describe(&name)?;
    let is_after = |shard: &&ShardDescription| exclusive_start_shard_id.as_ref().is_none_or(|last| shard.id > *last);
    let rest: Vec<Shard<'_>> = described.shards.iter().filter(is_after).map(Shard::from).collect();
    let page = rest.get(..limit.unwrap_or(SHARDS_PER_PAGE).min(rest.len())).unwrap_or_default();
    Ok(json!({ "StreamDescription": {
        "StreamName": name,
        "StreamARN": stream_arn(&name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "Shards": page,
        "HasMoreShards": page.len() < rest.len(),
        "RetentionPeriodHours": RETENTION_HOURS,
        "StreamCreationTimestamp": described.created_at.seconds(),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
        "EncryptionType": "NONE",
    }}))
}

fn describe_stream_summary(streams: &Streams, body: &[u8]) -> Result<Value, Refusal> {
    let (name, Nothing {}) = read(body)?;
    let described = streams.describe(&name)?;
    let open = described.shards.iter().filter(|shard| shard.ending_sequence_number.is_none()).count();
    Ok(json!({ "StreamDescriptionSummary": {
        "StreamName": name,
        "StreamARN": stream_arn(&name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": RETENTION_HOURS,
        "StreamCreationTimestamp": described.created_at.seconds(),
        "EnhancedMonitoring": [],
        "EncryptionType": "NONE",
        "MaxRecordSizeInKiB": described.max_record_kib,
        "OpenShardCount": open,
        "ConsumerCount": 0,
    }}))
}

fn list_shards(streams: &Streams, body: &[u8]) -> Result<Value, Refusal> {
    let (name, Nothing {}) = read(body)?;
    let described = streams.describe(&name)?;
    Ok(json!({ "Shards": described.shards.iter().map(Shard::from).collect::<Vec<_>>() }))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shard<'a> {
    shard_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<&'a str>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SequenceNumberRange<'a> {
    starting_sequence_number: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ending_sequence_number: Option<&'a str>,
}

impl<'a> From<&'a ShardDescription> for Shard<'a> {
    fn from(shard: &'a ShardDescription) -> Shard<'a> {
        let mut parents = shard.parents.iter().map(String::as_str);
        Shard {
            shard_id: &shard.id,
            parent_shard_id: parents.next(),
            adjacent_parent_shard_id: parents.next(),
            hash_key_range: HashKeyRange {
                starting_hash_key: shard.starting_hash_key.to_string(),
                ending_hash_key: shard.ending_hash_key.to_string(),
            },
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: &shard.starting_sequence_number,
                ending_sequence_number: shard.ending_sequence_number.as_deref(),
            },
        }
    }
}
