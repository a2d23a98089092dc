//! The metrics that the page shows of a stack: which they are. One GetMetricData request reads all of them.

use crate::stack::{Figure, Figures, Names, Statistic};

/// Who reports a metric. What the others report when nothing happens is 0, or nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporter {
    /// Lambda, always.
    Lambda,
    /// The event source mapping, if its EventCount metrics are on.
    Mapping,
    /// The function, unless METRICS_SINK is `none`.
    Function,
}

/// A metric of the page.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    /// Its name on the page and in `--json`.
    pub name: &'static str,
    pub reporter: Reporter,
    pub figure: Figure,
}

/// All metrics of a stack.
#[derive(Debug, Clone)]
pub(super) struct Metrics(Vec<Metric>);

/// Ages, of which the latest is shown and not the sum.
pub(super) const AGES: [&str; 3] = ["iterator_age_ms", "fold_age_ms", "fold_iterator_age_ms"];

impl Metrics {
    /// The metrics of a stack with these names.
    pub(super) fn of(names: &Names) -> Metrics {
        let mut metrics = Vec::new();
        let mut add = |name: &'static str, reporter, figure: Figure| metrics.push(Metric { name, reporter, figure });
        for (name, metric) in [
            ("polled", "PolledEventCount"),
            ("filtered_out", "FilteredOutEventCount"),
            ("delivered", "InvokedEventCount"),
            ("failed", "FailedInvokeEventCount"),
            ("dropped", "DroppedEventCount"),
            ("given_up", "OnFailureDestinationDeliveredEventCount"),
        ] {
            add(name, Reporter::Mapping, names.mapping_figure(metric));
        }
        for (name, metric) in [
            ("invocations", "Invocations"),
            ("errors", "Errors"),
            ("throttles", "Throttles"),
            ("destination_failures", "DestinationDeliveryFailures"),
        ] {
            add(name, Reporter::Lambda, names.function_figure(metric, Statistic::Sum));
        }
        add("iterator_age_ms", Reporter::Lambda, names.function_figure("IteratorAge", Statistic::Maximum));
        add("rejected", Reporter::Lambda, names.rejected_figure());
        for (name, metric) in
            [("processed", "RecordsProcessed"), ("not_durable", "ProcessingErrors"), ("files", "FilesWritten")]
        {
            add(name, Reporter::Function, names.own_figure(metric, Statistic::Sum));
        }
        if let Some(fold) = &names.fold_function {
            for (name, metric) in [
                ("pages", "PagesWritten"),
                ("snapshots", "SnapshotsUpdated"),
                ("notices", "NoticesFolded"),
                ("unsettled", "FoldErrors"),
                ("alerts", "AlertsSent"),
            ] {
                add(name, Reporter::Function, names.own_figure(metric, Statistic::Sum));
            }
            add("fold_age_ms", Reporter::Function, names.own_figure("FoldAge", Statistic::Maximum));
            for (name, metric) in [("folds", "Invocations"), ("failed_folds", "Errors")] {
                add(name, Reporter::Lambda, Figure::of_function(fold, metric, Statistic::Sum));
            }
            let age = Figure::of_function(fold, "IteratorAge", Statistic::Maximum);
            add("fold_iterator_age_ms", Reporter::Lambda, age);
        }
        if let Some(queue) = names.failure_queue.as_deref().and_then(|url| url.rsplit('/').next()) {
            let metric = "ApproximateNumberOfMessagesVisible";
            let figure = Figure::new("AWS/SQS", metric, &[("QueueName", queue)], Statistic::Maximum);
            add("queued", Reporter::Lambda, figure);
        }
        Metrics(metrics)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Metric> {
        self.0.iter()
    }

    /// What to read from CloudWatch.
    pub(super) fn figures(&self) -> Vec<Figure> {
        self.iter().map(|metric| metric.figure.clone()).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The values of one of them: the start of each period in seconds since the epoch, and the value.
    pub(super) fn points(&self, read: &Figures, name: &str) -> Vec<(i64, f64)> {
        let found = self.iter().find(|metric| metric.name == name);
        found.map(|metric| read.points(&metric.figure)).unwrap_or_default()
    }
}
