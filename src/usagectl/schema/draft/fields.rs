//! The fields of a drafted schema: for each attribute, the type that fits all its values.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use usage_aggregator::decimal::Decimal;
use usage_aggregator::record::{Item, Value};
use usage_aggregator::time::Timestamp;

use super::names::{pascal, snake};

/// 38: the most significant digits of a DynamoDB number.
const DIGITS: u32 = 38;

/// A draft in progress.
pub(super) struct Draft<'n> {
    /// The type names used so far: Avro allows each only once.
    pub names: BTreeSet<String>,
    /// Notes for the person who reviews the draft.
    pub notes: &'n mut Vec<String>,
}

impl Draft<'_> {
    /// The top-level fields: the record's metadata, then the item's attributes.
    pub(super) fn row(&mut self, place: &str, items: &[&Item<'_>]) -> Vec<Json> {
        let event_name = json!({ "type": "enum", "name": "EventName", "symbols": ["INSERT", "MODIFY", "REMOVE"] });
        let created_at = json!({ "type": "long", "logicalType": "timestamp-micros" });
        let mut fields = vec![
            json!({ "name": "record_id", "type": "string", "source": "record_id" }),
            json!({ "name": "event_id", "type": "string", "source": "event_id" }),
            json!({ "name": "event_name", "type": event_name, "source": "event_name" }),
            json!({ "name": "sequence_number", "type": "string", "source": "sequence_number" }),
            json!({ "name": "created_at", "type": created_at, "source": "created_at" }),
        ];
        let taken: BTreeSet<String> = fields
            .iter()
            .filter_map(|field| field.get("name")?.as_str())
            .chain(["partition_date"])
            .map(str::to_owned)
            .collect();
        fields.extend(self.fields(place, items, taken));
        fields
    }

    fn fields(&mut self, place: &str, items: &[&Item<'_>], mut taken: BTreeSet<String>) -> Vec<Json> {
        let mut names: Vec<&Cow<'_, str>> = Vec::new();
        for (name, _) in items.iter().flat_map(|item| &item.0) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut fields = Vec::new();
        for name in names {
            let values: Vec<&Value<'_>> = items.iter().filter_map(|item| item.attribute(name)).collect();
            let present: Vec<&Value<'_>> = values.iter().copied().filter(|value| **value != Value::Null).collect();
            let inner = format!("{place}.{name}");
            let Some(node) = self.node(&inner, &present) else { continue };
            let mut field_name = snake(name);
            while !taken.insert(field_name.clone()) {
                field_name.push_str("_of_item");
            }
            let always = present.len() == items.len();
            let mut field = json!({ "name": field_name, "type": if always { node } else { json!(["null", node]) } });
            if let Some(object) = field.as_object_mut() {
                if field_name != **name {
                    object.insert("attribute".to_owned(), json!(name));
                }
                if !always {
                    object.insert("default".to_owned(), Json::Null);
                }
            }
            fields.push(field);
        }
        fields
    }

    /// The type that fits all of `values`, if there is one.
    fn node(&mut self, place: &str, values: &[&Value<'_>]) -> Option<Json> {
        let kinds: BTreeSet<&str> = values.iter().map(|value| value.type_name()).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        let items = || values.iter().flat_map(|value| elements(value)).collect::<Vec<_>>();
        Some(match kinds.as_slice() {
            ["S"] => text(values),
            ["N"] => number(values),
            ["B"] => json!("bytes"),
            ["BOOL"] => json!("boolean"),
            ["M"] => self.map(place, values)?,
            ["SS"] => json!({ "type": "array", "items": "string" }),
            ["BS"] => json!({ "type": "array", "items": "bytes" }),
            ["L"] | ["NS"] => {
                let items = items();
                let parts: Vec<&Value<'_>> = items.iter().map(Cow::as_ref).collect();
                // The element type of an empty list is unknown.
                let part = if parts.is_empty() { json!("string") } else { self.node(place, &parts)? };
                json!({ "type": "array", "items": part })
            }
            [] => return self.left_out(place, "it is always null"),
            kinds => return self.left_out(place, &format!("it has values of several types, {}", kinds.join(" and "))),
        })
    }

    fn map(&mut self, place: &str, values: &[&Value<'_>]) -> Option<Json> {
        let maps: Vec<&Item<'_>> =
            values.iter().filter_map(|value| if let Value::M(item) = value { Some(item) } else { None }).collect();
        let mut name = pascal(place.rsplit('.').next().unwrap_or(place));
        while !self.names.insert(name.clone()) {
            name.push_str("Part");
        }
        let fields = self.fields(place, &maps, BTreeSet::new());
        if fields.is_empty() {
            return Some(json!({ "type": "map", "values": "string" }));
        }
        Some(json!({ "type": "record", "name": name, "fields": fields }))
    }

    fn left_out(&mut self, place: &str, why: &str) -> Option<Json> {
        self.notes.push(format!("{place} is omitted because {why}: add it by hand"));
        None
    }
}

/// The elements of a list or a number set.
fn elements<'v>(value: &'v Value<'_>) -> Vec<Cow<'v, Value<'v>>> {
    match value {
        Value::L(values) => values.iter().map(Cow::Borrowed).collect(),
        Value::Ns(numbers) => numbers.iter().map(|number| Cow::Owned(Value::N(*number))).collect(),
        _ => Vec::new(),
    }
}

fn text(values: &[&Value<'_>]) -> Json {
    let all = |test: &dyn Fn(&str) -> bool| {
        values.iter().all(|value| if let Value::S(text) = value { test(text) } else { false })
    };
    if all(&|text| text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()) {
        json!({ "type": "int", "logicalType": "date" })
    } else if all(&|text| Timestamp::parse(text).is_some_and(|at| at.micros() % 1_000 == 0)) {
        json!({ "type": "long", "logicalType": "timestamp-millis" })
    } else {
        json!("string")
    }
}

fn number(values: &[&Value<'_>]) -> Json {
    let numbers = values.iter().filter_map(|value| if let Value::N(number) = value { Some(*number) } else { None });
    let scale = numbers.clone().map(|number| number.scale()).max().unwrap_or(0).min(DIGITS);
    let is_long = |number: Decimal| number.units(0).is_some_and(|units| i64::try_from(units).is_ok());
    if scale == 0 && numbers.clone().all(is_long) {
        json!("long")
    } else {
        json!({ "type": "bytes", "logicalType": "decimal", "precision": DIGITS, "scale": scale })
    }
}
