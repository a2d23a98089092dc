//! All targets of a table, found by one scan of it, with how much there is to read for each.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use usage_aggregator::indicator::{TargetKey, contribution, from_item};
use usage_aggregator::outline::WrittenItems;
use usage_aggregator::pipeline::MissingTarget;

use super::budget::Budget;
use super::folder::Folder;
use super::open::Table;

/// Parts of a scan. One that was stopped continues with those that aren't finished.
pub(super) const SEGMENTS: u32 = 32;
/// A strongly consistent read unit reads this much.
const READ_UNIT_BYTES: u64 = 4_096;

/// A target, by the index of its indicator and its key.
pub(super) type TargetName = (usize, TargetKey);

/// The targets that a scan has found.
pub(super) type Targets = BTreeMap<TargetName, Size>;

/// What there is to read for a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    /// Its items that count.
    pub(super) items: u64,
    /// Their size, as DynamoDB measures it.
    pub(super) bytes: u64,
    /// Whether the target itself exists.
    pub(super) exists: bool,
}

impl Size {
    /// The read units of its recomputation: the target and the query.
    pub(super) fn read_units(self) -> u64 {
        1 + self.bytes.div_ceil(READ_UNIT_BYTES).max(1)
    }

    fn add(&mut self, other: Size) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.exists |= other.exists;
    }
}

/// A scan of a table.
pub(super) struct Scan<'s> {
    pub(super) table: &'s Table,
    pub(super) budget: &'s Budget,
    pub(super) parallel: usize,
    pub(super) bar: &'s ProgressBar,
}

impl Scan<'_> {
    /// Finds all targets that exist or that would be created. Finished parts are kept in the folder, if there is one.
    ///
    /// # Errors
    /// If the table can't be read.
    pub(super) async fn targets(&self, folder: Option<&Folder>) -> anyhow::Result<Targets> {
        let parts = (0..SEGMENTS).map(|segment| async move {
            if let Some(found) = folder.and_then(|folder| folder.segment(segment).transpose()) {
                return found;
            }
            let found = self.segment(segment).await?;
            folder.map_or(Ok(()), |folder| folder.finish_segment(segment, &found))?;
            Ok(found)
        });
        let parts: Vec<_> = parts.collect();
        let mut parts = stream::iter(parts).buffered(self.parallel);
        let mut all = Targets::new();
        while let Some(part) = parts.try_next().await? {
            for (target, size) in part {
                all.entry(target).or_default().add(size);
            }
        }
        // The function skips targets that don't exist.
        all.retain(|(index, _), size| {
            let indicator = self.table.pipeline.indicators.get(*index);
            size.exists || indicator.is_some_and(|indicator| indicator.missing_target == MissingTarget::Create)
        });
        Ok(all)
    }

    async fn segment(&self, segment: u32) -> anyhow::Result<Targets> {
        let (mut found, mut from) = (Targets::new(), None);
        loop {
            let scan = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
            let scan = scan.segment(i32::try_from(segment)?).total_segments(i32::try_from(SEGMENTS)?);
            let scan = scan.return_consumed_capacity(ReturnConsumedCapacity::Total).set_exclusive_start_key(from);
            let page = scan.send().await.with_context(|| format!("scan {} (dynamodb:Scan)", self.table.name))?;
            let items = page.items.unwrap_or_default();
            self.bar.inc(u64::try_from(items.len())?);
            for item in items {
                self.add(item, &mut found);
            }
            let consumed = page.consumed_capacity.and_then(|consumed| consumed.capacity_units);
            self.budget.read(consumed.unwrap_or_default()).await;
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => from = Some(key),
                _ => return Ok(found),
            }
        }
    }

    /// Adds the targets that an item names, and the item itself if it is one.
    fn add(&self, item: HashMap<String, AttributeValue>, found: &mut Targets) {
        let bytes = item_bytes(&item);
        for (index, indicator) in self.table.indicators() {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
            let variables = indicator.target_variables(text);
            let key = variables.filter(|_| indicator.target.len() == self.table.key_names().len());
            let key = key.and_then(|names| indicator.target_key(&names.iter().map(String::as_str).collect::<Vec<_>>()));
            if let Some(key) = key {
                found.entry((index, key)).or_default().exists = true;
            }
        }
        let item = from_item(item);
        let written = WrittenItems::of(&item);
        for (index, indicator) in self.table.indicators() {
            // An item that doesn't name its target counts for none; the function quarantines its record for that.
            let given = contribution(&self.table.pipeline, indicator, written.outline()).ok().flatten();
            if let Some(given) = given {
                found.entry((index, given.target)).or_default().add(Size { items: 1, bytes, exists: false });
            }
        }
    }
}

/// The size of an item as DynamoDB measures it: names and values, with a byte or more for each value that is in another.
fn item_bytes(item: &HashMap<String, AttributeValue>) -> u64 {
    item.iter().map(|(name, value)| bytes(name.len()) + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> u64 {
    let number = |text: &String| bytes(text.len()).div_ceil(2) + 1;
    let list = |sizes: u64, count: usize| 3 + sizes + bytes(count);
    match value {
        AttributeValue::S(text) => bytes(text.len()),
        AttributeValue::N(text) => number(text),
        AttributeValue::B(content) => bytes(content.as_ref().len()),
        AttributeValue::Ss(texts) => texts.iter().map(|text| bytes(text.len())).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(number).sum(),
        AttributeValue::Bs(all) => all.iter().map(|content| bytes(content.as_ref().len())).sum(),
        AttributeValue::L(values) => list(values.iter().map(value_bytes).sum(), values.len()),
        AttributeValue::M(entries) => list(item_bytes(entries), entries.len()),
        _ => 1,
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_costs_a_read_of_its_own_and_one_per_4_kb_of_its_items() {
        let units = |bytes| Size { items: 1, bytes, exists: true }.read_units();
        assert_eq!([0, 1, 4_096, 4_097, 40_960].map(units), [2, 2, 2, 3, 11]);
    }

    #[test]
    fn names_and_values_make_the_size_of_an_item() {
        let inner = HashMap::from([("b".to_owned(), AttributeValue::Bool(true))]);
        let item = HashMap::from([
            ("pk".to_owned(), AttributeValue::S("GROUP#7".to_owned())),
            ("n".to_owned(), AttributeValue::N("1234".to_owned())),
            ("m".to_owned(), AttributeValue::M(inner)),
        ]);
        assert_eq!(item_bytes(&item), 2 + 7 + 1 + 3 + 1 + 3 + 2 + 1);
    }
}
