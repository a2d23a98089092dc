//! Whether the archive determines what snapshots must be, and if not, why, by record type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::fields::RowFields;
use usage_aggregator::pipeline::{Amount, ArchivedImage, MeasureName, Pipeline, Quantity, Route};
use usage_aggregator::record::Event;

/// What an archive doesn't determine.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Why nothing can be determined.
    pub fatal: Vec<String>,
    /// Measures that can't be determined exactly, and why.
    pub measures: BTreeMap<String, String>,
}

/// How exactly a field preserves an attribute's value.
enum Fidelity {
    Exact,
    /// As a float, which is approximate.
    Near,
    /// As another type than the attribute had.
    Changed,
}

/// Finds out why the archive of `pipeline` doesn't prove its snapshots.
pub fn gaps(pipeline: &Pipeline, columns: &BTreeMap<&str, RowFields>) -> Gaps {
    let mut gaps = Gaps::default();
    for route in pipeline.routes.iter().filter(|route| !route.counters.is_empty()) {
        let mut reasons = Vec::new();
        match (&route.archive, columns.get(route.record_type.as_str())) {
            (Some(archive), Some(columns)) => {
                if archive.image != ArchivedImage::Newest {
                    reasons.push("its rows don't contain the newest image".to_owned());
                }
                if !route.events.iter().all(|event| archive.events.contains(event)) {
                    reasons.push("some of its events are not archived".to_owned());
                }
                missing_sources(route, columns, &mut reasons);
                missing_attributes(pipeline, route, columns, &mut reasons, &mut gaps.measures);
            }
            _ => reasons.push("it isn't archived".to_owned()),
        }
        if route.is_conditional() && has_differences(route) {
            reasons.push("it has a `where`, so changes that don't match it aren't archived".to_owned());
        }
        gaps.fatal.extend(reasons.into_iter().map(|reason| format!("{}: {reason}", route.record_type)));
    }
    gaps
}

/// Whether counting a record needs the state before it.
pub fn has_differences(route: &Route) -> bool {
    route.measures().any(|measure| measure.amount.needs_old_image())
}

fn missing_sources(route: &Route, columns: &RowFields, reasons: &mut Vec<String>) {
    let tells = |events: &[Event]| events.contains(&Event::Remove) != events.contains(&Event::Expire);
    let tells_expiry = tells(&route.events)
        || route.measures().any(|measure| match &measure.amount {
            Amount::Difference { removed, expired, cleared: _ } => removed != expired,
            Amount::Each { events, .. } => tells(events),
            Amount::Standing(_) => false,
        });
    let expired = tells_expiry.then_some("expired");
    for source in ["event_name", "sequence_number", "created_at"].into_iter().chain(expired) {
        if columns.source(source).is_none() {
            reasons.push(format!("its schema has no field with \"source\": \"{source}\""));
        }
    }
}

fn missing_attributes(
    pipeline: &Pipeline,
    route: &Route,
    columns: &RowFields,
    reasons: &mut Vec<String>,
    inexact: &mut BTreeMap<String, String>,
) {
    let mut needed: BTreeSet<&str> = route.matched_attributes().chain(route.bound_attributes()).collect();
    needed.extend(route.window_time.as_ref().map(|time| time.path.as_str()));
    for measure in route.measures() {
        needed.extend(measure.conditions.iter().map(|condition| condition.path.as_str()));
        if let Amount::Standing(weight) = &measure.amount {
            needed.insert(&weight.since);
        }
        match (&measure.quantity, &measure.name) {
            (Quantity::Attribute { path, .. }, MeasureName::Fixed(slot)) => {
                let name = pipeline.measures.get(*slot).cloned().unwrap_or_default();
                match columns.attribute(path).map(|(field, field_type)| (field, fidelity(field_type))) {
                    Some((field, Fidelity::Near)) => {
                        let reason = format!("{}.{field} is a float, which isn't exact", route.record_type);
                        inexact.insert(name, reason);
                    }
                    _ => drop(needed.insert(path)),
                }
            }
            (Quantity::Matching { .. }, _) => {
                reasons.push("it counts attributes by a name pattern, which a schema can't express".to_owned());
            }
            _ => {}
        }
    }
    for attribute in needed {
        match columns.attribute(attribute).map(|(_, field_type)| fidelity(field_type)) {
            None => reasons.push(format!("its schema has no field for the attribute {attribute}")),
            Some(Fidelity::Near | Fidelity::Changed) => {
                reasons.push(format!("its schema changes the type of the attribute {attribute}"));
            }
            Some(Fidelity::Exact) => {}
        }
    }
}

/// How exactly a field of this type preserves strings, numbers and booleans.
fn fidelity(field_type: &Value) -> Fidelity {
    match optional(field_type) {
        Value::String(name) => match name.as_str() {
            "string" | "int" | "long" | "boolean" => Fidelity::Exact,
            "float" | "double" => Fidelity::Near,
            _ => Fidelity::Changed,
        },
        Value::Object(complex) => match complex.get("logicalType").and_then(Value::as_str) {
            Some("decimal" | "uuid") => Fidelity::Exact,
            Some(_) => Fidelity::Changed,
            None => match complex.get("type") {
                Some(Value::String(name)) if matches!(name.as_str(), "enum" | "record" | "map") => Fidelity::Exact,
                Some(inner @ (Value::String(_) | Value::Object(_))) => fidelity(inner),
                _ => Fidelity::Changed,
            },
        },
        _ => Fidelity::Changed,
    }
}

/// The other type of a field that may be null; any other type unchanged.
pub fn optional(field_type: &Value) -> &Value {
    let Value::Array(branches) = field_type else { return field_type };
    let mut others = branches.iter().filter(|branch| *branch != "null");
    match (others.next(), others.next()) {
        (Some(only), None) => only,
        _ => field_type,
    }
}
