//! Random values decode to what was encoded. Random damage never causes a panic or leaks an item's contents.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::kinesis::{CHANGE, message};
use super::*;
use crate::decimal::Decimal;
use crate::record::{Item, Value};

/// A number within DynamoDB's range.
fn number() -> impl Strategy<Value = Decimal> {
    (-(10_i128.pow(38) - 1)..10_i128.pow(38), -120_i32..80)
        .prop_map(|(digits, exponent)| Decimal::parse(&format!("{digits}E{exponent}")).unwrap())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

pub(super) fn item_of(value: impl Strategy<Value = Value<'static>>) -> impl Strategy<Value = Item<'static>> {
    let name = any::<String>().prop_map(Cow::Owned);
    prop::collection::btree_map(name, value, 0..5).prop_map(|attributes| Item(attributes.into_iter().collect()))
}

pub(super) fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| Value::S(text.into())),
        number().prop_map(Value::N),
        bytes().prop_map(Value::B),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        prop::collection::btree_set(any::<String>(), 1..4)
            .prop_map(|set| Value::Ss(set.into_iter().map(Cow::Owned).collect())),
        prop::collection::btree_set(any::<i64>(), 1..4)
            .prop_map(|set| Value::Ns(set.into_iter().map(Decimal::from).collect())),
        prop::collection::btree_set(bytes(), 1..4).prop_map(|set: BTreeSet<_>| Value::Bs(set.into_iter().collect())),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..5).prop_map(Value::L), item_of(inner).prop_map(Value::M)]
    })
}

/// An item in DynamoDB's JSON.
pub(super) fn written(item: &Item<'_>) -> Json {
    item.0
        .iter()
        .map(|(name, value)| (name.to_string(), typed(value)))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}

fn typed(value: &Value<'_>) -> Json {
    match value {
        Value::S(text) => json!({ "S": text }),
        Value::N(number) => json!({ "N": number.to_string() }),
        Value::B(bytes) => json!({ "B": BASE64.encode(bytes) }),
        Value::Bool(truth) => json!({ "BOOL": truth }),
        Value::Null => json!({ "NULL": true }),
        Value::M(item) => json!({ "M": written(item) }),
        Value::L(list) => json!({ "L": list.iter().map(typed).collect::<Vec<_>>() }),
        Value::Ss(set) => json!({ "SS": set }),
        Value::Ns(set) => json!({ "NS": set.iter().map(Decimal::to_string).collect::<Vec<_>>() }),
        Value::Bs(set) => json!({ "BS": set.iter().map(|bytes| BASE64.encode(bytes)).collect::<Vec<_>>() }),
    }
}

proptest! {
    #[test]
    fn any_image_decodes_to_what_was_written(item in item_of(value()), pretty: bool) {
        let json = written(&item);
        let text = if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap();
        let record = with(RECORD, r#"{"a":{"S":"SECRET"},"b":{"N":"2"}}"#, &text);
        let event = event_of(&[record]);
        let event = Event::read(event.as_bytes()).unwrap();
        let mut scratch = Vec::new();
        let decoded = event.records()[0].decode(&mut scratch).unwrap();
        prop_assert_eq!(decoded.newest_image().item(), Some(&item));
    }

    #[test]
    fn damaged_events_neither_panic_nor_leak(
        kind in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let record = [RECORD.to_owned(), message(CHANGE), message(r#"{"a":["SECRET",1,{"b":null}]}"#)];
        let mut bytes = event_of(&[&record[kind], &record[kind]]).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut scratch = Vec::new();
        match Event::read(&bytes) {
            Err(error) => { safe(&error); }
            Ok(event) => for raw in event.records() {
                if let Err(rejection) = raw.decode(&mut scratch) {
                    safe(&rejection);
                }
            },
        }
    }

    #[test]
    fn a_damaged_message_neither_panics_nor_leaks(wrapped: bool, at: prop::sample::Index, byte: u8) {
        let mut data = if wrapped { CHANGE } else { r#"{"a":["SECRET",1,{"b":null}]}"# }.as_bytes().to_vec();
        let at = at.index(data.len());
        data[at] = byte;
        // `decoded` checks that no error contains the secret.
        decoded(&event_of(&[message(data)]), |_| ());
    }
}
