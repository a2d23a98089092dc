//! Checks of cost.

use super::super::facts::Facts;
use super::super::finding::{CheckResult, ok, warning};
use super::{float, of};

/// 10: custom metrics in CloudWatch's free tier, per account.
const FREE: usize = 10;
/// 38: what append (9), fold (6), and the proofs of the ledger (2) and of the archive (3) always send; what is sent if something is
/// wrong (7), if alerts are sent (2), records are late (2), or targets are recomputed (4); and what is counted from logs (3).
/// tests/it/template/alarms.rs counts them.
const SENT: usize = 38;
/// Dollars per month for each further one (docs/cost.md).
const PRICE: f64 = 0.30;

/// The number of custom metrics is the one that the stack sends.
pub(crate) fn own_metrics(facts: &Facts) -> CheckResult {
    let count = *of(&facts.own_metrics)?;
    let namespace = facts.names.metrics_namespace.as_deref().unwrap_or("UsageAggregator");
    if count <= SENT {
        return ok(format!("{count} custom metrics in {namespace}; {FREE} per account are free"));
    }
    let over = float(i64::try_from(count - FREE).unwrap_or(i64::MAX));
    warning(
        format!(
            "{count} custom metrics in {namespace}, more than the {SENT} that the stack sends: {over:.0} more than the free tier, ${:.2} per month",
            over * PRICE
        ),
        facts.deploy("MetricsSink=none"),
    )
}
