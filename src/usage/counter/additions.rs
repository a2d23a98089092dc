//! What one record adds, with keys and names in place of numbers: for tools and tests, which count one record at a time.

use super::super::group::{Amounts, Segment};
use super::super::key::CounterKey;
use super::{Counting, Delta};
use crate::decimal::Decimal;
use crate::outline::{OutlinedRecord, WrittenItems};
use crate::pipeline::{Bindings, Pipeline, Route};
use crate::record::{ChangeRecord, Fault};
use crate::time::Timestamp;

/// One record's contribution to the counters of one entity and resource, for tools and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// The entity and resource.
    pub key: CounterKey,
    /// The first minute of the hour that it counts in, if that isn't the hour of the record.
    pub event_hour: Option<Segment>,
    /// The amounts of sums by measure, in the order of first appearance, without zeros.
    pub amounts: Vec<(String, Decimal)>,
}

/// The same, with what it says about measures that aren't sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterAdditions {
    /// The entity and resource.
    pub key: CounterKey,
    /// The first minute of the hour that it counts in, if that isn't the hour of the record.
    pub event_hour: Option<Segment>,
    /// The amounts by measure, in the order of first appearance, without zeros.
    pub amounts: Amounts,
}

impl CounterAdditions {
    /// The time that decides in which windows it counts, if the record was created at `created_at`.
    pub fn at(&self, created_at: Timestamp) -> Timestamp {
        self.event_hour.and_then(|hour| Timestamp::from_seconds(hour.start())).unwrap_or(created_at)
    }
}

/// What `record`, whose newest image takes `route`, adds to counters; zeros are left out.
///
/// # Errors
/// If an image or attribute that a measure needs is missing or invalid.
pub fn deltas(
    pipeline: &Pipeline,
    record: &ChangeRecord<'_>,
    route: &Route,
    bindings: &Bindings<'_>,
) -> Result<Vec<UsageDelta>, Fault> {
    additions(pipeline, record, (route, bindings), None).map(sums)
}

/// The same from `count_from` on, with what it says about measures that aren't sums.
///
/// # Errors
/// As [`deltas()`].
pub fn additions(
    pipeline: &Pipeline,
    record: &ChangeRecord<'_>,
    (route, bindings): (&Route, &Bindings<'_>),
    count_from: Option<Timestamp>,
) -> Result<Vec<CounterAdditions>, Fault> {
    let counting = Counting::new(pipeline, count_from);
    counted(counting, record, |counting, record| counting.deltas(record, route, bindings))
}

/// What `record`, an item that existed before the stream was attached, adds to measures with a baseline; zeros are left out.
///
/// # Errors
/// If an attribute that such a measure needs is missing or invalid.
pub fn openings(
    pipeline: &Pipeline,
    record: &ChangeRecord<'_>,
    route: &Route,
    bindings: &Bindings<'_>,
) -> Result<Vec<CounterAdditions>, Fault> {
    counted(Counting::new(pipeline, None), record, |counting, record| counting.baseline(record, route, bindings))
}

/// What `record`, whose newest image takes no route, subtracts again because its old image was counted.
///
/// # Errors
/// If the old image or an attribute that a measure needs is missing or invalid.
pub fn reversal(pipeline: &Pipeline, record: &ChangeRecord<'_>) -> Result<Vec<UsageDelta>, Fault> {
    counted(Counting::new(pipeline, None), record, |counting, record| counting.reversal(record)).map(sums)
}

/// Counts one record alone.
fn counted<'p>(
    mut counting: Counting<'p>,
    record: &ChangeRecord<'_>,
    count: impl FnOnce(&mut Counting<'p>, &OutlinedRecord<'_>) -> Result<Vec<Delta>, Fault>,
) -> Result<Vec<CounterAdditions>, Fault> {
    let mut written = WrittenItems::default();
    let deltas = count(&mut counting, &written.record(record.clone()))?;
    let additions = |delta: Delta| CounterAdditions {
        key: counting.key(delta.key).cloned().unwrap_or_default(),
        event_hour: counting.event_hour(delta.key),
        amounts: delta.amounts,
    };
    Ok(deltas.into_iter().map(additions).collect())
}

/// Only what is added to sums.
fn sums(additions: Vec<CounterAdditions>) -> Vec<UsageDelta> {
    let sums = |amounts: Amounts| {
        amounts.iter().filter_map(|addition| Some((addition.measure.to_string(), addition.amount()?))).collect()
    };
    let delta = |CounterAdditions { key, event_hour, amounts }| UsageDelta { key, event_hour, amounts: sums(amounts) };
    additions.into_iter().map(delta).filter(|delta| !delta.amounts.is_empty()).collect()
}
