//! Counts of what a mapping does: Lambda's EventCount metrics, and figures for the operator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use stream_types::SequenceNumber;

use crate::activity::{Delivering, ShardActivity};
use crate::cause::FailureCause;
use crate::progress::{Blocked, Progress, RunProgress, Runs, Settlement};
use crate::source::Position;
use crate::tracker::Tracker;

/// Totals since the mapping started. The first six are CloudWatch metrics of event source mappings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records read.
    pub polled_event_count: u64,
    /// Records that no filter pattern matched.
    pub filtered_out_event_count: u64,
    /// Records the function was invoked with; each retry counts again.
    pub invoked_event_count: u64,
    /// Records of batches that failed, entirely or in part.
    pub failed_invoke_event_count: u64,
    /// Records discarded because the destination did not accept them.
    pub dropped_event_count: u64,
    /// Discarded records that the destination accepted.
    pub on_failure_destination_delivered_event_count: u64,
    /// Batches that the destination did not accept.
    pub destination_delivery_failures: u64,
    /// Records discarded because there is no destination. Lambda has no metric of them.
    pub discarded_without_destination: u64,
    /// Invocations, whether or not the function ran.
    pub invocations: u64,
    /// Invocations after which all or some of the records were settled.
    pub successes: u64,
    /// Invocations that failed as a whole.
    pub errors: u64,
    /// Invocations after which the function reported some records as failed.
    pub partial_failures: u64,
    /// Invocations for which the function did not run: throttled, or no such function.
    pub not_invoked: u64,
    /// Deliveries of a batch that was delivered before.
    pub retries: u64,
    /// Batches that were split in two.
    pub splits: u64,
    /// Records of the smallest batch.
    pub smallest_batch: u64,
    /// Records of the largest batch.
    pub largest_batch: u64,
    /// Age of the last record of the latest batch when it was delivered.
    pub iterator_age_ms: u64,
    /// The highest iterator age.
    pub iterator_age_max_ms: u64,
    /// The highest age of a record when the function acknowledged it. Of the ledger's mapping, this is how long a snapshot took to
    /// follow its page.
    pub acknowledged_age_max_ms: u64,
    /// Reads of any shard, including those that returned no records.
    pub polls: u64,
    /// Reads that failed because the shard iterator had expired.
    pub expired_iterators: u64,
    /// Reads that were throttled.
    pub throttled_reads: u64,
    /// Reads and listings of shards that failed for another reason.
    pub failed_reads: u64,
    /// Times that records were trimmed before they were read.
    pub trimmed_gaps: u64,
    /// Shards that no longer existed before they were read to their end, because the stream was disabled or deleted.
    pub gone_shards: u64,
    /// Shards read to their end.
    pub shards_finished: u64,
    /// Distinct records that the function acknowledged, however often they were delivered.
    pub distinct_processed: u64,
    /// Distinct records that no filter pattern matched.
    pub distinct_filtered_out: u64,
    /// Distinct records that were given to the failure destination, or dropped.
    pub distinct_discarded: u64,
    /// Failed invocations by cause.
    pub failures_by_cause: BTreeMap<String, u64>,
}

impl Counts {
    /// Records that were discarded, and that no destination has.
    pub fn lost_records(&self) -> u64 {
        self.dropped_event_count.saturating_add(self.discarded_without_destination)
    }

    /// Distinct records that are done with: processed, filtered out, or discarded.
    pub fn distinct_settled(&self) -> u64 {
        self.distinct_processed + self.distinct_filtered_out + self.distinct_discarded
    }
}

/// How many causes are counted separately. Messages of an unknown function could differ each time.
const CAUSES: usize = 32;
/// Where the others are counted.
const OTHER_CAUSES: &str = "other causes";

/// The [`Counts`] and the [`Progress`], shared between the mapping and whoever reports them.
#[derive(Debug, Default)]
pub struct Meter {
    counts: Mutex<Counts>,
    runs: Mutex<Runs>,
}

impl Meter {
    /// The totals so far.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    /// What waits, and what blocks it.
    pub fn progress(&self) -> Progress {
        self.lock_runs().progress()
    }

    /// What each shard that is read is doing.
    pub fn activity(&self) -> Vec<ShardActivity> {
        self.lock_runs().activity()
    }

    /// Reports that no mapping runs, because it is disabled, or that one does again.
    pub fn set_disabled(&self, disabled: bool) {
        let mut runs = self.lock_runs();
        runs.disabled = disabled;
        if disabled {
            runs.listing_error = None;
        }
    }

    /// Counts times that records were trimmed before they came into the stream, which only what copies them there can notice.
    pub fn count_trimmed_gaps(&self, gaps: u64) {
        self.add(|counts| counts.trimmed_gaps += gaps);
    }

    /// Counts shards that no longer existed before they were read to their end.
    pub fn count_gone_shards(&self, shards: u64) {
        self.add(|counts| counts.gone_shards += shards);
        self.lock_runs().stream_gone |= shards > 0;
    }

    /// Reports why the shards can't be listed, or that they can.
    pub(crate) fn set_listing_error(&self, error: Option<String>) {
        self.lock_runs().listing_error = error;
    }

    /// Where reading a shard continues; `None` if no run reads it.
    pub(crate) fn read_to(&self, shard: &str) -> Option<Position> {
        self.lock_runs().ahead().get(shard)?.read_to.clone()
    }

    pub(crate) fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
    }

    /// Reports the shards that can't be read yet, because their parents aren't finished.
    pub(crate) fn set_behind_parents(&self, shards: impl Iterator<Item = String>) {
        self.lock_runs().behind_parents = shards.collect();
    }

    /// Counts a delivery that is about to start.
    pub(crate) fn count_delivery(&self, events: usize, age_ms: u64, delivery: Delivery) {
        self.add(|counts| {
            let events = as_u64(events);
            counts.invocations += 1;
            counts.invoked_event_count += events;
            counts.retries += u64::from(delivery == Delivery::Retry);
            counts.smallest_batch = if counts.smallest_batch == 0 { events } else { counts.smallest_batch.min(events) };
            counts.largest_batch = counts.largest_batch.max(events);
            counts.iterator_age_ms = age_ms;
            counts.iterator_age_max_ms = counts.iterator_age_max_ms.max(age_ms);
        });
    }

    /// Counts records that the function has just acknowledged, the oldest of which has this age.
    pub(crate) fn count_acknowledged(&self, age_ms: u64) {
        self.add(|counts| counts.acknowledged_age_max_ms = counts.acknowledged_age_max_ms.max(age_ms));
    }

    pub(crate) fn count_failure(&self, cause: &FailureCause) {
        self.add(|counts| {
            let causes = &mut counts.failures_by_cause;
            let summary = cause.summary();
            let is_listed = causes.len() < CAUSES || causes.contains_key(&summary);
            *causes.entry(if is_listed { summary } else { OTHER_CAUSES.to_owned() }).or_default() += 1;
        });
    }

    /// Reports the progress of a run of `shard` until the result is dropped.
    pub(crate) fn begin(self: &Arc<Self>, shard: &str) -> RunMeter {
        let number = self.lock_runs().begin(shard);
        RunMeter { meter: Arc::clone(self), shard: shard.to_owned(), number }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a meter that one run of a shard reports to.
#[derive(Debug)]
pub(crate) struct RunMeter {
    meter: Arc<Meter>,
    shard: String,
    number: u64,
}

impl RunMeter {
    /// Counts the records that the shard's checkpoint has passed, and reports the others.
    pub(crate) fn report(&self, passed: &[(SequenceNumber<'static>, Settlement)], tracker: &Tracker) {
        let mut runs = self.meter.lock_runs();
        let first = passed.iter().filter(|(sequence, _)| runs.is_first(&self.shard, sequence));
        let first: Vec<Settlement> = first.map(|(_, settlement)| *settlement).collect();
        let (unsettled, oldest_unsettled) = tracker.unsettled_after(runs.counted(&self.shard));
        runs.change(self.number, |run| {
            run.unsettled_records = as_u64(unsettled);
            run.oldest_unsettled = oldest_unsettled;
        });
        drop(runs);
        self.meter.add(|counts| {
            for settlement in first {
                *match settlement {
                    Settlement::Processed => &mut counts.distinct_processed,
                    Settlement::FilteredOut => &mut counts.distinct_filtered_out,
                    Settlement::Discarded => &mut counts.distinct_discarded,
                } += 1;
            }
        });
    }

    /// Reports whether the stream has more records than are read.
    pub(crate) fn set_more_unread(&self, more_unread: bool) {
        self.change(|run| run.more_unread = more_unread);
    }

    /// Reports where reading continues.
    pub(crate) fn set_read_to(&self, position: Position) {
        self.change(|run| run.read_to = Some(position));
    }

    /// Reports why reads keep failing, or that they don't.
    pub(crate) fn set_read_error(&self, error: Option<String>) {
        self.change(|run| run.read_error = error);
    }

    /// Reports the batch that blocks a lane, or that none does.
    pub(crate) fn set_blocked(&self, lane: usize, blocked: Option<Blocked>) {
        self.meter.lock_runs().block(self.number, lane, blocked);
    }

    /// Reports the batch that a lane delivers, or that it delivers none.
    pub(crate) fn set_delivering(&self, lane: usize, delivering: Option<Delivering>) {
        self.change(|run| {
            run.delivering.remove(&lane);
            run.delivering.extend(delivering.map(|delivering| (lane, delivering)));
        });
    }

    /// Keeps what was reported, because the run was asked to stop and the rest still waits.
    pub(crate) fn keep(mut self) {
        self.number = 0;
    }

    fn change(&self, change: impl FnOnce(&mut RunProgress)) {
        self.meter.lock_runs().change(self.number, change);
    }
}

impl Drop for RunMeter {
    fn drop(&mut self) {
        self.meter.lock_runs().end(self.number);
    }
}

/// Whether a batch has been delivered before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    First,
    Retry,
}

pub(crate) fn as_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
