//! Kinesis records: plain messages, and changes from Kinesis Data Streams for DynamoDB.

use super::*;

/// A change as Kinesis Data Streams for DynamoDB writes it: 2026-11-21T03:05:05.891Z in milliseconds.
pub(super) const CHANGE: &str = r#"{"awsRegion":"us-east-1","eventID":"6d3a4f0e-5c0b-4a55-9d3a-0a5b2f1f3c11","eventName":"INSERT","userIdentity":null,"recordFormat":"application/json","tableName":"orders","dynamodb":{"ApproximateCreationDateTime":1795230305891,"Keys":{"pk":{"S":"SECRET"}},"NewImage":{"pk":{"S":"SECRET"},"n":{"N":"1"}},"SizeBytes":46},"eventSource":"aws:dynamodb"}"#;

pub(super) const SEQUENCE: &str = "49658204715301672214837609913207816451903782460917186562";

/// A Kinesis record with `data`.
pub(super) fn message(data: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    format!(
        r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"SECRET","sequenceNumber":"{SEQUENCE}","data":"{data}","approximateArrivalTimestamp":1795230306.123}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000000:{SEQUENCE}","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/r","awsRegion":"us-east-1","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/clicks"}}"#
    )
}

/// `record` as an enhanced fan-out consumer receives it.
pub(super) fn by_fan_out(record: &str) -> String {
    with(record, ":stream/clicks", ":stream/clicks/consumer/usage:1795000000")
}

#[test]
fn a_plain_message_is_the_insertion_of_an_item_without_keys() {
    for record in [message(r#"{"racer":7,"x":"SECRET"}"#), by_fan_out(&message(r#"{"racer":7,"x":"SECRET"}"#))] {
        let seen = decoded_alone(&record, |record| {
            assert_eq!(record.source.stream_arn, "arn:aws:kinesis:us-east-1:123456789012:stream/clicks");
            assert_eq!((&*record.source.name, record.keys.0.len()), ("clicks", 0));
            assert_eq!(record.event_id, format!("shardId-000000000000:{SEQUENCE}"));
            let attributes = record.newest_image().item().map(|item| item.0.len());
            (record.change.event(), record.created_at.to_string(), attributes)
        });
        assert_eq!(seen, Ok((Kind::Insert, "2026-11-21T03:05:06.123Z".to_owned(), Some(2))));
    }
}

#[test]
fn a_table_change_has_the_table_as_its_source() {
    for record in [message(CHANGE), by_fan_out(&message(CHANGE))] {
        let seen = decoded_alone(&record, |record| {
            assert_eq!(record.sequence.to_string(), SEQUENCE);
            assert_eq!(record.event_id, "6d3a4f0e-5c0b-4a55-9d3a-0a5b2f1f3c11");
            assert_eq!(record.source.stream_arn, "arn:aws:kinesis:us-east-1:123456789012:stream/clicks");
            (record.change.event(), record.created_at.to_string(), record.source.name.to_string(), record.keys.0.len())
        });
        assert_eq!(seen, Ok((Kind::Insert, "2026-11-21T03:05:05.891Z".to_owned(), "orders".to_owned(), 1)));
    }
}

#[test]
fn the_stated_precision_must_match_the_time() {
    let mismatch = "invalid_time: kinesis.data.ApproximateCreationDateTimePrecision: doesn't match the value of ApproximateCreationDateTime";
    let unknown = "invalid_time: kinesis.data.ApproximateCreationDateTimePrecision: is not MILLISECOND or MICROSECOND";
    let cases = [
        ("1795230305891", None, Ok("2026-11-21T03:05:05.891Z")),
        ("1795230305891", Some("MILLISECOND"), Ok("2026-11-21T03:05:05.891Z")),
        ("1795230305891", Some("MICROSECOND"), Err(mismatch)),
        ("1795230305891550", None, Ok("2026-11-21T03:05:05.89155Z")),
        ("1795230305891550", Some("MICROSECOND"), Ok("2026-11-21T03:05:05.89155Z")),
        ("1795230305891550", Some("MILLISECOND"), Err(mismatch)),
        ("1795230305", Some("MILLISECOND"), Err(mismatch)),
        ("1795230305891", Some("SECRET"), Err(unknown)),
    ];
    for (time, precision, expected) in cases {
        let change = with(CHANGE, "1795230305891", time);
        let stated =
            precision.map_or(String::new(), |name| format!(r#","ApproximateCreationDateTimePrecision":"{name}""#));
        let record = message(with(&change, r#""SizeBytes":46"#, &format!(r#""SizeBytes":46{stated}"#)));
        match expected {
            Ok(time) => assert_eq!(decoded_alone(&record, |record| record.created_at.to_string()).as_deref(), Ok(time)),
            Err(fault) => assert_eq!(fault_of(&record), fault, "{time} {precision:?}"),
        }
    }
}

#[test]
fn invalid_data_is_rejected_with_code_and_field() {
    let aggregate = [&[0xF3, 0x89, 0x9A, 0xC2][..], b"SECRET"].concat();
    let cases = [
        (message(""), "malformed: kinesis.data: expected an object at byte 0"),
        (message("SECRET"), "malformed: kinesis.data: expected an object at byte 0"),
        (message(r#"["SECRET"]"#), "malformed: kinesis.data: expected an object at byte 0"),
        (message(r#"{"a":"SECRET"}{"#), "malformed: kinesis.data: expected the end of the text at byte 14"),
        (message(r#"{"a":[{]}"#), "malformed: kinesis.data: expected `,` or the end of the object or array at byte 9"),
        (message(r#"{"a":[1,{"b":SECRET}]}"#), "malformed: kinesis.data.a[1].b: expected a number at byte 13"),
        (
            message(r#"{"a":1e126}"#),
            "invalid_number: kinesis.data.a: is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)",
        ),
        (
            message(format!(r#"{{"a":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000))),
            "too_deep: kinesis.data.a[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: is nested deeper than 32 levels, DynamoDB's limit",
        ),
        (message([b'{', 0xFF]), "malformed: kinesis.data: isn't valid UTF-8"),
        (
            message(aggregate),
            "malformed: kinesis.data: starts like an aggregated record, but has the wrong MD5 or an invalid protobuf",
        ),
        (
            with(&message("{}"), r#""data":"e30=""#, r#""data":"SECRET*""#),
            "malformed: kinesis.data: isn't valid base64",
        ),
        (with(&message("{}"), r#""data":"e30=""#, r#""data":null"#), "malformed: kinesis.data: is not a string"),
        (with(&message("{}"), r#""data":"e30=","#, ""), "malformed: kinesis.data: is missing"),
        (
            with(&message("{}"), "1795230306.123", "null"),
            "invalid_time: kinesis.approximateArrivalTimestamp: is not a number",
        ),
        (message(with(CHANGE, r#""tableName":"orders","#, "")), "malformed: kinesis.data.tableName: is missing"),
        (
            message(with(CHANGE, r#""INSERT""#, r#""SECRET""#)),
            "unknown_event_name: kinesis.data.eventName: is not one of INSERT, MODIFY, REMOVE",
        ),
        (message(with(CHANGE, r#""Keys":{"pk":{"S":"SECRET"}},"#, "")), "malformed: kinesis.data.Keys: is missing"),
        (
            message(with(CHANGE, r#""n":{"N":"1"}"#, r#""n":{"N":"SECRET"}"#)),
            "invalid_number: kinesis.data.NewImage.n: is not a decimal number",
        ),
        (
            message(with(CHANGE, r#""ApproximateCreationDateTime":1795230305891,"#, "")),
            "invalid_time: kinesis.data.ApproximateCreationDateTime: is missing",
        ),
    ];
    for (record, expected) in cases {
        assert_eq!(fault_of(&record), expected);
    }
}
