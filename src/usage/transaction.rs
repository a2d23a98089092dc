//! The actions of a transaction: a claim's conditional put and a snapshot's addition.

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

/// 100: TransactWriteItems' limit of actions. Its other limit, 4 MB, can't be reached before: claims and counters are
/// far below 40 KB each, but for a claim of thousands of ids, and a batch has no more than 10,000.
pub(super) const MAX_ACTIONS: usize = 100;

/// The actions that groups need together: a claim each, and their distinct snapshot items.
#[derive(Debug, Default)]
pub(super) struct Actions<'g> {
    claims: usize,
    items: BTreeSet<(&'g CounterKey, Span)>,
}

impl<'g> Actions<'g> {
    /// Adds those of a group, and tells how many there are then.
    pub(super) fn add(&mut self, snapshot: &Snapshot, group: &'g Group) -> usize {
        self.claims += 1;
        if let Some(at) = Timestamp::from_seconds(group.segment.start()) {
            self.items.extend(snapshot.windows.iter().map(|window| (&group.key, window.containing(at))));
        }
        self.claims + self.items.len()
    }
}

/// Stores a claim item, on condition that its page is still at `version` (0: not there).
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

/// Adds to the counters of a snapshot item and sets what describes it. All placeholders are placeholders: they are the user's,
/// and may be reserved words or hold anything.
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

/// An update's placeholders.
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
