//! Requests to the embedded services without HTTP, for the fuzzer.

use anyhow::Context;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use dynoxide::Database;
use serde_json::{Value, json};

use super::cloudwatch::Metrics;
use super::dynamodb;
use super::event_bus::EventBus;
use super::kinesis::{Streams, answer_status};

/// The status of the response of the embedded CloudWatch to a request to `path` with these headers.
pub fn cloudwatch(path: &str, headers: &[(&'static str, &'static str)], body: &[u8]) -> u16 {
    Metrics::default().answer(path, &header_map(headers), body).status().as_u16()
}

/// The status of the response of the embedded Kinesis to an operation.
pub fn kinesis(streams: &Streams, operation: &str, body: &[u8]) -> u16 {
    answer_status(streams, operation, body).as_u16()
}

/// The status of the response of the embedded EventBridge to PutEvents.
pub fn event_bus(body: &[u8]) -> u16 {
    EventBus::default().answer("AWSEvents.PutEvents", body).0
}

/// The size of a body in aws-chunked encoding, if it is one.
pub fn s3_chunks(body: &[u8]) -> Option<usize> {
    super::s3::chunked_bytes(body)
}

/// A URL of S3 without the signature in it.
pub fn s3_url(url: &Uri) -> Uri {
    super::s3::unsigned_url(url)
}

/// An embedded DynamoDB with the table `abc`, whose stream has a record.
pub struct DynamoDb {
    database: Database,
    /// What requests can't know in advance: the stream, its shard, and an iterator.
    names: [(&'static str, String); 3],
}

impl DynamoDb {
    /// A database in memory.
    ///
    /// # Errors
    /// If it doesn't answer as expected.
    pub fn open() -> anyhow::Result<DynamoDb> {
        let database = dynamodb::open(None)?;
        let table = json!({ "TableName": "abc", "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{ "AttributeName": "k", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "k", "AttributeType": "S" }],
            "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" } });
        let item = json!({ "TableName": "abc", "Item": { "k": { "S": "b" } } });
        database.create_table(serde_json::from_str(&table.to_string()).context("read CreateTable")?)?;
        database.put_item(serde_json::from_str(&item.to_string()).context("read PutItem")?)?;
        let ask = |operation: &str, request: Value| -> anyhow::Result<Value> {
            let (_, answer) = dynamodb::answered(&database, operation.as_bytes(), request.to_string().as_bytes());
            Ok(serde_json::from_str(&answer)?)
        };
        let text = |answer: &Value, place: &str| -> anyhow::Result<String> {
            Ok(answer.pointer(place).and_then(Value::as_str).with_context(|| format!("{place} is missing"))?.to_owned())
        };
        let stream = text(&ask("ListStreams", json!({}))?, "/Streams/0/StreamArn")?;
        let described = ask("DescribeStream", json!({ "StreamArn": stream }))?;
        let shard = text(&described, "/StreamDescription/Shards/0/ShardId")?;
        let start = json!({ "StreamArn": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
        let iterator = text(&ask("GetShardIterator", start)?, "/ShardIterator")?;
        Ok(DynamoDb { database, names: [("@STREAM", stream), ("@SHARD", shard), ("@ITERATOR", iterator)] })
    }

    /// The status and the body of the answer to the operation that `target` names. `@STREAM`, `@SHARD` and `@ITERATOR` stand for their
    /// names in the body.
    pub fn answer(&self, target: &[u8], body: &[u8]) -> (u16, String) {
        let named = std::str::from_utf8(body).map(|body| {
            self.names.iter().fold(body.to_owned(), |body, (placeholder, name)| body.replace(placeholder, name))
        });
        dynamodb::answered(&self.database, target, named.as_ref().map_or(body, |named| named.as_bytes()))
    }
}

impl std::fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoDb").field("names", &self.names).finish_non_exhaustive()
    }
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}
