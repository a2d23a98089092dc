//! The operations of DynamoDB Streams over dynoxide's, with the names, sizes and records that AWS would give.

use dynoxide::actions::describe_stream::DescribeStreamRequest;
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::{GetRecordsRequest, Record};
use dynoxide::actions::get_shard_iterator::{GetShardIteratorRequest, decode_shard_iterator, encode_shard_iterator};
use dynoxide::actions::list_streams::ListStreamsRequest;
use dynoxide::types::item_size;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::REGION;
use super::names::{StreamName, to_dynoxide};

/// What dynoxide adds to its own sequence numbers.
const SEQUENCE_NUMBER_OFFSET: u128 = 100_000_000_000_000_000_000;

/// 1,000: GetRecords' limit of records.
const PAGE_RECORDS: usize = 1_000;
/// 1 MB: GetRecords' limit of data.
const PAGE_BYTES: usize = 1 << 20;
/// dynoxide reads as many records as it is asked for, whatever their size. So a page is read in parts, the first of which has
/// this many, and each one twice as many as the one before.
const FIRST_PART: usize = 16;

type Result<T> = std::result::Result<T, DynoxideError>;

/// Records as AWS would return them.
pub(crate) struct Found {
    /// In stream order.
    pub records: Vec<Record>,
    /// The last one that was read, in dynoxide's numbers, whether or not AWS would have written it.
    pub last: i64,
    /// Whether the page ends because it is full.
    pub is_full: bool,
}

/// Runs one operation of DynamoDB Streams; `None` if `operation` isn't one.
pub(crate) fn run(database: &Database, operation: &str, body: &[u8]) -> Option<Result<Value>> {
    Some(match operation {
        "ListStreams" => parse(body).and_then(|request| list_streams(database, &request)),
        "DescribeStream" => parse(body).and_then(|request| describe_stream(database, request)),
        "GetShardIterator" => parse(body).and_then(|request| get_shard_iterator(database, request)),
        "GetRecords" => parse(body).and_then(|request| get_records(database, &request)),
        _ => return None,
    })
}

/// The record as AWS would return it. AWS writes no record for a write that changes nothing.
fn to_aws(mut record: Record) -> Option<Record> {
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
    // The shard was opened with the stream, before its first record.
    let opened = public(name.enabled_at_micros);
    // Those of an earlier stream of the table are still there. All numbers have the same length.
    let first = described.shards.into_iter().find_map(|shard| shard.sequence_number_range.starting_sequence_number);
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
            "SequenceNumberRange": { "StartingSequenceNumber": first.unwrap_or_default().max(opened) },
        }],
    }}))
}

fn get_shard_iterator(database: &Database, request: GetShardIteratorRequest) -> Result<Value> {
    let name = find(database, &request.stream_arn)?;
    if request.shard_id != name.shard {
        let message = format!("Requested resource not found: Shard: {} in stream: {}", request.shard_id, name.arn);
        return Err(DynoxideError::ResourceNotFoundException(message));
    }
    let position = start(database, &name, &request.shard_iterator_type, request.sequence_number)?;
    // With our name of the shard, which belongs to this stream alone. dynoxide's is the same for every stream of a table.
    Ok(json!({ "ShardIterator": encode_shard_iterator(&name.table, &name.shard, position) }))
}

fn get_records(database: &Database, request: &GetRecordsRequest) -> Result<Value> {
    let decoded = decode_shard_iterator(&request.shard_iterator);
    let (table, shard, position) =
        decoded.ok_or_else(|| DynoxideError::ValidationException("Invalid shard iterator".to_owned()))?;
    let missing = || DynoxideError::ResourceNotFoundException(format!("Requested resource not found: Shard: {shard}"));
    let name = current(database, &table)?.filter(|name| name.shard == shard).ok_or_else(missing)?;
    let found = read(database, &name, position, request.limit.unwrap_or(PAGE_RECORDS))?;
    let mut records = Vec::with_capacity(found.records.len());
    for mut record in found.records {
        let identity = record.user_identity.take();
        let mut record = value(&record)?;
        if let Some(identity) = identity {
            // The API's member names; Lambda's events have lower case.
            let identity = json!({ "PrincipalId": identity.principal_id, "Type": identity.identity_type });
            set(&mut record, "userIdentity", identity);
        }
        records.push(record);
    }
    let next = encode_shard_iterator(&name.table, &name.shard, found.last);
    Ok(json!({ "Records": records, "NextShardIterator": next }))
}

/// The record after which an iterator of this type starts, in dynoxide's numbers.
pub(crate) fn start(database: &Database, name: &StreamName, kind: &str, sequence: Option<String>) -> Result<i64> {
    let request = GetShardIteratorRequest {
        stream_arn: name.dynoxide_arn.clone(),
        shard_id: name.dynoxide_shard.clone(),
        shard_iterator_type: kind.to_owned(),
        sequence_number: sequence,
    };
    let iterator = database.get_shard_iterator(request)?.shard_iterator;
    let decoded = iterator.as_deref().and_then(decode_shard_iterator);
    let (_, _, position) =
        decoded.ok_or_else(|| DynoxideError::InternalServerError("failed to read the shard iterator".to_owned()))?;
    Ok(position.max(name.before_first()))
}

/// A page of up to `limit` records after `position`, which is in dynoxide's numbers.
pub(crate) fn read(database: &Database, name: &StreamName, position: i64, limit: usize) -> Result<Found> {
    let mut found = Found { records: Vec::new(), last: position.max(name.before_first()), is_full: false };
    let (mut left, mut part, mut size_bytes) = (limit.min(PAGE_RECORDS), FIRST_PART, 0);
    while left > 0 && !found.is_full {
        let shard_iterator = encode_shard_iterator(&name.table, &name.dynoxide_shard, found.last);
        let asked = part.min(left);
        let records = database.get_records(GetRecordsRequest { shard_iterator, limit: Some(asked) })?.records;
        let is_end = records.len() < asked;
        left -= records.len();
        for record in records {
            let Some(number) = stored(&record.dynamodb.sequence_number) else { continue };
            let record = to_aws(record);
            size_bytes += record.as_ref().map_or(0, bytes_of);
            // A record that is larger than a page is a page.
            if size_bytes > PAGE_BYTES && !found.records.is_empty() {
                found.is_full = true;
                break;
            }
            found.records.extend(record);
            found.last = number;
        }
        if is_end {
            break;
        }
        part *= 2;
    }
    found.is_full |= left == 0;
    // Afterwards, because the stream may have been replaced by another one meanwhile, whose records these would be.
    find(database, &name.arn).map(|_| found)
}

fn bytes_of(record: &Record) -> usize {
    usize::try_from(record.dynamodb.size_bytes).unwrap_or(0)
}

/// A sequence number as dynoxide stores it: in microseconds, unless two changes are closer.
pub(crate) fn stored(sequence: &str) -> Option<i64> {
    i64::try_from(sequence.parse::<u128>().ok()?.checked_sub(SEQUENCE_NUMBER_OFFSET)?).ok()
}

/// The sequence number that dynoxide stores as `number`.
pub(crate) fn public(number: i64) -> String {
    (SEQUENCE_NUMBER_OFFSET + u128::try_from(number).unwrap_or_default()).to_string()
}

/// The stream that has this ARN now.
fn find(database: &Database, arn: &str) -> Result<StreamName> {
    let missing = || DynoxideError::ResourceNotFoundException(format!("Requested resource not found: Stream: {arn}"));
    let table = to_dynoxide(arn).split_once(":table/").and_then(|(_, rest)| Some(rest.split_once('/')?.0.to_owned()));
    let name = current(database, &table.ok_or_else(missing)?)?;
    name.filter(|name| name.arn == arn).ok_or_else(missing)
}

/// The stream that a table has now.
fn current(database: &Database, table: &str) -> Result<Option<StreamName>> {
    let metadata = database.get_table_metadata(table)?.filter(|metadata| metadata.stream_enabled);
    Ok(metadata.and_then(|metadata| {
        let label = metadata.stream_label?;
        StreamName::of(&dynoxide::streams::stream_arn(&metadata.table_name, &label))
    }))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
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
