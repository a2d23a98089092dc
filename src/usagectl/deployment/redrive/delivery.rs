//! Which records of one document to deliver next, and what a response means for each of them. Pure: the caller invokes the
//! function.
//!
//! A record that a response names is delivered alone, and the records after it are delivered without it, so that one bad
//! record holds up no others. A batch that fails as a whole is halved. After a failure batches are small, and they grow again
//! while all goes well: a document of nothing but bad records costs about one invocation per record.

use std::ops::Range;
use std::sync::Arc;

use event_source_mapping::{MAXIMUM_PAYLOAD_BYTES, SourceRecord};

/// Makes the function name a rejected record in its response, even if it quarantines those of the mapping: a document is
/// deleted when the function names none of its records.
const EVENT_START: &str = r#"{"rejectedRecords":"fail","Records":["#;
const EVENT_END: &str = "]}";
const ENVELOPE_BYTES: usize = EVENT_START.len() + EVENT_END.len();
/// 10,000: the largest batch of an event source mapping.
const MAXIMUM_BATCH: usize = 10_000;

/// How an invocation with a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchOutcome {
    /// All records are durable.
    Durable,
    /// The record at this index is the first that isn't durable; those after it may or may not be.
    FailedFrom(usize),
    /// Any record may or may not be durable: the function failed, or its response can't be read.
    Failed(String),
}

/// Why a record isn't durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Delivered alone, it was named by the response.
    Named,
    /// Delivered alone, it made the function fail with this message.
    Failed(String),
    /// It is larger than an invocation's payload may be.
    TooLarge,
}

/// The deliveries of one document's records.
#[derive(Debug)]
pub struct DeliveryPlan {
    /// The bytes of each record's JSON.
    sizes: Vec<usize>,
    /// Ranges of records that are still to be delivered; the last one is next.
    pending: Vec<Range<usize>>,
    /// How many records the next batch may have.
    batch_limit: usize,
    /// How many records any batch may have.
    maximum_batch: usize,
    durable: usize,
    failed: Vec<(usize, Failure)>,
}

impl DeliveryPlan {
    /// A plan for records of these sizes, in batches of at most `maximum_batch`.
    pub fn new(sizes: Vec<usize>, maximum_batch: usize) -> DeliveryPlan {
        let maximum_batch = maximum_batch.clamp(1, MAXIMUM_BATCH);
        let is_too_large = |size: usize| size + ENVELOPE_BYTES > MAXIMUM_PAYLOAD_BYTES;
        let too_large = sizes.iter().enumerate().rev().filter(|(_, size)| is_too_large(**size));
        let too_large: Vec<usize> = too_large.map(|(index, _)| index).collect();
        let mut end = sizes.len();
        let (pending, failed) = (Vec::new(), Vec::new());
        let mut plan = DeliveryPlan { sizes, pending, batch_limit: maximum_batch, maximum_batch, durable: 0, failed };
        for index in too_large {
            plan.push(index + 1..end);
            plan.failed.push((index, Failure::TooLarge));
            end = index;
        }
        plan.push(0..end);
        plan
    }

    /// The records to deliver next, or `None` when there are no more.
    pub fn next_batch(&self) -> Option<Range<usize>> {
        let Range { start, end } = self.pending.last()?.clone();
        let mut bytes = ENVELOPE_BYTES;
        let fits = |size: &&usize| {
            bytes += **size + 1;
            bytes <= MAXIMUM_PAYLOAD_BYTES + 1
        };
        let sizes = self.sizes.get(start..end).unwrap_or_default();
        let fitting = sizes.iter().take(self.batch_limit).take_while(fits).count().max(1);
        Some(start..end.min(start + fitting))
    }

    /// Records how the delivery of [`DeliveryPlan::next_batch`] ended.
    pub fn settle(&mut self, outcome: BatchOutcome) {
        let Some(batch) = self.next_batch() else { return };
        let end = self.pending.pop().map_or(batch.end, |range| range.end);
        match outcome {
            BatchOutcome::Durable => {
                self.durable += batch.len();
                self.batch_limit = self.batch_limit.saturating_mul(2).min(self.maximum_batch);
                self.push(batch.end..end);
            }
            BatchOutcome::FailedFrom(_) if batch.len() == 1 => self.fail(batch, end, Failure::Named),
            BatchOutcome::Failed(message) if batch.len() == 1 => self.fail(batch, end, Failure::Failed(message)),
            BatchOutcome::FailedFrom(index) => {
                let index = index.min(batch.len() - 1);
                let named = batch.start + index;
                self.durable += index;
                self.batch_limit = (2 * index).clamp(1, self.maximum_batch);
                self.push(named + 1..end);
                self.push(named..named + 1);
            }
            BatchOutcome::Failed(_) => {
                let half = batch.len() / 2;
                self.batch_limit = half.max(1);
                self.push(batch.start + half..end);
                self.push(batch.start..batch.start + half);
            }
        }
    }

    /// How many records are durable.
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// The records that aren't durable, in stream order.
    pub fn into_failed(mut self) -> Vec<(usize, Failure)> {
        self.failed.sort_by_key(|(index, _)| *index);
        self.failed
    }

    fn fail(&mut self, batch: Range<usize>, end: usize, failure: Failure) {
        self.failed.push((batch.start, failure));
        self.push(batch.end..end);
    }

    fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.pending.push(range);
        }
    }
}

/// The event that delivers `records`.
pub fn event_of(records: &[Arc<SourceRecord>]) -> String {
    let records: Vec<&str> = records.iter().map(|record| record.json.as_str()).collect();
    [EVENT_START, &records.join(","), EVENT_END].concat()
}

/// Runs of consecutive indexes.
pub fn runs(indexes: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
