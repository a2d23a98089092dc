//! A deployment as `usagectl` reaches it: Lambda's Invoke in front of the real handler, moto's SQS, the embedded S3 and
//! DynamoDB Streams.

use std::process::Command;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use event_source_mapping::sources::RemoteStream;
use event_source_mapping::{
    Condition, Document, FailureResponse, Position, Source, SourceRecord, StreamKind, event_of,
};
use laptop::emulators::{StreamView, TableSpec, ensure_bucket, ensure_tables, sdk_config};
use serde_json::Value;
use usage_aggregator::time::Timestamp;

use super::Output;
use super::lambda::{Code, FUNCTION, Lambda, MAPPING};
use super::moto::{Moto, Queue};
use crate::fixture::{Fixture, Run};
use crate::world::{World, at, services};

/// Today, when the records of a test are new.
pub fn today() -> &'static str {
    Box::leak(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into_boxed_str())
}

/// REJECTED_RECORDS of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedRecords {
    Fail,
    Quarantine,
}

/// A deployment with its own table.
pub struct Stack {
    pub fixture: Fixture,
    pub world: World,
    pub lambda: Lambda,
    pub lambda_url: String,
    pub bucket: String,
    pub queue: Queue,
    pub moto: Moto,
    stream: RemoteStream,
    shard: String,
    /// The ARN that the command gets as `--source-arn`.
    pub source_arn: String,
    pub table: String,
}

impl Stack {
    pub async fn new(name: &str, filters: &[&str]) -> Stack {
        Stack::with(name, filters, RejectedRecords::Fail).await
    }

    pub async fn with(name: &str, filters: &[&str], rejected_records: RejectedRecords) -> Stack {
        let (table, bucket) = (format!("{name}-orders"), format!("{name}-failed"));
        let world = World::new(name, "orders").await;
        let world = match rejected_records {
            RejectedRecords::Fail => world,
            RejectedRecords::Quarantine => world
                .with("REJECTED_RECORDS", "quarantine")
                .with("FAILURE_BUCKET", &bucket)
                .with("QUARANTINE_LIMIT_PERCENT", "100"),
        };
        let spec = TableSpec {
            name: &table,
            partition_key: "pk",
            sort_key: Some("sk"),
            ttl_attribute: None,
            stream: Some(StreamView::Images),
        };
        ensure_tables(&world.dynamodb, &[spec]).await.unwrap();
        ensure_bucket(&world.s3, &bucket).await.unwrap();
        let config = sdk_config(None).into_builder().endpoint_url(services().dynamodb_url()).build();
        let streams = aws_sdk_dynamodbstreams::Client::new(&config);
        let stream = RemoteStream::new(streams, &latest_stream(&world.dynamodb, &table).await);
        let moto = Moto::start();
        let queue = moto.queue("failed").await;
        let lambda = Lambda::new(Code::Handler(Box::new(world.function())), today(), filters);
        let lambda_url = lambda.serve().await;
        Stack {
            fixture: Fixture::new(),
            world,
            lambda,
            lambda_url,
            bucket,
            queue,
            moto,
            source_arn: stream.arn().to_owned(),
            shard: stream.shards().await.unwrap().remove(0).id,
            stream,
            table,
        }
    }

    /// Places orders with these totals and returns their records. An order whose total isn't a number is a bad record.
    pub async fn orders(&self, totals: &[&str]) -> Vec<Arc<SourceRecord>> {
        for (number, total) in totals.iter().enumerate() {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            let total = total.parse::<f64>().map_or_else(|_| text(total), |_| AttributeValue::N((*total).to_owned()));
            let put = self.world.dynamodb.put_item().table_name(&self.table).item("total", total);
            let put = put.item("pk", text("CUSTOMER#1")).item("sk", text(&format!("ORDER#{number}")));
            put.item("status", text("OPEN")).send().await.unwrap();
        }
        self.stream.read(&self.shard, &Position::TrimHorizon, 1_000).await.unwrap().records
    }

    pub fn document<'d>(&'d self, records: &'d [Arc<SourceRecord>]) -> Document<'d> {
        Document {
            kind: StreamKind::DynamoDb,
            mapping_uuid: MAPPING,
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator",
            request_id: "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            condition: Condition::RetryAttemptsExhausted,
            approximate_invoke_count: 2,
            response: FailureResponse::Unhandled,
            shard_id: self.shard(),
            stream_arn: self.stream.arn(),
            records,
            discarded_at: Timestamp::parse(today()).unwrap(),
        }
    }

    pub fn shard(&self) -> &str {
        &self.shard
    }

    /// Puts an object as Lambda does.
    pub async fn put(&self, key: &str, body: String) {
        let body = body.into_bytes().into();
        self.world.s3.put_object().bucket(&self.bucket).key(key).body(body).send().await.unwrap();
    }

    pub async fn discard(&self, records: &[Arc<SourceRecord>], unique: u32) {
        let document = self.document(records);
        self.put(&document.object_key(&format!("{unique:032x}")), document.with_payload().unwrap()).await;
    }

    /// Lets the function quarantine these records, and returns the keys of their documents. It rejects orders whose total
    /// isn't a number, and all others because it takes them for 30 days old, which is fixed afterwards.
    pub async fn quarantine(&self, records: &[Arc<SourceRecord>]) -> Vec<String> {
        let later = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(30 * 24);
        let later = at(&later.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let mut keys = Vec::new();
        for record in records {
            let before = self.keys().await;
            let event = event_of(std::slice::from_ref(record));
            let outcome = self.world.function().handler.append(event.as_bytes(), &later).await.unwrap();
            assert_eq!((outcome.quarantined.len(), outcome.rejected.len()), (1, 0));
            keys.extend(self.keys().await.into_iter().filter(|key| !before.contains(key)));
        }
        keys
    }

    /// The keys of the bucket's objects.
    pub async fn keys(&self) -> Vec<String> {
        let listed = self.world.s3.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    /// The documents of the bucket by their keys.
    pub async fn documents(&self) -> Vec<(String, Value)> {
        let listed = self.world.s3.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        let mut documents = Vec::new();
        for object in listed.contents() {
            let key = object.key().unwrap().to_owned();
            let object = self.world.s3.get_object().bucket(&self.bucket).key(&key).send().await.unwrap();
            let body = object.body.collect().await.unwrap().into_bytes();
            documents.push((key, serde_json::from_slice(&body).unwrap_or_default()));
        }
        documents
    }

    /// How many orders are counted in each of the snapshots, once all pages are folded.
    pub async fn counted(&self) -> Vec<String> {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.world.fold_all(&at(&now)).await;
        self.world.items("usage").await.iter().map(|item| item["orders"].as_n().unwrap().clone()).collect()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.plain(&[&["--json"], arguments].concat())
    }

    /// The same for people.
    pub fn plain(&self, arguments: &[&str]) -> Command {
        let names =
            ["--function", FUNCTION, "--mapping", MAPPING, "--source-arn", &self.source_arn, "--pipeline", "orders"];
        let mut command = self.fixture.command(&[&["redrive"], &names[..], arguments].concat());
        command.envs([
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.lambda_url),
            ("AWS_ENDPOINT_URL_S3", services().s3_url()),
            ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", services().dynamodb_url()),
            ("AWS_ENDPOINT_URL_SQS", &self.queue.endpoint),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("AWS_REGION", "us-east-1"),
        ]);
        command
    }

    pub fn bucket_options(&self) -> [&str; 2] {
        ["--failure-bucket", &self.bucket]
    }

    pub fn queue_options(&self) -> [&str; 2] {
        ["--failure-queue", &self.queue.url]
    }

    pub async fn redrive(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Run::from(output).into()
    }
}

async fn latest_stream(dynamodb: &aws_sdk_dynamodb::Client, table: &str) -> String {
    let described = dynamodb.describe_table().table_name(table).send().await.unwrap();
    described.table.unwrap().latest_stream_arn.unwrap()
}
