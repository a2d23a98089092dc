//! What a proof found.

use std::collections::BTreeMap;

use usage_aggregator::error::Error;

/// Differences that are logged. The others are only counted.
const NAMED_DIFFERENCES: usize = 20;

/// A record for which ledger and archive differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveDifference {
    /// The hour in which the record was created, such as `2026-11-28T08`.
    pub hour: String,
    /// The record type; empty if only the ledger has the record.
    pub record_type: String,
    /// The sequence number of the change; empty if only the ledger has the record.
    pub sequence: String,
    /// The id of the record; its first 8 bytes if only the ledger has it.
    pub record_id: String,
    /// What is wrong.
    pub what: ArchiveWrong,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArchiveWrong {
    /// The archive lacks it.
    NotArchived,
    /// The ledger lacks it.
    NotCounted,
    /// The ledger counted something else than what follows from its row and the row before it.
    Discontinuous,
    /// The item was removed or inserted in between, and no row says so.
    ChangeMissing,
}

impl ArchiveWrong {
    /// What it says in the log.
    pub fn text(self) -> &'static str {
        match self {
            ArchiveWrong::NotArchived => "the ledger counted it, but the archive lacks it",
            ArchiveWrong::NotCounted => "the archive has it, but the ledger didn't count it",
            ArchiveWrong::Discontinuous => {
                "the ledger counted something else than what follows from the item's rows: a change of it was lost, quarantined, or \
                 discarded, or its row was deleted"
            }
            ArchiveWrong::ChangeMissing => {
                "a change of the item before it is missing: it was lost, quarantined, or discarded, or its row was deleted"
            }
        }
    }
}

/// Why a difference isn't certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doubt {
    /// What is counted was changed after the record, or shortly before it.
    Definition,
    /// Rows of an item can't be told from those of another.
    Items,
}

impl Doubt {
    /// What it says in the log.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Doubt::Definition => {
                "what the pipeline counts was changed after these records, or less than three hours before them"
            }
            Doubt::Items => {
                "it isn't certain that `match` names exactly the keys of the table: no record ID shows it, there are several tables, or \
                 the source is a Kinesis stream"
            }
        }
    }
}

/// What a proof found.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The hours that were compared.
    pub hours: usize,
    /// The hours that weren't, with the reason.
    pub left: Vec<(String, String)>,
    /// The hours that couldn't be read.
    pub failed: Vec<Error>,
    /// The records of the archive that were compared.
    pub records: usize,
    /// Of them, those whose amounts weren't, because the row before them wasn't found, and those with a difference that isn't certain.
    pub unlinked: usize,
    /// The differences that aren't certain, by the reason.
    pub doubtful: BTreeMap<Doubt, usize>,
    /// Of them, those that were counted by another generation of the measures.
    pub other_generation: usize,
    pub difference_count: usize,
    /// The first of them.
    pub differences: Vec<ArchiveDifference>,
}

impl Proof {
    pub(super) fn add(&mut self, difference: ArchiveDifference) {
        self.difference_count += 1;
        if self.differences.len() < NAMED_DIFFERENCES {
            self.differences.push(difference);
        }
    }

    /// Counts a difference that isn't certain.
    pub(super) fn doubt(&mut self, why: Doubt) {
        self.unlinked += 1;
        *self.doubtful.entry(why).or_default() += 1;
    }

    /// Adds what the proof of an hour found.
    pub(super) fn merge(&mut self, other: Proof) {
        self.hours += other.hours;
        self.records += other.records;
        self.unlinked += other.unlinked;
        self.other_generation += other.other_generation;
        self.difference_count += other.difference_count;
        for (why, count) in other.doubtful {
            *self.doubtful.entry(why).or_default() += count;
        }
        let room = NAMED_DIFFERENCES.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
    }
}
