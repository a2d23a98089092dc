//! Compares what a target has with what its items give.

use futures::{StreamExt, stream};
use usage_aggregator::indicator::Failure;
use usage_aggregator::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION, MissingTarget};
use usage_aggregator::record::{Item, Value};

use super::budget::Budget;
use super::open::Table;
use super::scan::{Size, TargetName};

/// What a target turned out to have.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// It doesn't exist, and the function doesn't create it.
    Missing,
    /// Exactly what its items give.
    Equal,
    /// Something else.
    Differs(Drift),
}

/// A target that doesn't have what its items give.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drift {
    /// What it has; `None` if it doesn't exist or has no map.
    pub(super) stored: Option<Item<'static>>,
    /// What its items give.
    pub(super) recomputed: Item<'static>,
}

/// A target, and what it turned out to have.
pub(super) type Examined = (TargetName, Result<State, Failure>);

impl Drift {
    /// The values that differ, or all of them: the name, what is stored, and what the items give.
    pub(super) fn values(&self, all: bool) -> Vec<(&str, Option<&Value<'static>>, Option<&Value<'static>>)> {
        let stored = self.stored.as_ref();
        let is_value = |name: &str| name != INDICATOR_VERSION && name != INDICATOR_PREVIOUS;
        let extra = stored.iter().flat_map(|stored| &stored.0).map(|(name, _)| &**name);
        let extra = extra.filter(|name| is_value(name) && self.recomputed.attribute(name).is_none());
        let names = self.recomputed.0.iter().map(|(name, _)| &**name).chain(extra);
        let values =
            names.map(|name| (name, stored.and_then(|map| map.attribute(name)), self.recomputed.attribute(name)));
        values
            .filter(|(_, stored, recomputed)| {
                all || match (stored, recomputed) {
                    (Some(stored), Some(recomputed)) => !usage_aggregator::indicator::same(stored, recomputed),
                    _ => true,
                }
            })
            .collect()
    }
}

/// Compares one target.
///
/// # Errors
/// If the table can't be read, or if the values can't be computed.
pub(super) async fn examine(table: &Table, (index, key): &TargetName) -> Result<State, Failure> {
    let Some(indicator) = table.pipeline.indicators.get(*index) else { return Ok(State::Missing) };
    let recomputer = table.recomputer();
    let stored = recomputer.table.target(indicator, key).await?;
    if !stored.exists && indicator.missing_target == MissingTarget::Skip {
        return Ok(State::Missing);
    }
    let recomputed = recomputer.values(indicator, key).await?;
    if stored.has(&recomputed) {
        return Ok(State::Equal);
    }
    Ok(State::Differs(Drift { stored: stored.map().cloned(), recomputed }))
}

/// Compares targets, several at the same time, within the budget.
pub(super) async fn examine_all(
    table: &Table,
    targets: &[(TargetName, Size)],
    budget: &Budget,
    parallel: usize,
) -> Vec<Examined> {
    let one = |(name, size): &(TargetName, Size)| {
        let (name, units) = (name.clone(), size.read_units());
        async move {
            budget.read(f64::from(u32::try_from(units).unwrap_or(u32::MAX))).await;
            let state = examine(table, &name).await;
            (name, state)
        }
    };
    let all: Vec<_> = targets.iter().map(one).collect();
    stream::iter(all).buffered(parallel).collect().await
}
