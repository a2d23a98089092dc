//! Tests of decoding, from the bytes of an event to records, rejections or errors. [`RECORD`] is a record as DynamoDB
//! Streams delivers it; each case replaces a part of it. The texts in items contain SECRET, and no message may repeat
//! it.

pub(crate) mod aggregate;
mod damage;
mod envelope;
mod identity;
mod kinesis;
mod oracle;
mod outline;
mod record;

use super::*;
use crate::record::{Change, Event as Kind, Image, RecordId};

/// 1.795230305E9 is 2026-11-21T03:05:05Z.
const RECORD: &str = r#"{"eventID":"9cdf975187b7d7f668abf98414c08f05","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1.795230305E9,"Keys":{"pk":{"S":"SECRET"},"sk":{"N":"1"}},"NewImage":{"a":{"S":"SECRET"},"b":{"N":"2"}},"OldImage":{"a":{"S":"SECRET old"}},"SequenceNumber":"2900002759746085485437","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416"}"#;

/// `record` with the only occurrence of `from` replaced.
fn with(record: &str, from: &str, to: &str) -> String {
    assert_eq!(record.matches(from).count(), 1, "{from}");
    record.replace(from, to)
}

fn event_of(records: &[impl AsRef<str>]) -> String {
    let records: Vec<&str> = records.iter().map(AsRef::as_ref).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

/// The result of `look` for each record of an event, or the error or rejection.
fn decoded<T>(event: &str, look: impl Fn(&ChangeRecord<'_>) -> T) -> Vec<Result<T, String>> {
    let event = match Event::read(event.as_bytes()) {
        Ok(event) => event,
        Err(error) => return vec![Err(safe(&error))],
    };
    let (mut scratch, mut reader) = (Vec::new(), ItemReader::default());
    let mut decoded = Vec::new();
    for raw in event.records() {
        decoded.push(raw.decode(&mut scratch).map_err(|found| safe(&found)).map(|record| {
            assert_eq!(reader.read(raw), Some((record.keys.clone(), record.newest_image().clone())));
            look(&record)
        }));
    }
    decoded
}

/// The result of `look` for a single record.
fn decoded_alone<T>(record: &str, look: impl Fn(&ChangeRecord<'_>) -> T) -> Result<T, String> {
    decoded(&event_of(&[record]), look).remove(0)
}

/// The text of an error, which must not contain anything of an item.
fn safe(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    assert!(!text.contains("SECRET"), "{text}");
    text
}

/// The rejection of a single record, without the sequence number at its start.
fn fault_of(record: &str) -> String {
    let rejection = decoded_alone(record, |_| ()).unwrap_err();
    let (sequence, fault) = rejection.split_once(": ").unwrap();
    assert!(sequence.starts_with("record ") && record.contains(&sequence["record ".len()..]), "{rejection}");
    fault.to_owned()
}

fn id_of(record: &str) -> RecordId {
    decoded_alone(record, |record| record.id).unwrap()
}

fn sample(name: &str) -> String {
    std::fs::read_to_string(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
