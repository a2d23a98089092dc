//! Writes the parts of a state by compare-and-swap, and splits a part that would be too large.

use super::engine::Fold;
use super::state::{Leaves, Listed, State, halves};
use super::totals::Totals;
use super::watch::NewVersion;
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
        read: Leaves,
        listed: &Listed,
        totals: &Totals,
    ) -> Result<Written, Error> {
        let mut written = Leaves::new();
        for (part, old) in read {
            if self.is_current(&old, listed) {
                written.insert(part, old);
                continue;
            }
            let totals = if part.is_empty() { totals.clone() } else { totals.part(&part) };
            let version = self.next_version(old.version);
            let (snapshot, window_length) = (self.snapshot, window.span().map(|span| span.window));
            let changes = NewVersion { snapshot, window: window_length, version, old: &old.totals, new: &totals };
            let watches = old.watches.next(&changes, &self.limits(&changes).await?);
            let new = State { version, listed: listed.clone(), totals, watches };
            let (new, data) = match new.totals.len() {
                // A group can't be split, so its largest values are given up before the item is too large.
                ..=1 => new.within(self.max_state_bytes / 10 * ITEM_TENTHS),
                _ => {
                    let data = new.frame();
                    (new, data)
                }
            };
            let swap = if data.len() > self.max_state_bytes && new.totals.len() > 1 {
                self.split(window, &part, &old).await?;
                Swap::Refused
            } else {
                let item = StateItem { window, part: part.clone(), version: new.version, data: Some(data) };
                self.ledger.swap(&item, old.version, self.deadline).await?
            };
            if swap == Swap::Refused {
                return Ok(Written::Again);
            }
            written.insert(part, new);
        }
        Ok(Written::All(written))
    }

    /// Splits a part into halves that hold what its old version had, so that they always fit, all with a version above
    /// it.
    async fn split(&self, window: WindowKey, part: &str, old: &State) -> Result<Swap, Error> {
        let version = self.next_version(old.version);
        let half = |part: String| {
            let (totals, watches) = (old.totals.part(&part), old.watches.part(&part));
            let state = State { version, listed: old.listed.clone(), totals, watches };
            StateItem { window, part, version, data: Some(state.frame()) }
        };
        let [first, second] = halves(part).map(half);
        let whole = StateItem { window, part: part.to_owned(), version, data: None };
        self.ledger.split(&[whole, first, second], old.version, self.deadline).await
    }
}
