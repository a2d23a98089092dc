//! PutRecord and PutRecords. A request is refused as a whole, so that a retry repeats nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, hash_key_of, invalid, read};
use crate::emulators::kinesis::hash::hash_key;
use crate::emulators::kinesis::streams::{Placed, StreamError, Streams};
use stream_types::Timestamp;

/// 500: PutRecords' limit of records.
const MAXIMUM_RECORDS: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecord {
    partition_key: String,
    data: String,
    explicit_hash_key: Option<String>,
    /// Ignored: sequence numbers always rise from record to record.
    #[serde(rename = "SequenceNumberForOrdering")]
    _sequence_number_for_ordering: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecords {
    records: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    partition_key: String,
    data: String,
    explicit_hash_key: Option<String>,
}

/// An entry that can be put.
struct RecordParameters {
    partition_key: String,
    data: Vec<u8>,
    hash_key: u128,
}

pub(super) fn put_record(streams: &Streams, body: &[u8], now: Timestamp) -> Result<Value, Refusal> {
    let (name, PutRecord { partition_key, data, explicit_hash_key, .. }) = read(body)?;
    let record = Entry { partition_key, data, explicit_hash_key }.check(streams, &name)?;
    let Placed { shard_id, sequence_number } = record.put(streams, &name, now)?;
    Ok(json!({ "ShardId": shard_id, "SequenceNumber": sequence_number, "EncryptionType": "NONE" }))
}

pub(super) fn put_records(streams: &Streams, body: &[u8], now: Timestamp) -> Result<Value, Refusal> {
    let (name, PutRecords { records }) = read(body)?;
    if !(1..=MAXIMUM_RECORDS).contains(&records.len()) {
        let count = records.len();
        return Err(invalid(format!("PutRecords has {count} records; expected 1 to {MAXIMUM_RECORDS}")));
    }
    let records = records.into_iter().map(|entry| entry.check(streams, &name)).collect::<Result<Vec<_>, _>>()?;
    let mut placed = Vec::with_capacity(records.len());
    for record in &records {
        let Placed { shard_id, sequence_number } = record.put(streams, &name, now)?;
        placed.push(json!({ "ShardId": shard_id, "SequenceNumber": sequence_number }));
    }
    Ok(json!({ "FailedRecordCount": 0, "Records": placed, "EncryptionType": "NONE" }))
}

impl Entry {
    fn check(self, streams: &Streams, name: &str) -> Result<RecordParameters, Refusal> {
        let data = BASE64.decode(&self.data).map_err(|_| invalid("Data isn't valid base64"))?;
        streams.check(name, &self.partition_key, &data)?;
        let hash_key = match &self.explicit_hash_key {
            None => hash_key(&self.partition_key),
            Some(text) => hash_key_of(text)?,
        };
        Ok(RecordParameters { partition_key: self.partition_key, data, hash_key })
    }
}

impl RecordParameters {
    fn put(&self, streams: &Streams, name: &str, now: Timestamp) -> Result<Placed, StreamError> {
        streams.put_at(name, &self.partition_key, self.hash_key, &self.data, now)
    }
}
