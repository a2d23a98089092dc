//! Which events fail as a whole, with a message that says what was found, and which don't.

use super::*;

fn error_of(bytes: &[u8]) -> String {
    let error = Event::read(bytes).unwrap_err();
    assert_eq!(error.kind, crate::error::ErrorKind::Config);
    safe(&error).strip_prefix("read the event: ").unwrap().to_owned()
}

#[test]
fn an_event_that_is_not_a_stream_event_fails_with_what_was_found() {
    let not_an_event = "it isn't a DynamoDB Streams or Kinesis event";
    let cases: &[(&[u8], &str)] = &[
        (b"", "it is empty, not an object with `Records`"),
        (b" \n", "it is empty, not an object with `Records`"),
        (b"null", "it is a JSON literal, not an object with `Records`"),
        (b"[]", "it is a JSON array, not an object with `Records`"),
        (b"\"SECRET\"", "it is a JSON string, not an object with `Records`"),
        (b"-1", "it is a JSON number, not an object with `Records`"),
        (b"SECRET", "it is text that isn't JSON, not an object with `Records`"),
        (b"{}", "it is an empty object, not one with `Records`"),
        (br#"{"Records":{}}"#, "its `Records` is not an array"),
        (br#"{"Records":null}"#, "its `Records` is not an array"),
        (br#"{"Records":[],"Records":[]}"#, "it has `Records` more than once"),
        (br#"{"records":[]}"#, "it has `records` instead of `Records`; names are case-sensitive"),
        (br#"{"RECORDS":[]}"#, "it has `RECORDS` instead of `Records`; names are case-sensitive"),
        (b"\xEF\xBB\xBF{\"Records\":[]}", "it starts with a byte order mark; save it as UTF-8 without one"),
        (b"{\"Records\":[\"SECRET\xFF\"]}", "it isn't UTF-8 (byte 19)"),
        (br#"{"Records":[]} x"#, "its JSON is invalid: expected the end of the text at byte 15"),
        (br#"{"Records":[]"#, "its JSON ends in the middle of a value, after 13 bytes"),
        (br#"{"Records":[{"SECRET"#, "its JSON ends in the middle of a value, after 20 bytes"),
        (br#"{"Records":[NaN,{"a""#, "its JSON ends in the middle of a value, after 20 bytes"),
        (br#"{"Records":["SECRET"]}"#, "Records[0] can't be read: expected an object at byte 0"),
        (br#"{"Records":[{}]}"#, "Records[0] has no eventSource"),
        (br#"{"Records":[{"eventSource":7}]}"#, "Records[0] has no eventSource"),
        (
            br#"{"Records":[{"eventSource":"aws:sqs","body":"SECRET"}]}"#,
            "Records[0] comes from `aws:sqs`, not from aws:dynamodb or aws:kinesis",
        ),
        (
            br#"{"Records":[{"eventSource":"aws:s3","s3":{"object":{"key":"SECRET"}}}]}"#,
            "Records[0] comes from `aws:s3`, not from aws:dynamodb or aws:kinesis",
        ),
        (br#"{"Records":[{"EventSource":"aws:sns","Sns":{"Message":"SECRET"}}]}"#, "Records[0] has no eventSource"),
        (
            br#"{"version":"0","id":"SECRET","detail-type":"x","source":"y","account":"1","time":"z"}"#,
            &format!("{not_an_event}: it has no `Records`, but version, id, detail-type, source, account"),
        ),
        (br#"{"a\n\u001b[31m":1}"#, &format!(r"{not_an_event}: it has no `Records`, but a\n\u{{1b}}[31m")),
        (
            br#"{"Records":[],"window":{"start":"x"},"state":{}}"#,
            "it belongs to a tumbling window, whose state the function doesn't return; set TumblingWindowInSeconds to 0; usage windows don't need it",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error_of(bytes), *expected, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn a_truncated_event_fails() {
    let event = event_of(&[RECORD]);
    for length in 0..event.len() {
        assert!(Event::read(&event.as_bytes()[..length]).is_err(), "{length}");
    }
}

#[test]
fn an_event_with_a_record_that_the_response_cannot_name_fails() {
    let number = r#""SequenceNumber":"2900002759746085485437","#;
    let expected = "Records[1] has no valid dynamodb.SequenceNumber, so the response can't name it";
    let longest = "9".repeat(129);
    let too_long = format!(r#""SequenceNumber":"{longest}9","#);
    let cases = [
        (number, ""),
        (number, r#""SequenceNumber":"","#),
        (number, r#""SequenceNumber":"SECRET","#),
        (number, r#""SequenceNumber":2900002759746085485437,"#),
        (number, r#""SequenceNumber":null,"#),
        (number, r#""SequenceNumber":"-1","#),
        (number, &too_long),
        (r#""dynamodb":{"#, r#""dynamo":{"#),
    ];
    for (from, to) in cases {
        let event = event_of(&[RECORD.to_owned(), with(RECORD, from, to)]);
        assert_eq!(error_of(event.as_bytes()), expected, "{to}");
    }
    let named = with(RECORD, "2900002759746085485437", &longest);
    assert_eq!(decoded_alone(&named, |record| record.sequence.to_string()), Ok(longest));
}

#[test]
fn a_batch_may_be_empty_or_large_and_have_unknown_fields() {
    assert!(Event::read(br#"{"Records":[]}"#).unwrap().records().is_empty());
    assert!(Event::read(br#" { "new" : [{}] , "Records" : [ ] } "#).unwrap().records().is_empty());
    let large = event_of(&vec![RECORD; 10_000]);
    assert_eq!(Event::read(large.as_bytes()).unwrap().records().len(), 10_000);
}

#[test]
fn a_record_from_another_stream_is_rejected_by_itself() {
    let foreign = with(RECORD, "aws:dynamodb\"", "aws:else\"");
    let cases = [
        vec![RECORD.to_owned(), kinesis::message("{}"), RECORD.to_owned()],
        vec![RECORD.to_owned(), foreign.clone(), RECORD.to_owned()],
        vec![kinesis::message("{}"), RECORD.to_owned(), kinesis::message("{}")],
        vec![kinesis::message("{}"), foreign, kinesis::message("{}")],
    ];
    for records in cases {
        let outcomes = decoded(&event_of(&records), |_| ());
        let rejection = outcomes[1].as_ref().unwrap_err();
        assert!(
            rejection
                .ends_with(": mixed_sources: eventSourceARN: differs from the stream of the first record in the batch")
        );
        assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(()), &Ok(())));
    }
}
