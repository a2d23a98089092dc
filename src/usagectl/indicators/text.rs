//! Values and targets as text and as JSON.

use serde_json::{Map, Value as Json, json};
use usage_aggregator::indicator::TargetKey;
use usage_aggregator::pipeline::Indicator;
use usage_aggregator::record::{Item, Value};

use super::examine::Drift;
use crate::shell::table;

/// `pk GROUP#payments, sk GROUP`
pub(super) fn key(key: &TargetKey) -> String {
    key.iter().map(|(name, text)| format!("{name} {text}")).collect::<Vec<_>>().join(", ")
}

/// The key as an object.
pub(super) fn key_json(key: &TargetKey) -> Json {
    key.iter().map(|(name, text)| (name.clone(), Json::from(text.as_str()))).collect::<Map<_, _>>().into()
}

/// A value for people: `none` if there is none.
pub(super) fn value(value: Option<&Value<'_>>) -> String {
    match value {
        None => "none".to_owned(),
        Some(Value::S(text)) => text.to_string(),
        Some(Value::N(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        Some(Value::M(Item(entries))) => {
            let mut entries: Vec<String> =
                entries.iter().map(|(name, entry)| format!("{name} {}", self::value(Some(entry)))).collect();
            entries.sort_unstable();
            entries.join(", ")
        }
        Some(other) => format!("{other:?}"),
    }
}

/// A value for programs. Numbers are texts, so that they stay exact.
fn value_json(value: Option<&Value<'_>>) -> Json {
    match value {
        None => Json::Null,
        Some(Value::Bool(truth)) => json!(truth),
        Some(Value::M(Item(entries))) => entries
            .iter()
            .map(|(name, entry)| (name.to_string(), value_json(Some(entry))))
            .collect::<Map<_, _>>()
            .into(),
        other => json!(self::value(other)),
    }
}

/// A target as an object: the values that differ, or all of them.
pub(super) fn drift_json(indicator: &Indicator, target: &TargetKey, drift: &Drift, all: bool) -> Json {
    let values = drift.values(all).into_iter().map(|(name, stored, recomputed)| {
        (name.to_owned(), json!({ "stored": value_json(stored), "recomputed": value_json(recomputed) }))
    });
    let values: Map<String, Json> = values.collect();
    json!({ "indicator": indicator.name, "target": key_json(target), "values": values })
}

/// A table of the values of targets: those that differ, or all of them.
pub(super) fn drifts<'d>(drifts: impl Iterator<Item = (&'d Indicator, &'d TargetKey, &'d Drift)>, all: bool) -> String {
    let mut listing = table::titled(["indicator", "target", "value", "stored", "recomputed"]);
    for (indicator, target, drift) in drifts {
        for (name, stored, recomputed) in drift.values(all) {
            let cells = [indicator.name.clone(), key(target), name.to_owned(), value(stored), value(recomputed)];
            listing.add_row(cells.map(|cell| table::text(&cell)));
        }
    }
    listing.to_string()
}
