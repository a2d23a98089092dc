//! What a mapping has done, in numbers: Lambda's EventCount metrics and what else an operator looks at.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// Totals since the start. The first six are CloudWatch's metrics of an event source mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub polled_event_count: u64,
    pub filtered_out_event_count: u64,
    /// Counted again with every retry.
    pub invoked_event_count: u64,
    /// Events of batches that failed, wholly or in part.
    pub failed_invoke_event_count: u64,
    /// Given up without having reached a destination.
    pub dropped_event_count: u64,
    pub on_failure_destination_delivered_event_count: u64,
    pub destination_delivery_failures: u64,
    pub invocations: u64,
    /// Invocations that failed as a whole.
    pub errors: u64,
    pub partial_failures: u64,
    /// Invocations that did not happen: throttled, or the function isn't there.
    pub not_invoked: u64,
    /// Deliveries of a batch that had been delivered before.
    pub retries: u64,
    pub splits: u64,
    pub smallest_batch: u64,
    pub largest_batch: u64,
    /// Age of the last record of the last batch when it was sent.
    pub iterator_age_ms: u64,
    pub iterator_age_max_ms: u64,
    /// Polls of any kind, also empty ones.
    pub polls: u64,
    pub expired_iterators: u64,
    pub throttled_reads: u64,
    /// Times that records were gone before they were read.
    pub trimmed_gaps: u64,
    pub shards_finished: u64,
}

/// Counts, shared by those who count and those who look.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Counts>);

impl Meter {
    /// The totals now.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    pub(super) fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
    }

    /// A batch is on its way.
    pub(super) fn invoking(&self, events: usize, age_ms: u64, again: Again) {
        self.add(|counts| {
            let events = wide(events);
            counts.invocations += 1;
            counts.invoked_event_count += events;
            counts.retries += u64::from(again == Again::Yes);
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
pub(super) enum Again {
    Yes,
    No,
}

pub(super) fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
