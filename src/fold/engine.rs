//! What the steps of a fold share: the ledger, the deadline, versions, and the rules for trying again.

use tokio::time::Instant;

use super::limits::Limits;
use super::parts::Parts;
use super::state::{Leaves, Listed, State};
use crate::backoff::Backoff;
use crate::error::Error;
use crate::ledger::{LedgerTable, Level, WindowKey, is_expiring};
use crate::pipeline::Snapshot;
use crate::time::{DAY_SECONDS, Timestamp};
use crate::usage::Segment;

/// A fold of some notices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold<'l> {
    pub ledger: &'l LedgerTable,
    pub snapshot: &'l Snapshot,
    pub limits: &'l Limits,
    /// Rises after the ledger was restored, so that versions exceed those of snapshots.
    pub epoch: u64,
    /// Days after which a record is too old to count.
    pub horizon_days: i64,
    pub max_state_bytes: usize,
    /// The maximum number of calls at once.
    pub concurrency: usize,
    pub mode: Mode,
    pub now: Timestamp,
    pub deadline: Option<Instant>,
}

/// How a fold treats the states that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// States that stand for everything are right.
    #[default]
    Usual,
    /// Every state is written again, even if it can't be read: what it says may be wrong.
    Rebuild,
    /// The same, and what a state lists need not exist any more.
    Forget,
}

impl Fold<'_> {
    /// The leaves, if none needs a write; otherwise the parts again.
    pub(super) fn unless_current(&self, parts: Parts, listed: &Listed) -> Result<Leaves, Parts> {
        let is_current = parts.anew.is_empty() && parts.leaves.values().all(|state| self.is_current(state, listed));
        if is_current { Ok(parts.leaves) } else { Err(parts) }
    }

    /// Whether a part needs no write: it stands for `listed` in this epoch, or there is nothing and never was.
    pub(super) fn is_current(&self, state: &State, listed: &Listed) -> bool {
        if self.mode != Mode::Usual && !(listed.is_empty() && state.version == 0) {
            return false;
        }
        let least = if listed.is_empty() && state.version == 0 { 0 } else { self.least_version() };
        (state.listed == *listed || listed.is_empty() && state.listed.is_empty()) && state.version >= least
    }

    /// Whether nothing more counts in a window: the minutes of its records are older than what a notice may have. What it was
    /// summed up from may have expired, whatever KEEP_DAYS says now, because what was written before keeps its expiry.
    pub(super) fn is_past(&self, window: WindowKey) -> bool {
        // A record may count in an hour for so many days, but its page is in the minute of its creation.
        let late_days = if window.level == Level::Minute { 0 } else { self.ledger.late_days };
        let last = Segment::at(window.end() - 1 + late_days * DAY_SECONDS);
        is_expiring(last, self.horizon_days, self.now)
    }

    /// The lowest version that a state may have in this epoch.
    fn least_version(&self) -> u64 {
        (self.epoch << 48).max(1)
    }

    /// The version of a state that follows `old`.
    pub(super) fn next_version(&self, old: u64) -> u64 {
        (old + 1).max(self.least_version())
    }
}

/// How often a fold reads again what lacks something that must exist.
const MAX_LACKS: u32 = 5;

/// The attempts at folding one window.
pub(super) struct Attempts {
    backoff: Backoff,
    lacks: u32,
}

impl Attempts {
    pub(super) fn new(deadline: Option<Instant>) -> Attempts {
        Attempts { backoff: Backoff::until(deadline), lacks: 0 }
    }

    /// Pauses before another attempt, because another fold was faster.
    ///
    /// # Errors
    /// If there is no time for one.
    pub(super) async fn again(&mut self, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.lacks = 0;
        self.pause(what).await
    }

    /// Pauses before another attempt, because something that must exist was not read.
    ///
    /// # Errors
    /// If it was missing five times in a row, or if there is no time for another attempt.
    pub(super) async fn lacks(&mut self, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.lacks += 1;
        if self.lacks == MAX_LACKS {
            return Err(Error::transient(format!("{}; see the runbook for a blocked fold", what())));
        }
        self.pause(what).await
    }

    async fn pause(&mut self, what: impl FnOnce() -> String) -> Result<(), Error> {
        self.backoff.count();
        if self.backoff.pause().await { Ok(()) } else { Err(self.backoff.give_up(Error::transient(what()))) }
    }
}
