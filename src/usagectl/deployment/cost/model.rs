//! The cost model of docs/cost.md and docs/performance.md: what batches and folds use, and what that costs. Pure.

use super::indicators::IndicatorLoad;
use super::ledger::Counted;
use super::prices::{PriceItem, Prices};
use crate::deployment::assume::MONTH_SECONDS;

/// A million.
pub const MILLION: f64 = 1e6;
const THOUSANDS: f64 = 1e3;
const GB: f64 = 1e9;
/// A snapshot item with a few measures, including attribute names.
const SNAPSHOT_BYTES: f64 = 400.0;
/// 25: HORIZON_DAYS and a week, after which pages and states expire.
const LEDGER_DAYS: f64 = 25.0;
/// A record in a page, with its share of the page and of the states.
const LEDGER_BYTES: f64 = 14.0;
/// The sweeps invoke the fold function twice a minute.
const SWEEPS_PER_SECOND: f64 = 2.0 / 60.0;
/// What a fold or a sweep takes. An assumption, where nothing was measured.
const FOLD_SECONDS: f64 = 0.1;
/// 512 MB: FoldMemoryMegabytes.
pub const FOLD_MEMORY_GB: f64 = 0.5;

/// A load and how it is handled.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records per second.
    pub rate: f64,
    /// Records per batch.
    pub batch: f64,
    /// Counters per batch: distinct combinations of entity, resource and minute.
    pub groups: f64,
    /// Windows per counter.
    pub windows: f64,
    /// The fold window, FoldWindowSeconds.
    pub fold_seconds: f64,
    /// Archive files per batch.
    pub files: f64,
    /// Duration of an invocation.
    pub seconds: f64,
    /// Memory of the function.
    pub memory_gb: f64,
    /// Its processor.
    pub architecture: Architecture,
    /// Bytes logged per invocation.
    pub log_bytes: f64,
    /// Bytes per record in the archive.
    pub row_bytes: f64,
    /// Counters per record.
    pub deltas: f64,
    /// Whether metrics are sent with PutMetricData.
    pub puts_metrics: bool,
    /// The indicators.
    pub indicators: IndicatorLoad,
}

/// A processor architecture, which has a price per GB-second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// arm64
    Arm64,
    /// x86_64
    X86,
}

/// Measured totals, which replace those of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeasuredTotals {
    /// The records that the totals are for.
    pub records: f64,
    /// Write units of both tables.
    pub write_units: Option<f64>,
    /// Read units of both tables.
    pub read_units: Option<f64>,
    /// Invocations of both functions.
    pub requests: Option<f64>,
    /// GB-seconds of both functions.
    pub gb_seconds: Option<f64>,
    /// Files written to S3.
    pub puts: Option<f64>,
    /// Bytes logged.
    pub log_bytes: Option<f64>,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What is billed.
    pub what: &'static str,
    /// How much of it.
    pub quantity: f64,
    /// What it costs.
    pub dollars: f64,
    /// Whether the quantity was measured.
    pub measured: bool,
}

/// The expected counters of a batch whose records are drawn at random from this many entities.
pub fn groups_of(batch: f64, entities: f64) -> f64 {
    (entities * (1.0 - (1.0 - 1.0 / entities.max(1.0)).powf(batch))).clamp(1.0, batch.max(1.0))
}

/// The number of entities with which batches have this many counters: the inverse of [`groups_of`].
pub fn entities_of(batch: f64, groups: f64) -> f64 {
    // If nearly every record has its own counter, the number of entities is as good as unlimited.
    if groups >= batch * 0.999 {
        return (batch * batch).max(1.0);
    }
    let (mut low, mut high) = (groups.max(1.0), (batch * batch).max(2.0));
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if groups_of(batch, middle) < groups { low = middle } else { high = middle }
    }
    high
}

impl Load {
    /// The defaults: the template's parameters, and measurements of docs/performance.md.
    pub fn assumed(windows: f64) -> Load {
        Load {
            rate: 1e6 / 86_400.0,
            batch: 1_000.0,
            groups: 50.0,
            windows,
            fold_seconds: 30.0,
            files: 1.0,
            seconds: 0.2,
            memory_gb: 0.25,
            architecture: Architecture::Arm64,
            log_bytes: 2_000.0,
            row_bytes: 62.0,
            deltas: 1.0,
            puts_metrics: false,
            indicators: IndicatorLoad::NONE,
        }
    }

    /// What append and fold handle.
    pub fn counted(&self) -> Counted {
        let windows = if self.groups > 0.0 { self.windows } else { 0.0 };
        let entities = entities_of(self.batch, self.groups);
        Counted { rate: self.rate, batch: self.batch, entities, windows, fold_seconds: self.fold_seconds }
    }

    /// Write units per million records.
    pub fn write_units(&self) -> f64 {
        self.counted().units().writes() * THOUSANDS
    }

    /// Invocations of the fold function per million records: folds and sweeps.
    fn folds(&self) -> f64 {
        if self.groups <= 0.0 || self.windows <= 0.0 {
            return 0.0;
        }
        let folds = self.rate / self.batch;
        (folds.min(1.0 / (self.fold_seconds + 1.0)) + SWEEPS_PER_SECOND) / self.rate * MILLION
    }

    /// Usage and cost per million records.
    pub fn per_million(&self, prices: &Prices, measured: Option<&MeasuredTotals>) -> Vec<Line> {
        let batches = MILLION / self.batch;
        let (units, folds) = (self.counted().units(), self.folds());
        let gb_second = match self.architecture {
            Architecture::Arm64 => PriceItem::GbSecondArm,
            Architecture::X86 => PriceItem::GbSecondX86,
        };
        let per_million = |of: fn(&MeasuredTotals) -> Option<f64>| {
            measured.and_then(|totals| Some(of(totals)? / totals.records * MILLION))
        };
        let line = |what, item, model: f64, measured: Option<f64>| {
            let quantity = measured.unwrap_or(model);
            Line { what, quantity, dollars: quantity * prices.of(item), measured: measured.is_some() }
        };
        let log_gb = |bytes: f64| bytes / GB;
        let mut lines = vec![
            line(
                "write units",
                PriceItem::WriteUnit,
                units.writes() * THOUSANDS,
                per_million(|totals| totals.write_units),
            ),
            line("read units", PriceItem::ReadUnit, units.reads * THOUSANDS, per_million(|totals| totals.read_units)),
            line("requests", PriceItem::LambdaRequest, batches + folds, per_million(|totals| totals.requests)),
            line(
                "GB-seconds",
                gb_second,
                batches * self.seconds * self.memory_gb + folds * FOLD_SECONDS * FOLD_MEMORY_GB,
                per_million(|totals| totals.gb_seconds),
            ),
            line("PUTs", PriceItem::Put, batches * self.files, per_million(|totals| totals.puts)),
            line(
                "log GB",
                PriceItem::LogGb,
                log_gb((batches + folds) * self.log_bytes),
                per_million(|totals| totals.log_bytes).map(log_gb),
            ),
        ];
        if self.puts_metrics {
            lines.push(line("PutMetricData calls", PriceItem::MetricCall, batches + folds, None));
        }
        if self.indicators.targets > 0.0 {
            let (reads, writes) = (self.indicators.read_units(self.batch), self.indicators.write_units(self.batch));
            lines.push(line("indicator read units", PriceItem::ReadUnit, batches * reads, None));
            lines.push(line("indicator write units", PriceItem::WriteUnit, batches * writes, None));
        }
        lines
    }

    /// Records per month.
    pub fn records_per_month(&self) -> f64 {
        self.rate * MONTH_SECONDS
    }

    /// The storage that a month adds, and what it costs per month.
    pub fn growth(&self, prices: &Prices) -> Vec<Line> {
        let records = self.records_per_month();
        let archive = records * self.row_bytes / GB;
        let counted = if self.groups > 0.0 { records } else { 0.0 };
        let ledger = counted * LEDGER_BYTES / GB;
        // A snapshot per hour, day and month for each entity of a batch: 720 + 30 + 1.
        let snapshots = self.groups * self.windows.min(1.0) * 751.0 * SNAPSHOT_BYTES / GB;
        let table = prices.of(PriceItem::TableGbMonth) + prices.of(PriceItem::RecoveryGbMonth);
        let line =
            |what, quantity: f64, price: f64| Line { what, quantity, dollars: quantity * price, measured: false };
        vec![
            line("archive GB", archive, prices.of(PriceItem::ArchiveGbMonth)),
            line("ledger GB, kept 25 days", ledger * (LEDGER_DAYS * 86_400.0 / MONTH_SECONDS).min(1.0), table),
            line("snapshots GB, entities of one batch", snapshots, table),
        ]
    }

    /// Write units of one UpdateItem per counter and window, which doesn't count exactly once.
    pub fn naive_write_units(&self) -> f64 {
        MILLION * self.deltas * self.windows
    }
}

/// The total cost of some lines.
pub fn total(lines: &[Line]) -> f64 {
    lines.iter().map(|line| line.dollars).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(batch: f64, groups: f64) -> Load {
        Load { rate: 1.0, batch, groups, ..Load::assumed(3.0) }
    }

    #[test]
    fn counters_per_batch_and_entities_are_inverse() {
        assert!((groups_of(1_000.0, 50.0) - 50.0).abs() < 1e-6);
        assert!((groups_of(1_000.0, 1_000.0) - 632.3).abs() < 0.1);
        assert_eq!(groups_of(1.0, 5.0), 1.0);
        for entities in [1.0, 30.0, 700.0, 5_000.0] {
            let back = entities_of(1_000.0, groups_of(1_000.0, entities));
            assert!((back / entities - 1.0).abs() < 0.02, "{entities}: {back}");
        }
        assert!(entities_of(10.0, 10.0) >= 100.0);
    }

    #[test]
    fn a_pipeline_that_only_archives_uses_no_write_units() {
        let prices = Prices::read(None).unwrap();
        let load = Load { windows: 0.0, ..load(1_000.0, 0.0) };
        let dollars: Vec<f64> = load.per_million(&prices, None).iter().map(|line| line.dollars).collect();
        assert_eq!(&dollars[..2], [0.0, 0.0]);
        assert!(total(&load.growth(&prices)).is_finite() && load.naive_write_units() == 0.0);
    }

    #[test]
    fn measured_totals_replace_the_model() {
        let prices = Prices::read(None).unwrap();
        let totals = MeasuredTotals { records: 500.0, write_units: Some(4_000.0), ..MeasuredTotals::default() };
        let lines = load(1_000.0, 10.0).per_million(&prices, Some(&totals));
        assert_eq!((lines[0].quantity, lines[0].measured, lines[2].measured), (8e6, true, false));
        assert_eq!(load(1_000.0, 10.0).naive_write_units(), 3e6);
    }
}
