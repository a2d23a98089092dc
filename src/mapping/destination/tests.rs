//! The exact documents, and the files in a folder.

use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::failure::{Condition, FailureResponse};
use crate::source::{SourceRecord, StreamKind};
use stream_types::SequenceNumber;
use stream_types::Timestamp;

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

#[test]
fn a_discarded_batch_of_a_table() {
    let records = records();
    insta::assert_snapshot!(document(StreamKind::DynamoDb, &records).metadata().unwrap());
    insta::assert_snapshot!(document(StreamKind::DynamoDb, &records).with_payload().unwrap());
}

#[test]
fn a_discarded_batch_of_a_kinesis_stream() {
    let records = records();
    let document = Document {
        response: FailureResponse::Reported,
        shard_id: "shardId-000000000000",
        stream_arn: "arn:aws:kinesis:us-east-1:000000000000:stream/clicks",
        ..document(StreamKind::Kinesis, &records)
    };
    insta::assert_snapshot!(document.metadata().unwrap());
}

#[test]
fn a_batch_that_grew_too_old() {
    let records = records();
    let never = Document {
        condition: Condition::RecordAgeExceeded,
        approximate_invoke_count: 0,
        ..document(StreamKind::DynamoDb, &records)
    };
    insta::assert_snapshot!(never.metadata().unwrap());
    let count = |document: Document<'_>| -> Value {
        let json: Value = serde_json::from_str(&document.metadata().unwrap()).unwrap();
        assert!(json.get("responseContext").is_none());
        json["requestContext"]["approximateInvokeCount"].clone()
    };
    assert_eq!(count(Document { approximate_invoke_count: 8, ..never }), 8);
    // An event that exceeds the payload limit is retried and never gets a response.
    let unsent = Document { response: FailureResponse::None, ..document(StreamKind::Kinesis, &records) };
    assert_eq!(count(unsent), 2);
}

#[test]
fn a_document_without_records_names_only_the_shard_and_the_stream() {
    let json: Value = serde_json::from_str(&document(StreamKind::DynamoDb, &[]).metadata().unwrap()).unwrap();
    let fields: Vec<_> = json["DDBStreamBatchInfo"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["shardId", "streamArn"]);
}

#[test]
fn an_object_key_names_the_mapping_the_shard_and_the_time() {
    let key = document(StreamKind::DynamoDb, &[]).object_key(UNIQUE);
    assert_eq!(
        key,
        format!("aws/lambda/{UUID}/shardId-00000001789651619772-2a9e5aad/2026/09/17/2026-09-17T13.29.12-{UNIQUE}")
    );
}

#[tokio::test]
async fn a_folder_gets_one_complete_file_per_batch() {
    let folder = tempfile::tempdir().unwrap();
    let failed = folder.path().join("failed");
    let records = records();
    let document = document(StreamKind::DynamoDb, &records);
    Destination::Folder(failed.clone()).deliver(&document, UNIQUE).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(&failed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, [format!("2026-09-17T13.29.12-{UNIQUE}.json").as_str()]);
    assert_eq!(std::fs::read_to_string(failed.join(&files[0])).unwrap(), document.metadata().unwrap());
    let blocked = failed.join(&files[0]);
    let error = Destination::Folder(blocked).deliver(&document, UNIQUE).await.unwrap_err();
    assert!(format!("{error:#}").starts_with("failed to save the discarded batch: failed to write "), "{error:#}");
}
