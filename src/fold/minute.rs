//! Folds a minute: reads its pages and its state until neither lacks anything, and writes the state if there is something
//! new.

use std::collections::BTreeSet;

use super::distinct::Minute;
use super::engine::{Attempts, Fold, Mode};
use super::state::{Leaves, Listed, used_buckets};
use super::write::Written;
use crate::error::Error;
use crate::ledger::{PageRef, WindowKey};
use crate::usage::Segment;

/// A minute that was folded.
#[derive(Debug)]
pub(super) struct FoldedMinute {
    /// All its pages.
    pub minute: Minute,
    /// The leaves of its state, which stand for exactly these pages.
    pub leaves: Leaves,
}

impl Fold<'_> {
    /// Folds `minute`, in which the pages `noticed` must be.
    ///
    /// # Errors
    /// If something is missing again and again, if the deadline passes, or if someone must fix something first.
    pub(super) async fn fold_minute(
        &self,
        minute: Segment,
        noticed: &BTreeSet<PageRef>,
    ) -> Result<FoldedMinute, Error> {
        let window = WindowKey::minute(minute, self.ledger.zone);
        let mut attempts = Attempts::new(self.deadline);
        loop {
            let known = noticed.iter().map(|page| page.bucket + 1).chain([self.ledger.buckets]).max().unwrap_or(1);
            let states = self.ledger.states(window, self.deadline);
            let (states, pages) = tokio::join!(states, self.ledger.pages(minute, 0..known, self.deadline));
            let (states, mut pages) = (states?, pages?);
            let Some(read) = self.parts(&states)? else {
                attempts.lacks(|| format!("read the state {window}: half of it is missing")).await?;
                continue;
            };
            let binding = read.leaves.values().filter(|_| self.mode != Mode::Forget);
            let before = read.before.iter().filter(|_| self.is_past(window));
            let listed = binding.map(|state| &state.listed).chain(before);
            let listed: BTreeSet<PageRef> = listed.flat_map(Listed::pages).copied().collect();
            // What a part said that is written anew isn't known any more, but its pages are.
            let of_leaves =
                read.leaves.values().flat_map(|state| state.listed.pages()).map(|page| page.bucket + 1).max();
            let used = if read.anew.is_empty() { of_leaves.unwrap_or(0) } else { used_buckets(&states) };
            pages.extend(self.ledger.pages(minute, known..used, self.deadline).await?);
            let names: BTreeSet<PageRef> = pages.iter().map(|page| page.reference).collect();
            // Rule R: never write a state from a reading that lacks what is known to exist.
            if let Some(PageRef { bucket, name }) = listed.union(noticed).find(|page| !names.contains(page)) {
                attempts
                    .lacks(|| format!("fold the minute {window}: the page {bucket}/{name:016x} is missing"))
                    .await?;
                continue;
            }
            let minute = Minute::new(pages);
            let listed = Listed::Pages(names);
            let read = match self.unless_current(read, &listed) {
                Ok(leaves) => return Ok(FoldedMinute { minute, leaves }),
                Err(read) => read,
            };
            let mut totals = minute.totals();
            if !self.snapshot.alerts.is_empty() {
                totals.corrections = minute.corrections();
            }
            match self.write(window, read, &listed, &totals).await? {
                Written::All(leaves) => return Ok(FoldedMinute { minute, leaves }),
                Written::Again => attempts.again(|| format!("write the state {window}: others write it, too")).await?,
            }
        }
    }
}
