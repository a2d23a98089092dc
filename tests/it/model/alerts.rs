//! Checks alerts: each crossing was sent at least once under one id, and the last one of each counter and threshold says
//! whether the counter is above.

use std::collections::BTreeMap;

use usage_aggregator::fold::{Alert, AlertState};
use usage_aggregator::ledger::ALERTS;

use super::invariants::ensure;
use super::reference::{Counters, Key};
use crate::world::StoredItem;

/// The alerts of the simulated pipeline: the window, and from how many orders on they fire.
const THRESHOLDS: [(&str, i64); 4] = [("hour", 1), ("hour", 2), ("month", 2), ("month", 4)];

/// The same as `pipeline.toml` has it.
pub const RULES: &str = r#"
[[record.alert]]
measure = "orders"
window = "hour"
limit = 2
at = [0.5, 1]

[[record.alert]]
measure = "orders"
window = "month"
limit = 4
at = [0.5, 1]
"#;

/// The alerts that were sent.
#[derive(Debug, Default)]
pub struct Sent {
    pub fired: usize,
    pub cleared: usize,
    /// Alerts that were sent again.
    pub again: usize,
    /// The last one of each counter and threshold, with the number of its crossing.
    last: BTreeMap<(Key, String), (AlertState, u64)>,
}

/// Checks what was sent against everything in the ledger.
///
/// # Errors
/// A description of the first alert that is missing, wrong or superfluous.
pub fn check(ledger: &[StoredItem], sent: &[String]) -> Result<Sent, String> {
    let text = |item: &StoredItem, name: &str| item[name].as_s().unwrap().clone();
    let items = ledger.iter().filter(|item| text(item, "pk").starts_with(ALERTS));
    let put: BTreeMap<String, String> =
        items.map(|item| (format!("{}/{}", text(item, "pk"), text(item, "sk")), text(item, "detail"))).collect();
    let mut arrived: BTreeMap<String, String> = BTreeMap::new();
    for detail in sent {
        let id = alert(detail).id;
        let known = arrived.insert(id.clone(), detail.clone());
        ensure(known.is_none_or(|known| known == *detail), || format!("{id} was sent with different details"))?;
    }
    ensure(arrived == put, || format!("the ledger has the alerts {put:#?}, but {arrived:#?} were sent"))?;
    let mut counted = Sent { again: sent.len() - arrived.len(), ..Sent::default() };
    // The ids of one counter and threshold are in the order of its crossings.
    for Alert { entity, window, window_start, threshold, state, crossing, id, .. } in
        put.values().map(|text| alert(text))
    {
        let of = ((entity, window, window_start), threshold.to_string());
        let next = match counted.last.get(&of) {
            None => (AlertState::Fired, 1),
            Some((AlertState::Fired, crossing)) => (AlertState::Cleared, *crossing),
            Some((_, crossing)) => (AlertState::Fired, crossing + 1),
        };
        ensure((state, crossing) == next, || format!("{id} is {state:?} {crossing}, expected {next:?}"))?;
        match state {
            AlertState::Fired => counted.fired += 1,
            _ => counted.cleared += 1,
        }
        counted.last.insert(of, next);
    }
    Ok(counted)
}

impl Sent {
    /// Checks that the last alert of each counter says whether it is above the threshold now.
    ///
    /// # Errors
    /// A description of the first one that doesn't.
    pub fn check_last(&self, expected: &Counters) -> Result<(), String> {
        let mut last = self.last.clone();
        for (key, [orders, ..]) in expected {
            for (_, threshold) in THRESHOLDS.iter().filter(|(window, _)| *window == key.1) {
                let of = last.remove(&(key.clone(), threshold.to_string()));
                let is_above = of.is_some_and(|(state, _)| state == AlertState::Fired);
                ensure(is_above == (orders >= threshold), || {
                    format!("{key:?} is {orders}; that it is above {threshold} was said last: {is_above}")
                })?;
            }
        }
        ensure(last.is_empty(), || format!("alerts of counters that don't exist: {last:?}"))
    }
}

/// The alert that was sent.
pub fn alert(detail: &str) -> Alert {
    serde_json::from_str(detail).unwrap()
}
