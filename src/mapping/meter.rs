//! Counts of what a mapping does: Lambda's EventCount metrics, and figures for the operator.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

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
    /// Invocations, whether or not the function ran.
    pub invocations: u64,
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
    /// Reads of any shard, including those that returned no records.
    pub polls: u64,
    /// Reads that failed because the shard iterator had expired.
    pub expired_iterators: u64,
    /// Reads that were throttled.
    pub throttled_reads: u64,
    /// Times that records were trimmed before they were read.
    pub trimmed_gaps: u64,
    /// Shards read to their end.
    pub shards_finished: u64,
}

/// The [`Counts`], shared between the mapping and whoever reports them.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counts>);

impl Meter {
    /// The totals so far.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    pub(crate) fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
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

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
