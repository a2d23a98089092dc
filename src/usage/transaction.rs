//! Builds the actions of a transaction: the conditional put of a claim and the update of a snapshot item.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};

use super::fraction::Addition;
use super::group::Group;
use super::key::CounterKey;
use crate::error::Error;
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::window::Span;

/// 100: the maximum number of actions in a TransactWriteItems call. Its other limit, 4 MB, is never reached first:
/// claims and counters are far below 40 KB each, except for a claim of thousands of ids, and a batch has at most 10,000
/// records.
pub(super) const MAX_ACTIONS: usize = 100;

/// Counts the actions that groups need together: one for each claim and one for each distinct snapshot item.
#[derive(Debug, Default)]
pub(super) struct Actions<'g> {
    claims: usize,
    items: BTreeSet<(&'g CounterKey, Span)>,
}

impl<'g> Actions<'g> {
    /// Adds the actions of a group and returns the new number of actions.
    pub(super) fn add(&mut self, snapshot: &Snapshot, group: &'g Group) -> usize {
        self.claims += 1;
        if let Some(at) = Timestamp::from_seconds(group.segment.start()) {
            self.items.extend(snapshot.windows.iter().map(|window| (&group.key, window.containing(at))));
        }
        self.claims + self.items.len()
    }
}

/// Stores a claim item, on the condition that its page still has `version` (0: doesn't exist).
pub(super) fn claim(
    table: &str,
    item: HashMap<String, AttributeValue>,
    version: u64,
) -> Result<TransactWriteItem, Error> {
    let put = Put::builder().table_name(table).set_item(Some(item));
    let put = if version == 0 {
        put.condition_expression("attribute_not_exists(#version)").expression_attribute_names("#version", "version")
    } else {
        put.condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()))
    };
    let put = put.build().map_err(|error| Error::config(format!("write a claim: {error}")))?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// Adds to the counters of a snapshot item and sets its other attributes. All names are passed as placeholders, because
/// users choose them: they may be reserved words or contain any character.
pub(super) fn add(table: &str, addition: &Addition) -> Result<TransactWriteItem, Error> {
    let Addition { item, sums, fractions } = addition;
    let mut update = Update::builder().table_name(table);
    for (name, text) in &item.key {
        update = update.key(name, AttributeValue::S(text.clone()));
    }
    let mut placeholders = Placeholders { update, count: 0 };
    let (mut sets, mut removes, mut conditions) = (Vec::new(), Vec::new(), Vec::new());
    for (name, text) in &item.attributes {
        let (name, value) = (placeholders.name(name), placeholders.value(AttributeValue::S(text.clone())));
        sets.push(format!("{name} = {value}"));
    }
    if let Some((name, second)) = &item.expires_at {
        let (name, value) = (placeholders.name(name), placeholders.value(AttributeValue::N(second.to_string())));
        sets.push(format!("{name} = {value}"));
    }
    for fraction in fractions {
        let name = placeholders.name(&fraction.attribute);
        conditions.push(match &fraction.before {
            Some(before) => format!("{name} = {}", placeholders.value(AttributeValue::S(before.clone()))),
            None => format!("attribute_not_exists({name})"),
        });
        match &fraction.after {
            Some(after) => sets.push(format!("{name} = {}", placeholders.value(AttributeValue::S(after.clone())))),
            None => removes.push(name),
        }
    }
    let mut adds = Vec::new();
    for (name, sum) in sums {
        let (name, value) = (placeholders.name(name), placeholders.value(AttributeValue::N(sum.to_string())));
        adds.push(format!("{name} {value}"));
    }
    let clause = |word: &str, parts: Vec<String>| (!parts.is_empty()).then(|| format!("{word} {}", parts.join(", ")));
    let clauses = [clause("SET", sets), clause("REMOVE", removes), clause("ADD", adds)];
    let update = placeholders.update.update_expression(clauses.into_iter().flatten().collect::<Vec<_>>().join(" "));
    let condition = (!conditions.is_empty()).then(|| conditions.join(" AND "));
    let update = update.set_condition_expression(condition).build();
    let update = update.map_err(|error| Error::config(format!("write a snapshot: {error}")))?;
    Ok(TransactWriteItem::builder().update(update).build())
}

/// Registers the names and values of an update under placeholders.
struct Placeholders {
    update: UpdateBuilder,
    count: usize,
}

impl Placeholders {
    fn name(&mut self, name: &str) -> String {
        self.count += 1;
        let placeholder = format!("#n{}", self.count);
        self.update = std::mem::take(&mut self.update).expression_attribute_names(&placeholder, name);
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        self.count += 1;
        let placeholder = format!(":v{}", self.count);
        self.update = std::mem::take(&mut self.update).expression_attribute_values(&placeholder, value);
        placeholder
    }
}
