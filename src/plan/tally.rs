//! How many records a plan has, by kind and effect.

use std::collections::BTreeMap;

use crate::outline::OutlinedRecord;
use crate::record::Event;
use crate::time::Timestamp;

/// The records of a plan, by kind and effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records by kind of event, including those that are skipped.
    pub events: BTreeMap<Event, usize>,
    /// Records that match no record type, whose kind of event their record type ignores, or whose items this function
    /// wrote.
    pub skipped: usize,
    /// Skipped records of items that this function wrote itself.
    pub self_written: usize,
    /// Skipped records of changes that concern only the map of an indicator.
    pub indicator_writes: usize,
    /// Records that repeat an earlier record of the same batch.
    pub repeated: usize,
    /// Positions in the batch of the records that have an effect.
    pub effective: Vec<usize>,
    /// Records that count as adjustments, because the windows of their events were closed.
    pub adjusted: usize,
    /// The creation time of the oldest record.
    pub oldest_created_at: Option<Timestamp>,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    Effective,
    Skipped,
    /// Skipped because this function wrote the item itself.
    SelfWritten,
    /// Skipped because only the map of an indicator changed.
    IndicatorWrite,
    Repeated,
}

impl Tally {
    pub(super) fn add(&mut self, index: usize, record: &OutlinedRecord<'_>, disposition: Disposition) {
        *self.events.entry(record.change.event()).or_default() += 1;
        self.oldest_created_at =
            Some(self.oldest_created_at.map_or(record.created_at, |oldest| oldest.min(record.created_at)));
        match disposition {
            Disposition::Repeated => self.repeated += 1,
            Disposition::Skipped => self.skipped += 1,
            Disposition::SelfWritten => {
                self.skipped += 1;
                self.self_written += 1;
            }
            Disposition::IndicatorWrite => {
                self.skipped += 1;
                self.indicator_writes += 1;
            }
            Disposition::Effective => self.effective.push(index),
        }
    }
}
