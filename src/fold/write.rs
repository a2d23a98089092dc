//! Writes the parts of a state by compare-and-swap, and splits a part that would be too large.

use super::engine::Fold;
use super::parts::Parts;
use super::state::{Leaves, Listed, State, halves};
use super::totals::Totals;
use super::watch::{NewVersion, Watches};
use crate::error::Error;
use crate::ledger::{StateItem, Swap, WindowKey};

/// The result of writing the parts of a state.
pub(super) enum Written {
    /// Every part stands for what was read.
    All(Leaves),
    /// Another fold wrote one of them, or one was split: read again.
    Again,
}

/// 380 KB where parts of more than 200 KB are split: the limit for a part of one group. A DynamoDB item has at most 400 KB.
const ITEM_TENTHS: usize = 19;

impl Fold<'_> {
    /// Writes each part of `read` that doesn't stand for `listed` yet, or is older than the epoch.
    pub(super) async fn write(
        &self,
        window: WindowKey,
        mut read: Parts,
        listed: &Listed,
        totals: &Totals,
    ) -> Result<Written, Error> {
        let mut written = Leaves::new();
        while let Some((part, old)) = read.leaves.pop_first() {
            let anew = read.anew.remove(&part);
            if anew.is_none() && self.is_current(&old, listed) {
                written.insert(part, old);
                continue;
            }
            let totals = if part.is_empty() { totals.clone() } else { totals.part(&part) };
            let version = anew.unwrap_or_else(|| self.next_version(old.version));
            let new = State { version, listed: listed.clone(), totals, watches: Watches::default() };
            let swap = match (self.content(window, &old, new).await?, anew) {
                (Some((new, data)), _) => {
                    let item = StateItem { window, part: part.clone(), version, data: Some(data) };
                    let swap = self.ledger.swap(&item, old.version, self.deadline).await?;
                    written.insert(part, new);
                    swap
                }
                (None, Some(version)) => {
                    halves(&part).into_iter().for_each(|half| read.add_anew(half, version));
                    read.anew.insert(part, version);
                    Swap::Done
                }
                (None, None) => {
                    self.split(window, &part, &old, &read).await?;
                    Swap::Refused
                }
            };
            if swap == Swap::Refused {
                return Ok(Written::Again);
            }
        }
        // What remains has its halves now, and gets the mark of the split. A half comes before its whole.
        while let Some((part, version)) = read.anew.pop_last() {
            let old = read.version(&part);
            let mark = StateItem { window, part, version, data: None };
            if self.ledger.swap(&mark, old, self.deadline).await? == Swap::Refused {
                return Ok(Written::Again);
            }
        }
        Ok(Written::All(written))
    }

    /// What the next version of a part says, and its data; `None` if it must be split. `new` doesn't know yet what its groups
    /// have crossed.
    async fn content(&self, window: WindowKey, old: &State, mut new: State) -> Result<Option<(State, Vec<u8>)>, Error> {
        let snapshot = self.snapshot;
        if new.totals.is_too_wide() {
            return Ok(None);
        }
        // Reading the limits of all groups of a part that must be split takes longer than a fold may take.
        let reads_limits = snapshot.alerts.iter().any(|alert| alert.item.is_some());
        if reads_limits && new.totals.len() > 1 && new.frame().len() > self.max_state_bytes {
            return Ok(None);
        }
        let window = window.span().map(|span| span.window);
        let changes = NewVersion { snapshot, window, version: new.version, old: &old.totals, new: &new.totals };
        new.watches = old.watches.next(&changes, &self.limits(&changes).await?);
        if new.totals.len() <= 1 {
            // A group can't be split, so its largest values are given up before the item is too large.
            return Ok(Some(new.within(self.max_state_bytes / 10 * ITEM_TENTHS)));
        }
        let data = new.frame();
        Ok((data.len() <= self.max_state_bytes).then_some((new, data)))
    }

    /// Splits a part into halves that hold what its old version had, so that they always fit, all with a version above
    /// it, and above what a split that was never completed has left.
    async fn split(&self, window: WindowKey, part: &str, old: &State, read: &Parts) -> Result<Swap, Error> {
        let halves = halves(part);
        let left = halves.each_ref().map(|half| read.version(half));
        let version = left.iter().map(|left| left + 1).fold(self.next_version(old.version), u64::max);
        let half = |part: String| {
            let (totals, watches) = (old.totals.part(&part), old.watches.part(&part));
            let state = State { version, listed: old.listed.clone(), totals, watches };
            StateItem { window, part, version, data: Some(state.frame()) }
        };
        let [first, second] = halves.map(half);
        let whole = StateItem { window, part: part.to_owned(), version, data: None };
        let [of_first, of_second] = left;
        let states = [(whole, old.version), (first, of_first), (second, of_second)];
        self.ledger.split(&states, self.deadline).await
    }
}
