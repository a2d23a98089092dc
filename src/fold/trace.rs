//! Where the value of a group in a window comes from: its values in the windows below, and which of those are gone. Reads only.

use tokio::time::Instant;

use super::attributes::published;
use super::engine::Mode;
use super::parent::{children, has, versions};
use super::piece::lists;
use super::show::{ShownValues, shown};
use super::state::{Leaves, leaves};
use super::{Folder, Totals};
use crate::error::Error;
use crate::ledger::{Aggregate, GroupKey, Level, WindowKey};
use crate::pipeline::Snapshot;
use crate::usage::{CounterKey, Segment};

/// What a state says about a group in one attribute of its snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateValue {
    /// The attribute: the name of the measure, or that of a quantile.
    pub measure: String,
    /// How its values are combined.
    pub aggregate: Aggregate,
    /// The value; `None` if it isn't known.
    pub value: Option<String>,
}

/// What a window's state says about a group, and the windows directly below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Below {
    /// The values in the window itself; none if no state has the group.
    pub own: Vec<StateValue>,
    /// The values in the windows below that have the group.
    pub children: Vec<(WindowKey, ShownValues)>,
    /// The windows that the state stands for, but whose own states are gone.
    pub gone: Vec<WindowKey>,
    /// The windows that have changed since the state was written.
    pub newer: Vec<WindowKey>,
}

impl Folder {
    /// The values of a group in a window.
    ///
    /// # Errors
    /// If the table can't be read, or if a state is damaged.
    pub async fn values(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        key: &CounterKey,
        deadline: Option<Instant>,
    ) -> Result<Vec<StateValue>, Error> {
        let read = leaves(&self.ledger.states(window, deadline).await?, Mode::Usual)?.unwrap_or_default();
        Ok(values_of(snapshot, &read, &GroupKey::from(key)))
    }

    /// The names of the measures that any group has in a window.
    ///
    /// # Errors
    /// If the table can't be read, or if a state is damaged.
    pub async fn measures(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<String>, Error> {
        let read = leaves(&self.ledger.states(window, deadline).await?, Mode::Usual)?.unwrap_or_default();
        let totals = read.values().map(|state| &state.totals);
        let groups = totals.flat_map(|totals| totals.keys().filter_map(|key| totals.group(key)));
        let mut names: Vec<String> = groups.flatten().map(|(measure, _)| measure.name.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The values of a group in a window above the minute, and in the windows directly below it.
    ///
    /// # Errors
    /// If the table can't be read, or if a state is damaged.
    pub async fn below(
        &self,
        snapshot: &Snapshot,
        window: WindowKey,
        key: &CounterKey,
        deadline: Option<Instant>,
    ) -> Result<Below, Error> {
        let key = GroupKey::from(key);
        let below_key = match window.level {
            Level::Piece => key.in_hour(Segment::at(window.start())),
            _ => key.clone(),
        };
        // Children first: what changes in between is newer than the state, and not gone.
        let half = || Error::transient(format!("read the states of {window}: half of one is missing; run it again"));
        let read = children(self.ledger.children(window, deadline).await?, Mode::Usual)?.ok_or_else(half)?;
        let own = leaves(&self.ledger.states(window, deadline).await?, Mode::Usual)?.ok_or_else(half)?;
        let found = versions(&read);
        let mut below = Below { own: values_of(snapshot, &own, &key), ..Below::default() };
        let Some((_, state)) = own.iter().find(|(part, _)| key.is_in_part(part)) else { return Ok(below) };
        let listed: Vec<_> = state.listed.leaves().filter(|(leaf, _)| below_key.is_in_part(&leaf.part)).collect();
        for (leaf, version) in &listed {
            if !has(&found, leaf, *version) && !read.contains_key(&leaf.window) {
                below.gone.push(leaf.window);
            }
        }
        for (child, leaves) in &read {
            let Some((part, state)) = leaves.iter().find(|(part, _)| below_key.is_in_part(part)) else { continue };
            let is_summed = listed.iter().any(|(leaf, version)| {
                leaf.window == *child
                    && (leaf.part.starts_with(part) || part.starts_with(&leaf.part))
                    && *version >= state.version
            });
            if !is_summed && lists(window, *child, state) {
                below.newer.push(*child);
            }
            if let Some(group) = state.totals.group(&below_key) {
                let values = group.flat_map(|(measure, value)| shown(Some(snapshot), measure, value));
                below.children.push((*child, values.collect()));
            }
        }
        Ok(below)
    }
}

/// The values that are published.
fn values_of(snapshot: &Snapshot, leaves: &Leaves, key: &GroupKey) -> Vec<StateValue> {
    let totals: Option<&Totals> = leaves.iter().find(|(part, _)| key.is_in_part(part)).map(|(_, state)| &state.totals);
    let group = || totals.and_then(|totals| totals.group(key)).into_iter().flatten();
    let published = published(snapshot, group().map(|(measure, _)| measure));
    group()
        .filter(|(measure, _)| published.contains(measure))
        .flat_map(|(measure, value)| {
            let shown = shown(Some(snapshot), measure, value).into_iter();
            shown.map(|(name, value)| StateValue { measure: name, aggregate: measure.aggregate, value })
        })
        .collect()
}
