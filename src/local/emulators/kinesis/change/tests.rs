//! Changes of a table in Kinesis, and the function's decoder reading them.

use super::*;
use crate::emulators::kinesis::replicator::tests::{decoded_through_kinesis, streamed};
use stream_types::Timestamp;
use usage_aggregator::record::{Event, SequenceNumber};

const CHANGE: &str = r#"{"eventID":"9cdf975187b7d7f668abf98414c08f05","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1.795230305E9,"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"},"n":{"N":"1.50"},"t":{"S":"\u00e9\n"}},"OldImage":{"pk":{"S":"a"}},"SequenceNumber":"100000000001795230305891550","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},"eventSourceARN":"arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-02T08:15:27.416"}"#;

fn record(json: &str, sequence: &str, micros: i64) -> SourceRecord {
    SourceRecord {
        sequence: SequenceNumber::parse(sequence.to_owned()).unwrap(),
        item: 7,
        created_at: Timestamp::from_micros(micros).unwrap(),
        json: json.to_owned(),
    }
}

/// The time of the change that `CHANGE` shows in whole seconds.
const MICROS: i64 = 1_795_230_305_891_550;

#[test]
fn a_change_has_the_fields_of_kinesis_data_streams_for_dynamodb() {
    let record = record(CHANGE, "100000000001795230305891550", MICROS);
    insta::assert_snapshot!(change_of(&record, Precision::Microsecond).unwrap());
    let coarse = change_of(&record, Precision::Millisecond).unwrap();
    assert!(coarse.contains(r#""ApproximateCreationDateTime":1795230305891,"Keys""#), "{coarse}");
    assert!(coarse.contains(r#""ApproximateCreationDateTimePrecision":"MILLISECOND"}"#), "{coarse}");
}

#[test]
fn a_change_made_by_time_to_live_names_dynamodb_as_the_user() {
    let removed = CHANGE.replace("MODIFY", "REMOVE").replace(
        r#"{"eventID""#,
        r#"{"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventID""#,
    );
    let change = change_of(&record(&removed, "1", MICROS), Precision::Millisecond).unwrap();
    assert!(
        change.contains(r#""userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"#),
        "{change}"
    );
    let seen = decoded_through_kinesis(&[change], |record| record.change.event());
    assert_eq!(seen, [Event::Expire]);
}

#[test]
fn the_decoder_reads_changes_of_both_precisions() {
    for (precision, time) in
        [(Precision::Millisecond, "2026-11-21T03:05:05.891Z"), (Precision::Microsecond, "2026-11-21T03:05:05.89155Z")]
    {
        let change = change_of(&record(CHANGE, "100000000001795230305891550", MICROS), precision).unwrap();
        let seen = decoded_through_kinesis(&[change], |record| {
            assert_eq!((&*record.source.name, &*record.event_id), ("orders", "9cdf9751-87b7-d7f6-68ab-f98414c08f05"));
            (record.change.event(), record.created_at.to_string())
        });
        assert_eq!(seen, [(Event::Modify, time.to_owned())]);
    }
}

#[test]
fn a_repeated_record_keeps_its_id_and_an_identical_change_within_the_second_has_another() {
    let id = |micros: i64| {
        let change = change_of(&record(CHANGE, "100000000001795230305891550", micros), Precision::Microsecond).unwrap();
        decoded_through_kinesis(&[change.clone(), change], |record| record.id)
    };
    let (first, second) = (id(MICROS), id(MICROS + 1));
    assert_eq!(first[0], first[1]);
    assert_ne!(first[0], second[0]);
}

#[test]
fn an_item_has_one_partition_key() {
    let (a, b) = (streamed(1, 10), streamed(2, 10));
    assert_eq!(partition_key(&a), partition_key(&b));
    let key = partition_key(&a);
    assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{key}");
    assert_ne!(partition_key(&streamed(3, 11)), key);
}

#[test]
fn an_event_id_in_another_form_becomes_a_uuid_too() {
    let change = |id: &str| {
        let json = CHANGE.replace("9cdf975187b7d7f668abf98414c08f05", id);
        let change = change_of(&record(&json, "1", MICROS), Precision::Millisecond).unwrap();
        decoded_through_kinesis(&[change], |record| record.event_id.to_string()).remove(0)
    };
    assert_eq!(change("1").split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_ne!(change("1"), change("2"));
}

#[test]
fn a_record_that_is_not_a_change_of_a_table_is_refused() {
    let cases = [
        ("{}".to_owned(), "missing field `eventID`"),
        (CHANGE.replace(":table/orders/", ":stream/orders/"), "read record 5 as a record of a DynamoDB stream"),
        (CHANGE.replace(r#""Keys":{"pk":{"S":"a"}},"#, ""), "missing field `Keys`"),
    ];
    for (json, expected) in cases {
        let error = format!("{:#}", change_of(&record(&json, "5", MICROS), Precision::Millisecond).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}
