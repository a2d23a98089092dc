//! What is reported when a group crosses a threshold: the JSON that EventBridge and SNS get, and that the ledger keeps.
//!
//! It is a pure function of the group, the rule, the window and the number of the event, so that putting it again changes
//! nothing, and whoever sends it again sends the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::watch::Watch;
use crate::decimal::Decimal;
use crate::ledger::{ALERTS, GroupKey, WindowKey};
use crate::pipeline::{Limit, Rule, Snapshot};

/// The `source` of the events.
pub const ALERT_SOURCE: &str = "usage-aggregator";
/// The `detail-type` of the events.
pub const ALERT_DETAIL_TYPE: &str = "Usage alert";

/// The detail of an event: a group has crossed a threshold, or its value has fallen back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifies the event: `a#orders#2026-11/0f…#0000000000000011#000001`, the key of its item in the ledger. An event may
    /// be delivered more than once, but always with the same id.
    pub id: String,
    /// The pipeline.
    pub pipeline: String,
    /// Whose usage it is.
    pub entity: String,
    /// What is used.
    pub resource: String,
    /// The other variables of the snapshot's templates, by name; left out if there are none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The measure that crossed.
    pub measure: String,
    /// The window: `hour`, `day`, `week`, `month` or `total`.
    pub window: String,
    /// The first second of the window: `2026-11-01T00:00:00Z`.
    pub window_start: String,
    /// The first second after the window.
    pub window_end: String,
    /// The limit.
    #[serde(with = "number")]
    pub limit: Decimal,
    /// The fraction of the limit.
    #[serde(with = "number")]
    pub at: Decimal,
    /// The fraction times the limit: the value that was crossed.
    #[serde(with = "number")]
    pub threshold: Decimal,
    /// What happened.
    pub state: AlertState,
    /// The number of the crossing. The value falls back with the same number.
    pub crossing: u64,
}

/// What happened at a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The value has reached the threshold.
    Fired,
    /// The value has fallen back, and the alert is armed again.
    Cleared,
    /// The same, because of a correction.
    Corrected,
}

impl AlertState {
    /// The state in JSON.
    pub fn name(self) -> &'static str {
        match self {
            AlertState::Fired => "fired",
            AlertState::Cleared => "cleared",
            AlertState::Corrected => "corrected",
        }
    }
}

/// A crossing of a threshold, or the fall after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crossing<'c> {
    pub window: WindowKey,
    pub key: &'c GroupKey,
    pub rule: &'c Rule,
    pub watch: &'c Watch,
    /// From 1: odd numbers are crossings, and the fall after each has the next number.
    pub event: u64,
}

impl Crossing<'_> {
    /// The sort key of its item. Those of one group and rule sort in the order in which they happened.
    pub(super) fn name(&self) -> String {
        let Rule { measure, at, limit } = self.rule;
        let limit = match limit {
            Limit::Number(limit) => limit.to_string(),
            Limit::Item(text) => text.clone(),
        };
        let mut hasher = blake3::Hasher::new();
        for text in [self.key.bytes(), measure.as_bytes(), at.to_string().as_bytes(), limit.as_bytes()] {
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(text);
        }
        let hash = hasher.finalize().to_hex();
        format!("{}#{:016x}#{:06}", hash.get(..32).unwrap_or_default(), self.watch.since, self.event)
    }

    fn state(&self) -> AlertState {
        match self.watch.corrected.contains(&self.event) {
            _ if self.event % 2 == 1 => AlertState::Fired,
            false => AlertState::Cleared,
            true => AlertState::Corrected,
        }
    }
}

impl Alert {
    /// What is reported of a crossing; nothing if the key of its group is damaged.
    pub(super) fn new(pipeline: &str, snapshot: &Snapshot, partition: &str, crossing: &Crossing<'_>) -> Option<Alert> {
        let span = crossing.window.span()?;
        let key = crossing.key.counter_key().ok().filter(|key| key.is_of(snapshot))?;
        let Rule { measure, at, .. } = crossing.rule;
        let limit = crossing.watch.limit(crossing.rule, crossing.event)?;
        let others = snapshot.group_variables.iter().zip(&key.0).skip(2);
        Some(Alert {
            id: format!("{partition}/{}", crossing.name()),
            pipeline: pipeline.to_owned(),
            entity: key.entity().to_owned(),
            resource: key.resource().to_owned(),
            variables: others.map(|(name, text)| (name.clone(), text.clone())).collect(),
            measure: measure.clone(),
            window: span.window.name().to_owned(),
            window_start: span.start_text(),
            window_end: span.end_text(),
            limit,
            at: *at,
            threshold: limit.checked_mul(*at).ok()?,
            state: crossing.state(),
            crossing: crossing.event.div_ceil(2),
        })
    }
}

/// The key of an alert's item in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKey {
    /// The partition key: `a#`, the pipeline, `#` and the window key.
    pub partition: String,
    /// The sort key: a hash of the group and the rule, `#`, the version of the state in which the group crossed first, `#`,
    /// and the number of the event.
    pub name: String,
}

impl AlertKey {
    /// The alert with these keys, if it is one of `pipeline`.
    pub fn of(pipeline: &str, key: &str, sort_key: &str) -> Option<AlertKey> {
        key.strip_prefix(ALERTS)?.strip_prefix(pipeline)?.strip_prefix('#')?;
        Some(AlertKey { partition: key.to_owned(), name: sort_key.to_owned() })
    }

    /// The id of the alert.
    pub fn id(&self) -> String {
        format!("{}/{}", self.partition, self.name)
    }
}

/// Decimals as JSON numbers with all their digits.
mod number {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::value::RawValue;

    use crate::decimal::Decimal;

    pub(super) fn serialize<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(number.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Decimal, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Decimal::parse(raw.get()).map_err(D::Error::custom)
    }
}
