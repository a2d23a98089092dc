//! The result of counting a batch, and how the results of its parts are put together.

use std::collections::BTreeSet;

use super::super::group::Group;
use super::super::read::Claimed;
use super::super::snapshot::SnapshotItem;
use crate::error::Error;

/// The result of counting a batch.
#[derive(Debug, Default)]
pub struct Committed {
    /// Positions in the batch of the records that this invocation counted.
    pub applied: BTreeSet<usize>,
    /// Positions in the batch of the records that had been counted before.
    pub duplicates: BTreeSet<usize>,
    /// Positions in the batch of the records that could not be counted, each with the error.
    pub failed: Vec<(usize, Error)>,
    /// The snapshot items that were updated.
    pub snapshots: BTreeSet<SnapshotItem>,
}

impl Committed {
    pub(super) fn join(mut self, other: Committed) -> Committed {
        self.applied.extend(other.applied);
        self.duplicates.extend(other.duplicates);
        self.failed.extend(other.failed);
        self.snapshots.extend(other.snapshots);
        self
    }

    pub(super) fn failed(groups: &[&Group], error: &Error) -> Committed {
        let mut committed = Committed::default();
        committed.fail(groups, error);
        committed
    }

    pub(super) fn fail(&mut self, groups: &[&Group], error: &Error) {
        let records = groups.iter().flat_map(|group| &group.effects).map(|effect| effect.record);
        self.failed.extend(records.map(|record| (record, error.clone())));
    }

    /// Returns `claimed`, unless all its records have been counted before.
    pub(super) fn unless_done<'g>(&mut self, claimed: Claimed<'g>) -> Option<Claimed<'g>> {
        if !claimed.is_done() {
            return Some(claimed);
        }
        self.duplicates.extend(claimed.group.effects.iter().map(|effect| effect.record));
        None
    }
}

pub(super) fn summarize(
    bundle: &[Claimed<'_>],
    attempted: &BTreeSet<usize>,
    snapshots: BTreeSet<SnapshotItem>,
) -> Committed {
    let mut committed = Committed { snapshots, ..Committed::default() };
    for claimed in bundle {
        for effect in &claimed.group.effects {
            // A record that an earlier attempt without a response may have counted was counted by this invocation.
            let applied_here = !claimed.claims.has(effect.id.short()) || attempted.contains(&effect.record);
            let list = if applied_here { &mut committed.applied } else { &mut committed.duplicates };
            list.insert(effect.record);
        }
    }
    committed
}
