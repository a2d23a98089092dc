//! What costs without being used.

use super::super::facts::Facts;
use super::super::finding::{Look, ok, warning};
use super::{float, of};

/// 10: CloudWatch's free tier of custom metrics, of an account.
const FREE: usize = 10;
/// Dollars a month for each further one (docs/cost.md).
const PRICE: f64 = 0.30;

/// Own metrics stay within the free tier.
pub fn own_metrics(facts: &Facts) -> Look {
    let count = *of(&facts.own_metrics)?;
    let namespace = facts.names.metrics_namespace.as_deref().unwrap_or("UsageAggregator");
    if count <= FREE {
        return ok(format!("{count} custom metrics in {namespace}; {FREE} of an account are free"));
    }
    let over = float(i64::try_from(count - FREE).unwrap_or(i64::MAX));
    warning(
        format!("{count} custom metrics in {namespace}: {over:.0} more than are free, ${:.2} a month", over * PRICE),
        facts.deploy("MetricsSink=none"),
    )
}
