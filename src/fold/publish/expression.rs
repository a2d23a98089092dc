//! The changes to a snapshot, and the update expression that makes them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::decimal::Decimal;
use crate::fold::value::{Sum, Value};
use crate::ledger::Measure;
use crate::pipeline::Snapshot;

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

/// The changes to a snapshot that a measure's value makes.
pub(super) fn changes(snapshot: &Snapshot, (measure, value): &(Measure, Value)) -> Vec<Change> {
    let name = measure.name.to_string();
    let sum = match value {
        Value::Sum(Sum(sum)) => sum,
        // What isn't known is not published: the snapshot keeps what it has.
        Value::Overflow => return Vec::new(),
    };
    let set = |name: String, number: Decimal| Change::Set(name, AttributeValue::N(number.to_string()));
    let Some(template) = &snapshot.fraction else { return vec![set(name, *sum)] };
    let (whole, left) = sum.nearest_whole();
    let fraction = template.render(|_| name.as_str());
    let fraction = match left.is_zero() {
        true => Change::Remove(fraction),
        false => Change::Set(fraction, AttributeValue::S(left.to_string())),
    };
    vec![set(name, whole), fraction]
}
