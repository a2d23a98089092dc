//! Writes the snapshot of a window that the ledger no longer has, with values that a tool has derived from elsewhere. Nothing
//! that a fold does makes one.

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::engine::Mode;
use super::publish::{Publication, Restored};
use super::state::leaves_left;
use super::{Folder, Recount, WindowKey};
use crate::error::Error;
use crate::ledger::{Level, Measure, is_expiring};
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
        if !self.ledger.states(window, deadline).await?.is_empty() {
            return Ok(true);
        }
        // What was written before KEEP_DAYS was raised has expired earlier. A longer window has too many minutes to look for pages.
        let is_short = matches!(window.level, Level::Minute | Level::Hour | Level::Day);
        if !is_short || !is_expiring(last, self.horizon_days, now) {
            return Ok(!is_expiring(last, self.ledger.keep_days, now));
        }
        let minutes = (window.start()..=last.start()).step_by(60).map(Segment::at);
        let minutes = minutes.filter(|minute| !is_expiring(*minute, self.ledger.keep_days, now));
        let reads = minutes.map(async |minute| Ok(!self.page_names(minute, deadline).await?.is_empty()));
        let found: Vec<bool> = stream::iter(reads).buffer_unordered(self.concurrency).try_collect().await?;
        Ok(found.contains(&true))
    }

    /// Whether an hour of which the ledger has no minutes had some: the shortest window around it that still has a state says so.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn has_lost(&self, hour: WindowKey, deadline: Option<Instant>) -> Result<bool, Error> {
        let mut below = None;
        for window in [Level::Hour, Level::Day, Level::Month].map(|level| hour.within(level)) {
            let (leaves, _) = leaves_left(&self.ledger.states(window, deadline).await?, Mode::Usual)?;
            if leaves.values().any(|state| state.version > 0) {
                let mut listed = leaves.values().flat_map(|state| state.listed.leaves());
                return Ok(below.is_none_or(|below| listed.any(|(leaf, _)| leaf.window == below)));
            }
            below = Some(window);
        }
        Ok(false)
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
