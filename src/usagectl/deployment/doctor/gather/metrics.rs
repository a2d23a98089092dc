//! CloudWatch: the metrics of the last hour, and the number of the function's own metrics.

mod fold;

use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use usage_aggregator::time::Timestamp;

use super::super::facts::{Fact, Part, RecentMetrics, Unavailable};
use super::{named, seen};
use crate::stack::{BlockedShard, Figure, Figures, Names, Statistic, blocked};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// How far back to look for a blocked shard.
const QUARTER: Duration = Duration::from_mins(20);
/// 5 minutes: the alarms' period.
const PERIOD: i32 = 300;
/// For a blocked shard.
const MINUTE: i32 = 60;

/// The metrics to read, as far as their dimensions are known.
struct Wanted<'n> {
    names: &'n Names,
}

impl Wanted<'_> {
    fn function(&self, metric: &str, statistic: Statistic) -> Option<Figure> {
        Some(Figure::of_function(self.names.function.as_deref()?, metric, statistic))
    }

    fn mapping(&self, metric: &str) -> Option<Figure> {
        let uuid = self.names.mapping.as_deref()?;
        Some(Figure::new("AWS/Lambda", metric, &[("EventSourceMappingUUID", uuid)], Statistic::Sum))
    }

    fn own(&self, metric: &str) -> Option<Figure> {
        let (namespace, pipeline) = (self.names.metrics_namespace.as_deref()?, self.names.pipeline.as_deref()?);
        Some(Figure::new(namespace, metric, &[("Pipeline", pipeline)], Statistic::Sum))
    }

    /// Counted from log lines, without dimensions.
    fn counted(&self, metric: &str) -> Option<Figure> {
        Some(Figure::new(self.names.metrics_namespace.as_deref()?, metric, &[], Statistic::Sum))
    }

    fn tables(&self, metric: &str) -> Vec<Figure> {
        let tables = [&self.names.usage_table, &self.names.ledger_table];
        let of = |name: &String| Figure::new("AWS/DynamoDB", metric, &[("TableName", name)], Statistic::Sum);
        tables.into_iter().flatten().map(of).collect()
    }

    /// The throttles of a Kinesis stream as the source.
    fn kinesis(&self) -> Vec<Figure> {
        let source = self.names.source_arn.as_deref().filter(|arn| arn.contains(":kinesis:"));
        let stream = source.and(self.names.source_name());
        let metrics = ["ReadProvisionedThroughputExceeded", "WriteProvisionedThroughputExceeded"];
        let of =
            |name| metrics.map(|metric| Figure::new("AWS/Kinesis", metric, &[("StreamName", name)], Statistic::Sum));
        stream.map(of).into_iter().flatten().collect()
    }
}

pub(super) async fn of(client: &Client, names: &Names, now: Timestamp) -> Fact<RecentMetrics> {
    let wanted = Wanted { names };
    let function = |metric| wanted.function(metric, Statistic::Sum);
    let sums = [
        function("Invocations"),
        function("Errors"),
        function("Throttles"),
        function("DestinationDeliveryFailures"),
        wanted.mapping("PolledEventCount"),
        wanted.mapping("InvokedEventCount"),
        wanted.mapping("FilteredOutEventCount"),
        wanted.mapping("DroppedEventCount"),
        wanted.own("RecordsProcessed"),
        wanted.own("FilesWritten"),
        wanted.counted("RecordsRejected"),
        wanted.counted("UsageTooOld"),
        wanted.mapping("FailedInvokeEventCount"),
        wanted.own("ProcessingErrors"),
        wanted.mapping("OnFailureDestinationDeliveredEventCount"),
    ];
    let highest = [wanted.function("Duration", Statistic::P99), wanted.function("IteratorAge", Statistic::Maximum)];
    let (reads, writes) = (wanted.tables("ReadThrottleEvents"), wanted.tables("WriteThrottleEvents"));
    let kinesis = wanted.kinesis();
    let each = sums.iter().chain(&highest).flatten();
    let all: Vec<Figure> = each.chain(&reads).chain(&writes).chain(&kinesis).cloned().collect();
    let processed: Vec<Figure> = wanted.own("RecordsProcessed").into_iter().collect();
    let (hour, fold, day, blocked) = futures::join!(
        read(client, &all, HOUR, PERIOD),
        fold::of(client, names),
        read(client, &processed, DAY, PERIOD),
        blocked_shard(client, &wanted, now)
    );
    let (hour, day) = (hour?, day?);

    let last_success = processed.first().and_then(|figure| day.last_above_zero(figure));
    // A period is named by its start, but the records may have come at its end.
    let last_success = last_success.and_then(|at| Timestamp::from_seconds(at + i64::from(PERIOD)));
    let of_all = |figures: &[Figure]| figures.iter().filter_map(|figure| hour.sum(figure)).reduce(|a, b| a + b);
    Ok(RecentMetrics {
        read_throttles: of_all(&reads),
        write_throttles: of_all(&writes),
        source_throttles: of_all(&kinesis),
        last_success: last_success.map(|at| at.min(now)),
        blocked: blocked?,
        fold: fold?,
        ..single(&hour, &sums, &highest)
    })
}

/// The metrics of the function and the mapping, in the order in which they were requested.
fn single(hour: &Figures, sums: &[Option<Figure>; 15], highest: &[Option<Figure>; 2]) -> RecentMetrics {
    let sum = |figure: &Option<Figure>| figure.as_ref().and_then(|figure| hour.sum(figure));
    let most = |figure: &Option<Figure>| figure.as_ref().and_then(|figure| hour.highest(figure));
    let [
        invocations,
        errors,
        throttles,
        destination_failures,
        polled,
        invoked,
        filtered_out,
        dropped,
        records,
        files,
        rejected,
        too_old,
        failed,
        not_durable,
        discarded,
    ] = sums.each_ref().map(sum);
    let [p99_duration_ms, iterator_age_ms] = highest.each_ref().map(most);
    RecentMetrics {
        invocations,
        errors,
        throttles,
        p99_duration_ms,
        iterator_age_ms,
        polled,
        invoked,
        filtered_out,
        dropped,
        destination_failures,
        rejected,
        too_old,
        files,
        records,
        // The same failures, counted by the mapping and by the function.
        failed_deliveries: [failed, not_durable].into_iter().flatten().reduce(f64::max),
        discarded,
        ..RecentMetrics::default()
    }
}

/// A shard that makes no progress now.
async fn blocked_shard(client: &Client, wanted: &Wanted<'_>, now: Timestamp) -> Fact<Option<BlockedShard>> {
    let Some(age) = wanted.function("IteratorAge", Statistic::Maximum) else { return Ok(None) };
    let failures = [
        wanted.mapping("FailedInvokeEventCount"),
        wanted.own("ProcessingErrors"),
        wanted.function("Errors", Statistic::Sum),
    ];
    let failures: Vec<Figure> = failures.into_iter().flatten().collect();
    let all: Vec<Figure> = failures.iter().chain([&age]).cloned().collect();
    let figures = read(client, &all, QUARTER, MINUTE).await?;
    let counted = failures.iter().find(|figure| figures.sum(figure) > Some(0.0));
    let failures = counted.map(|figure| figures.points(figure)).unwrap_or_default();
    Ok(blocked(&figures.points(&age), &failures, now.seconds()))
}

async fn read(client: &Client, figures: &[Figure], over: Duration, period: i32) -> Fact<Figures> {
    let read = Figures::read(client, figures, over, period).await;
    read.map_err(|error| {
        let text = format!("{error:#}");
        if text.contains("AccessDenied") {
            return Unavailable::Denied { action: "cloudwatch:GetMetricData" };
        }
        Unavailable::Failed(text)
    })
}

/// The age of a queue's oldest message in seconds, if CloudWatch knows one.
pub(super) async fn oldest_message(client: &Client, queue: &str) -> Option<f64> {
    let age = Figure::new("AWS/SQS", "ApproximateAgeOfOldestMessage", &[("QueueName", queue)], Statistic::Maximum);
    let read = read(client, std::slice::from_ref(&age), HOUR, PERIOD).await.ok()?;
    read.values(&age).last().copied()
}

/// How many metrics the function's namespace has.
pub(super) async fn own(client: &Client, namespace: &Option<String>) -> Fact<usize> {
    let namespace = named(namespace, "--metrics-namespace")?;
    let mut count = 0;
    let mut pages = client.list_metrics().namespace(namespace).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = seen("cloudwatch:ListMetrics", || Part::Other(format!("the metrics of {namespace}")), page)?;
        count += page.metrics().len();
    }
    Ok(count)
}
