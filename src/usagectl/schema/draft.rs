//! Drafts a pipeline: items with similar keys become a record type, and the attributes they share become its schema. Pure:
//! items in, files out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value as Json, json};
use usage_aggregator::record::{Item, Value};

use self::fields::Draft;
use self::names::{key_text, pascal, snake};

mod fields;
mod names;

/// An item and the names of its key attributes.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// Its key attributes, partition key first.
    pub keys: Vec<String>,
    /// The item.
    pub item: Item<'a>,
}

/// Separators between the parts of a composite key.
const SEPARATORS: [char; 4] = ['#', '/', '|', ':'];

/// The files of a pipeline for these items, and notes for the person who reviews them.
pub(super) fn draft(samples: &[Sample<'_>]) -> (BTreeMap<String, String>, Vec<String>) {
    let mut groups: BTreeMap<Vec<(String, String)>, Vec<&Sample<'_>>> = BTreeMap::new();
    for sample in samples {
        groups.entry(patterns(sample)).or_default().push(sample);
    }
    let mut files = BTreeMap::new();
    let mut notes = Vec::new();
    let mut pipeline = "# Drafted by `usagectl schema infer`: review before use.\nsources = []\n".to_owned();
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

/// A schema as a person would write it: one field per line, with its name first.
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

/// The patterns that the keys of similar items match. A message without keys is matched by its first string or number.
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

/// For the key `pk`, `CUSTOMER#7` becomes `CUSTOMER#{pk}`: uppercase words are constants, other parts are variables.
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

#[cfg(test)]
mod tests;
