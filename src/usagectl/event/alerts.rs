//! The alerts that an invocation puts into the ledger.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use usage_aggregator::fold::Alert;
use usage_aggregator::ledger::{LedgerTable, Level, WindowKey};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::Plan;
use usage_aggregator::time::Timestamp;

/// The windows with alerts that `plan` contributes to.
pub fn windows(pipeline: &Pipeline, plan: &Plan) -> BTreeSet<WindowKey> {
    let Some(snapshot) = &pipeline.snapshot else { return BTreeSet::new() };
    let times = plan.groups.iter().filter_map(|group| Timestamp::from_seconds(group.segment.start()));
    let key = |at: Timestamp| {
        let levels = snapshot.alerts.iter().map(|alert| Level::of(alert.window));
        levels.map(move |level| WindowKey::containing(level, at, snapshot.zone))
    };
    times.flat_map(key).collect()
}

/// The alerts of these windows, by id.
///
/// # Errors
/// If the ledger can't be read, or an alert was written by a newer release.
pub async fn read(
    ledger: Option<&LedgerTable>,
    windows: &BTreeSet<WindowKey>,
) -> anyhow::Result<BTreeMap<String, Alert>> {
    let mut alerts = BTreeMap::new();
    for window in windows {
        let Some(ledger) = ledger else { continue };
        for item in ledger.alerts(*window, None).await.context("read the alerts")? {
            let alert: Alert = serde_json::from_str(&item.detail)
                .with_context(|| format!("read the alert {}: was it written by a newer release?", item.name))?;
            alerts.insert(alert.id.clone(), alert);
        }
    }
    Ok(alerts)
}
