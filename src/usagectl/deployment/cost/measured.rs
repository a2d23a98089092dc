//! Reads what a deployment has used: CloudWatch's metrics over a period, and the function's configuration.

use std::time::Duration;

use anyhow::bail;

use super::fixed::Fixed;
use super::model::{Architecture, FOLD_MEMORY_GB, Load, MeasuredTotals, entities_of, groups_of};
use crate::stack::{Deployment, Figure, Figures, Place, Statistic};

/// The metrics that count recomputed targets of indicators.
pub(in crate::deployment) const TARGET_METRICS: [&str; 2] = ["IndicatorsWritten", "IndicatorsEqual"];

/// Metrics of the function and of AWS, summed over a period.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::deployment) struct Measured {
    pub records: f64,
    pub invocations: f64,
    pub snapshots: Option<f64>,
    pub files: Option<f64>,
    /// Targets of indicators that were recomputed.
    pub targets: Option<f64>,
    pub duration_ms: f64,
    /// The total length of the periods that had records.
    pub busy_seconds: f64,
    pub write_units: Option<f64>,
    pub read_units: Option<f64>,
    pub log_bytes: Option<f64>,
    /// What the fold function has used.
    pub fold: FoldTotals,
}

/// Metrics of the fold function, summed over the same period.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::deployment) struct FoldTotals {
    pub invocations: f64,
    pub duration_ms: f64,
    pub log_bytes: f64,
}

impl Measured {
    /// Reads them from CloudWatch.
    ///
    /// # Errors
    /// When CloudWatch can't be read, or has no records.
    pub(super) async fn read(deployment: &Deployment, span: Duration, period_seconds: i32) -> anyhow::Result<Measured> {
        let names = &deployment.names;
        let own = |metric| names.own_figure(metric, Statistic::Sum);
        let of_function = |metric| names.function_figure(metric, Statistic::Sum);
        let (counted, invoked) = (own("RecordsProcessed"), names.mapping_figure("InvokedEventCount"));
        let (snapshots, files) = (own("SnapshotsUpdated"), own("FilesWritten"));
        let targets = TARGET_METRICS.map(own);
        let (invocations, duration, logs) = (of_function("Invocations"), of_function("Duration"), names.log_figure());
        // If a table is also the source, most of its units are used by others.
        let of_tables = |metric| if names.counts_in_source() { Vec::new() } else { names.table_figures(metric) };
        let (writes, reads) = (of_tables("ConsumedWriteCapacityUnits"), of_tables("ConsumedReadCapacityUnits"));
        let one = [&counted, &invoked, &snapshots, &files, &invocations, &duration, &logs];
        let of_fold = |metric| {
            let function = names.fold_function.as_deref();
            function.map(|function| Figure::of_function(function, metric, Statistic::Sum))
        };
        let [folds, fold_duration] = ["Invocations", "Duration"].map(of_fold);
        let fold_logs = names.fold_log_figure();
        let fold = [&folds, &fold_duration, &fold_logs].into_iter().flatten();
        let tables = writes.iter().chain(&reads);
        let all: Vec<Figure> = one.into_iter().chain(fold).chain(tables).chain(&targets).cloned().collect();
        let figures = Figures::read(&deployment.cloudwatch(), &all, span, period_seconds).await?;
        let sum = |figure: &Figure| figures.sum(figure);
        let some = |figures: &[Figure]| figures.iter().filter_map(sum).reduce(|all, one| all + one);
        let records = sum(&counted).or_else(|| sum(&invoked)).unwrap_or_default();
        let times = sum(&invocations).unwrap_or_default();
        if records <= 0.0 || times <= 0.0 {
            let here = matches!(deployment.place, Place::Here(_));
            let remedy = if here {
                "run `usagectl local` with some load"
            } else {
                "specify a longer --span, or run `usagectl doctor`"
            };
            bail!("CloudWatch has no records of this deployment in this period: {remedy}, or use --assume alone");
        }
        let periods = figures.values(&invocations).iter().filter(|count| **count > 0.0).count();
        Ok(Measured {
            records,
            invocations: times,
            snapshots: sum(&snapshots),
            files: sum(&files),
            targets: some(&targets),
            duration_ms: sum(&duration).unwrap_or_default(),
            busy_seconds: f64::from(u32::try_from(periods).unwrap_or(u32::MAX)) * f64::from(period_seconds),
            write_units: some(&writes),
            read_units: some(&reads),
            log_bytes: sum(&logs),
            fold: FoldTotals {
                invocations: folds.as_ref().and_then(sum).unwrap_or_default(),
                duration_ms: fold_duration.as_ref().and_then(sum).unwrap_or_default(),
                log_bytes: fold_logs.as_ref().and_then(sum).unwrap_or_default(),
            },
        })
    }

    /// The load, with `defaults` where nothing was measured.
    pub(in crate::deployment) fn load(&self, defaults: &Load, memory_gb: f64, seconds_of_rate: f64) -> Load {
        let per_batch = |number: Option<f64>| number.map(|number| number / self.invocations);
        let batch = self.records / self.invocations;
        let indicators = match per_batch(self.targets) {
            Some(targets) if targets > 0.0 => defaults.indicators.of_batches(batch, targets),
            _ => defaults.indicators,
        };
        let counted = self.snapshots.filter(|_| defaults.windows > 0.0);
        let counted = counted.map(|snapshots| self.groups(snapshots / defaults.windows, defaults.fold_seconds));
        Load {
            rate: self.records / seconds_of_rate,
            batch,
            groups: counted.unwrap_or(defaults.groups).min(batch),
            files: per_batch(self.files).unwrap_or(defaults.files),
            seconds: self.duration_ms / 1_000.0 / self.invocations,
            memory_gb,
            log_bytes: per_batch(self.log_bytes).unwrap_or(defaults.log_bytes),
            indicators,
            ..defaults.clone()
        }
    }

    /// Counters per batch. A fold writes each snapshot of its notices once, so the number of counters that all folds wrote
    /// shows the number of entities.
    pub(in crate::deployment) fn groups(&self, counters: f64, fold_seconds: f64) -> f64 {
        let cycle = (fold_seconds + 1.0).max(self.busy_seconds / self.invocations);
        let folds = (self.busy_seconds / cycle).max(1.0);
        groups_of(self.records / self.invocations, entities_of(self.records / folds, counters / folds))
    }

    /// The totals, which replace those of the model.
    pub(super) fn totals(&self, memory_gb: f64, fold_memory_gb: f64) -> MeasuredTotals {
        let FoldTotals { invocations, duration_ms, log_bytes } = self.fold;
        let gb_seconds = self.duration_ms * memory_gb + duration_ms * fold_memory_gb;
        MeasuredTotals {
            records: self.records,
            write_units: self.write_units,
            read_units: self.read_units,
            requests: Some(self.invocations + invocations),
            gb_seconds: Some(gb_seconds / 1_000.0),
            puts: self.files,
            log_bytes: self.log_bytes.map(|bytes| bytes + log_bytes),
        }
    }
}

/// The configuration that cost depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    pub memory_gb: f64,
    pub fold_memory_gb: f64,
    pub architecture: Architecture,
    pub puts_metrics: bool,
    pub fixed: Fixed,
}

impl Settings {
    /// Reads it from Lambda, and from the stack's parameters.
    ///
    /// # Errors
    /// When the function or the stack can't be read.
    pub(super) async fn read(deployment: &Deployment, stack: Option<&str>) -> anyhow::Result<Option<Settings>> {
        let (Some(account), Some(function)) = (deployment.account(), &deployment.names.function) else {
            return Ok(None);
        };
        let parameters = match stack {
            Some(stack) => account.parameters(stack).await?,
            None => std::collections::BTreeMap::default(),
        };
        let found = account.function(function).await?;
        let is = |name: &str, value: &str| parameters.get(name).is_some_and(|given| given == value);
        let fold_memory_gb = match &deployment.names.fold_function {
            Some(function) => account.function(function).await?.memory_megabytes / 1_024.0,
            None => FOLD_MEMORY_GB,
        };
        let sink = found.variable("METRICS_SINK");
        Ok(Some(Settings {
            memory_gb: found.memory_megabytes / 1_024.0,
            fold_memory_gb,
            architecture: if found.arm64 { Architecture::Arm64 } else { Architecture::X86 },
            puts_metrics: sink == Some("cloudwatch"),
            // `replace` knows whether there are indicators.
            fixed: Fixed {
                indicator_metrics: false,
                alarms: !is("Alarms", "false"),
                own_metrics: sink != Some("none"),
                request_metrics: !is("S3RequestMetrics", "false"),
                own_key: parameters.get("KmsKeyArn").is_some_and(|key| !key.is_empty()),
            },
        }))
    }
}
