//! The changes to a snapshot, and the update expression that makes them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::fold::attributes::published;
use crate::fold::value::Value;
use crate::ledger::Measure;
use crate::pipeline::Snapshot;
use crate::usage::Scalar;

/// An attribute of a snapshot and its new value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Set(String, AttributeValue),
    Remove(String),
}

/// An update expression. All names are placeholders, because users choose them: they may be reserved words or contain any
/// character.
#[derive(Default)]
pub(super) struct Expression {
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
    pub(super) sets: Vec<String>,
    pub(super) removes: Vec<String>,
}

impl Expression {
    pub(super) fn add(&mut self, change: Change) {
        let number = self.names.len();
        let (name, value) = (format!("#n{number}"), format!(":v{number}"));
        let attribute = match change {
            Change::Set(attribute, to) => {
                self.sets.push(format!("{name} = {value}"));
                self.values.insert(value, to);
                attribute
            }
            Change::Remove(attribute) => {
                self.removes.push(name.clone());
                attribute
            }
        };
        self.names.insert(name, attribute);
    }

    pub(super) fn text(&self) -> String {
        let clause = |word: &str, parts: &[String]| (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")));
        let clauses = [clause("SET", &self.sets), clause("REMOVE", &self.removes)];
        clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

/// The changes to a snapshot that the values of a group make, each of another attribute. What isn't known is not published: the
/// snapshot keeps what it has.
pub(super) fn changes(snapshot: &Snapshot, values: &[(Measure, Value)]) -> Vec<Change> {
    let published = published(snapshot, values.iter().map(|(measure, _)| measure));
    let values = values.iter().filter(|(measure, _)| published.contains(measure));
    values.flat_map(|value| changes_of(snapshot, value)).collect()
}

fn changes_of(snapshot: &Snapshot, (measure, value): &(Measure, Value)) -> Vec<Change> {
    let attributes = value.attributes(&measure.name, snapshot.quantiles(&measure.name));
    let mut changes = Vec::new();
    for (name, value) in attributes {
        let fraction = snapshot.fraction_of(&name);
        let (value, left) = match value {
            Some(Scalar::Number(number)) if fraction.is_some() => {
                let (whole, left) = number.nearest_whole();
                (Some(AttributeValue::N(whole.to_string())), Some(left).filter(|left| !left.is_zero()))
            }
            Some(Scalar::Number(number)) => (Some(AttributeValue::N(number.to_string())), None),
            Some(Scalar::Text(text)) => (Some(AttributeValue::S(text.to_string())), None),
            None => (None, None),
        };
        let change = |name, value| match value {
            Some(value) => Change::Set(name, value),
            None => Change::Remove(name),
        };
        changes.push(change(name, value));
        changes.extend(fraction.map(|name| change(name, left.map(|left| AttributeValue::S(left.to_string())))));
    }
    changes
}
