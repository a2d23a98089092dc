//! Reads the alerts of some windows: the last event of each group and threshold, and what the group's value is now.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt, stream};
use laptop::proof::rows::RowReader;
use stream_types::{Decimal, Timestamp};
use usage_aggregator::fold::{Alert, AlertState};
use usage_aggregator::ledger::{AlertItem, WindowKey};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::usage::{CounterKey, SnapshotItem};

use crate::ledger::Open;

/// How many windows or snapshots are read at once.
const CONCURRENT_READS: usize = 8;

/// Where a group stands with a threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The last event.
    pub(super) alert: Alert,
    /// When a fold found it; `None` if an earlier release put it.
    pub(super) since: Option<Timestamp>,
    /// The value of the measure now; `None` if there is no snapshot, or it lacks the measure.
    pub(super) value: Option<String>,
}

impl Standing {
    /// Whether the last event is that the threshold was reached.
    pub(super) fn is_firing(&self) -> bool {
        self.alert.state == AlertState::Fired
    }

    /// The value as a share of the limit.
    pub(super) fn share(&self) -> Option<f64> {
        let value = Decimal::parse(self.value.as_ref()?).ok()?.to_f64();
        let limit = self.alert.limit.to_f64();
        (limit > 0.0).then_some(value / limit)
    }
}

/// The alerts of these windows that `wants` selects, by window, entity, resource, measure and threshold.
pub(super) async fn standings(
    ledger: &Open,
    windows: &[WindowKey],
    wants: impl Fn(&Standing) -> bool,
) -> anyhow::Result<Vec<Standing>> {
    let of_window = async |window: WindowKey| -> anyhow::Result<Vec<(WindowKey, Standing)>> {
        let items = ledger.folder.ledger.alerts(window, None).await.context("read the alerts")?;
        Ok(last(items)?.into_iter().map(|standing| (window, standing)).collect())
    };
    let read: Vec<Vec<(WindowKey, Standing)>> =
        stream::iter(windows.iter().copied()).map(of_window).buffered(CONCURRENT_READS).try_collect().await?;
    let chosen = read.into_iter().flatten().filter(|(_, standing)| wants(standing));
    let with_value = async |(window, standing): (WindowKey, Standing)| -> anyhow::Result<Standing> {
        let value = value(ledger, window, &standing.alert).await?;
        Ok(Standing { value, ..standing })
    };
    let mut all: Vec<Standing> = stream::iter(chosen).map(with_value).buffered(CONCURRENT_READS).try_collect().await?;
    all.sort_by(|one, other| order(&one.alert).cmp(&order(&other.alert)));
    Ok(all)
}

/// What alerts are sorted by. Within a measure, the highest threshold comes last.
fn order(alert: &Alert) -> (&str, &str, &str, &str, &BTreeMap<String, String>, &str, Decimal) {
    let Alert { window, window_start, entity, resource, variables, measure, at, .. } = alert;
    (window, window_start, entity, resource, variables, measure, *at)
}

/// The last event of each group and threshold, without the value. The events of one have the same beginning in their names, and
/// are in order.
fn last(items: impl IntoIterator<Item = AlertItem>) -> anyhow::Result<Vec<Standing>> {
    let mut last = BTreeMap::new();
    for AlertItem { name, detail, raised_at } in items {
        let alert: Alert = serde_json::from_str(&detail)
            .with_context(|| format!("read the alert {name}: was it written by a newer release?"))?;
        let of = name.split('#').next().unwrap_or_default().to_owned();
        last.insert(of, Standing { alert, since: raised_at, value: None });
    }
    Ok(last.into_values().collect())
}

/// The value in the group's snapshot.
async fn value(ledger: &Open, window: WindowKey, alert: &Alert) -> anyhow::Result<Option<String>> {
    let snapshot = &ledger.snapshot;
    let Some(span) = window.span() else { return Ok(None) };
    let Some(key) = key(alert, snapshot) else { return Ok(None) };
    let item = SnapshotItem::new(snapshot, &key, span);
    let usage = &ledger.folder.usage;
    let key = item.key.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect();
    let read = usage.client.get_item().table_name(&usage.name).set_key(Some(key)).consistent_read(true).send().await;
    let read = read.with_context(|| format!("read a snapshot from {} (dynamodb:GetItem)", usage.name))?;
    let row = read.item.and_then(|item| RowReader::new(snapshot).read(&item));
    Ok(row.and_then(|mut row| row.measures.remove(&alert.measure)))
}

/// The key of the alert's group; none if it is of another definition of the pipeline.
fn key(alert: &Alert, snapshot: &Snapshot) -> Option<CounterKey> {
    let others = snapshot.group_variables.iter().skip(2).map(|name| alert.variables.get(name).cloned());
    let known = [Some(alert.entity.clone()), Some(alert.resource.clone())];
    let key = CounterKey(known.into_iter().chain(others).collect::<Option<_>>()?);
    (key.0.len() == alert.variables.len() + 2).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::alert_text::tests::alert;
    use usage_aggregator::pipeline::{Pipeline, shipped};

    #[test]
    fn only_the_last_event_of_a_group_and_threshold_counts() {
        let item = |name: &str, alert: Alert| AlertItem {
            name: name.to_owned(),
            detail: serde_json::to_string(&alert).unwrap(),
            raised_at: Timestamp::from_seconds(1_795_856_220 + i64::try_from(alert.crossing).unwrap()),
        };
        let fired = alert("7", AlertState::Fired, 1);
        let items = [
            item("0a#0000000000000001#000001", fired.clone()),
            item("0a#0000000000000001#000002", Alert { state: AlertState::Cleared, ..fired.clone() }),
            item("0b#0000000000000001#000001", alert("8", AlertState::Fired, 1)),
            item("0a#0000000000000009#000003", Alert { crossing: 2, ..fired }),
        ];
        let last = last(items).unwrap();
        let states: Vec<(&str, AlertState, u64, String)> = last
            .iter()
            .map(|Standing { alert, since, .. }| {
                (alert.entity.as_str(), alert.state, alert.crossing, since.unwrap().to_string())
            })
            .collect();
        let at = |second: &str| format!("2026-11-28T08:57:{second}Z");
        assert_eq!(states, [("7", AlertState::Fired, 2, at("02")), ("8", AlertState::Fired, 1, at("01"))]);
        let damaged = AlertItem { name: "0a#1#1".to_owned(), detail: "{}".to_owned(), raised_at: None };
        assert!(super::last([damaged]).is_err());
    }

    #[test]
    fn a_group_of_another_definition_has_no_value() {
        let mut snapshot = Pipeline::parse(&shipped("orders").unwrap()).unwrap().snapshot.unwrap();
        let mut alert = alert("7", AlertState::Fired, 1);
        alert.variables.clear();
        assert_eq!(key(&alert, &snapshot), Some(CounterKey(vec!["7".to_owned(), alert.resource.clone()])));
        snapshot.group_variables.push("region".to_owned());
        assert_eq!(key(&alert, &snapshot), None, "without a variable");
        alert.variables.insert("region".to_owned(), "eu".to_owned());
        assert_eq!(key(&alert, &snapshot).unwrap().0, ["7", &alert.resource, "eu"]);
        snapshot.group_variables.pop();
        assert_eq!(key(&alert, &snapshot), None, "with one too many");
    }

    #[test]
    fn the_share_is_that_of_the_limit_not_of_the_threshold() {
        let mut standing =
            Standing { alert: alert("7", AlertState::Fired, 1), since: None, value: Some("870".to_owned()) };
        assert_eq!(standing.share(), Some(0.87));
        standing.value = None;
        assert_eq!(standing.share(), None);
        standing.value = Some("text".to_owned());
        assert_eq!(standing.share(), None);
    }
}
