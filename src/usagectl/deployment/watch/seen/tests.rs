//! Answers of CloudWatch and what they say. `recorded.json` has those of a `usagectl local` under faults, in the form in which the AWS
//! CLI prints them.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::MetricDataResult;
use serde_json::Value;

use super::*;
use crate::deployment::watch::tests::names;

/// 2026-11-29T07:10:20Z: some seconds into a minute.
const NOW: i64 = 1_795_936_220;
const HOUR: i64 = 3_600;

/// The start of the minute so many minutes before that of `NOW`.
fn minute(ago: i64) -> i64 {
    NOW.div_euclid(60) * 60 - ago * 60
}

/// An answer with these metrics: so many minutes ago, and the value.
fn answer(metrics: &Metrics, values: &[(&str, &[(i64, f64)])]) -> Figures {
    let results = metrics.iter().enumerate().map(|(index, metric)| {
        let found = values.iter().find(|(name, _)| *name == metric.name).map_or(&[][..], |(_, points)| points);
        let times = found.iter().map(|(ago, _)| DateTime::from_secs(minute(*ago))).collect();
        let values = found.iter().map(|(_, value)| *value).collect();
        MetricDataResult::builder().id(format!("q{index}")).set_timestamps(Some(times)).set_values(Some(values)).build()
    });
    let mut figures = Figures::default();
    figures.add(&metrics.figures(), results.collect());
    figures
}

fn seen_of(values: &[(&str, &[(i64, f64)])]) -> Seen {
    let metrics = Metrics::of(&names());
    seen(&metrics, &answer(&metrics, values), NOW, HOUR)
}

#[test]
fn sums_are_over_the_hour_and_of_ages_the_latest_counts() {
    let seen = seen_of(&[
        ("invocations", &[(50, 60.0), (2, 30.0)]),
        ("processed", &[(50, 6_000.0), (2, 3_000.0)]),
        ("delivered", &[(50, 6_300.0), (2, 3_000.0)]),
        ("iterator_age_ms", &[(50, 90_000.0), (2, 800.0)]),
        ("fold_age_ms", &[(50, 31_000.0)]),
    ]);
    let figure = |name: &str| seen.figures.get(name).copied();
    assert_eq!((figure("processed"), figure("delivered")), (Some(9_000.0), Some(9_300.0)));
    assert_eq!(figure("failed"), Some(0.0), "the mapping reports others of its metrics");
    assert_eq!(figure("iterator_age_ms"), Some(800.0));
    assert_eq!(figure("fold_age_ms"), None, "nothing was folded in the last ten minutes");
    assert_eq!((seen.unreported.len(), seen.blocked), (0, None));
}

#[test]
fn the_charts_begin_with_the_hour_and_end_with_the_last_minute_that_is_known() {
    let seen = seen_of(&[
        ("invocations", &[(50, 60.0), (1, 1.0)]),
        ("processed", &[(50, 6_000.0), (1, 60.0)]),
        ("delivered", &[(50, 6_000.0), (1, 120.0)]),
        ("iterator_age_ms", &[(50, 900.0)]),
    ]);
    let (first, last) = (seen.samples.first().unwrap(), seen.samples.last().unwrap());
    assert_eq!((seen.samples.len(), first.processed), (60, Some(0.0)), "nothing happened in a minute without data");
    assert_eq!((last.processed, last.delivered, last.failed), (Some(1.0), Some(2.0), Some(0.0)));
    assert_eq!(first.iterator_age_ms, None, "nothing was read, so there is no age");
    let busy: Vec<f64> = seen.samples.iter().filter_map(|sample| sample.iterator_age_ms).collect();
    assert_eq!(busy, [900.0]);
    // Until CloudWatch is known to have the last minutes, they aren't shown as 0.
    let idle = seen_of(&[]);
    assert_eq!(idle.samples.len(), 58);
    assert_eq!(idle.samples.last().unwrap().seconds, f64::from(u32::try_from(minute(3)).unwrap()));
}

#[test]
fn what_nobody_reports_is_left_out_and_not_shown_as_zero() {
    let seen = seen_of(&[("invocations", &[(5, 60.0)]), ("errors", &[])]);
    for name in ["processed", "delivered", "pages", "polled"] {
        assert_eq!(seen.figures.get(name), None, "{name}");
    }
    assert_eq!(seen.figures.get("errors"), Some(&0.0), "Lambda always reports errors");
    let last = seen.samples.last().unwrap();
    assert_eq!((last.processed, last.delivered, last.failed), (None, None, None));
    assert!(seen.unreported[0].starts_with("The mapping reports no counts"), "{seen:?}");
    assert!(seen.unreported[1].starts_with("The function reports no metrics"), "{seen:?}");
    let idle = seen_of(&[]);
    assert_eq!((idle.figures.get("processed"), idle.unreported.len()), (Some(&0.0), 0), "nothing happens");
}

#[test]
fn a_shard_is_blocked_while_its_age_grows_and_deliveries_fail() {
    let growing: Vec<(i64, f64)> =
        (1..=6).rev().map(|ago| (ago, f64::from(7 - i32::try_from(ago).unwrap()) * 60_000.0)).collect();
    let seen = seen_of(&[
        ("invocations", &[(1, 1.0)]),
        ("iterator_age_ms", &growing),
        ("failed", &[(3, 10.0), (1, 10.0)]),
        ("fold_iterator_age_ms", &growing),
    ]);
    let blocked = seen.blocked.unwrap();
    assert_eq!((blocked.age_seconds, blocked.growing_seconds), (360.0, 300.0));
    assert_eq!(seen.blocked_fold, None, "no fold fails: it is only slow");
}

/// Answers as CloudWatch gave them, through the AWS CLI.
#[test]
fn a_recorded_answer_says_what_the_run_that_it_is_from_did() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let metrics = Metrics::of(&names());
    let mut figures = Figures::default();
    let results = recorded["MetricDataResults"].as_array().unwrap().iter().map(|result| {
        let list = |name: &str| result[name].as_array().unwrap().clone();
        let time = |text: &Value| {
            DateTime::from_secs(usage_aggregator::time::Timestamp::parse(text.as_str().unwrap()).unwrap().seconds())
        };
        let name = result["Label"].as_str().unwrap();
        let index = metrics.iter().position(|metric| metric.name == name).unwrap();
        MetricDataResult::builder()
            .id(format!("q{index}"))
            .set_timestamps(Some(list("Timestamps").iter().map(time).collect()))
            .set_values(Some(list("Values").iter().map(|value| value.as_f64().unwrap()).collect()))
            .build()
    });
    figures.add(&metrics.figures(), results.collect());
    let at = usage_aggregator::time::Timestamp::parse(recorded["at"].as_str().unwrap()).unwrap();
    let seen = seen(&metrics, &figures, at.seconds(), 900);
    insta::assert_snapshot!(
        seen.figures.iter().map(|(name, value)| format!("{name} {value:.0}")).collect::<Vec<_>>().join("\n")
    );
    let busy = seen.samples.iter().filter(|sample| sample.processed > Some(0.0)).count();
    assert!(busy > 1 && seen.samples.len() > busy, "{:?}", seen.samples);
}
