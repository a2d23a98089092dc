//! The draft of a pipeline: items that look alike become a record type, and what their attributes have in common its
//! schema. Pure: items in, files out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value as Json, json};
use usage_aggregator::record::{Item, Value};
use usage_aggregator::time::Timestamp;

/// An item and the names of its keys, in their order.
#[derive(Debug)]
pub struct Sample<'a> {
    pub keys: Vec<String>,
    pub item: Item<'a>,
}

/// What stands between the parts of a composed key.
const SEPARATORS: [char; 4] = ['#', '/', '|', ':'];
/// The digits of a DynamoDB number.
const DIGITS: u32 = 38;

/// The files of a pipeline for these items, and what a person should know of them.
pub fn draft(samples: &[Sample<'_>]) -> (BTreeMap<String, String>, Vec<String>) {
    let mut groups: BTreeMap<Vec<(String, String)>, Vec<&Sample<'_>>> = BTreeMap::new();
    for sample in samples {
        groups.entry(patterns(sample)).or_default().push(sample);
    }
    let mut files = BTreeMap::new();
    let mut notes = Vec::new();
    let mut pipeline = "# A draft by `usagectl schema infer`: read it before you use it.\nsources = []\n".to_owned();
    for (number, (patterns, samples)) in groups.iter().enumerate() {
        let mut name = type_name(patterns).unwrap_or_else(|| format!("record_{}", number + 1));
        if files.contains_key(&format!("{name}.avsc")) {
            let _ = write!(name, "_{}", number + 1);
        }
        let wanted: Vec<String> =
            patterns.iter().map(|(key, pattern)| format!("{} = {}", key_text(key), json!(pattern))).collect();
        // Writing to a String can't fail.
        let _ = write!(
            pipeline,
            "\n[[record]]\ntype = \"{name}\"\nmatch = {{ {} }}\n\n[record.archive]\nschema = \"{name}.avsc\"\n",
            wanted.join(", ")
        );
        let items: Vec<&Item<'_>> = samples.iter().map(|sample| &sample.item).collect();
        let mut draft = Draft { names: BTreeSet::from([pascal(&name), "EventName".to_owned()]), notes: &mut notes };
        let fields = draft.row(&name, &items);
        files.insert(format!("{name}.avsc"), avsc(&pascal(&name), &fields));
    }
    files.insert("pipeline.toml".to_owned(), pipeline);
    (files, notes)
}

/// A schema as a person writes it: a field a line, its name first.
fn avsc(name: &str, fields: &[Json]) -> String {
    let fields: Vec<String> = fields.iter().map(|field| format!("    {}", notation(field))).collect();
    format!("{{\n  \"type\": \"record\",\n  \"name\": \"{name}\",\n  \"fields\": [\n{}\n  ]\n}}\n", fields.join(",\n"))
}

fn notation(json: &Json) -> String {
    match json {
        Json::Array(parts) => format!("[{}]", parts.iter().map(notation).collect::<Vec<_>>().join(", ")),
        Json::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_by_key(|(name, _)| name.as_str() != "name");
            let entries = entries.into_iter().map(|(name, value)| format!("{}: {}", json!(name), notation(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// What the keys of items like this one match; for a message without keys, its first text or number.
fn patterns(sample: &Sample<'_>) -> Vec<(String, String)> {
    let pattern = |name: &String| match sample.item.attribute(name) {
        Some(Value::S(text)) => (name.clone(), pattern(name, text)),
        _ => (name.clone(), format!("{{{}}}", variable(name, 0))),
    };
    if !sample.keys.is_empty() {
        return sample.keys.iter().map(pattern).collect();
    }
    let first = sample.item.0.iter().find(|(_, value)| matches!(value, Value::S(_) | Value::N(_)));
    first.map(|(name, _)| vec![(name.to_string(), format!("{{{}}}", variable(name, 0)))]).unwrap_or_default()
}

/// `CUSTOMER#7` of the key `pk` is `CUSTOMER#{pk}`: words in capitals are constant, other parts are variables.
fn pattern(key: &str, text: &str) -> String {
    let mut out = String::new();
    let mut variables = 0;
    for part in text.split_inclusive(SEPARATORS) {
        let word = part.trim_end_matches(SEPARATORS);
        let is_constant = !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        if is_constant || word.is_empty() {
            out.push_str(part);
        } else {
            let _ = write!(out, "{{{}}}{}", variable(key, variables), part.strip_prefix(word).unwrap_or_default());
            variables += 1;
        }
    }
    out
}

fn variable(key: &str, number: usize) -> String {
    let name = snake(key);
    if number == 0 { name } else { format!("{name}_{}", number + 1) }
}

/// The last constant word of the keys names the type.
fn type_name(patterns: &[(String, String)]) -> Option<String> {
    let words = patterns.iter().flat_map(|(_, pattern)| pattern.split(SEPARATORS));
    let mut constants = words.filter(|word| !word.is_empty() && !word.contains('{'));
    constants.next_back().map(|word| snake(&word.to_lowercase()))
}

struct Draft<'n> {
    /// Names of types so far: Avro wants each once.
    names: BTreeSet<String>,
    notes: &'n mut Vec<String>,
}

impl Draft<'_> {
    /// The top-level fields: what the record says of itself, then the attributes.
    fn row(&mut self, place: &str, items: &[&Item<'_>]) -> Vec<Json> {
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

    /// The type that all of `values` have, if there is one.
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
                // Of an empty list nothing is known.
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
        self.notes.push(format!("{place} is left out: {why}; add it by hand"));
        None
    }
}

/// The parts of a list or a set of numbers.
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
    let is_long =
        |number: usage_aggregator::decimal::Decimal| number.units(0).is_some_and(|units| i64::try_from(units).is_ok());
    if scale == 0 && numbers.clone().all(is_long) {
        json!("long")
    } else {
        json!({ "type": "bytes", "logicalType": "decimal", "precision": DIGITS, "scale": scale })
    }
}

/// A bare key of TOML, or a quoted one.
fn key_text(key: &str) -> String {
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain && !key.is_empty() { key.to_owned() } else { json!(key).to_string() }
}

/// `orderId` is `order_id`; what no Avro name may hold is `_`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit()) {
            out.push('_');
        }
        out.push(if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' });
        before = c;
    }
    if out.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { out } else { format!("_{out}") }
}

fn pascal(name: &str) -> String {
    let words = snake(name);
    let words = words.split('_').filter(|word| !word.is_empty());
    let name: String = words
        .map(|word| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default())
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("Type{name}") }
}

#[cfg(test)]
mod tests;
