//! Records that the Kinesis Producer Library has aggregated, written here by hand as its documentation describes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use proptest::prelude::*;

use super::kinesis::{CHANGE, SEQUENCE, by_fan_out, message};
use super::*;
use crate::decode::aggregate::{MAGIC, MAGIC_JSON, user_records};

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

/// A field with a varint.
fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3);
    varint(&mut out, value);
    out
}

/// A field with a length in front.
fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, field << 3 | 2);
    varint(&mut out, u64::try_from(value.as_ref().len()).unwrap());
    out.extend_from_slice(value.as_ref());
    out
}

/// The data of an aggregated record with this protobuf.
fn sealed(protobuf: &[u8]) -> Vec<u8> {
    [&MAGIC, protobuf, Md5::digest(protobuf).as_slice()].concat()
}

/// A `Record` with the partition key at `key`.
fn record(key: u64, data: impl AsRef<[u8]>) -> Vec<u8> {
    bytes(3, [number(1, key), bytes(3, data)].concat())
}

/// The data of an aggregated record with these messages, which have two partition keys in turn.
pub(crate) fn aggregated(messages: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut protobuf = [bytes(1, "SECRET a"), bytes(1, "SECRET b")].concat();
    for (key, message) in [0, 1].into_iter().cycle().zip(messages) {
        protobuf.extend(record(key, message));
    }
    sealed(&protobuf)
}

/// The data of each user record.
fn data_of(aggregate: &[u8]) -> Option<Vec<Vec<u8>>> {
    let found = user_records(aggregate)?;
    assert!(found.iter().enumerate().all(|(index, user_record)| user_record.index == index));
    Some(found.iter().map(|user_record| user_record.of(aggregate).to_vec()).collect())
}

fn ids(records: &[String]) -> Vec<RecordId> {
    decoded(&event_of(records), |record| record.id).into_iter().map(Result::unwrap).collect()
}

#[test]
fn each_message_of_an_aggregated_record_is_a_record() {
    let aggregate = message(aggregated(&[r#"{"a":1,"x":"SECRET"}"#, r#"{"a":2}"#, r#"{"a":3}"#]));
    let records = [message(r#"{"a":0}"#), aggregate, message(r#"{"a":4}"#)];
    for records in [records.each_ref().map(|record| by_fan_out(record)), records] {
        let seen = decoded(&event_of(&records), |record| {
            let Some(Image::Carried(item)) = Some(record.newest_image()) else { panic!("no image") };
            let number = format!("{:?}", item.attribute("a").unwrap());
            (number, record.user_record, record.sequence.to_string(), record.created_at.to_string())
        });
        let expected = [None, Some(0), Some(1), Some(2), None].into_iter().zip(0_i64..).map(|(index, number)| {
            let number = format!("{:?}", crate::record::Value::N(crate::decimal::Decimal::from(number)));
            Ok((number, index, SEQUENCE.to_owned(), "2026-11-21T03:05:06.123Z".to_owned()))
        });
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }
}

#[test]
fn equal_messages_of_an_aggregated_record_have_different_ids_in_every_delivery() {
    let aggregate = message(aggregated(&[r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2}"#]));
    let first = ids(std::slice::from_ref(&aggregate));
    assert!(first[0] != first[1] && first[0] != first[2] && first[1] != first[2]);
    assert_eq!(first, ids(&[by_fan_out(&aggregate)]));
    let again = ids(&[message("{}"), aggregate.clone(), aggregate.clone()]);
    assert_eq!((&again[1..4], &again[4..]), (&first[..], &first[..]));
    // Not the id of the same message as an ordinary record, nor in another record, shard or stream.
    let others = [
        message(r#"{"a":1}"#),
        aggregate.replace(SEQUENCE, "49658204715301672214837609913207816451903782460917186563"),
        with(&aggregate, "shardId-000000000000", "shardId-000000000001"),
        with(&aggregate, ":stream/clicks", ":stream/click"),
    ];
    for other in others {
        assert!(ids(&[other]).iter().all(|id| !first.contains(id)));
    }
    // Pinned: an id must never change.
    assert_eq!(
        first.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["a8847677bf368bde241e7a3acadb4b1f", "5c9dd8ec2707dd2d31835b9618b4844d", "8f5957a2a09525977dce86398d8778f2"]
    );
}

#[test]
fn an_aggregated_change_of_a_table_has_the_id_of_the_change() {
    assert_eq!(ids(&[message(aggregated(&[CHANGE, "{}"]))])[0], id_of(&message(CHANGE)));
}

#[test]
fn an_invalid_message_is_rejected_without_the_others() {
    let aggregate = aggregated(&[&b"{}"[..], b"SECRET", b"{\"a\":1}", b"\xFF", &aggregated(&["{}"])]);
    let seen = decoded(&event_of(&[message(aggregate)]), |record| record.user_record);
    let rejected =
        |index: usize, reason: &str| Err(format!("record {SEQUENCE}, user record {index}: malformed: {reason}"));
    let expected = [
        Ok(Some(0)),
        rejected(1, "kinesis.data: expected an object at byte 0"),
        Ok(Some(2)),
        rejected(3, "kinesis.data: isn't valid UTF-8"),
        rejected(4, "kinesis.data: starts like an aggregated record, but has the wrong MD5 or an invalid protobuf"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_protobuf_allows_is_read() {
    let key = || bytes(1, "SECRET");
    let unknown = [
        number(9, u64::MAX),
        bytes(10, "SECRET"),
        vec![11 << 3 | 1, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![12 << 3 | 5, 0, 0, 0, 0],
    ];
    let tag = bytes(4, [bytes(1, "SECRET"), bytes(2, "SECRET")].concat());
    let cases: [(Vec<u8>, &[&[u8]]); 8] = [
        ([key(), record(0, "one")].concat(), &[b"one"]),
        // No messages at all, and an empty one.
        (key(), &[]),
        ([key(), record(0, "")].concat(), &[b""]),
        // The tables after the records.
        ([record(0, "one"), key()].concat(), &[b"one"]),
        // Unknown fields, in both messages.
        (
            [unknown.concat(), key(), bytes(3, [number(1, 0), unknown.concat(), bytes(3, "one"), tag].concat())]
                .concat(),
            &[b"one"],
        ),
        // The last value of a field counts.
        ([key(), bytes(3, [number(1, 9), bytes(3, "no"), number(1, 0), bytes(3, "one")].concat())].concat(), &[b"one"]),
        // An explicit hash key.
        ([key(), bytes(2, "7"), bytes(3, [number(1, 0), number(2, 0), bytes(3, "one")].concat())].concat(), &[b"one"]),
        // A varint that is longer than it needs to be.
        ([key(), bytes(3, [&[8, 0x80, 0x80, 0x00][..], &bytes(3, "one")].concat())].concat(), &[b"one"]),
    ];
    for (protobuf, expected) in cases {
        assert_eq!(data_of(&sealed(&protobuf)).unwrap(), expected, "{protobuf:?}");
    }
}

#[test]
fn what_does_not_fit_the_format_is_an_ordinary_record() {
    let key = || bytes(1, "SECRET");
    let no_key = "starts like an aggregated record, but has the wrong MD5 or an invalid protobuf";
    let cases = [
        Vec::new(),
        // An index without a key, and an explicit hash key that isn't there.
        record(0, "{}"),
        [key(), record(1, "{}")].concat(),
        [key(), record(u64::MAX, "{}")].concat(),
        [key(), bytes(3, [number(1, 0), number(2, 0), bytes(3, "{}")].concat())].concat(),
        [key(), bytes(3, [number(1, 0), number(2, u64::MAX), bytes(3, "{}")].concat())].concat(),
        // Required fields are missing, or have another type.
        [key(), bytes(3, bytes(3, "{}"))].concat(),
        [key(), bytes(3, number(1, 0))].concat(),
        [key(), bytes(3, [number(1, 0), number(3, 0)].concat())].concat(),
        // Lengths that lead out of the message: of a record, of the data, and beyond 64 bits.
        [key(), vec![3 << 3 | 2, 10, 8, 0, 26, 2, b'{', b'}']].concat(),
        [key(), vec![3 << 3 | 2, 6, 8, 0, 26, 3, b'{', b'}'], key()].concat(),
        [key(), vec![3 << 3 | 2, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]].concat(),
        [key(), vec![3 << 3 | 2], vec![0xFF; 11]].concat(),
        // Field number 0, a group, and a type that doesn't exist.
        [key(), vec![2, 0]].concat(),
        [key(), vec![4 << 3 | 3, 4 << 3 | 4]].concat(),
        [key(), vec![4 << 3 | 6]].concat(),
    ];
    for protobuf in cases {
        assert_eq!(user_records(&sealed(&protobuf)), None, "{protobuf:?}");
        assert_eq!(fault_of(&message(sealed(&protobuf))), format!("malformed: kinesis.data: {no_key}"), "{protobuf:?}");
    }
}

#[test]
fn a_damaged_or_truncated_record_is_an_ordinary_record() {
    let whole = aggregated(&["{}", r#"{"a":1}"#]);
    for length in 0..whole.len() {
        assert_eq!(user_records(&whole[..length]), None, "{length}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        assert_eq!(user_records(&damaged), None, "{at}");
    }
}

#[test]
fn ten_thousand_messages_of_a_record_are_read() {
    let messages: Vec<String> = (0..10_000).map(|number| format!(r#"{{"number":{number},"text":"SECRET"}}"#)).collect();
    let aggregate = aggregated(&messages);
    assert_eq!(data_of(&aggregate).unwrap(), messages.iter().map(|message| message.as_bytes()).collect::<Vec<_>>());
    let event = event_of(&[message(aggregate)]);
    let mut ids = std::collections::BTreeSet::new();
    let read = Event::read_each(event.as_bytes(), |record| {
        ids.insert(record.unwrap().id);
        ControlFlow::Continue(())
    });
    assert_eq!((read.unwrap().records().len(), ids.len()), (10_000, 10_000));
}

#[test]
fn a_message_alone_is_the_same_message_in_a_record_of_its_own() {
    let event = event_of(&[message(aggregated(&[r#"{"a":1}"#, r#"{"b":2}"#]))]);
    let event = Event::read(event.as_bytes()).unwrap();
    let alone: Vec<String> = event.records().iter().map(|raw| raw.json_alone().into_owned()).collect();
    assert_eq!(alone, [message(r#"{"a":1}"#), message(r#"{"b":2}"#)]);
}

#[test]
fn the_beginning_of_an_aggregated_record_is_recognized_in_base64() {
    assert!(format!("\"{}", BASE64.encode(MAGIC)).starts_with(MAGIC_JSON));
}

proptest! {
    #[test]
    fn any_messages_are_read_as_they_were_written(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
        let aggregate = aggregated(&messages);
        prop_assert_eq!(&data_of(&aggregate).unwrap(), &messages);
        // Each can be decoded from the base64 without the others.
        let base64 = BASE64.encode(&aggregate);
        let mut bytes = Vec::new();
        for (user_record, message) in user_records(&aggregate).unwrap().iter().zip(&messages) {
            prop_assert_eq!(user_record.decode(&base64, &mut bytes), Some(&message[..]));
        }
    }

    #[test]
    fn any_bytes_neither_panic_nor_allocate_more_than_their_size(noise in prop::collection::vec(any::<u8>(), 0..300), fits: bool) {
        let data = if fits { sealed(&noise) } else { noise };
        if let Some(found) = user_records(&data) {
            // The shortest record has six bytes.
            prop_assert!(found.len() <= data.len() / 6);
            prop_assert!(found.iter().all(|user_record| user_record.of(&data).len() < data.len()));
        }
        // Nothing of it is in a message.
        decoded(&event_of(&[message(&data)]), |_| ());
    }

    /// More often valid than noise: a protobuf in which a few bytes are replaced.
    #[test]
    fn a_damaged_protobuf_with_the_right_md5_neither_panics_nor_leaks(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        hash_keys in 0..2_usize,
    ) {
        let mut protobuf = [bytes(1, "SECRET"), bytes(2, "1").repeat(hash_keys), record(0, CHANGE), record(0, "{}")].concat();
        for (at, byte) in damage {
            let at = at.index(protobuf.len());
            protobuf[at] = byte;
        }
        decoded(&event_of(&[message(sealed(&protobuf))]), |_| ());
    }
}
