//! Predicts how a load behaves under some settings: batches, their duration and cost, and the throughput. Pure. The constants
//! are from docs/performance.md; measurements of the deployment replace them.

use super::fold::FoldHealth;
use super::settings::Settings;
use crate::deployment::arrivals::{Arrivals, Batching};
use crate::deployment::cost::indicators::IndicatorLoad;
use crate::deployment::cost::model::{self as cost, entities_of, groups_of};
use crate::deployment::cost::prices::Prices;
use crate::stack::BlockedShard;

/// The handler's CPU time per record and per 1,000 bytes, on a full core (6.6 µs for a bucket of 2,193 bytes, 12.1 µs for a
/// demand-kinesis record of 3,049, 4.0 µs for a racer of 573).
const SECONDS_PER_RECORD: f64 = 2.8e-6;
const SECONDS_PER_KB: f64 = 2.4e-6;
/// 1,769 MB: the memory that comes with one full core. The function doesn't use a second one.
const CORE_MEGABYTES: f64 = 1_769.0;
/// Writing pages and files, all at once. An assumption, where nothing was measured.
const PUT_SECONDS: f64 = 0.03;
/// What one request of a fold or of a recomputation takes. An assumption, where nothing was measured.
const REQUEST_SECONDS: f64 = 0.005;
/// 8: a fold reads and writes minute, hour, day and month, one after the other.
const FOLD_ROUNDS: f64 = 8.0;
/// The ledger's stream delivers a page within about a second.
const STREAM_SECONDS: f64 = 1.0;
/// 2: a batch is in one or two minutes, each of which has a page.
const PAGES: f64 = 2.0;
/// A target is read, its items are read, and it is written, one after the other.
const TARGET_REQUESTS: f64 = 3.0;
/// 6 MB: Lambda's payload limit.
pub const EVENT_BYTES: f64 = 6e6;
/// 1,000: the write units per second that DynamoDB allows for one partition.
pub const PARTITION_UNITS: f64 = 1_000.0;
/// 3,000: the read units per second that DynamoDB allows for one partition.
pub const PARTITION_READ_UNITS: f64 = 3_000.0;

/// A load.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records per second in the busiest minute.
    pub rate: f64,
    /// Combinations of entity and resource.
    pub entities: f64,
    /// Windows per counter.
    pub windows: f64,
    /// Bytes per record in an event.
    pub record_bytes: f64,
    /// Open shards of the stream.
    pub shards: f64,
    /// Archive files per batch.
    pub files: f64,
    /// Seconds between polls of a quiet shard.
    pub poll_seconds: f64,
    /// The highest latency that is acceptable.
    pub goal: Option<f64>,
    /// The longest time from a change to its snapshots that is acceptable.
    pub freshness: Option<f64>,
    /// The indicators.
    pub indicators: IndicatorLoad,
    /// What was measured, if anything.
    pub observed: Option<Observed>,
}

/// What was measured of a deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Records per batch.
    pub batch: f64,
    /// Counters per batch.
    pub groups: f64,
    /// The average duration of an invocation.
    pub seconds: f64,
    /// The p99 duration of an invocation.
    pub p99_seconds: Option<f64>,
    /// The highest iterator age.
    pub age_seconds: f64,
    /// Throttled invocations.
    pub throttles: f64,
    /// Throttled writes to the tables.
    pub table_throttles: f64,
    /// The most invocations at once.
    pub concurrency: f64,
    /// What failed.
    pub failures: Failures,
    /// Whether the fold keeps up.
    pub fold: FoldHealth,
}

/// What failed in the measured time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Failures {
    /// Invocations that failed as a whole.
    pub errors: f64,
    /// Records of deliveries that failed as a whole or in part.
    pub deliveries: f64,
    /// The same in the last 15 minutes.
    pub deliveries_now: f64,
    /// Rejected records; `None` where they aren't counted, in a local run.
    pub rejected: Option<f64>,
    /// Records that were discarded to the failure destination.
    pub discarded: f64,
    /// A shard that makes no progress.
    pub blocked: Option<BlockedShard>,
}

impl Failures {
    /// Whether any invocation failed, as a whole or in part.
    pub fn any(&self) -> bool {
        self.errors > 0.0 || self.deliveries > 0.0
    }

    /// Whether a batch is failing now. More concurrency doesn't help it: its shard waits for it.
    pub fn is_failing_now(&self) -> bool {
        self.deliveries_now > 0.0 || self.blocked.is_some()
    }
}

/// How a load behaves under some settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Records per batch.
    pub batch: f64,
    /// Counters per batch.
    pub groups: f64,
    /// The duration of an invocation.
    pub seconds: f64,
    /// The CPU time of an invocation.
    pub working_seconds: f64,
    /// The longest time from a change to its acknowledgment, if there is no backlog.
    pub latency: f64,
    /// The duration of a fold.
    pub fold_seconds: f64,
    /// The longest time from a change to its snapshots, if there is no backlog.
    pub freshness: f64,
    /// The most records per second.
    pub capacity: f64,
    /// Write units per million records.
    pub write_units: f64,
    /// Cost per million records.
    pub dollars: f64,
    /// Write units per second of the pages, which one partition takes for each bucket.
    pub page_units: f64,
    /// Targets of indicators that a batch recomputes.
    pub targets: f64,
    /// Read units of indicators per million records.
    pub indicator_read_units: f64,
    /// Read units per second of one target and its items, which one partition takes.
    pub target_units: f64,
}

impl Load {
    /// The load where nothing was measured or assumed.
    pub fn assumed(windows: f64) -> Load {
        Load {
            rate: 100.0,
            entities: 200.0,
            windows,
            record_bytes: 700.0,
            shards: 1.0,
            files: 1.0,
            poll_seconds: 0.25,
            goal: None,
            freshness: None,
            indicators: IndicatorLoad::NONE,
            observed: None,
        }
    }

    /// Counters per batch.
    pub fn groups(&self, batch: f64) -> f64 {
        groups_of(batch, self.entities)
    }

    /// The pages and files of a batch.
    pub fn writes(&self) -> f64 {
        PAGES + self.files
    }

    /// The CPU time of a batch.
    pub fn working_seconds(&self, batch: f64, memory: Option<f64>) -> f64 {
        let core = memory.map_or(1.0, |megabytes| (megabytes / CORE_MEGABYTES).min(1.0));
        batch * (SECONDS_PER_RECORD + self.record_bytes / 1_000.0 * SECONDS_PER_KB) / core
    }

    /// How the records arrive under some settings.
    pub fn arrivals(&self, settings: &Settings) -> Arrivals {
        Arrivals {
            rate: self.rate,
            lanes: self.lanes(settings).max(1.0),
            largest: self.largest_batch(settings),
            window_seconds: settings.window_seconds,
            poll_seconds: self.poll_seconds,
        }
    }

    /// The duration of an invocation.
    pub fn seconds(&self, batch: f64, settings: &Settings, now: &Settings) -> f64 {
        let rounds = (self.writes() / settings.commits).ceil();
        // Targets are recomputed while pages and files are written.
        let recomputations = (self.indicators.per_batch(batch) / settings.commits).ceil();
        let waiting = (rounds * self.put_seconds(now)).max(recomputations * TARGET_REQUESTS * REQUEST_SECONDS);
        self.working_seconds(batch, settings.memory_megabytes) + waiting
    }

    /// The duration of one round of writes: as measured with the current settings `now`, or else assumed.
    fn put_seconds(&self, now: &Settings) -> f64 {
        let Some(observed) = &self.observed else { return PUT_SECONDS };
        let rounds = (self.writes() / now.commits).ceil();
        let working = self.working_seconds(observed.batch, now.memory_megabytes);
        ((observed.seconds - working) / rounds).max(0.001)
    }

    /// The duration of a fold, which writes the snapshots that its pages touch.
    fn fold_seconds(&self, bill: &cost::Load, settings: &Settings) -> f64 {
        let touched = if settings.folds_at_once { bill.groups } else { bill.counted().touched() };
        let snapshots = touched * self.windows;
        (FOLD_ROUNDS + snapshots / settings.commits) * REQUEST_SECONDS
    }

    /// Read units per second of one target, which batches of this size ask for as often as for the others.
    fn target_units(&self, batch: f64) -> f64 {
        let IndicatorLoad { targets, .. } = self.indicators;
        let asking = if targets > 0.0 { self.indicators.per_batch(batch) / targets } else { 0.0 };
        self.rate / batch * asking.min(1.0) * self.indicators.target_read_units()
    }

    /// The most records that an event can hold.
    pub fn largest_batch(&self, settings: &Settings) -> f64 {
        settings.batch_size.min((EVENT_BYTES / self.record_bytes).floor().max(1.0))
    }

    /// The most invocations at once. The kill switch is ignored: the prediction is for the time after it.
    pub fn lanes(&self, settings: &Settings) -> f64 {
        let lanes = self.shards * settings.factor;
        settings.reserved.filter(|reserved| *reserved > 0.0).map_or(lanes, |reserved| lanes.min(reserved))
    }

    /// Predicts how the load behaves.
    pub fn outcome(&self, settings: &Settings, now: &Settings, prices: &Prices) -> Outcome {
        let arrivals = self.arrivals(settings);
        let Batching { batch, .. } = arrivals.batching(|batch| self.seconds(batch, settings, now));
        let (lanes, largest) = (arrivals.lanes, arrivals.largest);
        let seconds = self.seconds(batch, settings, now);
        let groups = self.groups(batch);
        let memory_gb = settings.memory_megabytes.map_or(0.25, |megabytes| megabytes / 1_024.0);
        let (rate, files, indicators) = (self.rate, self.files, self.indicators);
        let assumed = cost::Load::assumed(self.windows);
        let window = settings.fold_window_seconds.unwrap_or(assumed.fold_seconds);
        let bill =
            cost::Load { rate, batch, groups, files, seconds, memory_gb, fold_seconds: window, indicators, ..assumed };
        let latency = self.poll_seconds + settings.window_seconds + 2.0 * seconds;
        let fold_seconds = self.fold_seconds(&bill, settings);
        let until_published =
            if settings.folds_at_once { fold_seconds } else { STREAM_SECONDS + window + fold_seconds };
        Outcome {
            batch,
            groups,
            seconds,
            working_seconds: self.working_seconds(batch, settings.memory_megabytes),
            latency,
            fold_seconds,
            freshness: latency + until_published,
            capacity: lanes * largest / self.seconds(largest, settings, now),
            write_units: bill.write_units(),
            dollars: cost::total(&bill.per_million(prices, None)),
            page_units: bill.counted().page_units_per_second(),
            targets: indicators.per_batch(batch),
            indicator_read_units: indicators.read_units(batch) * cost::MILLION / batch,
            target_units: self.target_units(batch),
        }
    }
}

impl Observed {
    /// The number of entities that batches like these come from.
    pub fn entities(&self) -> f64 {
        entities_of(self.batch, self.groups)
    }
}

#[cfg(test)]
mod tests;
