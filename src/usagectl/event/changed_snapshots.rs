//! Reads the snapshots that a plan contributes to from the usage table.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::plan::Plan;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::SnapshotItem;

use laptop::proof::rows::Item;

/// 100: BatchGetItem limit.
const MAX_KEYS: usize = 100;

/// The key of an item: names and values of its attributes.
pub type Key = Vec<(String, String)>;

/// The keys of the snapshots that `plan` contributes to.
pub fn keys(snapshot: &Snapshot, plan: &Plan) -> Vec<Key> {
    let mut counters = BTreeSet::new();
    for group in &plan.groups {
        if let Some(at) = Timestamp::from_seconds(group.segment.start()) {
            counters.extend(snapshot.windows.iter().map(|window| (&group.key, window.containing(at))));
        }
    }
    counters.into_iter().map(|(key, span)| SnapshotItem::new(snapshot, key, span).key).collect()
}

/// Reads the snapshots that exist.
///
/// # Errors
/// If the table can't be read.
pub async fn read(client: &Client, table: &str, keys: &[Key]) -> anyhow::Result<HashMap<Key, Item>> {
    let mut items = HashMap::new();
    for chunk in keys.chunks(MAX_KEYS) {
        let text = |text: &String| AttributeValue::S(text.clone());
        let key = |key: &Key| key.iter().map(|(name, value)| (name.clone(), text(value))).collect::<Item>();
        let mut wanted: Vec<Item> = chunk.iter().map(key).collect();
        while !wanted.is_empty() {
            let request = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build()?;
            let answer = client.batch_get_item().request_items(table, request).send().await;
            let answer = answer.with_context(|| format!("read snapshots from {table} (dynamodb:BatchGetItem)"))?;
            let found = answer.responses.unwrap_or_default().remove(table).unwrap_or_default();
            items.extend(found.into_iter().filter_map(|item| Some((key_of(&item, chunk.first()?)?, item))));
            let left = answer.unprocessed_keys.unwrap_or_default().remove(table);
            wanted = left.map(|left| left.keys).unwrap_or_default();
        }
    }
    Ok(items)
}

/// The key of `item`, with the attributes that `like` has.
fn key_of(item: &Item, like: &Key) -> Option<Key> {
    like.iter().map(|(name, _)| Some((name.clone(), item.get(name)?.as_s().ok()?.clone()))).collect()
}
