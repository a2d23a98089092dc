//! Kinesis' operations: what each request holds and what it is answered. A parameter that isn't here is refused by name.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Refusal;
use crate::local::kinesis::hash::hash_key;
use crate::local::kinesis::streams::{Placed, ShardDescription, StreamError, Streams, check_record, stream_arn};
use crate::time::Timestamp;

const OPERATIONS: &str =
    "CreateStream, DescribeStreamSummary, ListShards, ListStreams, MergeShards, PutRecord, PutRecords, SplitShard";
/// 500: the records of one PutRecords.
const MAXIMUM_RECORDS: usize = 500;
/// 8760: the longest retention in hours, since nothing is ever trimmed.
const RETENTION_HOURS: u32 = 8760;

/// Runs one operation; some have no answer.
pub fn run(streams: &Streams, operation: &str, body: &[u8], now: Timestamp) -> Result<Option<Value>, Refusal> {
    match operation {
        "CreateStream" => create_stream(streams, &read(body)?, now).map(|()| None),
        "DescribeStreamSummary" => describe(streams, &read::<Named>(body)?.name()?).map(Some),
        "ListShards" => list_shards(streams, &read::<Named>(body)?.name()?).map(Some),
        "ListStreams" => Ok(Some(json!({ "StreamNames": streams.names(), "HasMoreStreams": false }))),
        "PutRecord" => put_record(streams, read(body)?, now).map(Some),
        "PutRecords" => put_records(streams, read(body)?, now).map(Some),
        "SplitShard" => split_shard(streams, &read(body)?).map(|()| None),
        "MergeShards" => merge_shards(streams, &read(body)?).map(|()| None),
        other => {
            let message = format!("the embedded Kinesis has no operation {other:?}; it has {OPERATIONS}");
            Err(Refusal { code: "UnknownOperationException", message })
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct CreateStream {
    stream_name: String,
    shard_count: NonZeroU32,
}

fn create_stream(streams: &Streams, request: &CreateStream, now: Timestamp) -> Result<(), Refusal> {
    Ok(streams.create_stream(&request.stream_name, request.shard_count, now)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

impl Named {
    fn name(self) -> Result<String, Refusal> {
        name_of(self.stream_name, self.stream_arn)
    }
}

fn describe(streams: &Streams, name: &str) -> Result<Value, Refusal> {
    let described = streams.describe(name)?;
    let open = described.shards.iter().filter(|shard| shard.ending_sequence_number.is_none()).count();
    Ok(json!({ "StreamDescriptionSummary": {
        "StreamName": name,
        "StreamARN": stream_arn(name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "RetentionPeriodHours": RETENTION_HOURS,
        "StreamCreationTimestamp": described.created_at.seconds(),
        "EnhancedMonitoring": [],
        "EncryptionType": "NONE",
        "OpenShardCount": open,
        "ConsumerCount": 0,
    }}))
}

fn list_shards(streams: &Streams, name: &str) -> Result<Value, Refusal> {
    let shards: Vec<Value> = streams.describe(name)?.shards.iter().map(shard).collect();
    Ok(json!({ "Shards": shards }))
}

fn shard(shard: &ShardDescription) -> Value {
    let mut sequences = json!({ "StartingSequenceNumber": shard.starting_sequence_number });
    let mut fields = json!({
        "ShardId": shard.id,
        "HashKeyRange": {
            "StartingHashKey": shard.starting_hash_key.to_string(),
            "EndingHashKey": shard.ending_hash_key.to_string(),
        },
    });
    let set = |object: &mut Value, name: &str, value: Value| {
        object.as_object_mut().and_then(|object| object.insert(name.to_owned(), value))
    };
    if let Some(number) = &shard.ending_sequence_number {
        set(&mut sequences, "EndingSequenceNumber", number.as_str().into());
    }
    set(&mut fields, "SequenceNumberRange", sequences);
    for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&shard.parents) {
        set(&mut fields, name, parent.as_str().into());
    }
    fields
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutRecord {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "PartitionKey")]
    partition_key: String,
    #[serde(rename = "Data")]
    data: String,
    #[serde(rename = "ExplicitHashKey")]
    explicit_hash_key: Option<String>,
    /// Nothing to do: sequence numbers rise from record to record anyway.
    #[serde(rename = "SequenceNumberForOrdering")]
    _sequence_number_for_ordering: Option<String>,
}

fn put_record(streams: &Streams, request: PutRecord, now: Timestamp) -> Result<Value, Refusal> {
    let name = name_of(request.stream_name, request.stream_arn)?;
    let (partition_key, data, explicit_hash_key) = (request.partition_key, request.data, request.explicit_hash_key);
    let entry = Entry { partition_key, data, explicit_hash_key }.read()?;
    let mut placed = placed(&entry.put(streams, &name, now)?);
    if let Some(fields) = placed.as_object_mut() {
        fields.insert("EncryptionType".to_owned(), "NONE".into());
    }
    Ok(placed)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PutRecords {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "Records")]
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    partition_key: String,
    data: String,
    explicit_hash_key: Option<String>,
}

fn put_records(streams: &Streams, request: PutRecords, now: Timestamp) -> Result<Value, Refusal> {
    let name = name_of(request.stream_name, request.stream_arn)?;
    let count = request.records.len();
    if !(1..=MAXIMUM_RECORDS).contains(&count) {
        return Err(invalid(format!("PutRecords has {count} records; it takes 1 to {MAXIMUM_RECORDS}")));
    }
    let entries = request.records.into_iter().map(Entry::read).collect::<Result<Vec<_>, _>>()?;
    let placed = entries.iter().map(|entry| entry.put(streams, &name, now).map(|put| placed(&put)));
    let records = placed.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "FailedRecordCount": 0, "Records": records, "EncryptionType": "NONE" }))
}

/// An entry whose texts are what they ought to be.
struct Readable {
    partition_key: String,
    data: Vec<u8>,
    hash_key: u128,
}

impl Entry {
    fn read(self) -> Result<Readable, Refusal> {
        let data = BASE64.decode(&self.data).map_err(|_| invalid("Data isn't base64"))?;
        let hash_key = match &self.explicit_hash_key {
            None => hash_key(&self.partition_key),
            Some(text) => hash_key_of(text)?,
        };
        // Before anything is put: a request is refused as a whole.
        check_record(&self.partition_key, &data)?;
        Ok(Readable { partition_key: self.partition_key, data, hash_key })
    }
}

impl Readable {
    fn put(&self, streams: &Streams, name: &str, now: Timestamp) -> Result<Placed, StreamError> {
        streams.put_at(name, &self.partition_key, self.hash_key, &self.data, now)
    }
}

fn placed(placed: &Placed) -> Value {
    json!({ "SequenceNumber": placed.sequence_number, "ShardId": placed.shard_id })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SplitShard {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ShardToSplit")]
    shard_to_split: String,
    #[serde(rename = "NewStartingHashKey")]
    new_starting_hash_key: String,
}

fn split_shard(streams: &Streams, request: &SplitShard) -> Result<(), Refusal> {
    let name = name_of(request.stream_name.clone(), request.stream_arn.clone())?;
    let at = hash_key_of(&request.new_starting_hash_key)?;
    streams.split_shard(&name, &request.shard_to_split, Some(at))?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MergeShards {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ShardToMerge")]
    shard_to_merge: String,
    #[serde(rename = "AdjacentShardToMerge")]
    adjacent_shard_to_merge: String,
}

fn merge_shards(streams: &Streams, request: &MergeShards) -> Result<(), Refusal> {
    let name = name_of(request.stream_name.clone(), request.stream_arn.clone())?;
    streams.merge_shards(&name, &request.shard_to_merge, &request.adjacent_shard_to_merge)?;
    Ok(())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal {
        code: "ValidationException",
        message: format!("the embedded Kinesis can't take this request: {error}"),
    })
}

/// A stream is named by itself or by its ARN.
fn name_of(name: Option<String>, arn: Option<String>) -> Result<String, Refusal> {
    match (name, arn) {
        (Some(name), _) => Ok(name),
        (None, Some(arn)) => match arn.rsplit_once(":stream/") {
            Some((_, name)) => Ok(name.to_owned()),
            None => Err(invalid(format!("{arn:?} is no ARN of a stream"))),
        },
        (None, None) => Err(invalid("name the stream by StreamName or StreamARN")),
    }
}

fn hash_key_of(text: &str) -> Result<u128, Refusal> {
    text.parse().map_err(|_| invalid(format!("{text:?} is no hash key: it takes 0 to 2^128 - 1")))
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal { code: "InvalidArgumentException", message: message.into() }
}
