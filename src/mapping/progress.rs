//! How far a mapping has come and what holds it up: the records that were read and are not settled, and the batch that
//! blocks a lane.
//!
//! Every run of a shard reports under a number of its own, so that a mapping that restarts, or a second one beside it,
//! leaves nothing behind. Distinct records are counted as a shard's checkpoint passes them, and only beyond the point that any
//! run has reached before: a run that starts again from an older checkpoint repeats records in the same order, so one
//! sequence number for each shard is enough to count each record once.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stream_types::{SequenceNumber, Timestamp};

use crate::activity::Delivering;
use crate::cause::FailureCause;
use crate::source::Position;

/// What waits, and what it waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records that were read and are not settled.
    pub unsettled_records: u64,
    /// Whether the stream has, or may have, more records: those that are not read because the lanes are full, those of shards
    /// that are not read because their parents aren't finished, and all of a mapping that is disabled or can't read its stream.
    pub more_unread: bool,
    /// Whether the mapping is disabled, so nothing is read.
    pub disabled: bool,
    /// Whether the stream no longer exists. The one that has replaced it, if any, is read by a new mapping.
    pub stream_gone: bool,
    /// Why the stream can't be read, if the last three attempts have failed.
    pub read_error: Option<String>,
    /// When the oldest unsettled record was created.
    #[serde(with = "optional_time")]
    pub oldest_unsettled: Option<Timestamp>,
    /// The batches that block a lane.
    pub blocked: Vec<Blocked>,
    /// The last record that the function reported as failed, whether or not it still blocks.
    pub last_rejected: Option<Blocked>,
}

/// A batch that failed and is delivered again; later records of its lane wait for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// The shard.
    pub shard: String,
    /// The sequence number of the batch's first record. If the function reported it, this is the record at fault.
    pub sequence_number: String,
    /// The records of the batch.
    pub records: u64,
    /// The records of the shard that wait for this batch: those read after it that are not settled.
    pub waiting_records: u64,
    /// Whether more of them are in the stream, which are not read because the lanes are full.
    pub more_unread: bool,
    /// How often delivering this batch has failed. Halves of a split batch start at zero.
    pub failed_attempts: u32,
    /// How often it is delivered at most; without a limit, `None`.
    pub maximum_attempts: Option<u32>,
    /// When the record was created.
    #[serde(with = "time")]
    pub created_at: Timestamp,
    /// When the record blocked the lane for the first time.
    #[serde(with = "time")]
    pub since: Timestamp,
    /// When the next delivery starts.
    #[serde(with = "time")]
    pub next_attempt: Timestamp,
    /// About when the last delivery is over, after which the batch is discarded; without a limit, `None`.
    #[serde(with = "optional_time")]
    pub retried_until: Option<Timestamp>,
    /// Why the last delivery failed.
    pub cause: FailureCause,
}

/// How a record was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// The function acknowledged it.
    Processed,
    /// No filter pattern matched it.
    FilteredOut,
    /// It was given to the failure destination, or dropped.
    Discarded,
}

/// What the runs of all shards report.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    next: u64,
    running: BTreeMap<u64, RunProgress>,
    /// Up to where the records of each shard are counted.
    counted: BTreeMap<String, SequenceNumber<'static>>,
    /// The shards that wait for their parents, as the mapping that listed the shards last reports them.
    pub(crate) behind_parents: BTreeSet<String>,
    /// Whether the mapping is disabled.
    pub(crate) disabled: bool,
    /// Whether a shard no longer existed before it was read to its end.
    pub(crate) stream_gone: bool,
    /// Why the shards can't be listed, if the last listings have failed.
    pub(crate) listing_error: Option<String>,
    last_rejected: Option<Blocked>,
}

/// The progress of one run of a shard.
#[derive(Debug, Default)]
pub(crate) struct RunProgress {
    pub(crate) shard: String,
    pub(crate) unsettled_records: u64,
    pub(crate) oldest_unsettled: Option<Timestamp>,
    pub(crate) more_unread: bool,
    /// Where reading continues.
    pub(crate) read_to: Option<Position>,
    /// Why the last reads failed, if they did.
    pub(crate) read_error: Option<String>,
    /// What each lane is delivering.
    pub(crate) delivering: BTreeMap<usize, Delivering>,
    pub(crate) blocked: BTreeMap<usize, Blocked>,
}

impl Runs {
    pub(crate) fn begin(&mut self, shard: &str) -> u64 {
        self.next += 1;
        self.running.insert(self.next, RunProgress { shard: shard.to_owned(), ..RunProgress::default() });
        self.next
    }

    /// How many runs read a shard.
    pub(crate) fn readers(&self, shard: &str) -> usize {
        self.running.values().filter(|run| run.shard == shard).count()
    }

    pub(crate) fn end(&mut self, run: u64) {
        self.running.remove(&run);
    }

    pub(crate) fn change(&mut self, run: u64, change: impl FnOnce(&mut RunProgress)) {
        if let Some(progress) = self.running.get_mut(&run) {
            change(progress);
        }
    }

    pub(crate) fn block(&mut self, run: u64, lane: usize, blocked: Option<Blocked>) {
        if let Some(rejected) = blocked.as_ref().filter(|blocked| matches!(blocked.cause, FailureCause::Reported(_))) {
            self.last_rejected = Some(rejected.clone());
        }
        self.change(run, |progress| match blocked {
            Some(blocked) => drop(progress.blocked.insert(lane, blocked)),
            None => drop(progress.blocked.remove(&lane)),
        });
    }

    /// Whether a settled record of this shard is counted for the first time. Records must come in stream order.
    pub(crate) fn is_first(&mut self, shard: &str, sequence: &SequenceNumber<'static>) -> bool {
        match self.counted.get_mut(shard) {
            Some(counted) if *counted >= *sequence => return false,
            Some(counted) => *counted = sequence.clone(),
            None => drop(self.counted.insert(shard.to_owned(), sequence.clone())),
        }
        true
    }

    /// Up to where the records of a shard are counted.
    pub(crate) fn counted(&self, shard: &str) -> Option<&SequenceNumber<'static>> {
        self.counted.get(shard)
    }

    /// The shards that are read. Of several runs of one shard, the one that is furthest ahead counts: what it has settled is
    /// settled.
    pub(crate) fn ahead(&self) -> BTreeMap<&str, &RunProgress> {
        let mut ahead: BTreeMap<&str, &RunProgress> = BTreeMap::new();
        for run in self.running.values() {
            // A run without unsettled records has settled all that it read.
            let position = |run: &RunProgress| run.oldest_unsettled.map_or(i64::MAX, Timestamp::micros);
            ahead
                .entry(&run.shard)
                .and_modify(|best| {
                    if position(run) > position(best) {
                        *best = run;
                    }
                })
                .or_insert(run);
        }
        ahead
    }

    /// The progress of all shards.
    pub(crate) fn progress(&self) -> Progress {
        let ahead = self.ahead();
        let waiting = |run: &RunProgress, blocked: &Blocked| Blocked {
            waiting_records: run.unsettled_records.saturating_sub(blocked.records),
            more_unread: run.more_unread,
            ..blocked.clone()
        };
        // Of several mappings, another one may already read such a shard, or may have read it.
        let is_unread = |shard: &String| !ahead.contains_key(shard.as_str()) && self.counted(shard).is_none();
        let read_errors = ahead.values().filter_map(|run| run.read_error.as_ref());
        let read_error = self.listing_error.iter().chain(read_errors).next().cloned();
        Progress {
            unsettled_records: ahead.values().map(|run| run.unsettled_records).sum(),
            more_unread: self.disabled
                || self.stream_gone
                || read_error.is_some()
                || ahead.values().any(|run| run.more_unread)
                || self.behind_parents.iter().any(is_unread),
            disabled: self.disabled,
            stream_gone: self.stream_gone,
            read_error,
            oldest_unsettled: ahead.values().filter_map(|run| run.oldest_unsettled).min_by_key(|time| time.micros()),
            // What a run delivers again from an older checkpoint is settled, so nothing waits for it.
            blocked: ahead
                .values()
                .filter(|run| run.unsettled_records > 0)
                .flat_map(|run| run.blocked.values().map(|blocked| waiting(run, blocked)))
                .collect(),
            last_rejected: self.last_rejected.clone(),
        }
    }
}

/// A time as RFC 3339 text.
mod time {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use stream_types::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not a valid time")))
    }
}

/// The same for a time that may be missing.
mod optional_time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use stream_types::Timestamp;

    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| Timestamp::parse(&text)))
    }
}

#[cfg(test)]
mod tests;
