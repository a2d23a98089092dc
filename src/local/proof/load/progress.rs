//! What all writers of a run share: the journal, the counts, and the pause around the end of a quarter of an hour.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::change::{Change, Meaning};
use super::journal::{Entry, Journal, Unsure};
use super::pace;
use stream_types::Timestamp;

/// What a run has written so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Changes that are written.
    pub records: u64,
    /// How many of them an earlier run had started.
    pub finished_for_earlier_run: u64,
    /// How many of them the function must reject.
    pub poison: u64,
    /// How many of them have an unknown quarter of an hour or arrival.
    pub unsure: u64,
    /// Attempts that failed and were retried.
    pub retries: u64,
    /// Records of the table's or Kinesis stream that certainly appeared for them. What an earlier run had started may have appeared
    /// in its time, and an aggregated record carries several of them.
    #[serde(skip)]
    pub stream_records: u64,
}

/// The shared state.
pub(super) struct Progress<'p> {
    journal: Mutex<Journal>,
    written: Mutex<Written>,
    watch: &'p (dyn Fn(&Written) + Sync),
}

impl<'p> Progress<'p> {
    pub(super) fn new(journal: Journal, watch: &'p (dyn Fn(&Written) + Sync)) -> Progress<'p> {
        Progress { journal: Mutex::new(journal), written: Mutex::default(), watch }
    }

    pub(super) fn written(&self) -> Written {
        *locked(&self.written)
    }

    /// Records that `change` is about to be sent, and returns the time.
    pub(super) fn begin(&self, change: &Change) -> anyhow::Result<Timestamp> {
        let sent_at = event_source_mapping::now()?;
        locked(&self.journal).begin(change, sent_at)?;
        Ok(sent_at)
    }

    /// Records that a change that was sent at `sent_at` is written.
    pub(super) fn done(
        &self,
        change: u64,
        meaning: Meaning,
        sent_at: Timestamp,
        unsure: Option<Unsure>,
    ) -> anyhow::Result<()> {
        let done_at = event_source_mapping::now()?;
        let unsure = unsure.or_else(|| (!pace::same_quarter(sent_at, done_at)).then_some(Unsure::Hour));
        let mut written = locked(&self.written);
        written.records += 1;
        written.poison += u64::from(meaning.poison);
        written.unsure += u64::from(unsure.is_some());
        locked(&self.journal).done(Entry { change, sent_at, done_at, unsure, meaning })?;
        (self.watch)(&written);
        Ok(())
    }

    pub(super) fn count_stream_records(&self, records: usize) {
        locked(&self.written).stream_records += u64::try_from(records).unwrap_or(u64::MAX);
    }

    pub(super) fn count_retry(&self) {
        locked(&self.written).retries += 1;
    }

    pub(super) fn count_finished(&self) {
        locked(&self.written).finished_for_earlier_run += 1;
    }

    /// Waits while it would be uncertain which hour a write belongs to.
    pub(super) async fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let wait = pace::quiet(event_source_mapping::now()?);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// A panic elsewhere can't leave counts or the journal inconsistent.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
