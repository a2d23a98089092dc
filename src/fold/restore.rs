//! Writes the snapshot of a window that the ledger no longer has, with values that a tool has derived from elsewhere. Nothing
//! that a fold does makes one.

use tokio::time::Instant;

use super::publish::{Publication, Restored};
use super::{Folder, Recount, WindowKey};
use crate::error::Error;
use crate::ledger::{Measure, is_expiring};
use crate::pipeline::Snapshot;
use crate::time::{DAY_SECONDS, Timestamp};
use crate::usage::{CounterKey, Segment, SnapshotItem};

impl Folder {
    /// Whether the ledger may still have what the window was derived from: its state, or a page whose records count in it.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn holds(&self, window: WindowKey, now: Timestamp, deadline: Option<Instant>) -> Result<bool, Error> {
        let last = Segment::at(window.end() - 1 + self.ledger.late_days * DAY_SECONDS);
        Ok(!is_expiring(last, self.ledger.keep_days, now) || !self.ledger.states(window, deadline).await?.is_empty())
    }

    /// Writes the snapshot of a group in a window that the ledger doesn't hold, provided that nobody changes it meanwhile.
    ///
    /// # Errors
    /// Poison if DynamoDB refuses this item, transient if the deadline passed, config if someone must fix something first.
    pub async fn restore(
        &self,
        snapshot: &Snapshot,
        (key, window): (&CounterKey, WindowKey),
        values: &[(String, Recount)],
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Restored, Error> {
        let Some(span) = window.span() else { return Ok(Restored::Expired) };
        if snapshot.has_expired(span, now) {
            return Ok(Restored::Expired);
        }
        let item = SnapshotItem::new(snapshot, key, span);
        let value = |(name, value): &(String, Recount)| {
            let measure = Measure { name: name.as_str().into(), aggregate: snapshot.aggregate(name) };
            (measure, value.value().clone())
        };
        let version = (self.epoch << 48).max(1);
        let restated_at = snapshot.is_closed(span, now).then_some(now);
        let publication = Publication { item, version, values: values.iter().map(value).collect(), restated_at };
        self.usage.restore(snapshot, publication, deadline).await
    }
}
