//! The event decoder: its fast path against its fallback, and both against serde_json with the types of aws_lambda_events.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use aws_lambda_events::event::dynamodb;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_dynamo::AttributeValue;
use stream_types::Decimal;
use usage_aggregator::decode::{Event, ItemReader};
use usage_aggregator::outline::Outline;
use usage_aggregator::record::{ChangeOf, ChangeRecord, ImageOf, Item, Value};

mod aggregate;

/// What surrounds the images of a record.
const BEFORE: &str = r#"{"Records":[{"eventID":"9cdf975187b7d7f668abf98414c08f05","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1.795230305E9,"Keys":{"pk":{"S":"a"},"sk":{"N":"1"}},"NewImage":"#;
const AFTER: &str = r#","OldImage":{"a":{"S":"old"}},"SequenceNumber":"2900002759746085485437","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-11-02T08:15:27.416"}]}"#;

/// A whole event.
pub(crate) fn event(data: &[u8]) {
    let Some(event) = both_decoders_agree(data) else { return };
    let Ok(theirs) = serde_json::from_slice::<dynamodb::Event>(data) else { return };
    if event.records().iter().any(|record| record.is_from_kinesis()) {
        return;
    }
    assert_eq!(event.records().len(), theirs.records.len());
    let mut scratch = Vec::new();
    for (raw, theirs) in event.records().iter().zip(theirs.records) {
        if let Ok(ours) = raw.decode(&mut scratch) {
            agrees(&ours, theirs);
        }
    }
}

/// An image in DynamoDB's JSON.
pub(crate) fn dynamodb_json(data: &[u8]) {
    let Ok(image) = std::str::from_utf8(data) else { return };
    event([BEFORE, image, AFTER].concat().as_bytes());
}

/// The text of a binary attribute.
pub(crate) fn base64(data: &[u8]) {
    // What JSON would unescape is the business of other targets.
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\');
    let Some(text) = std::str::from_utf8(data).ok().filter(|_| data.iter().all(is_plain)) else { return };
    let event = [BEFORE, r#"{"b":{"B":""#, text, r#""},"c":{"BS":[""#, text, r#""]}}"#, AFTER].concat();
    let expected = BASE64.decode(text).ok();
    let mut found = None;
    let read = Event::read_each(event.as_bytes(), |record| {
        if let Ok(record) = record
            && let ChangeOf::Modify { new: ImageOf::Carried(new), .. } = record.change
        {
            found = new.attribute("b").and_then(|entry| entry.binary());
            let set = new.attribute("c").and_then(|entry| entry.list());
            assert_eq!(set.and_then(|set| set.entries().next()?.binary()), found);
        }
        ControlFlow::Continue(())
    });
    assert!(read.is_ok());
    assert_eq!(found, expected);
}

/// The data of a Kinesis record, as it is before base64.
pub(crate) fn kinesis_message(data: &[u8]) {
    both_decoders_agree(kinesis_event(data).as_bytes());
}

/// The protobuf in the data of an aggregated Kinesis record.
pub(crate) fn kinesis_aggregate(data: &[u8]) {
    let record = [&aggregate::MAGIC[..], data, &md5::compute(data).0].concat();
    let text = kinesis_event(&record);
    let Some(event) = both_decoders_agree(text.as_bytes()) else { panic!("the envelope is valid") };
    let expected = aggregate::user_records(data);
    let Some(expected) = expected else {
        return assert!(event.records().len() == 1 && event.records()[0].user_record().is_none());
    };
    assert_eq!(event.records().len(), expected.len());
    for (index, (raw, expected)) in event.records().iter().zip(expected).enumerate() {
        assert_eq!(raw.user_record(), Some(index));
        assert_eq!(raw.json_alone(), raw.json().replace(&BASE64.encode(&record), &BASE64.encode(expected)));
    }
}

fn kinesis_event(data: &[u8]) -> String {
    let mut event = String::with_capacity(600 + data.len() * 4 / 3);
    event.push_str(r#"{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"a","sequenceNumber":"49590338271490256608559692538361571095921575989136588898","data":""#);
    BASE64.encode_string(data, &mut event);
    event.push_str(r#"","approximateArrivalTimestamp":1795230305.123},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898","eventName":"aws:kinesis:record","awsRegion":"us-east-1","eventSourceARN":"arn:aws:kinesis:us-east-1:123456789012:stream/messages"}]}"#);
    event
}

/// Decodes an event in one pass and with the fallback, which must make the same records and rejections. All of a record that is
/// decoded can be read without decoding it. `None` if the envelope is refused.
fn both_decoders_agree(data: &[u8]) -> Option<Event<'_>> {
    let mut decoded = String::new();
    let mut written = |record: &dyn std::fmt::Debug| _ = writeln!(decoded, "{record:?}");
    let read = Event::read_each(data, |record| {
        match record {
            Ok(record) => written(&record.map(Outline::item)),
            Err(rejection) => written(&rejection),
        }
        ControlFlow::Continue(())
    });
    let event = match read {
        Ok(event) => event,
        Err(_) => {
            assert!(Event::read(data).is_err());
            return None;
        }
    };
    let (mut expected, mut scratch, mut reader) = (String::new(), Vec::new(), ItemReader::default());
    for raw in event.records() {
        let readable = reader.read(raw);
        _ = match raw.decode(&mut scratch) {
            Ok(record) => {
                assert!(readable.is_some_and(|(keys, image)| keys == record.keys && image == *record.newest_image()));
                writeln!(expected, "{record:?}")
            }
            Err(rejection) => writeln!(expected, "{rejection:?}"),
        };
    }
    assert_eq!(decoded, expected);
    Some(event)
}

fn agrees(ours: &ChangeRecord<'_>, theirs: dynamodb::EventRecord) {
    let change = theirs.change;
    assert_eq!(Some(ours.sequence.as_str()), change.sequence_number.as_deref());
    assert_eq!(ours.change.event().stream_name(), theirs.event_name);
    assert!(same_items(&ours.keys, change.keys));
    let image = |image: &ImageOf<Item<'_>>, theirs| image.item().is_none_or(|item| same_items(item, theirs));
    match &ours.change {
        ChangeOf::Insert { new } => assert!(image(new, change.new_image)),
        ChangeOf::Modify { old, new } => assert!(image(old, change.old_image) && image(new, change.new_image)),
        ChangeOf::Remove { old, .. } => assert!(image(old, change.old_image)),
    }
}

fn same_items(ours: &Item<'_>, theirs: serde_dynamo::Item) -> bool {
    same_maps(ours, &theirs.into_inner())
}

fn same_maps(ours: &Item<'_>, theirs: &std::collections::HashMap<String, AttributeValue>) -> bool {
    // Of attributes with one name, which no item has, the first counts here, and the last there.
    ours.0.len() != theirs.len()
        || ours.0.iter().all(|(name, value)| theirs.get(&**name).is_some_and(|other| same(value, other)))
}

fn same(ours: &Value<'_>, theirs: &AttributeValue) -> bool {
    let number = |ours: &Decimal, theirs: &String| Decimal::parse(theirs) == Ok(*ours);
    match (ours, theirs) {
        (Value::S(one), AttributeValue::S(other)) => one == other,
        (Value::N(one), AttributeValue::N(other)) => number(one, other),
        (Value::B(one), AttributeValue::B(other)) => one == other,
        (Value::Bool(one), AttributeValue::Bool(other)) => one == other,
        (Value::Null, AttributeValue::Null(_)) => true,
        (Value::M(one), AttributeValue::M(other)) => same_maps(one, other),
        (Value::L(one), AttributeValue::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Ss(one), AttributeValue::Ss(other)) => one.iter().eq(other),
        (Value::Ns(one), AttributeValue::Ns(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| number(one, other))
        }
        (Value::Bs(one), AttributeValue::Bs(other)) => one == other,
        _ => false,
    }
}
