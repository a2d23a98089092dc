//! Sweeps: folds what no notice arrived for. A sweep of a minute compares its pages with its state, and its state with
//! those above it. A sweep of the last minute of an hour also compares the hour's snapshots with its state, and one of the
//! last minute of a day those of the day, and of the week, the month and the total that it is in.
//!
//! A sweep that dies after it has written states finds them written when it is repeated, and a fold that dies there leaves them
//! to the next one. What neither has published is found at the end of the hour and of the day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::engine::{Fold, Mode};
use super::parent::children;
use super::piece::{lists as lists_part, origins, pieces as pieces_of};
use super::republish::{Outdated, Republished, wait};
use super::state::{Leaves, leaves};
use super::tasks::{states_above, windows_above};
use super::{Folder, Notice, Versions};
use crate::error::Error;
use crate::ledger::{GroupKey, Level, PageRef, WindowKey, is_expiring};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::usage::{Segment, SnapshotItem};

/// What a sweep did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// The pages of the minutes.
    pub pages: usize,
    /// The snapshots that were wrong and have been written. Should be zero.
    pub repaired: usize,
    /// The snapshots that are wrong and stay so, because DynamoDB refuses them, with the reason.
    pub refused: BTreeMap<SnapshotItem, String>,
    /// The measures that aren't published because their values aren't known.
    pub overflows: usize,
    /// The records about which two pages of one generation differ.
    pub conflicts: usize,
    /// The minutes with pages that no state lists, and that are too old to be folded.
    pub too_old: BTreeSet<Segment>,
}

impl Swept {
    /// Adds what was written for a window.
    pub(super) fn add_window(&mut self, Republished { repaired, refused }: Republished) {
        self.repaired += repaired.len();
        self.refused.extend(refused);
    }

    /// Adds what the sweep of another minute did.
    pub fn add(&mut self, other: Swept) {
        self.pages += other.pages;
        self.repaired += other.repaired;
        self.refused.extend(other.refused);
        self.overflows += other.overflows;
        self.conflicts += other.conflicts;
        self.too_old.extend(other.too_old);
    }
}

/// What a sweep of a minute does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What the schedules need: folds the minute if its state, or one above it, lacks something, and compares the
    /// snapshots of the hour or the day that ends with it, and with the day those of the windows that it is in.
    Differences,
    /// Compares the snapshots of the minute's groups in all windows that it is in, too.
    Minute,
    /// Compares the snapshots of all windows that the minute is in, too.
    Windows,
    /// Compares those of the windows that end with the minute, or that would if no minute came after the last one: each window
    /// once in the sweeps of a range.
    Ending {
        /// The last minute of the range.
        last: Segment,
    },
}

impl Folder {
    /// Sweeps a minute at once.
    ///
    /// # Errors
    /// Transient if the deadline passed or something is missing, config if someone must fix something first.
    pub async fn sweep(
        &self,
        snapshot: &Snapshot,
        minute: Segment,
        depth: Depth,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Swept, Error> {
        self.sweep_patiently(snapshot, minute, depth, now, (Duration::ZERO, deadline)).await
    }

    /// Sweeps a minute. What isn't as it should be is looked at once more after this patience, or before, if the deadline is
    /// near, and only what is still wrong is written: a fold may just be about to do so.
    ///
    /// # Errors
    /// As for [`Folder::sweep`].
    pub async fn sweep_patiently(
        &self,
        snapshot: &Snapshot,
        minute: Segment,
        depth: Depth,
        now: Timestamp,
        (patience, deadline): (Duration, Option<Instant>),
    ) -> Result<Swept, Error> {
        let fold = self.fold_with(snapshot, Mode::Usual, now, deadline);
        let pages = self.page_names(minute, deadline).await?;
        let mut swept = Swept { pages: pages.len(), ..Swept::default() };
        let own = WindowKey::minute(minute, self.ledger.zone);
        let is_past = fold.is_past(own);
        // What is found can be folded until it expires. Later, the states that it was summed up into may be gone.
        let is_too_old = is_past && pages.is_empty() || is_expiring(minute, self.ledger.keep_days + 1, now);
        if is_too_old {
            swept.too_old.extend(fold.is_unlisted(minute, &pages).await?.then_some(minute));
        } else if !self.is_folded_soon(&fold, minute, &pages, patience).await? {
            swept.add(self.fold_again(&fold, minute, &pages, now).await?);
        }
        let mut origins = fold.origins(own, depth).await?;
        let groups = origins.remove(&own).unwrap_or_default();
        let mut outdated = Outdated::default();
        for window in windows_above(snapshot, own) {
            let is_whole = is_whole(window, own, depth);
            if is_whole || !groups.is_empty() {
                // A state outlives what it was summed up from, which may have been written while KEEP_DAYS was lower.
                let leaves = match is_past {
                    true => fold.stored(window).await?,
                    false => fold.fold_parent(window, &Versions::new()).await?,
                };
                let is_compared = |key: &GroupKey| is_whole || groups.contains(key);
                outdated.add(self.outdated(snapshot, window, leaves, is_compared, now, deadline).await?);
            }
        }
        for (piece, groups) in origins {
            for window in windows_above(snapshot, piece) {
                let leaves = fold.stored(window).await?;
                let is_compared = |key: &GroupKey| groups.contains(key);
                outdated.add(self.outdated(snapshot, window, leaves, is_compared, now, deadline).await?);
            }
        }
        swept.add_window(self.update(snapshot, outdated, patience, deadline).await?);
        Ok(swept)
    }

    /// Whether these pages of a minute are folded, now or after `patience`: their notices may be on their way.
    async fn is_folded_soon(
        &self,
        fold: &Fold<'_>,
        minute: Segment,
        pages: &[PageRef],
        patience: Duration,
    ) -> Result<bool, Error> {
        let is_folded = fold.is_folded(minute, pages, pages).await?;
        if is_folded || patience.is_zero() {
            return Ok(is_folded);
        }
        wait(patience, fold.deadline).await;
        let found = self.page_names(minute, fold.deadline).await?;
        fold.is_folded(minute, pages, &found).await
    }

    /// Folds a minute that no notice arrived for.
    async fn fold_again(
        &self,
        fold: &Fold<'_>,
        minute: Segment,
        pages: &[PageRef],
        now: Timestamp,
    ) -> Result<Swept, Error> {
        // Fails if the state lists pages that are gone.
        fold.fold_minute(minute, &pages.iter().copied().collect()).await?;
        let notices: Vec<Notice> = pages.iter().map(|page| Notice { minute, page: *page }).collect();
        let folded = self.fold(fold.snapshot, &notices, now, fold.deadline).await?;
        if let Some(error) = folded.error {
            return Err(error);
        }
        let refused = folded.unpublished.into_iter().map(|(item, error)| (item, error.message)).collect();
        let (repaired, overflows, conflicts) = (folded.snapshots, folded.overflows, folded.conflicts);
        Ok(Swept { repaired, refused, overflows, conflicts, ..Swept::default() })
    }
}

impl Fold<'_> {
    /// The state of a window as it is stored.
    pub(super) async fn stored(&self, window: WindowKey) -> Result<Leaves, Error> {
        let items = self.ledger.states(window, self.deadline).await?;
        let half = || Error::transient(format!("read the state {window}: half of it is missing"));
        leaves(&items, self.mode)?.ok_or_else(half)
    }

    /// The groups of a minute whose snapshots are compared, by where they are summed up. What the minutes of an hour say about
    /// other hours is compared at its end.
    async fn origins(&self, minute: WindowKey, depth: Depth) -> Result<BTreeMap<WindowKey, BTreeSet<GroupKey>>, Error> {
        let keys = |leaves: &Leaves| -> Vec<GroupKey> {
            leaves.values().flat_map(|state| state.totals.keys()).cloned().collect()
        };
        let mut found = match depth {
            Depth::Minute => origins(minute, keys(&self.stored(minute).await?)),
            Depth::Differences | Depth::Windows | Depth::Ending { .. } => origins(minute, []),
        };
        let hour = minute.within(Level::Hour);
        if self.ledger.late_days > 0 && hour.end() == minute.end() {
            let half = || Error::transient(format!("read the minutes of {hour}: half of a state is missing"));
            let read = children(self.ledger.children(hour, self.deadline).await?, self.mode)?.ok_or_else(half)?;
            for (child, leaves) in read.iter().filter(|(child, _)| child.level == Level::Minute) {
                let of_pieces = origins(*child, keys(leaves)).into_iter().filter(|(origin, _)| origin != child);
                for (piece, keys) in of_pieces {
                    found.entry(piece).or_default().extend(keys);
                }
            }
        }
        Ok(found)
    }

    /// The parts of a state that need no write, or say nothing yet. `None` if a split wasn't completed.
    async fn written(&self, window: WindowKey) -> Result<Option<Leaves>, Error> {
        let parts = self.parts(&self.ledger.states(window, self.deadline).await?)?;
        Ok(parts.filter(|parts| !parts.is_being_split()).map(|parts| parts.leaves))
    }

    /// Whether the state of a minute stands for these pages and for nothing that isn't found, and the states above it stand for
    /// that. A minute that is past may stand for more.
    async fn is_folded(&self, minute: Segment, pages: &[PageRef], found: &[PageRef]) -> Result<bool, Error> {
        let [pages, found] = [pages, found].map(|pages| pages.iter().copied().collect::<BTreeSet<PageRef>>());
        let window = WindowKey::minute(minute, self.ledger.zone);
        // Other pages of a minute that is past may have expired, so its states can't be written again in a new epoch.
        let is_past = self.is_past(window);
        let fold = if is_past { Fold { epoch: 0, ..*self } } else { *self };
        let Some(below) = fold.written(window).await? else {
            return Ok(false);
        };
        let listed = |state: &super::state::State| state.listed.pages().copied().collect::<BTreeSet<_>>();
        let is_right = |listed: BTreeSet<PageRef>| pages.is_subset(&listed) && (is_past || listed.is_subset(&found));
        if !below.values().all(|state| is_right(listed(state))) {
            return Ok(false);
        }
        let pieces = pieces_of(window, &below);
        let mut done = BTreeMap::from([(window, below)]);
        for parent in states_above(self.snapshot, window, &pieces) {
            let Some(own) = fold.written(parent).await? else {
                return Ok(false);
            };
            let mut below = done.iter().filter(|(child, _)| parent.is_sum_of(**child));
            if !below.all(|(child, leaves)| lists(parent, &own, *child, leaves)) {
                return Ok(false);
            }
            done.insert(parent, own);
        }
        Ok(true)
    }

    /// Whether one of these pages of a minute was never folded, as far as one can tell: its state doesn't list it, or has expired,
    /// and then the state of its hour, which lives longer, doesn't list the minute.
    async fn is_unlisted(&self, minute: Segment, pages: &[PageRef]) -> Result<bool, Error> {
        let own = WindowKey::minute(minute, self.ledger.zone);
        let Some(state) = leaves(&self.ledger.states(own, self.deadline).await?, self.mode)? else {
            return Ok(false);
        };
        if state.values().any(|state| state.version > 0) {
            let listed: BTreeSet<PageRef> = state.values().flat_map(|state| state.listed.pages()).copied().collect();
            return Ok(pages.iter().any(|page| !listed.contains(page)));
        }
        let hour = leaves(&self.ledger.states(own.within(Level::Hour), self.deadline).await?, self.mode)?;
        let mut listed = hour.iter().flat_map(Leaves::values).flat_map(|state| state.listed.leaves());
        Ok(!pages.is_empty() && !listed.any(|(leaf, _)| leaf.window == own))
    }
}

/// The window with whose last minute a sweep compares the snapshots of a window: its own, or the day, which isn't over long after
/// something went wrong.
fn compared_with(window: WindowKey, minute: WindowKey) -> WindowKey {
    match window.level {
        Level::Week | Level::Month | Level::Total => minute.within(Level::Day),
        Level::Minute | Level::Piece | Level::Hour | Level::Day => window,
    }
}

/// Whether a sweep of a minute compares all snapshots of a window that it is in.
fn is_whole(window: WindowKey, minute: WindowKey, depth: Depth) -> bool {
    match depth {
        Depth::Windows => true,
        Depth::Ending { last } => window.end().min(last.next().start()) == minute.end(),
        Depth::Differences | Depth::Minute => compared_with(window, minute).end() == minute.end(),
    }
}

/// Whether each leaf of a window lists the versions of its child's leaves, or later ones.
fn lists(window: WindowKey, own: &Leaves, child: WindowKey, below: &Leaves) -> bool {
    let listed = |state: &super::state::State, part: &str, version: u64| {
        let mut versions = state.listed.leaves().filter(|(leaf, _)| leaf.window == child && leaf.part == part);
        versions.any(|(_, listed)| listed >= version)
    };
    let nonempty = || below.iter().filter(|(_, state)| state.version > 0 && lists_part(window, child, state));
    own.values().all(|state| nonempty().all(|(part, child)| listed(state, part, child.version)))
}
