//! Which snapshots a fold must write before it may settle which notices.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::minute::FoldedMinute;
use super::piece::origins;
use super::publish::Publication;
use super::state::Leaves;
use super::{Notice, Windows};
use crate::error::Error;
use crate::ledger::{GroupKey, Level, WindowKey};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;
use crate::usage::{Segment, SnapshotItem};

/// A snapshot to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub window: WindowKey,
    pub key: GroupKey,
}

/// The snapshots to write, each once, in the order of the notices.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    tasks: Vec<Task>,
    /// For each notice, how many of the tasks must be done, or why it can't be settled.
    notices: Vec<Result<usize, Error>>,
}

impl Tasks {
    pub(super) fn new(
        snapshot: &Snapshot,
        notices: &[Notice],
        minutes: &BTreeMap<Segment, Result<FoldedMinute, Error>>,
        windows: &Windows,
    ) -> Tasks {
        let mut tasks = Tasks::default();
        let mut known: HashMap<WindowKey, std::collections::HashSet<GroupKey>> = HashMap::new();
        for Notice { minute, page } in notices {
            let result = match minutes.get(minute) {
                Some(Err(error)) => Err(error.clone()),
                None => Ok(()),
                Some(Ok(folded)) => {
                    let pages = folded.minute.pages().iter().filter(|read| read.reference == *page);
                    let touched = pages.map(|page| folded.minute.touched(page)).next().unwrap_or_default();
                    let origins = origins(WindowKey::minute(*minute, snapshot.zone), touched);
                    let mut parents = origins.iter().flat_map(|(origin, keys)| {
                        windows_above(snapshot, *origin).into_iter().map(move |window| (*origin, window, keys))
                    });
                    parents.try_for_each(|(origin, window, keys)| {
                        if let Some(error) = failure(windows, window, origin) {
                            return Err(error.clone());
                        }
                        let known = known.entry(window).or_default();
                        for key in keys.iter().filter(|key| known.insert((*key).clone())) {
                            tasks.tasks.push(Task { window, key: key.clone() });
                        }
                        Ok(())
                    })
                }
            };
            let count = tasks.tasks.len();
            tasks.notices.push(result.map(|()| count));
        }
        tasks
    }

    pub(super) fn all(&self) -> &[Task] {
        &self.tasks
    }

    /// How many notices, from the first on, are settled if these tasks failed, and why the next one isn't.
    pub(super) fn settled(self, failed: &[(usize, Error)]) -> (usize, Option<Error>) {
        let first = failed.iter().min_by_key(|(number, _)| *number);
        let notices = self.notices.len();
        for (position, notice) in self.notices.into_iter().enumerate() {
            match (notice, first) {
                (Err(error), _) => return (position, Some(error)),
                (Ok(needed), Some((number, error))) if *number < needed => return (position, Some(error.clone())),
                (Ok(_), _) => {}
            }
        }
        (notices, None)
    }
}

/// Why `window` doesn't stand for a minute or piece: it or a window that it is summed up from wasn't folded. That one needn't
/// have snapshots.
fn failure(windows: &Windows, window: WindowKey, origin: WindowKey) -> Option<&Error> {
    let summed = window.level.down().map(|level| origin.within(level)).chain([origin]);
    // The lowest failed first.
    summed.filter_map(|summed| windows.get(&summed)?.as_ref().err()).last()
}

/// The windows above a minute that have states, and its pieces with the windows above them. Each comes after those that it is
/// summed up from.
pub(super) fn states_above(
    snapshot: &Snapshot,
    minute: WindowKey,
    pieces: &BTreeSet<WindowKey>,
) -> BTreeSet<WindowKey> {
    let origins = pieces.iter().copied().chain([minute]);
    let above = origins.flat_map(|origin| Level::needed(&snapshot.windows).map(move |level| origin.within(level)));
    above.chain(pieces.iter().copied()).collect()
}

/// The windows of snapshots that a minute or piece is summed up by.
pub(super) fn windows_above(snapshot: &Snapshot, origin: WindowKey) -> Vec<WindowKey> {
    snapshot.windows.iter().map(|window| origin.within(Level::of(*window))).collect()
}

impl Task {
    /// The snapshot, unless it has expired or the group is of another definition of the pipeline.
    pub(super) fn publication(&self, snapshot: &Snapshot, windows: &Windows, now: Timestamp) -> Option<Publication> {
        let leaves: &Leaves = windows.get(&self.window)?.as_ref().ok()?;
        let (_, state) = leaves.iter().find(|(part, _)| self.key.is_in_part(part))?;
        let span = self.window.span()?;
        let key = self.key.counter_key().ok().filter(|key| key.is_of(snapshot))?;
        if snapshot.has_expired(span, now) {
            return None;
        }
        let item = SnapshotItem::new(snapshot, &key, span);
        let values = state.totals.group(&self.key)?.map(|(measure, value)| (measure.clone(), value.clone())).collect();
        let restated_at = snapshot.is_closed(span, now).then_some(now);
        Some(Publication { item, version: state.version, values, restated_at })
    }
}
