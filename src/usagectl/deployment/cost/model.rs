//! The cost model of docs/cost.md and docs/performance.md: what batches of a kind use, and what that costs. Pure.

use super::prices::{Item, Prices};
use crate::deployment::assume::MONTH_SECONDS;

/// What is billed per million.
pub const MILLION: f64 = 1e6;
const GB: f64 = 1e9;
/// A claim without its ids: keys, version, expiry and the names of the attributes.
const CLAIM_BYTES: f64 = 92.0;
/// An id in a claim.
const ID_BYTES: f64 = 8.0;
/// 1,000 ids fill a page of a claim; the next ones begin another.
const PAGE_IDS: f64 = 1_000.0;
/// A snapshot item of some measures, with its names.
const SNAPSHOT_BYTES: f64 = 400.0;
/// How long a claim is kept: the horizon.
const CLAIM_DAYS: f64 = 18.0;

/// A load and how it is handled.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records a second.
    pub rate: f64,
    /// Records of an invocation.
    pub batch: f64,
    /// Counters of a batch: distinct entity, resource and minute.
    pub groups: f64,
    /// Windows of each counter.
    pub windows: f64,
    /// Archive files of a batch.
    pub files: f64,
    /// Seconds of an invocation.
    pub seconds: f64,
    pub memory_gb: f64,
    pub architecture: Architecture,
    /// Bytes that an invocation logs.
    pub log_bytes: f64,
    /// Bytes that a record takes in the archive.
    pub row_bytes: f64,
    /// Counters that a record adds to.
    pub deltas: f64,
    /// Whether own metrics go by PutMetricData.
    pub puts_metrics: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    Arm64,
    X86,
}

/// What was seen in place of what the model says, for as many records.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    pub records: f64,
    pub write_units: Option<f64>,
    pub read_units: Option<f64>,
    pub requests: Option<f64>,
    pub gb_seconds: Option<f64>,
    pub puts: Option<f64>,
    pub log_bytes: Option<f64>,
}

/// One line of a bill.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub what: &'static str,
    pub quantity: f64,
    pub dollars: f64,
    pub measured: bool,
}

/// Write and read units of a group: its claim and its snapshots in one transaction, which counts every write twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupUnits {
    pub write: f64,
    pub read: f64,
    /// The claim's part of the writes.
    pub claim: f64,
}

/// The counters of batches whose records are drawn from so many entities at random.
pub fn groups_of(batch: f64, entities: f64) -> f64 {
    (entities * (1.0 - (1.0 - 1.0 / entities.max(1.0)).powf(batch))).clamp(1.0, batch.max(1.0))
}

/// The entities from which batches have so many counters: the other way round.
pub fn entities_of(batch: f64, groups: f64) -> f64 {
    // Nearly every record another one: as good as no end of them.
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
    /// What is taken where nothing else is known: the template's defaults, and what docs/performance.md measured.
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

    /// Records of a group in a batch.
    fn repeats(&self) -> f64 {
        if self.groups > 0.0 { self.batch / self.groups } else { 0.0 }
    }

    /// The units of a group, its claim as large as the minute makes it on average.
    pub fn group_units(&self) -> GroupUnits {
        if self.groups <= 0.0 {
            return GroupUnits { write: 0.0, read: 0.0, claim: 0.0 };
        }
        // Every batch of the minute adds to the same claim, as long as entities come again. What comes at once is one batch.
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

    /// Write units of a million records.
    pub fn write_units(&self) -> f64 {
        MILLION / self.batch * self.groups * self.group_units().write
    }

    /// What a million records use and cost.
    pub fn per_million(&self, prices: &Prices, seen: Option<&Seen>) -> Vec<Line> {
        let batches = MILLION / self.batch;
        let units = self.group_units();
        let gb_second = match self.architecture {
            Architecture::Arm64 => Item::GbSecondArm,
            Architecture::X86 => Item::GbSecondX86,
        };
        let per_million = |of: fn(&Seen) -> Option<f64>| seen.and_then(|seen| Some(of(seen)? / seen.records * MILLION));
        let line = |what, item, model: f64, measured: Option<f64>| {
            let quantity = measured.unwrap_or(model);
            Line { what, quantity, dollars: quantity * prices.of(item), measured: measured.is_some() }
        };
        let counters = batches * self.groups;
        let log_gb = |bytes: f64| bytes / GB;
        let mut lines = vec![
            line("write units", Item::WriteUnit, counters * units.write, per_million(|seen| seen.write_units)),
            line("read units", Item::ReadUnit, counters * units.read, per_million(|seen| seen.read_units)),
            line("requests", Item::LambdaRequest, batches, per_million(|seen| seen.requests)),
            line("GB-seconds", gb_second, batches * self.seconds * self.memory_gb, per_million(|seen| seen.gb_seconds)),
            line("PUTs", Item::Put, batches * self.files, per_million(|seen| seen.puts)),
            line(
                "log GB",
                Item::LogGb,
                log_gb(batches * self.log_bytes),
                per_million(|seen| seen.log_bytes).map(log_gb),
            ),
        ];
        if self.puts_metrics {
            lines.push(line("PutMetricData calls", Item::MetricCall, batches, None));
        }
        lines
    }

    /// Records of a month.
    pub fn records_per_month(&self) -> f64 {
        self.rate * MONTH_SECONDS
    }

    /// What a month adds to what is stored, and what the added part costs for a month.
    pub fn growth(&self, prices: &Prices) -> Vec<Line> {
        let records = self.records_per_month();
        let archive = records * self.row_bytes / GB;
        let groups = records / self.batch * self.groups;
        let claims = groups * (CLAIM_BYTES + ID_BYTES * self.repeats().min(PAGE_IDS)) / GB;
        // Each of a batch's entities in every hour, day and month.
        let snapshots = self.groups * self.windows.min(1.0) * 751.0 * SNAPSHOT_BYTES / GB;
        let table = prices.of(Item::TableGbMonth) + prices.of(Item::RecoveryGbMonth);
        let line =
            |what, quantity: f64, price: f64| Line { what, quantity, dollars: quantity * price, measured: false };
        vec![
            line("archive GB", archive, prices.of(Item::ArchiveGbMonth)),
            line("claims GB, kept 18 days", claims * (CLAIM_DAYS * 86_400.0 / MONTH_SECONDS).min(1.0), table),
            line("snapshots GB, of a batch's entities", snapshots, table),
        ]
    }

    /// One UpdateItem for each delta and window, which counts nothing once.
    pub fn naive_write_units(&self) -> f64 {
        MILLION * self.deltas * self.windows
    }
}

/// The dollars of all lines.
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
    fn a_claim_costs_by_what_the_minute_has_put_into_it() {
        assert_eq!(load(1_000.0, 10.0).group_units(), GroupUnits { write: 8.0, read: 1.0, claim: 2.0 });
        // 1,000 ids are 8 KB.
        assert_eq!(load(1_000.0, 1.0).group_units().claim, 16.0);
        // Ten batches a minute, each adding 100: 1, 2, 3 … KB, and an empty page after 1,000.
        let busy = Load { rate: 1_000.0 * 10.0 / 60.0, ..load(1_000.0, 10.0) };
        let claim = busy.group_units().claim;
        assert!((7.0..11.0).contains(&claim), "{claim}");
    }

    #[test]
    fn counters_of_a_batch_follow_from_entities_and_back() {
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
    fn a_pipeline_that_only_archives_writes_no_units() {
        let prices = Prices::read(None).unwrap();
        let load = Load { windows: 0.0, ..load(1_000.0, 0.0) };
        let dollars: Vec<f64> = load.per_million(&prices, None).iter().map(|line| line.dollars).collect();
        assert_eq!(&dollars[..2], [0.0, 0.0]);
        assert!(total(&load.growth(&prices)).is_finite() && load.naive_write_units() == 0.0);
    }

    #[test]
    fn what_was_seen_goes_before_the_model() {
        let prices = Prices::read(None).unwrap();
        let seen = Seen { records: 500.0, write_units: Some(4_000.0), ..Seen::default() };
        let lines = load(1_000.0, 10.0).per_million(&prices, Some(&seen));
        assert_eq!((lines[0].quantity, lines[0].measured, lines[2].measured), (8e6, true, false));
        assert_eq!(load(1_000.0, 10.0).naive_write_units(), 3e6);
    }
}
