//! Rebuilds: writes the states of a minute and of the windows above it again, for a state that is wrong, damaged, or lists
//! what is gone. Nothing that a fold does makes one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Mode;
use super::parent::{Versions, has, leaf, versions};
use super::piece::pieces;
use super::republish::Outdated;
use super::state::{Leaves, leaves_left};
use super::sweep::Swept;
use super::tasks::{states_above, windows_above};
use super::{Folder, WindowKey};
use crate::error::Error;
use crate::ledger::{Level, PageRef, StateItem, is_expiring};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::usage::Segment;

impl Folder {
    /// Writes the states of a minute and of the windows above it again from what there is, and then all their snapshots.
    /// For a state that is wrong or damaged; nothing that a fold does makes one.
    ///
    /// # Errors
    /// As for [`Folder::sweep`], and if the minute's pages may have expired.
    pub async fn rebuild(
        &self,
        snapshot: &Snapshot,
        minute: Segment,
        mode: Mode,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Swept, Error> {
        let fold = self.fold_with(snapshot, mode, now, deadline);
        let pages: BTreeSet<PageRef> = self.page_names(minute, deadline).await?.into_iter().collect();
        let window = WindowKey::minute(minute, self.ledger.zone);
        let before = self.states_to_replace(window, deadline).await?;
        if mode != Mode::Forget && is_expiring(minute, self.ledger.keep_days, now) {
            let remedy = "rebuild later minutes only; `sweep --windows` publishes the states that are left";
            return Err(Error::config(format!("its pages may have expired; {remedy}")));
        }
        let leaves = fold.fold_minute(minute, &pages).await?.leaves;
        // A minute that has lost both its pages and its state may still be listed.
        if leaves.values().all(|state| state.version == 0) && !self.is_listed(snapshot, window, deadline).await? {
            return Ok(Swept::default());
        }
        // What the minute said about other hours is written again, too.
        let pieces: BTreeSet<WindowKey> =
            [&before, &leaves].into_iter().flat_map(|leaves| pieces(window, leaves)).collect();
        let mut done = BTreeMap::from([(window, leaves)]);
        for parent in states_above(snapshot, window, &pieces) {
            let below = done.iter().filter(|(child, _)| parent.is_sum_of(**child));
            let leaves = below.flat_map(|(child, leaves)| leaves.iter().map(move |(part, state)| (child, part, state)));
            let written = leaves.filter(|(.., state)| state.version > 0);
            let known = written.map(|(child, part, state)| (leaf(*child, part), state.version)).collect();
            done.insert(parent, fold.fold_parent(parent, &known).await?);
        }
        let mut swept = Swept { pages: pages.len(), ..Swept::default() };
        let fold = self.fold_with(snapshot, Mode::Usual, now, deadline);
        let origins = pieces.into_iter().chain([window]);
        let above: BTreeSet<WindowKey> = origins.flat_map(|origin| windows_above(snapshot, origin)).collect();
        let mut outdated = Outdated::default();
        for window in above {
            let leaves = fold.fold_parent(window, &Versions::new()).await?;
            outdated.add(self.outdated(snapshot, window, leaves, |_| true, now, deadline).await?);
        }
        swept.add_window(self.update(snapshot, outdated, Duration::ZERO, deadline).await?);
        Ok(swept)
    }

    /// What is left of the state of a window. One that is damaged lists nothing, and is written again in any case.
    async fn states_to_replace(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Leaves, Error> {
        Ok(leaves_left(&self.ledger.states(window, deadline).await?, Mode::Rebuild)?.0)
    }

    /// Whether a state above a minute that has none lists it, or lists a window between them that has none either.
    async fn is_listed(
        &self,
        snapshot: &Snapshot,
        minute: WindowKey,
        deadline: Option<Instant>,
    ) -> Result<bool, Error> {
        let mut gone = BTreeSet::from([minute]);
        for parent in states_above(snapshot, minute, &BTreeSet::new()) {
            let states = self.states_to_replace(parent, deadline).await?;
            if states.values().flat_map(|state| state.listed.leaves()).any(|(leaf, _)| gone.contains(&leaf.window)) {
                return Ok(true);
            }
            if states.values().all(|state| state.version == 0) {
                gone.insert(parent);
            } else if parent.level != Level::Week {
                break;
            }
        }
        Ok(false)
    }

    /// What the states of a minute, and of the windows above it, list although it is gone, for people.
    ///
    /// # Errors
    /// If the ledger can't be read.
    pub async fn missing(
        &self,
        snapshot: &Snapshot,
        minute: Segment,
        deadline: Option<Instant>,
    ) -> Result<Vec<String>, Error> {
        let window = WindowKey::minute(minute, self.ledger.zone);
        let (states, halves) = leaves_left(&self.ledger.states(window, deadline).await?, Mode::Rebuild)?;
        let listed: BTreeSet<PageRef> = states.values().flat_map(|state| state.listed.pages()).copied().collect();
        let found = self.page_names(minute, deadline).await?.into_iter().collect();
        let gone = listed.difference(&found);
        let mut missing: Vec<String> =
            gone.map(|PageRef { bucket, name }| format!("the page {bucket}/{name:016x} of {window}")).collect();
        missing.extend(halves.into_iter().map(|half| missing_half(window, &half)));
        for parent in states_above(snapshot, window, &pieces(window, &states)) {
            let (states, halves) = leaves_left(&self.ledger.states(parent, deadline).await?, Mode::Rebuild)?;
            missing.extend(halves.into_iter().map(|half| missing_half(parent, &half)));
            let mut items: BTreeMap<WindowKey, Vec<StateItem>> = BTreeMap::new();
            for item in self.ledger.children(parent, deadline).await? {
                items.entry(item.window).or_default().push(item);
            }
            let (mut below, mut lost_below) = (BTreeMap::new(), BTreeSet::new());
            for (child, items) in items {
                let (left, lost) = leaves_left(&items, Mode::Rebuild)?;
                lost_below.extend(lost.into_iter().map(|half| leaf(child, &half)));
                below.insert(child, left);
            }
            let read = versions(&below);
            let listed = states.values().flat_map(|state| state.listed.leaves());
            let gone = listed.filter(|(leaf, version)| !has(&read, leaf, *version));
            missing.extend(gone.map(|(leaf, version)| {
                format!("version {version} of the state {}/{}, which {parent} lists", leaf.window, leaf.part)
            }));
            missing.extend(lost_below.iter().map(|half| missing_half(half.window, &half.part)));
        }
        // The half of a state is missing in its own window and below the next one.
        let mut known = BTreeSet::new();
        missing.retain(|what| known.insert(what.clone()));
        Ok(missing)
    }
}

fn missing_half(window: WindowKey, half: &str) -> String {
    format!("the half {window}/{half} of a split state")
}
