//! The operations of DynamoDB Streams over dynoxide's, with the names, sizes and records that AWS would give.

use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::types::item_size;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::REGION;
use super::names::{StreamName, to_dynoxide};

/// What dynoxide adds to its own sequence numbers.
pub(crate) const SEQUENCE_NUMBER_OFFSET: u128 = 100_000_000_000_000_000_000;

type Result<T> = std::result::Result<T, DynoxideError>;

/// Runs one operation of DynamoDB Streams; `None` if `operation` isn't one.
pub(crate) fn run(database: &Database, operation: &str, body: &[u8]) -> Option<Result<Value>> {
    Some(match operation {
        "ListStreams" => read(body).and_then(|request| list_streams(database, &request)),
        "DescribeStream" => read(body).and_then(|request| describe_stream(database, request)),
        "GetShardIterator" => read(body).and_then(|request| get_shard_iterator(database, request)),
        "GetRecords" => read(body).and_then(|request| get_records(database, request)),
        _ => return None,
    })
}

/// The record as AWS would return it. AWS writes no record for a write that changes nothing.
pub(crate) fn to_aws(mut record: Record) -> Option<Record> {
    let change = &mut record.dynamodb;
    if change.new_image.is_some() && change.new_image == change.old_image {
        return None;
    }
    // AWS counts the names and values of the keys and of both images.
    let images = change.new_image.iter().chain(&change.old_image).map(item_size).sum::<usize>();
    change.size_bytes = i64::try_from(item_size(&change.keys) + images).unwrap_or(i64::MAX);
    record.aws_region = REGION.to_owned();
    Some(record)
}

fn list_streams(database: &Database, request: &ListStreamsRequest) -> Result<Value> {
    let all = ListStreamsRequest { table_name: request.table_name.clone(), ..ListStreamsRequest::default() };
    let names = database.list_streams(all)?.streams;
    let names: Vec<StreamName> = names.iter().filter_map(|stream| StreamName::of(&stream.stream_arn)).collect();
    let last_seen = request.exclusive_start_stream_arn.as_deref();
    let start = last_seen.and_then(|arn| names.iter().position(|name| name.arn == arn)).map_or(0, |last| last + 1);
    let rest = names.get(start..).unwrap_or_default();
    let page = rest.get(..request.limit.unwrap_or(rest.len()).min(rest.len())).unwrap_or_default();
    let streams: Vec<Value> = page
        .iter()
        .map(|name| json!({ "StreamArn": name.arn, "TableName": name.table, "StreamLabel": name.label }))
        .collect();
    let mut answer = json!({ "Streams": streams });
    if let Some(last) = page.last().filter(|_| page.len() < rest.len()) {
        set(&mut answer, "LastEvaluatedStreamArn", json!(last.arn));
    }
    Ok(answer)
}

fn describe_stream(database: &Database, request: DescribeStreamRequest) -> Result<Value> {
    let name = find(database, &request.stream_arn)?;
    let request = DescribeStreamRequest { stream_arn: name.dynoxide_arn.clone(), ..request };
    let described = database.describe_stream(request)?.stream_description;
    let table = DescribeTableRequest { table_name: name.table.clone() };
    let key_schema = database.describe_table(table)?.table.key_schema;
    let first = described.shards.into_iter().find_map(|shard| shard.sequence_number_range.starting_sequence_number);
    // The shard was opened with the stream, before its first record.
    let opened = || (SEQUENCE_NUMBER_OFFSET + u128::try_from(name.enabled_at_micros).unwrap_or_default()).to_string();
    Ok(json!({ "StreamDescription": {
        "StreamArn": name.arn,
        "StreamLabel": name.label,
        "StreamStatus": described.stream_status,
        "StreamViewType": described.stream_view_type,
        "CreationRequestDateTime": described.creation_request_date_time,
        "TableName": name.table,
        "KeySchema": value(&key_schema)?,
        // Only a closed shard has an EndingSequenceNumber, and dynoxide never closes one.
        "Shards": [{
            "ShardId": name.shard,
            "SequenceNumberRange": { "StartingSequenceNumber": first.unwrap_or_else(opened) },
        }],
    }}))
}

fn get_shard_iterator(database: &Database, request: GetShardIteratorRequest) -> Result<Value> {
    let name = find(database, &request.stream_arn)?;
    if request.shard_id != name.shard {
        let message = format!("Requested resource not found: Shard: {} in stream: {}", request.shard_id, name.arn);
        return Err(DynoxideError::ResourceNotFoundException(message));
    }
    let request = GetShardIteratorRequest { stream_arn: name.dynoxide_arn, shard_id: name.dynoxide_shard, ..request };
    value(&database.get_shard_iterator(request)?)
}

fn get_records(database: &Database, request: GetRecordsRequest) -> Result<Value> {
    let answer = database.get_records(request)?;
    let mut records = Vec::with_capacity(answer.records.len());
    for mut record in answer.records.into_iter().filter_map(to_aws) {
        let identity = record.user_identity.take();
        let mut record = value(&record)?;
        if let Some(identity) = identity {
            // The API's member names; Lambda's events have lower case.
            let identity = json!({ "PrincipalId": identity.principal_id, "Type": identity.identity_type });
            set(&mut record, "userIdentity", identity);
        }
        records.push(record);
    }
    Ok(json!({ "Records": records, "NextShardIterator": answer.next_shard_iterator }))
}

/// The stream that has this ARN now.
fn find(database: &Database, arn: &str) -> Result<StreamName> {
    let missing = || DynoxideError::ResourceNotFoundException(format!("Requested resource not found: Stream: {arn}"));
    let table = to_dynoxide(arn).split_once(":table/").and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned()));
    let metadata = database.get_table_metadata(&table.ok_or_else(missing)?)?.ok_or_else(missing)?;
    let label = metadata.stream_label.filter(|_| metadata.stream_enabled).ok_or_else(missing)?;
    let name = StreamName::of(&dynoxide::streams::stream_arn(&metadata.table_name, &label));
    name.filter(|name| name.arn == arn).ok_or_else(missing)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| DynoxideError::SerializationException(error.to_string()))
}

fn value(answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer).map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}
