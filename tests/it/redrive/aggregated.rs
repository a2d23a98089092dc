//! Kinesis records that the producer library has aggregated, redriven by the command: a document is replayed as a whole, and each
//! of its messages counts once.

use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use laptop::emulators::{Services, sdk_config};
use laptop::proof::load::aggregated;
use serde_json::{Value, json};

use super::redrive;
use super::stack::today;
use crate::fixture::Fixture;

const ARN: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/alleycat";
const SHARD: &str = "shardId-000000000000";
const ALLEYCAT: [&str; 2] = ["--pipeline", "alleycat"];

/// A Kinesis record with these messages of racer 7.
fn record(number: u32, distances: &[Value]) -> Value {
    let message = |distance: &Value| json!({ "racerId": 7, "competitionId": 1, "distance": distance }).to_string();
    let messages: Vec<String> = distances.iter().map(message).collect();
    let messages: Vec<(&str, &str)> = messages.iter().map(|message| ("7", message.as_str())).collect();
    let sequence = format!("4965700126387451209335671220884115620937745160231059{number:04}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "a", "sequenceNumber": sequence,
            "data": BASE64_STANDARD.encode(aggregated(&messages)), "approximateArrivalTimestamp": now,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{SHARD}:{sequence}"),
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::123456789012:role/r",
        "awsRegion": "us-east-1", "eventSourceARN": ARN,
    })
}

/// The document of a batch that a mapping gave up.
fn document(records: &[Value]) -> Value {
    let sequence = |record: &Value| record["kinesis"]["sequenceNumber"].clone();
    json!({
        "requestContext": {
            "requestId": "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator",
            "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 11,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": null },
        "version": "1.0", "timestamp": today(), "payload": json!({ "Records": records }).to_string(),
        "KinesisBatchInfo": {
            "shardId": SHARD, "startSequenceNumber": sequence(&records[0]),
            "endSequenceNumber": sequence(&records[records.len() - 1]),
            "approximateArrivalOfFirstRecord": today(), "approximateArrivalOfLastRecord": today(),
            "batchSize": records.len(), "streamArn": ARN,
        },
    })
}

/// Puts a document into the failure bucket of the data folder.
async fn discard(fixture: &Fixture, records: &[Value]) {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let s3 = services.s3_client(&sdk_config(None));
    laptop::emulators::ensure_bucket(&s3, "failures").await.unwrap();
    let key = format!(
        "aws/lambda/4f6a1d2b-93d2-47a7-9e0c-5f6f3c1b7a10/{SHARD}/2026/09/17/2026-09-17T13.29.12-{}",
        records.len()
    );
    let body = ByteStream::from(document(records).to_string().into_bytes());
    s3.put_object().bucket("failures").key(key).body(body).send().await.unwrap();
}

/// Messages and meters of the racer's day.
fn counted(fixture: &Fixture) -> (Value, Value) {
    let run = fixture.run(&[&ALLEYCAT[..], &["snapshots", "--window", "day", "--json"]].concat());
    let day: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    (day["measures"]["messages"].clone(), day["measures"]["metres"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_counts_each_message_of_an_aggregated_record_once() {
    let fixture = Fixture::new();
    fixture.write("first.json", &json!({ "Records": [record(1, &[json!(1)])] }));
    let first = fixture.run(&[&ALLEYCAT[..], &["invoke", "first.json"]].concat());
    assert_eq!(first.code, Some(0), "{first:?}");
    // The second record, and once more with the first, as if its response had been lost.
    let good = [record(1, &[json!(1)]), record(2, &[json!(2), json!(2), json!(4)])];
    for records in [&good[1..], &good] {
        discard(&fixture, records).await;
        let output = redrive(&fixture, &ALLEYCAT);
        let sums = ["deleted", "records_redriven", "records_remaining"].map(|name| output.sum(name));
        assert_eq!((output.code, sums), (Some(0), [1, records.len() as u64, 0]), "{}", output.stderr);
        assert_eq!(counted(&fixture), (json!("4"), json!("9")));
    }
    // One message can't be read: its record remains, with what follows it, and what precedes it counts once.
    discard(&fixture, &[record(3, &[json!(8), json!("far"), json!(16)])]).await;
    for _ in 0..2 {
        let output = redrive(&fixture, &ALLEYCAT);
        assert_eq!(
            (output.code, output.sum("kept"), output.sum("records_remaining")),
            (Some(1), 1, 1),
            "{}",
            output.stderr
        );
        assert_eq!(output.all("remaining")[0]["code"], "invalid_value", "{:?}", output.lines);
        assert_eq!(counted(&fixture), (json!("5"), json!("17")));
    }
}
