//! Load for any pipeline: insertions, changes, and removals of items like those in a sample. `table` knows the pipeline and what a
//! change means, and `vary` makes the items.

mod table;
mod vary;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::bail;
use fastrand::Rng;

use super::change::{Attribute, CHANGE_ATTRIBUTE, Change, LoadItem, Write};
use super::profile::Shape;
use super::skew::Picker;
pub use table::OwnTable;

/// Of 100 changes, how many insert an item, and how many change one. The others remove one.
const INSERTIONS: u8 = 55;
const CHANGES: u8 = 35;
/// From this many items on, none is inserted, which bounds the memory.
const MOST_ITEMS: usize = 20_000;
/// How many changes are tried until the pipeline accepts one.
const ATTEMPTS: u32 = 100;

/// The load.
#[derive(Debug)]
pub struct Own {
    pub(super) random: Rng,
    entities: Picker,
    table: Arc<OwnTable>,
    items: Vec<LoadItem>,
    /// The place of each item in `items`, by key.
    places: HashMap<String, usize>,
}

impl Own {
    pub fn new(table: Arc<OwnTable>, shape: &Shape, random: Rng) -> Own {
        let entities = Picker::new(shape.entities, shape.skew);
        Own { random, entities, table, items: Vec::new(), places: HashMap::new() }
    }

    pub fn resume(&mut self, write: &Write) {
        match write {
            Write::Put { item, .. } => self.put(item.clone()),
            Write::Delete { key, .. } => self.remove(key),
            Write::Message { .. } => {}
        }
    }

    /// The next change that the pipeline accepts.
    ///
    /// # Errors
    /// If it accepts none of many.
    pub fn next(&mut self, number: u64) -> anyhow::Result<Change> {
        for _ in 0..ATTEMPTS {
            let (old, new) = self.drafted(number);
            let Some(meaning) = self.table.meaning(old.as_ref(), new.as_ref(), number)? else { continue };
            let replaces = old.as_ref().and_then(state);
            let write = match (old, new, replaces) {
                (_, Some(item), replaces) => Write::Put { item, replaces },
                (Some(old), None, Some(replaces)) => Write::Delete { key: self.table.key(&old), replaces },
                _ => continue,
            };
            self.resume(&write);
            return Ok(Change { number, write, meaning });
        }
        bail!("the pipeline rejects all of {ATTEMPTS} changes made from the sample; use a sample with more items")
    }

    /// The item before and after a change that may be rejected.
    fn drafted(&mut self, number: u64) -> (Option<LoadItem>, Option<LoadItem>) {
        let kind = self.random.u8(0..100);
        let has_room = self.items.len() < MOST_ITEMS;
        let known = self.random.choice(0..self.items.len()).filter(|_| kind >= INSERTIONS || !has_room);
        let variety = &self.table.variety;
        let (old, new) = match known.and_then(|place| self.items.get(place)) {
            None => {
                let item = variety.inserted(self.entities.pick(&mut self.random), number, &mut self.random);
                (self.place(&item).and_then(|place| self.items.get(place)).cloned(), Some(item))
            }
            Some(item) if kind < INSERTIONS + CHANGES => {
                let record_type = self.table.record_type(item).unwrap_or_default();
                (Some(item.clone()), Some(variety.changed(&record_type, item, &mut self.random)))
            }
            Some(item) => (Some(item.clone()), None),
        };
        let numbered = |mut item: LoadItem| {
            item.insert(CHANGE_ATTRIBUTE.to_owned(), Attribute::number(number));
            item
        };
        (old, new.map(numbered))
    }

    fn place(&self, item: &LoadItem) -> Option<usize> {
        self.places.get(&self.key_text(item)).copied()
    }

    fn put(&mut self, item: LoadItem) {
        match self.place(&item).and_then(|place| self.items.get_mut(place)) {
            Some(known) => *known = item,
            None => {
                self.places.insert(self.key_text(&item), self.items.len());
                self.items.push(item);
            }
        }
    }

    fn remove(&mut self, key: &LoadItem) {
        let Some(place) = self.places.remove(&self.key_text(key)) else { return };
        self.items.swap_remove(place);
        // The last item has taken its place.
        if let Some(moved) = self.items.get(place) {
            self.places.insert(self.key_text(moved), place);
        }
    }

    fn key_text(&self, item: &LoadItem) -> String {
        format!("{:?}", self.table.key(item))
    }
}

/// The number of the change that wrote the item.
fn state(item: &LoadItem) -> Option<u64> {
    item.get(CHANGE_ATTRIBUTE)?.as_text()?.parse().ok()
}

#[cfg(test)]
mod tests;
