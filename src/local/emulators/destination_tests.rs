//! Failure destinations through the SDK: a bucket in the embedded S3, and a queue.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use event_source_mapping::{Condition, Destination, Document, FailureResponse, SourceRecord, StreamKind};
use serde_json::{Value, json};
use stream_types::{SequenceNumber, Timestamp};

use super::{Services, ensure_bucket, sdk_config};

const UNIQUE: &str = "0c7a2f2e-6c8d-4d0e-8a43-1f6d0f4a9b55";
const UUID: &str = "4f6a1d2b-93d2-47a7-9e0c-5f6f3c1b7a10";

fn record(sequence: &str, micros: i64) -> Arc<SourceRecord> {
    Arc::new(SourceRecord {
        sequence: SequenceNumber::parse(sequence.to_owned()).unwrap(),
        item: 1,
        created_at: Timestamp::from_micros(micros).unwrap(),
        json: format!(r#"{{"dynamodb":{{"SequenceNumber":"{sequence}"}}}}"#),
    })
}

/// Records of 13:27:38.25 and 13:27:40 on 2026-09-17.
fn records() -> Vec<Arc<SourceRecord>> {
    vec![
        record("2900002759746085485437", 1_789_651_658_250_000),
        record("3100002759746085485437", 1_789_651_660_000_000),
    ]
}

fn document(kind: StreamKind, records: &[Arc<SourceRecord>]) -> Document<'_> {
    Document {
        kind,
        mapping_uuid: UUID,
        function_arn: "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator",
        request_id: "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
        condition: Condition::RetryAttemptsExhausted,
        approximate_invoke_count: 2,
        response: FailureResponse::Unhandled,
        shard_id: "shardId-00000001789651619772-2a9e5aad",
        stream_arn: "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-09-17T13:26:59.772",
        records,
        discarded_at: Timestamp::from_micros(1_789_651_752_967_891).unwrap(),
    }
}

#[tokio::test]
async fn a_bucket_gets_the_whole_event() {
    let services = Services::start(None).unwrap();
    let client = services.s3_client(&sdk_config(None));
    ensure_bucket(&client, "failed").await.unwrap();
    let records = records();
    let document = document(StreamKind::DynamoDb, &records);
    let destination = Destination::S3 { client: client.clone(), bucket: "failed".to_owned() };
    destination.deliver(&document, UNIQUE).await.unwrap();
    let object = client.get_object().bucket("failed").key(document.object_key(UNIQUE)).send().await.unwrap();
    assert_eq!(object.content_type(), Some("application/octet-stream"));
    let body: Value = serde_json::from_slice(&object.body.collect().await.unwrap().into_bytes()).unwrap();
    let event: Value = serde_json::from_str(body["payload"].as_str().unwrap()).unwrap();
    let sequences: Vec<_> = event["Records"].as_array().unwrap().iter().map(|record| &record["dynamodb"]).collect();
    assert_eq!(
        sequences,
        [&json!({"SequenceNumber":"2900002759746085485437"}), &json!({"SequenceNumber":"3100002759746085485437"})]
    );
    let missing = Destination::S3 { client, bucket: "missing".to_owned() };
    let error = missing.deliver(&document, UNIQUE).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to put the discarded batch to s3://missing/aws/lambda/"), "{error}");
}

/// The requests that a queue received: operation and body.
type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// A queue at the path `/q` that keeps its requests; every other queue refuses them.
async fn queue() -> (String, Requests) {
    async fn receive(State(requests): State<Requests>, headers: HeaderMap, body: String) -> (StatusCode, String) {
        let operation = headers["x-amz-target"].to_str().unwrap().to_owned();
        let request: Value = serde_json::from_str(&body).unwrap();
        let known = request["QueueUrl"].as_str().unwrap().ends_with("/q");
        requests.lock().unwrap().push((operation, request));
        match known {
            true => (StatusCode::OK, json!({"MessageId": UNIQUE}).to_string()),
            false => (StatusCode::BAD_REQUEST, json!({"__type": "QueueDoesNotExist", "message": "no"}).to_string()),
        }
    }
    let requests = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = Router::new().route("/", post(receive)).with_state(Arc::clone(&requests));
    tokio::spawn(async move { axum::serve(listener, service).await });
    (url, requests)
}

fn sqs_client(config: &SdkConfig, url: &str) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::from_conf(aws_sdk_sqs::config::Builder::from(config).endpoint_url(url).build())
}

#[tokio::test]
async fn a_queue_gets_the_metadata_only() {
    let (url, requests) = queue().await;
    let client = sqs_client(&sdk_config(None), &url);
    let records = records();
    let document = document(StreamKind::DynamoDb, &records);
    let known = Destination::Queue { client: client.clone(), url: format!("{url}/000000000000/q") };
    known.deliver(&document, UNIQUE).await.unwrap();
    let unknown = Destination::Queue { client, url: format!("{url}/000000000000/x") };
    let error = unknown.deliver(&document, UNIQUE).await.unwrap_err();
    assert!(
        error.to_string().starts_with("failed to send the discarded batch to the queue http://127.0.0.1:"),
        "{error}"
    );
    let requests = requests.lock().unwrap();
    let (operation, request) = &requests[0];
    assert_eq!(operation, "AmazonSQS.SendMessage");
    assert_eq!(request["MessageBody"].as_str().unwrap(), document.metadata().unwrap());
    assert_eq!(requests.len(), 2);
}
