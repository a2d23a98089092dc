//! The cost model of docs/cost.md and docs/performance.md: what batches use, and what that costs. Pure.

use super::prices::{PriceItem, Prices};
use crate::deployment::assume::MONTH_SECONDS;

/// A million.
pub const MILLION: f64 = 1e6;
const GB: f64 = 1e9;
/// A claim without ids: keys, version, expiry and attribute names.
const CLAIM_BYTES: f64 = 92.0;
/// An id in a claim.
const ID_BYTES: f64 = 8.0;
/// 1,000: the ids in a page of a claim, after which the next page begins.
const PAGE_IDS: f64 = 1_000.0;
/// A snapshot item with a few measures, including attribute names.
const SNAPSHOT_BYTES: f64 = 400.0;
/// 18: HORIZON_DAYS, after which claims expire.
const CLAIM_DAYS: f64 = 18.0;

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
    /// Invocations.
    pub requests: Option<f64>,
    /// GB-seconds of the function.
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

/// Units per counter and batch: a claim and its snapshots in one transaction, in which every write counts twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupUnits {
    /// Write units.
    pub write: f64,
    /// Read units.
    pub read: f64,
    /// The claim's part of the write units.
    pub claim: f64,
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
            files: 1.0,
            seconds: 0.2,
            memory_gb: 0.25,
            architecture: Architecture::Arm64,
            log_bytes: 2_000.0,
            row_bytes: 62.0,
            deltas: 1.0,
            puts_metrics: false,
        }
    }

    /// Records per counter in a batch.
    fn repeats(&self) -> f64 {
        if self.groups > 0.0 { self.batch / self.groups } else { 0.0 }
    }

    /// The units per counter and batch, with a claim of average size.
    pub fn group_units(&self) -> GroupUnits {
        if self.groups <= 0.0 {
            return GroupUnits { write: 0.0, read: 0.0, claim: 0.0 };
        }
        // Every batch within a minute adds to the same claim if its entity repeats. Records that arrive at once are one batch.
        let batches = (self.rate * 60.0 / self.batch).floor().clamp(1.0, 600.0);
        let (mut claim, mut read, mut batch) = (0.0, 0.0, 0.0);
        while batch < batches {
            let ids = |batches: f64| (batches * self.repeats()) % PAGE_IDS;
            let full = self.repeats() >= PAGE_IDS;
            let written = CLAIM_BYTES + ID_BYTES * if full { PAGE_IDS } else { ids(batch + 1.0) };
            claim += 2.0 * (written / 1_024.0).ceil();
            read += ((CLAIM_BYTES + ID_BYTES * ids(batch)) / 4_096.0).ceil().max(1.0);
            batch += 1.0;
        }
        let claim = claim / batches;
        GroupUnits { write: claim + 2.0 * self.windows, read: read / batches, claim }
    }

    /// Write units per million records.
    pub fn write_units(&self) -> f64 {
        MILLION / self.batch * self.groups * self.group_units().write
    }

    /// Usage and cost per million records.
    pub fn per_million(&self, prices: &Prices, measured: Option<&MeasuredTotals>) -> Vec<Line> {
        let batches = MILLION / self.batch;
        let units = self.group_units();
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
        let counters = batches * self.groups;
        let log_gb = |bytes: f64| bytes / GB;
        let mut lines = vec![
            line("write units", PriceItem::WriteUnit, counters * units.write, per_million(|totals| totals.write_units)),
            line("read units", PriceItem::ReadUnit, counters * units.read, per_million(|totals| totals.read_units)),
            line("requests", PriceItem::LambdaRequest, batches, per_million(|totals| totals.requests)),
            line(
                "GB-seconds",
                gb_second,
                batches * self.seconds * self.memory_gb,
                per_million(|totals| totals.gb_seconds),
            ),
            line("PUTs", PriceItem::Put, batches * self.files, per_million(|totals| totals.puts)),
            line(
                "log GB",
                PriceItem::LogGb,
                log_gb(batches * self.log_bytes),
                per_million(|totals| totals.log_bytes).map(log_gb),
            ),
        ];
        if self.puts_metrics {
            lines.push(line("PutMetricData calls", PriceItem::MetricCall, batches, None));
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
        let groups = records / self.batch * self.groups;
        let claims = groups * (CLAIM_BYTES + ID_BYTES * self.repeats().min(PAGE_IDS)) / GB;
        // A snapshot per hour, day and month for each entity of a batch: 720 + 30 + 1.
        let snapshots = self.groups * self.windows.min(1.0) * 751.0 * SNAPSHOT_BYTES / GB;
        let table = prices.of(PriceItem::TableGbMonth) + prices.of(PriceItem::RecoveryGbMonth);
        let line =
            |what, quantity: f64, price: f64| Line { what, quantity, dollars: quantity * price, measured: false };
        vec![
            line("archive GB", archive, prices.of(PriceItem::ArchiveGbMonth)),
            line("claims GB, kept 18 days", claims * (CLAIM_DAYS * 86_400.0 / MONTH_SECONDS).min(1.0), table),
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
    fn the_cost_of_a_claim_grows_with_the_batches_of_its_minute() {
        assert_eq!(load(1_000.0, 10.0).group_units(), GroupUnits { write: 8.0, read: 1.0, claim: 2.0 });
        // 1,000 ids are 8 KB.
        assert_eq!(load(1_000.0, 1.0).group_units().claim, 16.0);
        // Ten batches a minute, each adding 100: 1, 2, 3 … KB, and an empty page after 1,000.
        let busy = Load { rate: 1_000.0 * 10.0 / 60.0, ..load(1_000.0, 10.0) };
        let claim = busy.group_units().claim;
        assert!((7.0..11.0).contains(&claim), "{claim}");
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
