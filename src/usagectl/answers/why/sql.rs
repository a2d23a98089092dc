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
    let created_at = of_source("created_at").and_then(|field| Some((&field.name, Stored::of(&field.field_type)?)));
    match &created_at {
        Some((name, stored)) => {
            let [start, end] = [start, end].map(|second| stored.instant(second));
            let time = stored.time(name);
            conditions.push(format!("{time} >= {start} AND {time} < {end}"));
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
    let id = || of_source("record_id").map_or("\"partition_date\"".to_owned(), |field| format!("\"{}\"", field.name));
    let order = created_at.map_or_else(id, |(name, stored)| stored.time(name));
    let mut lines: Vec<String> = notes.into_iter().map(str::to_owned).collect();
    lines.push(format!("SELECT * FROM \"{}_once\"", route.record_type));
    lines.push(format!("WHERE {}", conditions.join("\n  AND ")));
    lines.push(format!("ORDER BY {order};"));
    lines.join("\n")
}

/// How a column stores the time of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// As microseconds since the epoch, which Athena shows as a number.
    Micros,
    Millis,
    /// As RFC 3339 text, with a fraction only if there is one, so that texts don't sort by time.
    Text,
}

impl Stored {
    /// How a column of this Avro type stores it. In a union, it is the first type that can.
    fn of(field_type: &Value) -> Option<Stored> {
        match field_type {
            Value::Array(branches) => branches.iter().find_map(Stored::of),
            Value::Object(node) => match node.get("logicalType").and_then(Value::as_str) {
                Some("timestamp-millis") => Some(Stored::Millis),
                Some("timestamp-micros") => Some(Stored::Micros),
                Some(_) => None,
                None => Stored::of(node.get("type")?),
            },
            Value::String(name) => match name.as_str() {
                "long" => Some(Stored::Micros),
                "string" => Some(Stored::Text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The time in a column.
    fn time(self, name: &str) -> String {
        match self {
            Stored::Micros | Stored::Millis => format!("\"{name}\""),
            Stored::Text => format!("from_iso8601_timestamp(\"{name}\")"),
        }
    }

    /// A time that can be compared with it.
    fn instant(self, second: i64) -> String {
        let text = || {
            let text = jiff::Timestamp::from_second(second).unwrap_or_default().to_string();
            text.trim_end_matches('Z').replace('T', " ")
        };
        match self {
            Stored::Micros => (second * 1_000_000).to_string(),
            Stored::Millis => format!("TIMESTAMP '{}'", text()),
            Stored::Text => format!("TIMESTAMP '{} UTC'", text()),
        }
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
    use serde_json::json;
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

    #[test]
    fn regression_a_time_is_compared_as_the_type_of_its_column_stores_it() {
        let micros = json!({ "type": "long", "logicalType": "timestamp-micros" });
        let millis = json!({ "type": "long", "logicalType": "timestamp-millis" });
        let as_micros = "\"created_at\" >= 1793491200000000 AND \"created_at\" < 1796083200000000";
        let as_millis =
            "\"created_at\" >= TIMESTAMP '2026-11-01 00:00:00' AND \"created_at\" < TIMESTAMP '2026-12-01 00:00:00'";
        let as_text = "from_iso8601_timestamp(\"created_at\") >= TIMESTAMP '2026-11-01 00:00:00 UTC' \
                       AND from_iso8601_timestamp(\"created_at\") < TIMESTAMP '2026-12-01 00:00:00 UTC'";
        for (field_type, condition) in [
            (json!("long"), as_micros),
            (micros.clone(), as_micros),
            (millis.clone(), as_millis),
            (json!("string"), as_text),
            (json!(["null", "long"]), as_micros),
            (json!(["null", micros]), as_micros),
            (json!([millis, "null"]), as_millis),
            (json!(["null", { "type": "string" }]), as_text),
        ] {
            let mut folder = shipped("orders").unwrap();
            let schema = folder.files.get_mut("order.avsc").unwrap();
            let mut fields: Value = serde_json::from_str(schema).unwrap();
            let of_source = |field: &&mut Value| field["source"] == "created_at";
            fields["fields"].as_array_mut().unwrap().iter_mut().find(of_source).unwrap()["type"] = field_type.clone();
            *schema = fields.to_string();
            let pipeline = Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{field_type}: {mistakes}"));
            let key = CounterKey(["7", "orders"].map(str::to_owned).to_vec());
            let queries = queries(&pipeline, &key, WindowKey::parse("2026-11", Zone::UTC).unwrap()).join("\n");
            assert!(queries.contains(&format!("\n  AND {condition}\n")), "{field_type}: {queries}");
        }
    }
}
