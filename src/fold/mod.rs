//! The fold: derives the numbers from the ledger's pages. It reads the pages of a minute, takes each record once, sums up
//! minutes into hours, days, weeks, months and the total, and writes the snapshots. Where an attribute decides the window, a
//! piece lies between a minute and an hour other than its own.
//!
//! A state changes by compare-and-swap only, and a new version never stands for fewer pages than the old one (Rule R). A
//! snapshot moves to later versions only. So a fold may run any number of times, at the same time as others, and stop at
//! any point: it changes *when* a snapshot is right, never what it says. docs/semantics.md has the proofs.

mod alert;
mod attributes;
#[cfg(test)]
mod cost_tests;
mod distinct;
mod engine;
mod limits;
mod minute;
mod notice;
mod parent;
mod parts;
mod piece;
mod prove;
mod publish;
mod raise;
mod rebuild;
mod records;
mod recount;
mod republish;
mod restore;
mod searched;
mod show;
mod state;
mod sweep;
mod tasks;
mod totals;
mod trace;
mod uncounted;
mod value;
mod watch;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};
use tokio::time::Instant;
use tracing::{Instrument, info_span};

use crate::error::{Error, ErrorKind};
use crate::ledger::{LedgerTable, Level, PageRef, WindowKey};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::usage::Segment;
pub use alert::{ALERT_DETAIL_TYPE, ALERT_SOURCE, Alert, AlertKey, AlertState};
use engine::Fold;
pub use engine::Mode;
pub use limits::Limits;
use minute::FoldedMinute;
pub use notice::Notice;
use parent::{Versions, leaf};
pub use prove::{ProofDifference, Proven, Wrong};
use publish::{Condition, Publication, Published};
pub use publish::{Restored, UsageTable};
pub use records::{MinuteRecords, PageRecord, Pages, Standing};
pub use recount::Recount;
pub use republish::Republished;
pub use show::{Shown, ShownGroup, ShownPage, ShownState, ShownValues};
use state::Leaves;
#[doc(hidden)]
pub use state::rewritten_state;
pub use sweep::{Depth, Swept};
use tasks::{Task, Tasks};
use totals::Totals;
pub use trace::{Below, StateValue};

/// The ledger and usage tables, for one pipeline.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The ledger.
    pub ledger: LedgerTable,
    /// The usage table.
    pub usage: UsageTable,
    /// The limits of alerts that were read from items.
    pub limits: Limits,
    /// Rises after the ledger was restored, so that versions exceed those of snapshots.
    pub epoch: u64,
    /// Days after which a record is too old to count.
    pub horizon_days: i64,
    /// A part of a state with more bytes is split.
    pub max_state_bytes: usize,
    /// The maximum number of calls at once.
    pub concurrency: usize,
}

/// 200 KB: the usual limit of the parts of a state. A DynamoDB item has at most 400 KB.
pub const MAX_STATE_BYTES: usize = 200 * 1024;

/// What a fold did.
#[derive(Debug, Default)]
pub struct Folded {
    /// How many notices, from the first on, are in the snapshots.
    pub settled: usize,
    /// Why the first notice after those isn't.
    pub error: Option<Error>,
    /// The most pages of a minute.
    pub pages: usize,
    /// The snapshots that were written.
    pub snapshots: usize,
    /// The alerts that were put.
    pub alerts: usize,
    /// Those of closed windows whose values changed.
    pub restated: usize,
    /// The measures that aren't published because their values aren't known.
    pub overflows: usize,
    /// The records about which two pages of one generation differ.
    pub conflicts: usize,
    /// The snapshots that DynamoDB refused, with the reason. They hold up no others.
    pub unpublished: Vec<(crate::usage::SnapshotItem, Error)>,
}

/// What an error says if snapshots have later versions than the ledger.
pub const LEDGER_BEHIND: &str = "snapshots are ahead of the ledger";

/// The windows that were folded.
type Windows = BTreeMap<WindowKey, Result<Leaves, Error>>;

impl Folder {
    /// Folds the minutes of `notices` until each of these pages is in all snapshots of its groups.
    ///
    /// # Errors
    /// If someone must fix something first: a table, a permission, or snapshots that are ahead of the ledger.
    pub async fn fold(
        &self,
        snapshot: &Snapshot,
        notices: &[Notice],
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Folded, Error> {
        let fold = self.fold_with(snapshot, Mode::Usual, now, deadline);
        let mut noticed: BTreeMap<Segment, BTreeSet<PageRef>> = BTreeMap::new();
        notices.iter().for_each(|notice| _ = noticed.entry(notice.minute).or_default().insert(notice.page));
        let minutes = self.fold_minutes(&fold, &noticed).await?;
        let windows = self.fold_parents(&fold, snapshot, &minutes).await?;
        let tasks = Tasks::new(snapshot, notices, &minutes, &windows);
        let publishing = info_span!(target: "telemetry", "publish");
        let published = self.publish_all(&fold, snapshot, &tasks, &windows, now).instrument(publishing).await?;
        let conflicts = minutes.values().flatten().map(|folded| folded.minute.conflicts()).sum();
        let pages = minutes.values().flatten().map(|folded| folded.minute.pages().len()).max().unwrap_or(0);
        let (settled, error) = tasks.settled(&published.failed);
        Ok(Folded { settled, error, pages, conflicts, ..published.folded })
    }

    fn fold_with<'f>(
        &'f self,
        snapshot: &'f Snapshot,
        mode: Mode,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Fold<'f> {
        let Folder { ledger, limits, epoch, horizon_days, max_state_bytes, concurrency, .. } = self;
        let (epoch, horizon_days) = (*epoch, *horizon_days);
        let (max_state_bytes, concurrency) = (*max_state_bytes, *concurrency);
        Fold { ledger, snapshot, limits, epoch, horizon_days, max_state_bytes, concurrency, mode, now, deadline }
    }

    async fn fold_minutes(
        &self,
        fold: &Fold<'_>,
        noticed: &BTreeMap<Segment, BTreeSet<PageRef>>,
    ) -> Result<BTreeMap<Segment, Result<FoldedMinute, Error>>, Error> {
        let folds: Vec<_> =
            noticed.iter().map(|(minute, pages)| async { (*minute, fold.fold_minute(*minute, pages).await) }).collect();
        let folded = stream::iter(folds).buffer_unordered(self.concurrency).collect::<Vec<_>>().await;
        folded.into_iter().map(|(minute, folded)| Ok((minute, unless_config(folded)?))).collect()
    }

    /// Folds the windows above the minutes that could be folded, level by level.
    async fn fold_parents(
        &self,
        fold: &Fold<'_>,
        snapshot: &Snapshot,
        minutes: &BTreeMap<Segment, Result<FoldedMinute, Error>>,
    ) -> Result<Windows, Error> {
        let folded = |(minute, folded): (&Segment, &Result<FoldedMinute, Error>)| {
            Some((WindowKey::minute(*minute, self.ledger.zone), folded.as_ref().ok()?.leaves.clone()))
        };
        let mut done: BTreeMap<WindowKey, Leaves> = minutes.iter().filter_map(folded).collect();
        let mut windows = Windows::new();
        for level in [Level::Piece].into_iter().chain(Level::needed(&snapshot.windows)) {
            let mut known: BTreeMap<WindowKey, Versions> = BTreeMap::new();
            for (child, leaves) in done.iter().filter(|(child, _)| level.is_sum_of(child.level)) {
                let written = leaves.iter().filter(|(_, state)| state.version > 0);
                let versions: Versions = written.map(|(part, state)| (leaf(*child, part), state.version)).collect();
                let parents = match level {
                    Level::Piece => piece::pieces(*child, leaves),
                    _ => BTreeSet::from([child.within(level)]),
                };
                for parent in parents {
                    known.entry(parent).or_default().extend(versions.clone());
                }
            }
            let folds: Vec<_> = known
                .iter()
                .map(|(window, known)| async { (*window, fold.fold_parent(*window, known).await) })
                .collect();
            let folded = stream::iter(folds).buffer_unordered(self.concurrency).collect::<Vec<_>>().await;
            for (window, leaves) in folded {
                let leaves = unless_config(leaves)?;
                done.extend(leaves.as_ref().ok().map(|leaves| (window, leaves.clone())));
                windows.insert(window, leaves);
            }
        }
        Ok(windows)
    }

    async fn publish_all(
        &self,
        fold: &Fold<'_>,
        snapshot: &Snapshot,
        tasks: &Tasks,
        windows: &Windows,
        now: Timestamp,
    ) -> Result<PublishedAll, Error> {
        let publications: Vec<_> = tasks
            .all()
            .iter()
            .enumerate()
            .map(|(number, task)| async move {
                // An expired snapshot isn't written, but what has crossed a limit is reported.
                let publication = task.publication(snapshot, windows, now);
                let published = match &publication {
                    Some(publication) => self.publish(fold, snapshot, task, publication).await.map(Some),
                    None => Ok(None),
                };
                let raised = self.raise_task(snapshot, windows, task, now, fold.deadline).await;
                (number, publication, published, raised)
            })
            .collect();
        let mut all = PublishedAll::default();
        let mut publishing = stream::iter(publications).buffered(self.concurrency);
        while let Some((number, publication, published, raised)) = publishing.next().await {
            all.folded.overflows += publication.as_ref().map_or(0, Publication::overflows);
            match raised {
                Ok(alerts) => all.folded.alerts += alerts,
                Err(error) if error.kind == ErrorKind::Config => return Err(error),
                Err(error) => all.failed.push((number, error)),
            }
            match published {
                Ok(Some(Published::Written)) => all.folded.snapshots += 1,
                Ok(Some(Published::Restated)) => {
                    all.folded.snapshots += 1;
                    all.folded.restated += 1;
                }
                Ok(Some(Published::Same | Published::Later(_)) | None) => {}
                Err(error) if error.kind == ErrorKind::Config => return Err(error),
                Err(error) if error.kind == ErrorKind::Poison => {
                    all.folded.unpublished.extend(publication.map(|publication| (publication.item, error)));
                }
                Err(error) => all.failed.push((number, error)),
            }
        }
        Ok(all)
    }

    async fn publish(
        &self,
        fold: &Fold<'_>,
        snapshot: &Snapshot,
        task: &Task,
        publication: &Publication,
    ) -> Result<Published, Error> {
        let published = self.usage.publish(snapshot, publication, Condition::Earlier, fold.deadline).await?;
        let Published::Later(stored) = published else { return Ok(published) };
        // Another fold was faster, unless the ledger was restored to an earlier moment.
        let items = self.ledger.states(task.window, fold.deadline).await?;
        let latest = items.iter().filter(|item| task.key.is_in_part(&item.part)).map(|item| item.version).max();
        if latest.is_some_and(|latest| latest >= stored) {
            return Ok(published);
        }
        Err(Error::config(format!(
            "write a snapshot of {}: {LEDGER_BEHIND}, which must have been restored or replaced; raise \
             FOLD_EPOCH by 1 (see the runbook for a restored ledger)",
            task.window
        )))
    }
}

#[derive(Default)]
struct PublishedAll {
    folded: Folded,
    /// The tasks that failed, and why.
    failed: Vec<(usize, Error)>,
}

/// An error of one window doesn't hold up others, unless someone must fix something first.
fn unless_config<T>(result: Result<T, Error>) -> Result<Result<T, Error>, Error> {
    match result {
        Err(error) if error.kind == ErrorKind::Config => Err(error),
        result => Ok(result),
    }
}
