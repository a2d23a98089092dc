//! Reads the snapshots that a plan contributes to from the usage table.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::plan::Plan;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::SnapshotItem;

use super::read_items::read_items;
use laptop::proof::rows::Item;

/// The key of an item: names and values of its attributes.
pub type Key = Vec<(String, String)>;

/// The keys of the snapshots that `plan` contributes to.
pub fn keys(snapshot: &Snapshot, plan: &Plan) -> Vec<Key> {
    let mut counters = BTreeSet::new();
    for group in &plan.groups {
        if let Some(at) = Timestamp::from_seconds(group.at().start()) {
            let spans = snapshot.windows.iter().map(|window| window.containing(at, snapshot.zone));
            counters.extend(spans.map(|span| (&group.key, span)));
        }
    }
    counters.into_iter().map(|(key, span)| SnapshotItem::new(snapshot, key, span).key).collect()
}

/// Reads the snapshots that exist.
///
/// # Errors
/// If the table can't be read.
pub async fn read(client: &Client, table: &str, keys: &[Key]) -> anyhow::Result<HashMap<Key, Item>> {
    let text = |text: &String| AttributeValue::S(text.clone());
    let key = |key: &Key| key.iter().map(|(name, value)| (name.clone(), text(value))).collect::<Item>();
    let items = read_items(client, table, keys.iter().map(key).collect()).await?;
    let keyed = |item: Item| Some((key_of(&item, keys.first()?)?, item));
    Ok(items.into_iter().filter_map(keyed).collect())
}

/// The key of `item`, with the attributes that `like` has.
fn key_of(item: &Item, like: &Key) -> Option<Key> {
    like.iter().map(|(name, _)| Some((name.clone(), item.get(name)?.as_s().ok()?.clone()))).collect()
}
