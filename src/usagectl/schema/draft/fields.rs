//! The fields of a drafted schema: for each attribute, the type that fits all its values.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use usage_aggregator::record::{Item, Value};

use super::names::{pascal, snake};
use super::number::number;

/// A map with more different keys than this holds data by key, and isn't a record.
const MAX_FIELDS: usize = 20;

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
        let mut fields = Vec::new();
        for name in names(items) {
            let values: Vec<&Value<'_>> = items.iter().filter_map(|item| item.attribute(name)).collect();
            let present: Vec<&Value<'_>> = values.iter().copied().filter(|value| **value != Value::Null).collect();
            let inner = format!("{place}.{name}");
            let unreachable = name.is_empty() || name.contains(['.', '[']) && values.len() < items.len();
            if present.is_empty() || unreachable {
                let why = if unreachable { "a path can't express its name" } else { "it is always null" };
                self.notes.push(format!("{inner} is omitted because {why}: add it by hand"));
                continue;
            }
            let node = self.node(&inner, &present);
            let as_json = node.is_err();
            let node = node.unwrap_or_else(|why| {
                self.notes.push(format!("{inner} is stored as JSON text because {why}"));
                json!("string")
            });
            let mut field_name = snake(name);
            while !taken.insert(field_name.clone()) {
                field_name.push_str("_of_item");
            }
            let always = present.len() == items.len();
            let mut field = json!({ "name": field_name, "type": if always { node } else { json!(["null", node]) } });
            if let Some(object) = field.as_object_mut() {
                if field_name != name {
                    object.insert("attribute".to_owned(), json!(name));
                }
                if as_json {
                    object.insert("as".to_owned(), json!("json"));
                }
                if !always {
                    object.insert("default".to_owned(), Json::Null);
                }
            }
            fields.push(field);
        }
        fields
    }

    /// The type that fits all of `values`, none of which is null.
    ///
    /// # Errors
    /// Why there is none.
    fn node(&mut self, place: &str, values: &[&Value<'_>]) -> Result<Json, String> {
        let kinds: BTreeSet<&str> = values.iter().map(|value| value.type_name()).collect();
        let kinds: Vec<&str> = kinds.into_iter().collect();
        Ok(match kinds.as_slice() {
            ["S"] => text(values),
            ["N"] => number(values)?,
            ["B"] => json!("bytes"),
            ["BOOL"] => json!("boolean"),
            ["M"] => self.map(place, values)?,
            ["SS"] => json!({ "type": "array", "items": "string" }),
            ["BS"] => json!({ "type": "array", "items": "bytes" }),
            ["L"] | ["NS"] => {
                let items: Vec<Cow<'_, Value<'_>>> = values.iter().flat_map(|value| elements(value)).collect();
                json!({ "type": "array", "items": self.part(place, &items.iter().map(Cow::as_ref).collect::<Vec<_>>(), "lists")? })
            }
            kinds => return Err(format!("it has values of several types, {}", kinds.join(" and "))),
        })
    }

    /// The type of the parts of lists or maps, which can be null.
    fn part(&mut self, place: &str, values: &[&Value<'_>], of: &str) -> Result<Json, String> {
        let present: Vec<&Value<'_>> = values.iter().copied().filter(|value| **value != Value::Null).collect();
        if present.is_empty() {
            return Err(format!("its {of} hold no values"));
        }
        let node = self.node(place, &present)?;
        Ok(if present.len() == values.len() { node } else { json!(["null", node]) })
    }

    fn map(&mut self, place: &str, values: &[&Value<'_>]) -> Result<Json, String> {
        let maps: Vec<&Item<'_>> =
            values.iter().filter_map(|value| if let Value::M(item) = value { Some(item) } else { None }).collect();
        if names(&maps).len() > MAX_FIELDS {
            let all: Vec<&Value<'_>> = maps.iter().flat_map(|item| &item.0).map(|(_, value)| value).collect();
            return Ok(json!({ "type": "map", "values": self.part(place, &all, "maps")? }));
        }
        let mut name = pascal(place.rsplit('.').next().unwrap_or(place));
        while !self.names.insert(name.clone()) {
            name.push_str("Part");
        }
        let fields = self.fields(place, &maps, BTreeSet::new());
        if fields.is_empty() {
            return Err("its maps hold no values".to_owned());
        }
        Ok(json!({ "type": "record", "name": name, "fields": fields }))
    }
}

/// The names of all attributes, in the order in which they first occur.
fn names<'i>(items: &[&'i Item<'_>]) -> Vec<&'i str> {
    let mut seen = BTreeSet::new();
    let all = items.iter().flat_map(|item| &item.0).map(|(name, _)| name.as_ref());
    all.filter(|name| seen.insert(*name)).collect()
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
    } else if all(&|text| text.parse::<jiff::Timestamp>().is_ok_and(|at| at.subsec_nanosecond() % 1_000_000 == 0)) {
        json!({ "type": "long", "logicalType": "timestamp-millis" })
    } else {
        json!("string")
    }
}
