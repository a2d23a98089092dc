//! Sweeps: folds what no notice arrived for. A sweep of a minute compares its pages with its state, and its state with
//! those above it. A sweep of the last minute of a window also compares the window's snapshots with its state; those of the
//! total are compared with the last minute of each day.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::engine::{Fold, Mode};
use super::parent::children;
use super::piece::{lists as lists_part, origins, pieces as pieces_of};
use super::publish::{Condition, Published, Stored};
use super::state::{Leaves, leaves};
use super::tasks::{Task, states_above, windows_above};
use super::{Folder, Notice, Versions, Windows};
use crate::error::{Error, ErrorKind};
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
}

/// What was written where the snapshots of a window aren't what its state says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Republished {
    /// The snapshots that were wrong and have been written.
    pub repaired: BTreeSet<SnapshotItem>,
    /// The snapshots that are wrong and stay so, because DynamoDB refuses them, with the reason.
    pub refused: BTreeMap<SnapshotItem, String>,
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
    }
}

/// What a sweep of a minute does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What the schedules need: folds the minute if its state, or one above it, lacks something, and compares the
    /// snapshots of the windows that end with it.
    Differences,
    /// Compares the snapshots of the minute's groups in all windows that it is in, too.
    Minute,
    /// Compares the snapshots of all windows that the minute is in, too.
    Windows,
}

impl Folder {
    /// Sweeps a minute.
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
        let fold = self.fold_with(snapshot, Mode::Usual, deadline);
        let pages = self.page_names(minute, deadline).await?;
        let mut swept = Swept { pages: pages.len(), ..Swept::default() };
        let is_expiring = is_expiring(minute, self.ledger.keep_days, now);
        if !is_expiring && !fold.is_folded(snapshot, minute, &pages).await? {
            // Fails if the state lists pages that are gone.
            fold.fold_minute(minute, &pages.iter().copied().collect()).await?;
            let notices: Vec<Notice> = pages.iter().map(|page| Notice { minute, page: *page }).collect();
            let folded = self.fold(snapshot, &notices, now, deadline).await?;
            swept.repaired += folded.snapshots;
            swept.refused.extend(folded.unpublished.into_iter().map(|(item, error)| (item, error.message)));
            if let Some(error) = folded.error {
                return Err(error);
            }
        }
        let own = WindowKey::minute(minute, self.ledger.zone);
        let mut origins = fold.origins(own, depth).await?;
        let groups = origins.remove(&own).unwrap_or_default();
        for window in windows_above(snapshot, own) {
            let is_whole = depth == Depth::Windows || compared_with(window, own).end() == own.end();
            if is_whole || !groups.is_empty() {
                // A state outlives what it was summed up from.
                let leaves = match is_expiring {
                    true => fold.stored(window).await?,
                    false => fold.fold_parent(window, &Versions::new()).await?,
                };
                let is_compared = |key: &GroupKey| is_whole || groups.contains(key);
                swept.add_window(self.compare(snapshot, window, leaves, is_compared, now, deadline).await?);
            }
        }
        for (piece, groups) in origins {
            for window in windows_above(snapshot, piece) {
                let leaves = fold.stored(window).await?;
                swept.add_window(
                    self.compare(snapshot, window, leaves, |key| groups.contains(key), now, deadline).await?,
                );
            }
        }
        Ok(swept)
    }

    /// Writes the snapshots of a window that aren't what its state says.
    ///
    /// # Errors
    /// As for [`Folder::sweep`].
    pub async fn republish(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Republished, Error> {
        let leaves = self.fold_with(snapshot, Mode::Usual, deadline).stored(window).await?;
        self.compare(snapshot, window, leaves, |_| true, now, deadline).await
    }

    /// Compares the snapshots of these groups of a window with its state, and writes those that differ.
    pub(super) async fn compare(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        leaves: Leaves,
        is_compared: impl Fn(&GroupKey) -> bool,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Republished, Error> {
        let keys = leaves.values().flat_map(|state| state.totals.keys()).filter(|key| is_compared(key));
        let keys: Vec<_> = keys.cloned().collect();
        for state in leaves.values() {
            for key in state.watches.keys().filter(|key| is_compared(key)) {
                self.raise(snapshot, window, state, key, now, deadline).await?;
            }
        }
        let windows = Windows::from([(window, Ok(leaves))]);
        let tasks = keys.into_iter().map(|key| Task { window, key });
        let publications: Vec<_> = tasks.filter_map(|task| task.publication(snapshot, &windows, now)).collect();
        let mut republished = Republished::default();
        for chunk in publications.chunks(self.concurrency.max(1)) {
            let writes = chunk.iter().map(|publication| async {
                let stored = self.usage.compare(snapshot, publication, deadline).await?;
                if stored == Stored::Current {
                    return Ok::<bool, Error>(false);
                }
                // A snapshot with the right values gets the version, too, so that no slow fold can still replace it.
                let published = self.usage.publish(snapshot, publication, Condition::NotLater, deadline).await?;
                Ok(stored == Stored::Wrong && matches!(published, Published::Written | Published::Restated))
            });
            for (publication, is_repaired) in chunk.iter().zip(futures::future::join_all(writes).await) {
                match is_repaired {
                    Ok(true) => drop(republished.repaired.insert(publication.item.clone())),
                    Ok(false) => {}
                    Err(error) if error.kind == ErrorKind::Poison => {
                        republished.refused.insert(publication.item.clone(), error.message);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(republished)
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
            Depth::Differences | Depth::Windows => origins(minute, []),
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

    /// Whether the state of a minute stands for these pages, and the states above it stand for that.
    async fn is_folded(&self, snapshot: &Snapshot, minute: Segment, pages: &[PageRef]) -> Result<bool, Error> {
        let pages: BTreeSet<PageRef> = pages.iter().copied().collect();
        let window = WindowKey::minute(minute, self.ledger.zone);
        let Some(below) = self.written(window).await? else {
            return Ok(false);
        };
        let listed = |state: &super::state::State| state.listed.pages().copied().collect::<BTreeSet<_>>();
        if below.values().any(|state| listed(state) != pages) {
            return Ok(false);
        }
        let pieces = pieces_of(window, &below);
        let mut done = BTreeMap::from([(window, below)]);
        for parent in states_above(snapshot, window, &pieces) {
            let Some(own) = self.written(parent).await? else {
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
}

/// The window with whose last minute the snapshots of a window are compared: its own, or of the total, each day.
pub(super) fn compared_with(window: WindowKey, minute: WindowKey) -> WindowKey {
    if window.level == Level::Total { minute.within(Level::Day) } else { window }
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
