//! Reads states: those of a window, and those that a window is the sum of.

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::{DATA, EXPIRES_AT, Item, LedgerTable, SORT_KEY, SPLIT, STATES, SortKeys, StateItem, VERSION};
use crate::error::Error;
use crate::ledger::WindowKey;

/// A state, and when it expires.
type Stored = (StateItem, Option<i64>);

impl LedgerTable {
    /// The states of a window.
    ///
    /// # Errors
    /// If the table can't be read, or if an item isn't a state.
    pub async fn states(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<StateItem>, Error> {
        let (key, prefix) = (self.state_partition(&window.home()), format!("{window}/"));
        Ok(self
            .state_items(&key, SortKeys::Prefix(&prefix), deadline)
            .await?
            .into_iter()
            .map(|(state, _)| state)
            .collect())
    }

    /// The states of the windows that a window is the sum of.
    ///
    /// # Errors
    /// As for [`LedgerTable::states`].
    pub async fn children(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<StateItem>, Error> {
        Ok(self.child_items(window, deadline).await?.into_iter().map(|(state, _)| state).collect())
    }

    /// The states of the windows that a window is the sum of. Those that would expire before they are no longer needed, because
    /// the pipeline has got more windows or keeps them longer since they were written, are written again as they are.
    ///
    /// # Errors
    /// As for [`LedgerTable::states`].
    pub async fn kept_children(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<StateItem>, Error> {
        let items = self.child_items(window, deadline).await?;
        let is_short = |(state, stored): &&(StateItem, Option<i64>)| {
            let needed = self.expires_at(state.window);
            stored.is_some_and(|stored| needed.is_none_or(|needed| stored < needed))
        };
        for (state, _) in items.iter().filter(is_short) {
            // If it is refused, another fold has written the state, which does the same.
            self.swap(state, state.version, deadline).await?;
        }
        Ok(items.into_iter().map(|(state, _)| state).collect())
    }

    async fn child_items(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<Stored>, Error> {
        let (partitions, range) = window.children();
        let range = range.as_ref().map_or(SortKeys::All, |[first, last]| SortKeys::Between(first, last));
        let mut items = Vec::new();
        for states in partitions {
            items.extend(self.state_items(&self.state_partition(&states), range, deadline).await?);
        }
        // The partition of an hour has its minutes, and the pieces about it.
        items.retain(|(state, _)| window.level.is_sum_of(state.window.level));
        Ok(items)
    }

    async fn state_items(
        &self,
        key: &str,
        sort_keys: SortKeys<'_>,
        deadline: Option<Instant>,
    ) -> Result<Vec<Stored>, Error> {
        let items = self.query(key, sort_keys, deadline).await?;
        let state = |item: &Item| {
            let (window, part) = item.get(SORT_KEY)?.as_s().ok()?.split_once('/')?;
            let data = item.get(DATA).and_then(|data| data.as_b().ok()).map(|data| data.clone().into_inner());
            let version = item.get(VERSION)?.as_n().ok()?.parse().ok()?;
            let is_split = item.get(SPLIT).is_some_and(|split| split == &AttributeValue::Bool(true));
            let window = WindowKey::parse(window, self.zone)?;
            let expires_at = item.get(EXPIRES_AT).and_then(|at| at.as_n().ok()?.parse().ok());
            (is_split == data.is_none())
                .then(|| (StateItem { window, part: part.to_owned(), version, data }, expires_at))
        };
        items
            .iter()
            .map(|item| {
                state(item).ok_or_else(|| {
                    Error::config(format!(
                        "read the states {key} of {}: an item isn't a state of this release",
                        self.name
                    ))
                })
            })
            .collect()
    }

    /// When the state of a window may expire, in seconds since the epoch.
    pub fn expires_at(&self, window: WindowKey) -> Option<i64> {
        window.expires_at(&self.windows, self.keep_days + self.late_days)
    }

    /// The partition with these states. Those of another time zone are others: their windows don't add up with these.
    pub(super) fn state_partition(&self, states: &str) -> String {
        match self.zone.is_utc() {
            true => format!("{STATES}{}#{states}", self.pipeline),
            false => format!("{STATES}{}#{}#{states}", self.pipeline, self.zone.name()),
        }
    }
}
