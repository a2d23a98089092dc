//! Drafts a pipeline: items with similar keys become a record type, and the attributes they share become its schema. Pure:
//! items in, files out. The draft takes every item it was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value as Json, json};
use usage_aggregator::record::{Item, Value};

use self::fields::Draft;
use self::groups::{Group, groups};
use self::names::{key_text, pascal, snake};
use self::pattern::{Match, constants, variables};
use crate::shell::console::counted;

mod fields;
mod groups;
mod names;
mod number;
mod pattern;

/// An item and the names of its key attributes.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// Its key attributes, partition key first.
    pub keys: Vec<String>,
    /// The item.
    pub item: Item<'a>,
}

/// Where the items came from.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The tables and streams.
    pub names: BTreeSet<String>,
    /// Whether there are plain Kinesis messages.
    pub is_plain_kinesis: bool,
    /// Whether the stream has removals without the removed item.
    pub removals_lack_images: bool,
}

/// The files of a pipeline for these items, and notes for the person who reviews them.
pub(super) fn draft(samples: &[Sample<'_>], source: &Source) -> (BTreeMap<String, String>, Vec<String>) {
    let mut notes = Vec::new();
    let groups = groups(samples);
    let described: usize = groups.iter().map(|group| group.items.len()).sum();
    if described < samples.len() {
        let left = counted(samples.len() - described, "item");
        notes.push(format!("{left} left out: no key attribute, or no attribute at all, is a string or a number"));
    }
    let mut files = BTreeMap::new();
    let mut pipeline = heading(described, source);
    let mut ids = BTreeSet::new();
    for (index, group) in groups.iter().enumerate() {
        let name = unused_name(&group.matches, source, index + 1, &mut ids);
        let mut draft = Draft { names: BTreeSet::from([pascal(&name), "EventName".to_owned()]), notes: &mut notes };
        let fields = draft.row(&name, &group.items);
        files.insert(format!("{name}.avsc"), avsc(&pascal(&name), &fields));
        pipeline.push_str(&record_type(&name, group, source));
    }
    files.insert("pipeline.toml".to_owned(), pipeline);
    (files, notes)
}

/// What comes before the record types.
fn heading(items: usize, source: &Source) -> String {
    let sources: Vec<String> = source.names.iter().map(|name| json!(name).to_string()).collect();
    let stream = if source.is_plain_kinesis { "stream = \"kinesis\"\n" } else { "" };
    format!(
        "# Drafted by usagectl from {items}: review before use (docs/pipelines.md).\nsources = [{sources}]\n{stream}
# Where the counters are stored, in the usage table.
[snapshot]
windows = [\"hour\", \"day\", \"month\"]
partition_key = {{ name = \"pk\", value = \"USAGE#{{entity}}\" }}
sort_key = {{ name = \"sk\", value = \"{{resource}}#{{window}}#{{window_start}}\" }}
attributes = {{ entity = \"{{entity}}\", resource = \"{{resource}}\", window = \"{{window}}\", window_start = \"{{window_start}}\" }}
",
        items = counted(items, "item"),
        sources = sources.join(", "),
    )
}

/// A record type that archives its items and counts their changes.
fn record_type(name: &str, group: &Group<'_>, source: &Source) -> String {
    let matches: Vec<String> =
        group.matches.iter().map(|(key, pattern)| format!("{} = {}", key_text(key), json!(pattern))).collect();
    let entity = match variables(&group.matches).first() {
        Some(variable) => format!("{{{variable}}}"),
        None => name.to_owned(),
    };
    let events = if source.removals_lack_images { "events = [\"INSERT\", \"MODIFY\"]\n" } else { "" };
    let mut text = format!(
        "\n[[record]]\ntype = \"{name}\"\nmatch = {{ {} }}\n{events}entity = \"{entity}\"\nresource = \"{name}\"\n\n[[record.measure]]\nname = \"changes\"\nkind = \"count\"\n",
        matches.join(", "),
    );
    if let Some(amount) = amount(group) {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            "\n# The sum over all items, kept up to date by changes and removals:\n# [[record.measure]]\n# name = {amount}\n# kind = \"delta\"\n# attribute = {amount}\n",
            amount = json!(amount),
        );
    }
    let _ = write!(text, "\n[record.archive]\nschema = \"{name}.avsc\"\n");
    text
}

/// The first attribute, apart from the keys, that is a number in all items.
fn amount<'g>(group: &'g Group<'_>) -> Option<&'g str> {
    let (first, others) = group.items.split_first()?;
    let is_number = |item: &Item<'_>, name: &str| matches!(item.attribute(name), Some(Value::N(_)));
    let is_plain =
        |name: &str| snake(name) == name.to_ascii_lowercase() && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let mut names = first.0.iter().map(|(name, _)| name.as_ref());
    names.find(|name| {
        is_plain(name)
            && !group.matches.iter().any(|(key, _)| key == name)
            && is_number(first, name)
            && others.iter().all(|item| is_number(item, name))
    })
}

/// A name for a record type whose table and view have names of their own: the last constant in its keys, or the only source.
fn unused_name(matches: &Match, source: &Source, number: usize, ids: &mut BTreeSet<String>) -> String {
    let constant = constants(matches).last().map(str::to_lowercase);
    let only_source = || source.names.first().filter(|_| source.names.len() == 1).cloned();
    let words = constant.or_else(only_source).map(|word| snake(&word)).unwrap_or_default();
    let words: Vec<&str> = words.split('_').filter(|word| !word.is_empty()).collect();
    let mut name: String = words.join("_").chars().take(48).collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name = format!("record_{number}");
    }
    if name.ends_with("_once") {
        name.push_str("_item");
    }
    let base = name.clone();
    let mut copy = 1;
    while !ids.insert(name.clone()) {
        copy += 1;
        name = format!("{base}_{copy}");
    }
    name
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

#[cfg(test)]
mod tests;
