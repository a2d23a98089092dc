//! What the metrics say: sums over the time that is shown, the course for the charts, and whether a shard is blocked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::metrics::{AGES, Metrics, Reporter};
use crate::page::history::Sample;
use crate::stack::{BlockedShard, Figures, Point, blocked};

/// The period of all metrics: a minute.
pub(super) const PERIOD_SECONDS: i64 = 60;
/// How long CloudWatch may take to show a metric. A minute without data is not shown as 0 before.
const DELAY_SECONDS: i64 = 180;
/// How old the latest age may be. After that, nothing is being read or folded.
const LATEST_SECONDS: i64 = 600;

/// What the metrics say.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The sum of each metric over the time that is shown; of ages, the latest. A metric that isn't reported is missing.
    pub figures: BTreeMap<&'static str, f64>,
    /// A sample for each minute.
    pub samples: Vec<Sample>,
    /// A shard of the source that makes no progress.
    pub blocked: Option<BlockedShard>,
    /// A shard of the ledger's stream that makes no progress.
    pub blocked_fold: Option<BlockedShard>,
    /// Metrics that nobody reports, and why.
    pub unreported: Vec<&'static str>,
}

/// What `read` says about the last `span_seconds` before `now`, in seconds since the epoch.
pub(super) fn seen(metrics: &Metrics, read: &Figures, now: i64, span_seconds: i64) -> Seen {
    let points = |name: &str| metrics.points(read, name);
    let has_data =
        |reporter| metrics.iter().any(|metric| metric.reporter == reporter && !read.values(&metric.figure).is_empty());
    let is_idle = points("invocations").iter().all(|(_, count)| *count == 0.0);
    // Nobody reports anything while nothing happens.
    let is_reported = |reporter| reporter == Reporter::Lambda || is_idle || has_data(reporter);
    let mut figures = BTreeMap::new();
    for metric in metrics.iter().filter(|metric| is_reported(metric.reporter)) {
        let is_latest_only = AGES.contains(&metric.name) || metric.name == "queued";
        let latest = read.points(&metric.figure).last().copied();
        match latest.filter(|(at, _)| now - at <= LATEST_SECONDS) {
            Some((_, value)) if is_latest_only => figures.insert(metric.name, value),
            _ if is_latest_only => None,
            _ => figures.insert(metric.name, read.sum(&metric.figure).unwrap_or_default()),
        };
    }
    let failures = |names: [&str; 3]| {
        let counted = names.map(points).into_iter().find(|points| points.iter().any(|(_, count)| *count > 0.0));
        counted.unwrap_or_default()
    };
    let mut unreported = Vec::new();
    if !is_reported(Reporter::Mapping) {
        unreported.push(
            "The mapping reports no counts of records: its EventCount metrics are off. Update the stack to turn them on.",
        );
    }
    if !is_reported(Reporter::Function) {
        unreported.push(
            "The function reports no metrics in its namespace: METRICS_SINK is `none`, or its log can't be written.",
        );
    }
    Seen {
        figures,
        samples: samples(metrics, read, now, span_seconds, is_reported),
        blocked: blocked(&points("iterator_age_ms"), &failures(["failed", "not_durable", "errors"]), now),
        blocked_fold: blocked(&points("fold_iterator_age_ms"), &failures(["unsettled", "failed_folds", ""]), now),
        unreported,
    }
}

fn samples(
    metrics: &Metrics,
    read: &Figures,
    now: i64,
    span_seconds: i64,
    is_reported: impl Fn(Reporter) -> bool,
) -> Vec<Sample> {
    let minute = |at: i64| at.div_euclid(PERIOD_SECONDS) * PERIOD_SECONDS;
    let by_minute = |name: &str| -> BTreeMap<i64, f64> {
        metrics.points(read, name).into_iter().map(|(at, value): Point| (minute(at), value)).collect()
    };
    let [processed, delivered, failed, age, fold_age] =
        ["processed", "delivered", "failed", "iterator_age_ms", "fold_age_ms"].map(by_minute);
    let known: BTreeSet<i64> =
        metrics.iter().flat_map(|metric| read.points(&metric.figure)).map(|(at, _)| minute(at)).collect();
    let settled = minute(now - DELAY_SECONDS);
    let end = known.last().copied().map_or(settled, |last| last.max(settled).min(minute(now)));
    let rate = |points: &BTreeMap<i64, f64>, reporter, at| {
        let sum = points.get(&at).copied().unwrap_or_default();
        is_reported(reporter).then(|| (sum / 60.0 * 10.0).round() / 10.0)
    };
    let starts = (0..).map(|number| minute(now - span_seconds) + number * PERIOD_SECONDS);
    let sample = |at: i64| Sample {
        seconds: u32::try_from(at).map_or(0.0, f64::from),
        processed: rate(&processed, Reporter::Function, at),
        delivered: rate(&delivered, Reporter::Mapping, at),
        failed: rate(&failed, Reporter::Mapping, at),
        iterator_age_ms: age.get(&at).copied(),
        fold_age_ms: fold_age.get(&at).copied(),
    };
    starts.take_while(|at| *at <= end).map(sample).collect()
}

#[cfg(test)]
mod tests;
