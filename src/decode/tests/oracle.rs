//! Compares our decoder with `aws_lambda_events` on the sample events. That crate misreads times that aren't whole
//! seconds, so the samples only have whole seconds.

use aws_lambda_events::event::dynamodb;
use serde_dynamo::AttributeValue;

use super::*;
use crate::decimal::Decimal;
use crate::record::{Item, Value};

#[test]
fn our_decoding_agrees_with_aws_lambda_events() {
    for name in ["insert", "modify", "remove", "ttl-removal", "mixed", "poison", "demand", "batch-1000"] {
        let text = sample(name);
        let expected: dynamodb::Event = serde_json::from_str(&text).unwrap();
        let event = Event::read(text.as_bytes()).unwrap();
        assert_eq!(event.records().len(), expected.records.len(), "{name}");
        let mut scratch = Vec::new();
        for (ours, theirs) in event.records().iter().zip(expected.records) {
            agree(&ours.decode(&mut scratch).unwrap(), theirs);
        }
    }
}

fn agree(ours: &ChangeRecord<'_>, theirs: dynamodb::EventRecord) {
    let change = theirs.change;
    assert_eq!(ours.event_id, theirs.event_id);
    assert_eq!(Some(&*ours.source.stream_arn), theirs.event_source_arn.as_deref());
    assert_eq!(Some(ours.sequence.to_string()), change.sequence_number);
    assert_eq!(ours.change.event().stream_name(), theirs.event_name);
    assert_eq!(ours.change.event() == Kind::Expire, theirs.user_identity.is_some());
    assert_eq!(ours.created_at.micros(), change.approximate_creation_date_time.timestamp_micros());
    assert_eq!(sorted(&ours.keys), converted(change.keys));
    let image = |image: &Image<'_>| image.item().map(sorted).unwrap_or_default();
    let (old, new) = match &ours.change {
        Change::Insert { new } => (Vec::new(), image(new)),
        Change::Modify { old, new } => (image(old), image(new)),
        Change::Remove { old, .. } => (image(old), Vec::new()),
    };
    assert_eq!((old, new), (converted(change.old_image), converted(change.new_image)));
}

type Attributes = Vec<(String, Value<'static>)>;

/// Converts an item of `aws_lambda_events` to our values, sorted by name.
fn converted(item: serde_dynamo::Item) -> Attributes {
    ordered(item.into_inner().into_iter().map(|(name, value)| (name, from_theirs(value))))
}

fn from_theirs(value: AttributeValue) -> Value<'static> {
    let number = |text: String| Decimal::parse(&text).unwrap();
    let map = |map: Attributes| Value::M(Item(map.into_iter().map(|(name, value)| (name.into(), value)).collect()));
    match value {
        AttributeValue::S(text) => Value::S(text.into()),
        AttributeValue::N(text) => Value::N(number(text)),
        AttributeValue::B(bytes) => Value::B(bytes),
        AttributeValue::Bool(truth) => Value::Bool(truth),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::M(entries) => map(ordered(entries.into_iter().map(|(name, value)| (name, from_theirs(value))))),
        AttributeValue::L(list) => Value::L(list.into_iter().map(from_theirs).collect()),
        AttributeValue::Ss(set) => Value::Ss(set.into_iter().map(Cow::Owned).collect()),
        AttributeValue::Ns(set) => Value::Ns(set.into_iter().map(number).collect()),
        AttributeValue::Bs(set) => Value::Bs(set),
    }
}

/// Our item, sorted by name.
fn sorted(item: &Item<'_>) -> Attributes {
    ordered(item.0.iter().map(|(name, value)| (name.to_string(), in_order(value))))
}

fn in_order(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::S(text) => Value::S(text.to_string().into()),
        Value::N(number) => Value::N(*number),
        Value::B(bytes) => Value::B(bytes.clone()),
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Null => Value::Null,
        Value::M(item) => Value::M(Item(sorted(item).into_iter().map(|(name, value)| (name.into(), value)).collect())),
        Value::L(list) => Value::L(list.iter().map(in_order).collect()),
        Value::Ss(set) => Value::Ss(set.iter().map(|text| text.to_string().into()).collect()),
        Value::Ns(set) => Value::Ns(set.clone()),
        Value::Bs(set) => Value::Bs(set.clone()),
    }
}

fn ordered(attributes: impl Iterator<Item = (String, Value<'static>)>) -> Attributes {
    let mut attributes: Attributes = attributes.collect();
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    attributes
}
