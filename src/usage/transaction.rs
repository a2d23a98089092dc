//! The actions of a transaction: a claim's conditional put and a snapshot's addition.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};

use super::group::{Group, Sums};
use super::snapshot::SnapshotItem;
use crate::error::Error;
use crate::pipeline::Snapshot;
use crate::time::Timestamp;

/// 100: TransactWriteItems' limit of actions. Its other limit, 4 MB, can't be reached before: claims and counters are
/// far below 40 KB each, but for a claim of thousands of ids, and a batch has no more than 10,000.
pub const MAX_ACTIONS: usize = 100;

/// How many actions these groups need together: a claim each, and their distinct snapshot items.
pub fn actions<'g>(snapshot: &Snapshot, groups: impl Iterator<Item = &'g Group>) -> usize {
    let mut claims = 0;
    let mut items = BTreeSet::new();
    for group in groups {
        claims += 1;
        let at = Timestamp::from_seconds(group.segment.start());
        items
            .extend(at.into_iter().flat_map(|at| snapshot.windows.iter().map(move |w| (&group.key, w.containing(at)))));
    }
    claims + items.len()
}

/// Stores a claim item, on condition that its page is still at `version` (0: not there).
pub fn claim(table: &str, item: HashMap<String, AttributeValue>, version: u64) -> Result<TransactWriteItem, Error> {
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

/// Adds `sums` to the counters of a snapshot item and sets what describes it. All names are placeholders: they are the
/// user's, and may be reserved words or hold anything.
pub fn add(table: &str, item: &SnapshotItem, sums: &Sums) -> Result<TransactWriteItem, Error> {
    let mut update = Update::builder().table_name(table);
    for (name, text) in &item.key {
        update = update.key(name, AttributeValue::S(text.clone()));
    }
    let texts = item.attributes.iter().map(|(name, text)| (name, AttributeValue::S(text.clone())));
    let expiry = item.expires_at.iter().map(|(name, second)| (name, AttributeValue::N(second.to_string())));
    let mut sets = Vec::new();
    for (index, (name, value)) in texts.chain(expiry).enumerate() {
        sets.push(format!("#s{index} = :s{index}"));
        update = update.expression_attribute_names(format!("#s{index}"), name);
        update = update.expression_attribute_values(format!(":s{index}"), value);
    }
    let mut adds = Vec::new();
    for (index, (name, sum)) in sums.iter().enumerate() {
        adds.push(format!("#a{index} :a{index}"));
        update = update.expression_attribute_names(format!("#a{index}"), name);
        update = update.expression_attribute_values(format!(":a{index}"), AttributeValue::N(sum.to_string()));
    }
    let set = if sets.is_empty() { String::new() } else { format!("SET {} ", sets.join(", ")) };
    let update = update.update_expression(format!("{set}ADD {}", adds.join(", "))).build();
    let update = update.map_err(|error| Error::config(format!("write a snapshot: {error}")))?;
    Ok(TransactWriteItem::builder().update(update).build())
}
