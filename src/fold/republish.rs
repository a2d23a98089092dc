//! Compares snapshots with the states that they follow from, and writes those that are wrong.
//!
//! Between a fold's steps, a snapshot lags behind its state for a moment. So a sweep looks twice, and writes and counts only what
//! both looks found. Both compare the values of one reading of the state: a fold of a later version, which may be on its way when
//! the second look is taken, makes nothing wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Mode;
use super::publish::{Condition, Publication, Published, Stored};
use super::state::Leaves;
use super::tasks::Task;
use super::{Folder, Windows};
use crate::error::{Error, ErrorKind};
use crate::ledger::{GroupKey, WindowKey};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::usage::SnapshotItem;

/// What was written where the snapshots of a window aren't what its state says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Republished {
    /// The snapshots that were wrong and have been written.
    pub repaired: BTreeSet<SnapshotItem>,
    /// The snapshots that are wrong and stay so, because DynamoDB refuses them, with the reason.
    pub refused: BTreeMap<SnapshotItem, String>,
}

/// What a first look found.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// The snapshots that don't have this version.
    publications: Vec<Publication>,
    /// Whether one of them has other values.
    is_any_wrong: bool,
}

impl Outdated {
    /// Adds what a look at another window found.
    pub(super) fn add(&mut self, other: Outdated) {
        self.publications.extend(other.publications);
        self.is_any_wrong |= other.is_any_wrong;
    }
}

impl Folder {
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
        let leaves = self.fold_with(snapshot, Mode::Usual, now, deadline).stored(window).await?;
        let outdated = self.outdated(snapshot, window, leaves, |_| true, now, deadline).await?;
        self.update(snapshot, outdated, Duration::ZERO, deadline).await
    }

    /// The snapshots of these groups of a window that its state has other values for, or a later version. Nothing but alerts is
    /// written.
    pub(super) async fn outdated(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        leaves: Leaves,
        is_compared: impl Fn(&GroupKey) -> bool,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Outdated, Error> {
        let keys = leaves.values().flat_map(|state| state.totals.keys()).filter(|key| is_compared(key));
        let keys: Vec<_> = keys.cloned().collect();
        // Alerts of a window in which nothing more counts are missing because they have expired.
        let is_past = self.fold_with(snapshot, Mode::Usual, now, deadline).is_past(window);
        for state in leaves.values().filter(|_| !is_past) {
            let watched: Vec<&GroupKey> = state.watches.keys().filter(|key| is_compared(key)).collect();
            for chunk in watched.chunks(self.concurrency.max(1)) {
                let raises = chunk.iter().map(|key| self.raise(snapshot, window, state, key, now, deadline));
                futures::future::try_join_all(raises).await?;
            }
        }
        let windows = Windows::from([(window, Ok(leaves))]);
        let tasks = keys.into_iter().map(|key| Task { window, key });
        let publications: Vec<_> = tasks.filter_map(|task| task.publication(snapshot, &windows, now)).collect();
        let mut outdated = Outdated::default();
        for chunk in publications.chunks(self.concurrency.max(1)) {
            let reads = chunk.iter().map(|publication| self.usage.compare(snapshot, publication, deadline));
            for (publication, stored) in chunk.iter().zip(futures::future::join_all(reads).await) {
                match stored {
                    Ok(Stored::Current) => continue,
                    Ok(stored) => outdated.is_any_wrong |= stored == Stored::Wrong,
                    // DynamoDB refuses its key. Whoever writes it names it.
                    Err(error) if error.kind == ErrorKind::Poison => {}
                    Err(error) => return Err(error),
                }
                outdated.publications.push(publication.clone());
            }
        }
        Ok(outdated)
    }

    /// Writes what a first look found, and a second one still finds. If anything was wrong, that one is taken after `patience`.
    pub(super) async fn update(
        &self,
        snapshot: &Snapshot,
        outdated: Outdated,
        patience: Duration,
        deadline: Option<Instant>,
    ) -> Result<Republished, Error> {
        if outdated.is_any_wrong {
            wait(patience, deadline).await;
        }
        let mut republished = Republished::default();
        for chunk in outdated.publications.chunks(self.concurrency.max(1)) {
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

/// Waits for what others are doing, but at most half of the time that is left.
pub(super) async fn wait(patience: Duration, deadline: Option<Instant>) {
    let left = deadline.map_or(patience, |deadline| deadline.saturating_duration_since(Instant::now()) / 2);
    tokio::time::sleep(patience.min(left)).await;
}
