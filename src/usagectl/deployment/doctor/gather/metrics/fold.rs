//! CloudWatch: the metrics of the fold in the last hour.

use aws_sdk_cloudwatch::Client;

use super::super::super::facts::{Fact, FoldMetrics};
use super::{HOUR, PERIOD, read};
use crate::stack::{Figure, Names, Statistic};

pub(super) async fn of(client: &Client, names: &Names) -> Fact<FoldMetrics> {
    let own = |metric| names.own_figure(metric, Statistic::Sum);
    let of_function = |metric, statistic| {
        names.fold_function.as_deref().map(|function| Figure::of_function(function, metric, statistic))
    };
    let discarded = names.ledger_mapping.as_deref().map(|uuid| {
        let metric = "OnFailureDestinationDeliveredEventCount";
        Figure::new("AWS/Lambda", metric, &[("EventSourceMappingUUID", uuid)], Statistic::Sum)
    });
    let sums = [
        "FoldErrors",
        "NoticesFolded",
        "PagesWritten",
        "SweepRepaired",
        "Unpublished",
        "Overflow",
        "Conflicts",
        "LedgerBehind",
        "NoticesTooOld",
        "AlertsFailed",
    ]
    .map(own);
    let highest = ["PagesInMinute", "FoldAge"].map(|metric| names.own_figure(metric, Statistic::Maximum));
    let errors = of_function("Errors", Statistic::Sum);
    let age = of_function("IteratorAge", Statistic::Maximum);
    let some = [&errors, &age, &discarded].into_iter().flatten();
    let all: Vec<Figure> = sums.iter().chain(&highest).chain(some).cloned().collect();
    let figures = read(client, &all, HOUR, PERIOD).await?;
    let [
        unsettled,
        notices,
        pages_written,
        repaired,
        unpublished,
        overflow,
        conflicts,
        ledger_behind,
        too_old,
        alerts_failed,
    ] = sums.each_ref().map(|figure| figures.sum(figure));
    let [pages_in_minute, age_ms] = highest.each_ref().map(|figure| figures.highest(figure));
    Ok(FoldMetrics {
        errors: errors.and_then(|figure| figures.sum(&figure)),
        unsettled,
        notices,
        pages_written,
        pages_in_minute,
        age_ms,
        iterator_age_ms: age.and_then(|figure| figures.highest(&figure)),
        repaired,
        unpublished,
        overflow,
        conflicts,
        ledger_behind,
        too_old,
        alerts_failed,
        discarded: discarded.and_then(|figure| figures.sum(&figure)),
    })
}
