//! The SQL for Athena that lists the archived records of a group in a window.

use serde::Deserialize;
use serde_json::Value;
use stream_types::Timestamp;
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::pipeline::template::Part;
use usage_aggregator::pipeline::{PartitionDate, Pipeline, Route};
use usage_aggregator::usage::CounterKey;

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    field_type: Value,
    source: Option<String>,
    attribute: Option<String>,
}

/// A query for each record type that counts for the group and is archived.
pub(super) fn queries(pipeline: &Pipeline, key: &CounterKey, window: WindowKey) -> Vec<String> {
    let of_route = |route: &Route| {
        let archive = route.archive.as_ref()?;
        let schema: Schema = serde_json::from_str(archive.schema.json()).ok()?;
        let counters = route.counters.iter().filter_map(|counter| {
            let attributes = route.items_of(&counter.group, &key.0)?;
            Some(query(route, &schema, &archive.partition_date, &attributes, window))
        });
        let mut queries: Vec<String> = counters.collect();
        queries.dedup();
        Some(queries)
    };
    pipeline.routes.iter().filter_map(of_route).flatten().collect()
}

fn query(
    route: &Route,
    schema: &Schema,
    partition_date: &PartitionDate,
    attributes: &[(&str, Vec<Part>)],
    window: WindowKey,
) -> String {
    let of_source = |source: &str| schema.fields.iter().find(|field| field.source.as_deref() == Some(source));
    let of_attribute = |attribute: &str| {
        let is_it =
            |field: &&Field| field.source.is_none() && field.attribute.as_deref().unwrap_or(&field.name) == attribute;
        schema.fields.iter().find(is_it)
    };
    let (mut start, mut end) = (window.start(), window.end());
    let mut notes = Vec::new();
    let mut conditions = Vec::new();
    if let Some(time) = &route.window_time {
        (start, end) = (start - time.early_seconds, end + time.late_seconds);
        notes.push("-- An attribute determines the window, so records of other windows are listed, too.");
    }
    if *partition_date == PartitionDate::CreatedAt {
        let day = |second: i64| Timestamp::from_seconds(second).map(|at| at.date().to_string()).unwrap_or_default();
        conditions.push(format!("partition_date BETWEEN '{}' AND '{}'", day(start), day(end - 1)));
    } else {
        notes.push(
            "-- Add a condition on partition_date, which an attribute determines here, so that Athena reads less.",
        );
    }
    match of_source("created_at") {
        Some(field) => {
            let name = &field.name;
            let [start, end] = [start, end].map(|second| instant(&field.field_type, second));
            conditions.push(format!("\"{name}\" >= {start} AND \"{name}\" < {end}"));
        }
        None => notes.push("-- The schema has no time of creation, so whole days are listed."),
    }
    for (attribute, parts) in attributes {
        match of_attribute(attribute) {
            Some(field) => conditions.push(format!("\"{}\" {}", field.name, matches(parts))),
            None => notes
                .push("-- The schema lacks an attribute that names the group, so records of others are listed, too."),
        }
    }
    notes.dedup();
    let order =
        of_source("created_at").or_else(|| of_source("record_id")).map_or("partition_date", |field| &field.name);
    let mut lines: Vec<String> = notes.into_iter().map(str::to_owned).collect();
    lines.push(format!("SELECT * FROM \"{}_once\"", route.record_type));
    lines.push(format!("WHERE {}", conditions.join("\n  AND ")));
    lines.push(format!("ORDER BY \"{order}\";"));
    lines.join("\n")
}

/// A time as a column of this type has it: see `usagectl schema glue`.
fn instant(field_type: &Value, second: i64) -> String {
    let text = jiff::Timestamp::from_second(second).unwrap_or_default().to_string();
    match field_type.get("logicalType").and_then(Value::as_str) {
        Some("timestamp-millis") => format!("TIMESTAMP '{}'", text.trim_end_matches('Z').replace('T', " ")),
        Some(_) => (second * 1_000_000).to_string(),
        None => format!("'{text}'"),
    }
}

/// A condition on a text.
fn matches(parts: &[Part]) -> String {
    let is_known = parts.iter().all(|part| matches!(part, Part::Text(_)));
    let text: String = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) if is_known => text.clone(),
            Part::Text(text) => text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"),
            Part::Anything => "%".to_owned(),
        })
        .collect();
    let quoted = text.replace('\'', "''");
    if is_known { format!("= '{quoted}'") } else { format!("LIKE '{quoted}' ESCAPE '\\'") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usage_aggregator::pipeline::shipped;
    use usage_aggregator::window::Zone;

    #[test]
    fn the_records_of_a_group_are_found_by_their_keys_and_times() {
        let of = |name: &str, key: [&str; 2]| {
            let pipeline = Pipeline::parse(&shipped(name).unwrap()).unwrap();
            let key = CounterKey(key.map(str::to_owned).to_vec());
            queries(&pipeline, &key, WindowKey::parse("2026-11", Zone::UTC).unwrap()).join("\n")
        };
        insta::assert_snapshot!(of("orders", ["o'hara_1", "orders"]));
        assert_eq!(of("orders", ["7", "nothing"]), "");
        insta::assert_snapshot!(of("api-usage", ["acme", "requests"]));
        assert_eq!(matches(&[Part::Text("a_%".to_owned()), Part::Anything]), r"LIKE 'a\_\%%' ESCAPE '\'");
    }
}
