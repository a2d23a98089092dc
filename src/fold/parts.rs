//! What a fold that may write a state finds of it: the parts whose content binds, and those that are written anew, whatever they
//! said.
//!
//! The state of an earlier epoch is written anew, because since then the ledger was restored, and what it lists, or halves of a
//! split, may be missing. So is a damaged one by a rebuild. It keeps saying to others what it said until everything that replaces
//! it is there:
//!
//! - A part that fits is replaced by one swap.
//! - Otherwise its halves are written first, in the same way, and its own item is replaced by a mark of the split last. Until
//!   then, nobody reads the halves but those who write the state.
//!
//! So nobody reads a part that stands for less than what a fold has read, and whoever dies leaves the old state or the new one.
//! Two folds may do this at once: each item changes by compare-and-swap with rising versions only, and what is written for a
//! half binds everybody who writes the state (Rule R), also while the mark is missing. Once the mark is there, each part thus
//! stands for at least what the fold that has put it has read. A mark is never replaced by anything but a mark, or a swap of it
//! alone could undo what others have written for the halves. A part that was split before is therefore split again.

use std::collections::BTreeMap;

use super::engine::{Fold, Mode};
use super::state::{Leaves, Listed, State, halves, leaves_left};
use crate::error::Error;
use crate::ledger::StateItem;

/// The parts of a state.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those that hold totals, or will do so. One that is written anew says nothing and lists nothing.
    pub leaves: Leaves,
    /// Those that are written anew, with their next version. Those without a leaf get the mark of a split.
    pub anew: BTreeMap<String, u64>,
    /// The versions of all items, also of those that nobody reads.
    pub versions: BTreeMap<String, u64>,
    /// What a state of an earlier epoch stood for. It doesn't bind, but what is too old to be counted again and has expired since
    /// can't be summed up again.
    pub before: Vec<Listed>,
}

impl Parts {
    /// The version of the item of a part; 0 if there is none.
    pub(super) fn version(&self, part: &str) -> u64 {
        self.versions.get(part).copied().unwrap_or(0)
    }

    /// Whether halves are written already, although the mark of their split is missing.
    pub(super) fn is_being_split(&self) -> bool {
        self.anew.keys().any(|part| !self.leaves.contains_key(part))
    }

    /// Adds a part that is written anew with this version.
    pub(super) fn add_anew(&mut self, part: String, version: u64) {
        let state = State { version: self.version(&part), ..State::default() };
        self.anew.insert(part.clone(), version);
        self.leaves.insert(part, state);
    }
}

/// How many versions are left out before that of a half that is written again because it was lost. Both halves are written about as
/// often, but snapshots may have a later version of the lost one than any that is left.
const SKIPPED: u64 = 1 << 16;

impl Fold<'_> {
    /// The parts among the items of a state. `None` if the halves of a split are missing, so that it must be read again; one that
    /// is forgotten is written anew.
    ///
    /// # Errors
    /// If an item is damaged, or if a newer release wrote it; not while states are rebuilt.
    pub(super) fn parts(&self, items: &[StateItem]) -> Result<Option<Parts>, Error> {
        let versions = items.iter().map(|item| (item.part.clone(), item.version)).collect();
        let mut parts = Parts { versions, ..Parts::default() };
        let whole = String::new();
        let anew = parts.versions.get(&whole).filter(|version| **version < self.epoch << 48);
        // A part, and the next version of what it belongs to, if that is written anew.
        let mut open = vec![(whole, anew.map(|version| self.next_version(*version)))];
        while let Some((part, mut anew)) = open.pop() {
            let item = items.iter().find(|item| item.part == part);
            if let Some(item) = item.filter(|item| anew.is_none_or(|anew| item.version >= anew)) {
                let Some(data) = &item.data else {
                    open.extend(halves(&part).map(|half| (half, None)));
                    continue;
                };
                match State::of_item(item, data) {
                    Ok(state) => {
                        parts.leaves.insert(part, state);
                        continue;
                    }
                    Err(error) if self.mode == Mode::Usual => return Err(error),
                    Err(_) => anew = Some(self.next_version(item.version)),
                }
            }
            match anew {
                None if part.is_empty() => drop(parts.leaves.insert(part, State::default())),
                None if self.mode == Mode::Forget => {
                    let latest = parts.versions.values().copied().max().unwrap_or(0);
                    parts.add_anew(part, self.next_version(latest) + SKIPPED);
                }
                None => return Ok(None),
                Some(version) => {
                    let is_below = |other: &StateItem| other.part != part && other.part.starts_with(&part);
                    let is_begun = items.iter().any(|other| is_below(other) && other.version >= version);
                    if is_begun || item.is_some_and(|item| item.data.is_none()) {
                        open.extend(halves(&part).map(|half| (half, Some(version))));
                        parts.anew.insert(part, version);
                    } else {
                        parts.add_anew(part, version);
                    }
                }
            }
        }
        let is_earlier = parts.versions.get("").is_some_and(|version| *version < self.epoch << 48);
        if is_earlier && self.mode != Mode::Forget {
            let (leaves, _) = leaves_left(items, Mode::Rebuild)?;
            parts.before.extend(leaves.into_values().map(|state| state.listed));
        }
        Ok(Some(parts))
    }
}
