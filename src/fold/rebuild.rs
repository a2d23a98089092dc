//! Rebuilds: writes the states of a minute and of the windows above it again, for a state that is wrong, damaged, or lists
//! what is gone. Nothing that a fold does makes one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Mode;
use super::parent::{Versions, children, has, leaf, versions};
use super::piece::pieces;
use super::republish::Outdated;
use super::state::{Leaves, leaves};
use super::sweep::Swept;
use super::tasks::{states_above, windows_above};
use super::{Folder, WindowKey};
use crate::error::Error;
use crate::ledger::{PageRef, is_expiring};
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
        if leaves.values().all(|state| state.version == 0) {
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

    /// The state of a window. One that is damaged lists nothing, and is written again in any case.
    async fn states_to_replace(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Leaves, Error> {
        Ok(leaves(&self.ledger.states(window, deadline).await?, Mode::Rebuild)?.unwrap_or_default())
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
        let states = self.states_to_replace(window, deadline).await?;
        let listed: BTreeSet<PageRef> = states.values().flat_map(|state| state.listed.pages()).copied().collect();
        let found = self.page_names(minute, deadline).await?.into_iter().collect();
        let gone = listed.difference(&found);
        let mut missing: Vec<String> =
            gone.map(|PageRef { bucket, name }| format!("the page {bucket}/{name:016x} of {window}")).collect();
        for parent in states_above(snapshot, window, &pieces(window, &states)) {
            let below = children(self.ledger.children(parent, deadline).await?, Mode::Rebuild)?.unwrap_or_default();
            let read = versions(&below);
            let states = self.states_to_replace(parent, deadline).await?;
            let listed = states.values().flat_map(|state| state.listed.leaves());
            let gone = listed.filter(|(leaf, version)| !has(&read, leaf, *version));
            missing.extend(gone.map(|(leaf, version)| {
                format!("version {version} of the state {}/{}, which {parent} lists", leaf.window, leaf.part)
            }));
        }
        Ok(missing)
    }
}
