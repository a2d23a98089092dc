//! Reads how a deployment is configured, from Lambda, and what its load is, from CloudWatch.

use std::time::Duration;

use anyhow::Context;
use usage_aggregator::config::Freshness;

use super::fold::FoldFigures;
use super::model::{Failures, Load, Observed};
use super::settings::{DEFAULTS, Settings};
use crate::deployment::cost::measured::{Measured, TARGET_METRICS};
use crate::deployment::cost::model as cost;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;
use crate::shell::running::{Running, RunningMapping};
use crate::stack::{Access, Account, Deployment, Figure, Figures, Place, Statistic, blocked, failing_now};

/// 60 s: the rate is that of the busiest minute. CloudWatch keeps periods of 1 minute for 15 days, and of 5 minutes for 63.
const PERIOD: i32 = 60;
const LONG_PERIOD: i32 = 300;
const DAYS_OF_MINUTES: Duration = Duration::from_hours(15 * 24);

/// The settings of a deployment.
///
/// # Errors
/// When its configuration can't be read.
pub(in crate::deployment) async fn settings(deployment: &Deployment, options: &Options) -> anyhow::Result<Settings> {
    match &deployment.place {
        Place::Account(account) => of_account(account, deployment).await,
        Place::Here(_) => {
            let running = Running::read(&options.data);
            let fold_window = running.as_ref().and_then(fold_window_of_run);
            let mapping = running
                .and_then(|running| running.mapping)
                .context("no `usagectl local` is running with this data folder; start one, or use --what-if alone")?;
            of_run(&mapping, fold_window, deployment.variables(options, Access::Read).await?)
        }
    }
}

fn of_run(running: &RunningMapping, fold_window: Option<u64>, variables: Variables) -> anyhow::Result<Settings> {
    let config = variables.with_metrics_sink("none").config()?;
    Ok(Settings {
        batch_size: float(running.batch_size),
        window_seconds: seconds(running.batching_window_seconds)?,
        factor: float(running.parallelization_factor),
        memory_megabytes: None,
        reserved: None,
        timeout_seconds: seconds(running.timeout_seconds)?,
        commits: float(config.concurrency),
        fold_window_seconds: fold_window.map(seconds).transpose()?,
        folds_at_once: config.tables.is_some_and(|tables| tables.freshness == Freshness::Now),
    })
}

async fn of_account(account: &Account, deployment: &Deployment) -> anyhow::Result<Settings> {
    let function = crate::stack::Names::need(&deployment.names.function, "--function")?;
    let uuid = crate::stack::Names::need(&deployment.names.mapping, "--mapping")?;
    let found = account.function(function).await?;
    let lambda = account.lambda();
    let mapping = lambda.get_event_source_mapping().uuid(uuid).send().await;
    let mapping = mapping.with_context(|| format!("read the mapping {uuid} (lambda:GetEventSourceMapping)"))?;
    // All versions share it.
    let whole = crate::stack::FunctionName::parse(function).unqualified;
    let reserved = lambda.get_function_concurrency().function_name(whole).send().await;
    let reserved =
        reserved.with_context(|| format!("read the concurrency of {function} (lambda:GetFunctionConcurrency)"))?;
    let commits = found.variable("CONCURRENCY").and_then(|text| text.parse().ok());
    let folds_at_once = found.variable("FRESHNESS") == Some("now");
    Ok(Settings {
        fold_window_seconds: fold_window_of_account(account, deployment).await?,
        folds_at_once,
        batch_size: mapping.batch_size().unwrap_or(100).into(),
        window_seconds: mapping.maximum_batching_window_in_seconds().unwrap_or(0).into(),
        factor: mapping.parallelization_factor().unwrap_or(1).into(),
        memory_megabytes: Some(found.memory_megabytes),
        reserved: reserved.reserved_concurrent_executions().map(f64::from),
        timeout_seconds: found.timeout_seconds,
        commits: commits.unwrap_or(DEFAULTS.commits),
    })
}

/// FoldWindowSeconds of a deployment: the window of the mapping of the ledger's stream. `None` if there is no such mapping, or
/// its name isn't known.
///
/// # Errors
/// When the mapping can't be read.
pub(in crate::deployment) async fn fold_window(
    deployment: &Deployment,
    options: &Options,
) -> anyhow::Result<Option<f64>> {
    match &deployment.place {
        Place::Account(account) => fold_window_of_account(account, deployment).await,
        Place::Here(_) => Running::read(&options.data).as_ref().and_then(fold_window_of_run).map(seconds).transpose(),
    }
}

async fn fold_window_of_account(account: &Account, deployment: &Deployment) -> anyhow::Result<Option<f64>> {
    let Some(uuid) = &deployment.names.ledger_mapping else { return Ok(None) };
    let mapping = account.lambda().get_event_source_mapping().uuid(uuid).send().await;
    let mapping = mapping.with_context(|| format!("read the mapping {uuid} (lambda:GetEventSourceMapping)"))?;
    Ok(Some(mapping.maximum_batching_window_in_seconds().unwrap_or(0).into()))
}

fn fold_window_of_run(running: &Running) -> Option<u64> {
    running.fold.as_ref().map(|fold| fold.batching_window_seconds)
}

/// The metrics to read.
struct Metrics {
    records: Figure,
    polled: Figure,
    snapshots: Figure,
    files: Figure,
    invocations: Figure,
    duration: Figure,
    duration_p99: Figure,
    age: Figure,
    throttles: Figure,
    errors: Figure,
    failed: [Figure; 2],
    /// Counted from the log, which a local run doesn't have.
    rejected: Option<Figure>,
    discarded: Figure,
    concurrency: Figure,
    table_throttles: Vec<Figure>,
    fold: Option<FoldFigures>,
    /// Targets of indicators that were recomputed.
    targets: [Figure; 2],
    /// Bytes and records read from the source.
    source: Option<[Figure; 2]>,
}

impl Metrics {
    fn new(deployment: &Deployment) -> Metrics {
        let names = &deployment.names;
        let own = |metric| names.own_figure(metric, Statistic::Sum);
        let of = |metric, statistic| names.function_figure(metric, statistic);
        Metrics {
            records: own("RecordsProcessed"),
            polled: names.mapping_figure("InvokedEventCount"),
            snapshots: own("SnapshotsUpdated"),
            files: own("FilesWritten"),
            invocations: of("Invocations", Statistic::Sum),
            duration: of("Duration", Statistic::Sum),
            duration_p99: of("Duration", Statistic::P99),
            age: of("IteratorAge", Statistic::Maximum),
            throttles: of("Throttles", Statistic::Sum),
            errors: of("Errors", Statistic::Sum),
            failed: names.failure_figures(),
            rejected: deployment.account().map(|_| names.rejected_figure()),
            discarded: names.mapping_figure("OnFailureDestinationDeliveredEventCount"),
            concurrency: of("ConcurrentExecutions", Statistic::Maximum),
            table_throttles: names.table_figures("WriteThrottleEvents"),
            fold: FoldFigures::new(names),
            targets: TARGET_METRICS.map(own),
            source: names.source_figures(),
        }
    }

    fn all(&self) -> Vec<Figure> {
        let one = [
            &self.records,
            &self.polled,
            &self.snapshots,
            &self.files,
            &self.invocations,
            &self.duration,
            &self.duration_p99,
            &self.age,
            &self.throttles,
            &self.errors,
            &self.discarded,
            &self.concurrency,
        ];
        one.into_iter()
            .chain(&self.failed)
            .chain(&self.table_throttles)
            .chain(self.fold.iter().flat_map(FoldFigures::all))
            .chain(&self.targets)
            .chain(self.source.iter().flatten())
            .cloned()
            .collect()
    }
}

/// The load of a deployment over a period, with `load` where nothing was measured.
///
/// # Errors
/// When CloudWatch can't be read, or has no records.
pub(super) async fn load(
    deployment: &Deployment,
    span: Duration,
    load: Load,
    settings: &Settings,
) -> anyhow::Result<Load> {
    let metrics = Metrics::new(deployment);
    let period = if span <= DAYS_OF_MINUTES { PERIOD } else { LONG_PERIOD };
    let figures = Figures::read(&deployment.cloudwatch(), &metrics.all(), span, period).await?;
    let fold_window = settings.fold_window_seconds.unwrap_or(cost::Load::assumed(load.windows).fold_seconds);
    let read = Read { figures: &figures, metrics: &metrics, period, fold_window };
    let observed = load_of(&read, &load, event_source_mapping::now()?.seconds());
    observed.context(
        "CloudWatch has no records of this deployment in this period: specify a longer --span, or use --what-if alone",
    )
}

/// What was read of CloudWatch, and in which periods.
struct Read<'r> {
    figures: &'r Figures,
    metrics: &'r Metrics,
    period: i32,
    fold_window: f64,
}

fn load_of(read: &Read<'_>, load: &Load, now: i64) -> Option<Load> {
    let Read { figures, metrics, period, fold_window } = *read;
    let sum = |figure: &Figure| figures.sum(figure).filter(|sum| *sum > 0.0);
    let counted = [&metrics.records, &metrics.polled].into_iter().find(|figure| sum(figure).is_some())?;
    let (records, invocations) = (sum(counted)?, sum(&metrics.invocations)?);
    let batch = records / invocations;
    let periods = figures.values(&metrics.invocations).iter().filter(|count| **count > 0.0).count();
    let busy_seconds = float(periods) * f64::from(period);
    let measured = Measured { records, invocations, busy_seconds, ..Measured::default() };
    let groups = sum(&metrics.snapshots).map(|snapshots| measured.groups(snapshots / load.windows, fold_window));
    let groups = groups.unwrap_or_else(|| load.groups(batch)).clamp(1.0, batch.max(1.0));
    let milliseconds = |number: f64| number / 1_000.0;
    let observed = Observed {
        batch,
        groups,
        seconds: milliseconds(sum(&metrics.duration)?) / invocations,
        p99_seconds: figures.highest(&metrics.duration_p99).map(milliseconds),
        age_seconds: figures.highest(&metrics.age).map(milliseconds).unwrap_or_default(),
        throttles: sum(&metrics.throttles).unwrap_or_default(),
        table_throttles: metrics.table_throttles.iter().filter_map(|figure| figures.sum(figure)).sum(),
        concurrency: figures.highest(&metrics.concurrency).unwrap_or_default(),
        failures: failures(figures, metrics, now),
        fold: metrics.fold.as_ref().map(|fold| fold.health(figures, now)).unwrap_or_default(),
    };
    let size = metrics.source.as_ref().and_then(|[bytes, count]| Some(sum(bytes)? / sum(count)?));
    Some(Load {
        record_bytes: size.unwrap_or(load.record_bytes),
        rate: figures.highest(counted)? / f64::from(period),
        entities: observed.entities(),
        files: sum(&metrics.files).map_or(load.files, |files| files / invocations),
        indicators: match metrics.targets.iter().filter_map(sum).sum::<f64>() {
            targets if targets > 0.0 => load.indicators.of_batches(batch, targets / invocations),
            _ => load.indicators,
        },
        observed: Some(observed),
        ..load.clone()
    })
}

fn failures(figures: &Figures, metrics: &Metrics, now: i64) -> Failures {
    let sum = |figure: &Figure| figures.sum(figure).unwrap_or_default();
    // The same failures, counted by the mapping or by the function. Errors stand in for both if neither counts.
    let mut counts = metrics.failed.iter().chain([&metrics.errors]);
    let counted = counts.find(|figure| sum(figure) > 0.0).unwrap_or(&metrics.errors);
    let points = figures.points(counted);
    Failures {
        errors: sum(&metrics.errors),
        deliveries: metrics.failed.iter().map(sum).fold(0.0, f64::max),
        deliveries_now: failing_now(&points, now),
        rejected: metrics.rejected.as_ref().map(sum),
        discarded: sum(&metrics.discarded),
        blocked: blocked(&figures.points(&metrics.age), &points, now),
    }
}

fn seconds(seconds: u64) -> anyhow::Result<f64> {
    Ok(float(usize::try_from(seconds)?))
}

/// Settings and shards are far below u32::MAX.
pub(super) fn float(number: usize) -> f64 {
    u32::try_from(number).unwrap_or(u32::MAX).into()
}
