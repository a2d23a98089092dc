//! What a pipeline.toml says, with defaults left out and both ways to write a counter made equal, so that two versions differ only
//! in what they do.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use toml::de::{DeTable, DeValue};
use usage_aggregator::pipeline::Folder;

/// A pipeline as it is written.
#[derive(Debug)]
pub(super) struct Definition {
    /// The generation of the measures.
    pub generation: u64,
    /// The top-level values that concern records and files.
    pub top: Map<String, Json>,
    /// The `[snapshot]` table, if the pipeline counts.
    pub snapshot: Option<Map<String, Json>>,
    /// The record types, in order.
    pub records: Vec<Record>,
    /// The files of the folder.
    pub folder: Folder,
}

/// A record type.
#[derive(Debug)]
pub(super) struct Record {
    /// Its name.
    pub name: String,
    /// What selects its records: everything apart from counters and the archive.
    pub selection: Map<String, Json>,
    /// What it counts.
    pub counters: Vec<Counter>,
    /// How it is archived.
    pub archive: Option<Map<String, Json>>,
}

/// Whose usage is counted, and what of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counter {
    /// The entity and the resource.
    pub group: (String, String),
    /// The measures by name.
    pub measures: Vec<(String, Map<String, Json>)>,
}

/// Values that mean the same as leaving the key out.
fn defaults() -> [(&'static str, Json); 7] {
    [
        ("missing", json!("reject")),
        ("removed", json!("subtract")),
        ("cleared", json!("subtract")),
        ("factor", json!("1")),
        ("image", json!("newest")),
        ("partition_date", json!("created_at")),
        ("unmatched", json!("skip")),
    ]
}

impl Definition {
    /// Reads the pipeline.toml of a valid pipeline.
    pub(super) fn of(folder: Folder) -> Definition {
        let text = folder.files.get("pipeline.toml").map(String::as_str).unwrap_or_default();
        let (table, _) = DeTable::parse_recoverable(text);
        let mut top = object(table.get_ref());
        let records = take_list(&mut top, "record").into_iter().map(record).collect();
        let generation = top.remove("generation").and_then(|number| number.as_str()?.parse().ok()).unwrap_or(1);
        let snapshot = take_table(&mut top, "snapshot");
        // Only tools and people use these.
        for key in ["description", "sources", "stream"] {
            top.remove(key);
        }
        Definition { generation, top, snapshot, records, folder }
    }

    /// Everything that decides which amounts are added to which counter.
    pub(super) fn counting(&self) -> Json {
        let last = self.records.iter().rposition(|record| !record.counters.is_empty());
        let records = self.records.iter().take(last.map_or(0, |last| last + 1)).map(|record| {
            let mut counters: Vec<Json> = record.counters.iter().map(counting).collect();
            counters.sort_by_key(Json::to_string);
            json!([record.selection, counters])
        });
        json!({ "records": records.collect::<Vec<_>>(), "variables": self.group_variables(), "adjusts": self.adjustments() })
    }

    /// When records count as adjustments in other windows than their own, if they do.
    fn adjustments(&self) -> Option<&Json> {
        let closing = self.snapshot.as_ref()?.get("closing")?;
        Some(closing).filter(|closing| closing.get("late").is_some_and(|late| late == "adjust"))
    }

    /// The variables of the snapshot's templates by which counters are kept apart.
    fn group_variables(&self) -> BTreeSet<String> {
        let text = Json::Object(self.snapshot.clone().unwrap_or_default()).to_string();
        let names = text.split('{').skip(1).filter_map(|piece| Some(piece.split_once('}')?.0.to_owned()));
        let is_name = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_group = |name: &String| !name.starts_with("window") && name != "measure";
        names.filter(is_name).filter(is_group).collect()
    }
}

/// A counter without what only decides whether a record is rejected.
fn counting(counter: &Counter) -> Json {
    let measures = counter.measures.iter().map(|(name, measure)| {
        let mut measure = measure.clone();
        measure.remove("scale");
        json!([name, measure])
    });
    let mut measures: Vec<Json> = measures.collect();
    measures.sort_by_key(Json::to_string);
    json!([counter.group.0, counter.group.1, measures])
}

fn record(mut table: Map<String, Json>) -> Record {
    let name = text(table.remove("type"));
    let mut archive = take_table(&mut table, "archive");
    if let Some(archive) = archive.as_mut().filter(|archive| !archive.contains_key("partition_date")) {
        archive.remove("partition_date_unit");
    }
    let mut counters: Vec<Counter> = take_list(&mut table, "counter").into_iter().map(counter).collect();
    let own = counter(table.clone());
    if !own.measures.is_empty() {
        counters.push(own);
    }
    for key in ["entity", "resource", "measure", "alert"] {
        table.remove(key);
    }
    Record { name, selection: table, counters, archive }
}

fn counter(mut table: Map<String, Json>) -> Counter {
    let measures = take_list(&mut table, "measure");
    let group = (text(table.remove("entity")), text(table.remove("resource")));
    Counter { group, measures: measures.into_iter().map(measure).collect() }
}

fn measure(mut table: Map<String, Json>) -> (String, Map<String, Json>) {
    // By default, an item that expires is treated like one that is removed.
    let removed = table.get("removed").cloned().unwrap_or_else(|| json!("subtract"));
    if table.get("expired") == Some(&removed) {
        table.remove("expired");
    }
    // Keys without an effect are refused, but the pipeline in use may have them.
    let [attribute, attributes] = ["attribute", "attributes"].map(|key| table.contains_key(key));
    let useless: &[&str] = match (attribute, attributes) {
        (false, false) => &["except", "scale", "missing", "cleared"],
        (true, false) => &["except"],
        (_, true) => &["missing"],
    };
    useless.iter().for_each(|key| drop(table.remove(*key)));
    (text(table.remove("name")), table)
}

fn text(value: Option<Json>) -> String {
    value.as_ref().and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn take_list(table: &mut Map<String, Json>, key: &str) -> Vec<Map<String, Json>> {
    let Some(Json::Array(list)) = table.remove(key) else { return Vec::new() };
    list.into_iter().filter_map(|value| if let Json::Object(table) = value { Some(table) } else { None }).collect()
}

fn take_table(table: &mut Map<String, Json>, key: &str) -> Option<Map<String, Json>> {
    if let Some(Json::Object(inner)) = table.remove(key) { Some(inner) } else { None }
}

/// A TOML table without values that are the default. Numbers become texts, so that all their digits are compared.
fn object(table: &DeTable<'_>) -> Map<String, Json> {
    let defaults = defaults();
    let entries =
        table.iter().map(|(key, value)| (key.get_ref().to_string(), value_of(key.get_ref(), value.get_ref())));
    entries.filter(|(key, value)| !defaults.iter().any(|default| default.0 == key && default.1 == *value)).collect()
}

fn value_of(key: &str, value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str()),
        DeValue::Float(number) => json!(number.as_str()),
        DeValue::Boolean(truth) => json!(truth),
        DeValue::Datetime(time) => json!(time.to_string()),
        DeValue::Table(table) => Json::Object(object(table)),
        DeValue::Array(list) => {
            let mut list: Vec<Json> = list.iter().map(|element| value_of("", element.get_ref())).collect();
            // The order of these has no meaning.
            if matches!(key, "events" | "windows" | "except" | "any_of" | "not") {
                list.sort_by_key(Json::to_string);
            }
            Json::Array(list)
        }
    }
}
