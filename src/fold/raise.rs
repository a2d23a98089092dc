//! Puts alerts into the ledger: one item for each crossing of a group, before the notices of its pages are settled.

use tokio::time::Instant;

use super::alert::{Alert, Crossing};
use super::state::State;
use super::tasks::Task;
use super::{Folder, Windows};
use crate::error::Error;
use crate::ledger::{AlertItem, GroupKey, WindowKey};
use crate::pipeline::Snapshot;
use crate::time::Timestamp;

impl Folder {
    /// Puts the alerts of the group that a task publishes. Returns how many the ledger didn't have.
    pub(super) async fn raise_task(
        &self,
        snapshot: &Snapshot,
        windows: &Windows,
        task: &Task,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<usize, Error> {
        let leaves = windows.get(&task.window).and_then(|leaves| leaves.as_ref().ok());
        let state = leaves.and_then(|leaves| leaves.iter().find(|(part, _)| task.key.is_in_part(part)));
        match state {
            Some((_, state)) => self.raise(snapshot, task.window, state, &task.key, now, deadline).await,
            None => Ok(0),
        }
    }

    /// Puts the alerts of a group that the ledger doesn't have. Returns how many those are.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub(super) async fn raise(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        state: &State,
        key: &GroupKey,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<usize, Error> {
        let raised_at = Timestamp::from_seconds(now.seconds());
        let mut put = 0;
        for (rule, watch) in state.watches.of(key) {
            let crossing = |event| Crossing { window, key, rule, watch, event };
            let partition = self.ledger.alert_partition(window);
            // Everyone puts them in this order, so if there is one, those before it are there, too.
            let mut known = watch.events;
            while known > 0 && self.ledger.alert(&partition, &crossing(known).name(), deadline).await?.is_none() {
                known -= 1;
            }
            for event in known + 1..=watch.events {
                let crossing = crossing(event);
                let alert = Alert::new(&self.ledger.pipeline, snapshot, &partition, &crossing);
                let Some(detail) = alert.and_then(|alert| serde_json::to_string(&alert).ok()) else { continue };
                let item = AlertItem { name: crossing.name(), detail, raised_at };
                self.ledger.put_alert(window, &item, deadline).await?;
                put += 1;
            }
        }
        Ok(put)
    }
}

/// Everything that the groups of a state have raised.
pub(super) fn raised(window: WindowKey, state: &State) -> impl Iterator<Item = Crossing<'_>> {
    state.watches.all().flat_map(move |(key, rule, watch)| {
        (1..=watch.events).map(move |event| Crossing { window, key, rule, watch, event })
    })
}
