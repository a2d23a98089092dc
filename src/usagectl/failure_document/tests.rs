//! Every shape of document that Lambda sends, and bodies that aren't documents.

use serde_json::json;

use super::*;

pub(crate) const MAPPING: &str = "4f6a1d2b-93d2-47a7-9e0c-5f6f3c1b7a10";
pub(crate) const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-09-17T13:26:59.772";

/// A document of a DynamoDB stream; one in S3 has a payload.
pub(crate) fn dynamodb(payload: Option<&str>) -> Value {
    let mut document = json!({
        "requestContext": {
            "requestId": "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": { "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled" },
        "version": "1.0",
        "timestamp": "2026-09-17T13:29:12.967Z",
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001789651619772-2a9e5aad",
            "startSequenceNumber": "2900002759746085485437",
            "endSequenceNumber": "3100002759746085485437",
            "approximateArrivalOfFirstRecord": "2026-09-17T13:27:38Z",
            "approximateArrivalOfLastRecord": "2026-09-17T13:27:40Z",
            "batchSize": 2,
            "streamArn": STREAM,
        },
    });
    if let Some(payload) = payload {
        document["payload"] = payload.into();
    }
    document
}

/// A document of a quarantined record whose stream, shard and time are unknown, as the function writes it.
pub(crate) fn quarantined(pipeline: &str) -> Value {
    json!({
        "DDBStreamBatchInfo": {
            "approximateArrivalOfFirstRecord": null,
            "approximateArrivalOfLastRecord": null,
            "batchSize": 1,
            "endSequenceNumber": "2900002759746085485437",
            "shardId": "",
            "startSequenceNumber": "2900002759746085485437",
            "streamArn": "",
        },
        "payload": r#"{"Records":[{"dynamodb":{"SequenceNumber":"2900002759746085485437","ApproximateCreationDateTime":1e999}}]}"#,
        "rejection": {
            "code": "invalid_value",
            "field": "NewImage.total",
            "pipeline": pipeline,
            "reason": "expected N, found S",
            "sequenceNumber": "2900002759746085485437",
        },
        "requestContext": {
            "approximateInvokeCount": 1,
            "condition": "RecordRejected",
            "functionArn": "usage-aggregator",
            "requestId": "",
        },
        "timestamp": null,
        "version": "1.0",
    })
}

const PAYLOAD: &str = r#"{"Records":[{"dynamodb":{"SequenceNumber":"2900002759746085485437","ApproximateCreationDateTime":1.789651658E9}}, {"dynamodb":{"SequenceNumber":"3100002759746085485437","ApproximateCreationDateTime":"no time"}, "eventID":"x"}]}"#;

fn parse(document: &Value) -> Result<FailureDocument, String> {
    FailureDocument::parse(document.to_string().as_bytes())
}

fn why(document: &Value) -> String {
    parse(document).unwrap_err()
}

#[test]
fn a_document_of_a_table_is_parsed() {
    let document = parse(&dynamodb(None)).unwrap();
    assert_eq!((document.kind, document.records()), (StreamKind::DynamoDb, 2));
    let Position { stream_arn, shard_id, first, last } = &document.position;
    assert_eq!((stream_arn.as_str(), shard_id.as_str()), (STREAM, "shardId-00000001789651619772-2a9e5aad"));
    assert_eq!((first.as_str(), last.as_str()), ("2900002759746085485437", "3100002759746085485437"));
    assert_eq!(document.first_arrival(), Timestamp::parse("2026-09-17T13:27:38Z"));
    assert!(document.payload_records().unwrap_err().starts_with("has no payload"));
}

#[test]
fn the_cause_is_the_condition_and_the_last_response() {
    let cause = |change: fn(&mut Value)| {
        let mut document = dynamodb(None);
        change(&mut document);
        parse(&document).unwrap().cause().text()
    };
    assert_eq!(cause(|_| {}), "RetryAttemptsExhausted, function error");
    let partial = cause(|document| document["responseContext"]["functionError"] = Value::Null);
    assert_eq!(partial, "RetryAttemptsExhausted, partial response");
    let old = cause(|document| {
        document["requestContext"]["condition"] = "RecordAgeExceeded".into();
        document.as_object_mut().unwrap().remove("responseContext");
    });
    assert_eq!(old, "RecordAgeExceeded, no response");
}

#[test]
fn a_document_of_a_kinesis_stream_is_parsed() {
    let mut document = dynamodb(None);
    let mut batch = document.as_object_mut().unwrap().remove("DDBStreamBatchInfo").unwrap();
    batch["streamArn"] = "arn:aws:kinesis:us-east-1:000000000000:stream/alleycat".into();
    batch["approximateArrivalOfFirstRecord"] = "2026-09-17T13:27:38.250Z".into();
    document["KinesisBatchInfo"] = batch;
    let document = parse(&document).unwrap();
    assert_eq!(document.kind, StreamKind::Kinesis);
    assert_eq!(document.first_arrival(), Timestamp::from_micros(1_789_651_658_250_000));
}

#[test]
fn records_of_a_payload_are_unchanged() {
    let document = parse(&dynamodb(Some(PAYLOAD))).unwrap();
    let records = document.payload_records().unwrap();
    assert_eq!(event_of(&records), PAYLOAD.replace("}, {", "},{"));
    let times: Vec<i64> = records.iter().map(|record| record.created_at.seconds()).collect();
    assert_eq!(times, [1_789_651_658, 1_789_651_658], "a record without a time has the batch's");
    let kinesis = r#"{"Records":[{"kinesis":{"sequenceNumber":"49","approximateArrivalTimestamp":1789651658.25}}]}"#;
    let records = parse(&dynamodb(Some(kinesis))).unwrap().payload_records().unwrap();
    assert_eq!((records[0].sequence.as_str(), records[0].created_at.micros()), ("49", 1_789_651_658_250_000));
}

#[test]
fn a_narrowed_document_has_the_same_shape() {
    let document = parse(&dynamodb(Some(PAYLOAD))).unwrap();
    let last = document.payload_records().unwrap().pop().unwrap();
    let narrowed = serde_json::to_value(document.narrowed(&[last])).unwrap();
    let mut expected = dynamodb(Some(
        r#"{"Records":[{"dynamodb":{"SequenceNumber":"3100002759746085485437","ApproximateCreationDateTime":"no time"}, "eventID":"x"}]}"#,
    ));
    expected["DDBStreamBatchInfo"]["startSequenceNumber"] = "3100002759746085485437".into();
    expected["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] = "2026-09-17T13:27:38Z".into();
    expected["DDBStreamBatchInfo"]["batchSize"] = 1.into();
    assert_eq!(narrowed, expected);
    let again = parse(&narrowed).unwrap();
    assert_eq!((again.records(), again.payload_records().unwrap().len()), (1, 1));
    let positions = parse(&dynamodb(None)).unwrap();
    let narrowed = positions.narrowed(&document.payload_records().unwrap());
    let mut expected = dynamodb(None);
    // The record without a time has the batch's first.
    expected["DDBStreamBatchInfo"]["approximateArrivalOfLastRecord"] = "2026-09-17T13:27:38Z".into();
    assert_eq!(serde_json::to_value(narrowed).unwrap(), expected, "without a payload");
}

#[test]
fn a_notification_of_a_topic_is_unwrapped_once() {
    let message = dynamodb(None).to_string();
    let notification = json!({ "Type": "Notification", "MessageId": "1", "Message": message });
    assert_eq!(parse(&notification), parse(&dynamodb(None)));
    let twice = json!({ "Type": "Notification", "Message": notification.to_string() });
    assert!(why(&twice).contains("not a document"));
}

#[test]
fn a_document_of_a_quarantined_record_has_the_reason() {
    let document = parse(&quarantined("orders")).unwrap();
    assert_eq!((document.records(), document.first_arrival(), &*document.position.shard_id), (1, None, ""));
    assert_eq!(document.cause().text(), "RecordRejected, invalid_value: NewImage.total: expected N, found S");
    assert_eq!(document.quarantine.as_ref().map(|reason| &*reason.pipeline), Some("orders"));
    let records = document.payload_records().unwrap();
    assert_eq!(records[0].sequence.as_str(), "2900002759746085485437");
    let mut dated = quarantined("orders");
    dated["timestamp"] = "2026-09-17T13:27:38Z".into();
    dated["requestContext"]["functionArn"] = json!("f");
    assert_eq!(parse(&dated).unwrap().first_arrival(), Timestamp::parse("2026-09-17T13:27:38Z"));
    let mut broken = quarantined("orders");
    broken["rejection"] = json!({ "pipeline": "secret" });
    assert!(why(&broken).starts_with("is not a document"));
}

#[test]
fn the_event_of_a_failure_document_is_its_payload_and_an_event_is_itself() {
    let event =
        |body: &Value| event_in(body.to_string().into_bytes()).map(|(event, document)| (event, document.is_some()));
    let payload = |document: &Value| document["payload"].as_str().unwrap().as_bytes().to_vec();
    for document in [dynamodb(Some(PAYLOAD)), quarantined("orders")] {
        assert_eq!(event(&document), Ok((payload(&document), true)));
        let wrapped = json!({ "Type": "Notification", "Message": document.to_string() });
        assert_eq!(event(&wrapped), Ok((payload(&document), true)));
    }
    for other in [json!({ "Records": [], "requestContext": {} }), json!({ "records": [] }), json!("text")] {
        assert_eq!(event(&other), Ok((other.to_string().into_bytes(), false)));
    }
    assert_eq!(event_in(b"not JSON".to_vec()), Ok((b"not JSON".to_vec(), None)));
    assert!(event(&dynamodb(None)).unwrap_err().starts_with("has no payload: it is a message for a queue"));
}

#[test]
fn errors_about_a_document_never_quote_it() {
    for body in [&b"secret"[..], b"", b"[]", b"{}", b"\xff\xfe", br#"{"requestContext":"secret"}"#] {
        let why = FailureDocument::parse(body).unwrap_err();
        assert!(
            why.starts_with("is not a document of an event source mapping (line ") && !why.contains("secret"),
            "{why}"
        );
    }
    let changed = |change: fn(&mut Value)| {
        let mut document = dynamodb(Some(PAYLOAD));
        change(&mut document);
        why(&document)
    };
    let window = changed(|document| document["timeWindowInfo"] = json!({ "isFinalInvokeForWindow": true }));
    assert!(window.contains("tumbling window"));
    let both = changed(|document| document["KinesisBatchInfo"] = document["DDBStreamBatchInfo"].clone());
    assert!(both.contains("neither"));
    let empty =
        changed(|document| drop(document["DDBStreamBatchInfo"].as_object_mut().unwrap().remove("endSequenceNumber")));
    assert!(empty.contains("has no valid sequence numbers"));
    let letters = changed(|document| document["DDBStreamBatchInfo"]["startSequenceNumber"] = "12a".into());
    assert!(letters.contains("has no valid sequence numbers"));
    let turned =
        changed(|document| document["DDBStreamBatchInfo"]["startSequenceNumber"] = "9900002759746085485437".into());
    assert!(turned.contains("before its start sequence number"));
}

#[test]
fn errors_about_a_payload_never_quote_it() {
    for (payload, expected) in [
        ("secret", "has an invalid event in its payload (column 1)"),
        (r#"{"records":[]}"#, "has an invalid event in its payload (column 14)"),
        (r#"{"Records":[]}"#, "has no records in its payload"),
        (r#"{"Records":[{"body":"secret"}]}"#, "has a record without a sequence number in its payload"),
        (r#"{"Records":[{"dynamodb":{"SequenceNumber":7}}]}"#, "has a record without a sequence number in its payload"),
        (
            r#"{"Records":[{"dynamodb":{"SequenceNumber":"x"}}]}"#,
            "has a record without a sequence number in its payload",
        ),
    ] {
        assert_eq!(parse(&dynamodb(Some(payload))).unwrap().payload_records().unwrap_err(), expected);
    }
}

#[test]
fn the_metadata_is_parsed_from_the_beginning_of_a_long_document() {
    let metadata = dynamodb(None).to_string();
    let long = format!(r#"{},"payload":"{{\"Records\":[{{\",\"payload\":"#, metadata.strip_suffix('}').unwrap());
    assert_eq!(FailureDocument::parse_head(long.as_bytes()), FailureDocument::parse(metadata.as_bytes()).ok());
    let payload_first = dynamodb(Some(PAYLOAD)).to_string();
    assert_eq!(FailureDocument::parse_head(payload_first.as_bytes()), None, "the metadata follows the payload");
    assert_eq!(FailureDocument::parse_head(b"secret"), None);
}
