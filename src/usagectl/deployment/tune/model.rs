//! What a load becomes under some settings: batches, their time, their cost, what the function can take. Pure; the constants
//! are docs/performance.md's, and what was measured of a deployment goes before them.

use super::settings::Settings;
use crate::deployment::cost::model::{self as cost, entities_of, groups_of};
use crate::deployment::cost::prices::Prices;

/// Of a core: the handler's work on a record and on 1,000 bytes of it (6.6 µs for a bucket of 2,193 bytes, 12.1 µs for a
/// demand-kinesis of 3,049, 4.0 µs for a racer of 573).
const SECONDS_PER_RECORD: f64 = 2.8e-6;
const SECONDS_PER_KB: f64 = 2.4e-6;
/// 1,769 MB of memory come with one core. The function uses no second one.
const CORE_MEGABYTES: f64 = 1_769.0;
/// Some claims read and a transaction of as many writes as go into one, where nothing was measured: an assumption.
const TRANSACTION_SECONDS: f64 = 0.1;
/// Writes of a transaction at most; counters are bundled into few.
const TRANSACTION_WRITES: f64 = 100.0;
/// A file put into S3, where nothing was measured: an assumption.
const PUT_SECONDS: f64 = 0.03;
/// An event is at most so large.
pub const EVENT_BYTES: f64 = 6e6;
/// What DynamoDB writes to one item in a second.
pub const ITEM_UNITS: f64 = 1_000.0;

/// What is to be handled.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Records a second, of the busiest minute.
    pub rate: f64,
    /// Entities and resources that records are drawn from.
    pub entities: f64,
    pub windows: f64,
    pub record_bytes: f64,
    pub shards: f64,
    /// Archive files of a batch.
    pub files: f64,
    /// Seconds between polls of a quiet shard.
    pub poll_seconds: f64,
    /// The latency that is wanted at most.
    pub goal: Option<f64>,
    pub seen: Option<Seen>,
}

/// How the deployment has been doing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seen {
    pub batch: f64,
    pub groups: f64,
    pub seconds: f64,
    pub p99_seconds: Option<f64>,
    pub age_seconds: f64,
    pub throttles: f64,
    pub table_throttles: f64,
    pub errors: f64,
    pub concurrency: f64,
}

/// What comes of a load under some settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Records of an invocation.
    pub batch: f64,
    pub groups: f64,
    /// Of an invocation.
    pub seconds: f64,
    /// Of which the processor works.
    pub working_seconds: f64,
    /// From a record's change to its count, at worst while nothing lags.
    pub latency: f64,
    /// Records a second that can be taken.
    pub capacity: f64,
    /// Of a million records.
    pub write_units: f64,
    pub dollars: f64,
    /// Write units a second of the busiest item.
    pub item_units: f64,
}

impl Load {
    /// The counters of a batch.
    pub fn groups(&self, batch: f64) -> f64 {
        groups_of(batch, self.entities)
    }

    /// The transactions of so many counters: a claim and its snapshots each.
    pub fn transactions(&self, groups: f64) -> f64 {
        (groups * (1.0 + self.windows) / TRANSACTION_WRITES).ceil().max(1.0)
    }

    /// Seconds that the processor works on a batch.
    pub fn working_seconds(&self, batch: f64, memory: Option<f64>) -> f64 {
        let core = memory.map_or(1.0, |megabytes| (megabytes / CORE_MEGABYTES).min(1.0));
        batch * (SECONDS_PER_RECORD + self.record_bytes / 1_000.0 * SECONDS_PER_KB) / core
    }

    /// Seconds of an invocation.
    pub fn seconds(&self, batch: f64, settings: &Settings, now: &Settings) -> f64 {
        let rounds = (self.transactions(self.groups(batch)) / settings.commits).ceil();
        self.working_seconds(batch, settings.memory_megabytes) + PUT_SECONDS + rounds * self.transaction_seconds(now)
    }

    /// What a round of transactions takes: as measured under the settings of `now`, if it was.
    fn transaction_seconds(&self, now: &Settings) -> f64 {
        let Some(seen) = &self.seen else { return TRANSACTION_SECONDS };
        let rounds = (self.transactions(seen.groups) / now.commits).ceil();
        let working = self.working_seconds(seen.batch, now.memory_megabytes);
        ((seen.seconds - working - PUT_SECONDS) / rounds).max(0.001)
    }

    /// The most records that an event holds under some settings.
    pub fn largest_batch(&self, settings: &Settings) -> f64 {
        settings.batch_size.min((EVENT_BYTES / self.record_bytes).floor().max(1.0))
    }

    /// Invocations that may be under way at once; with the kill switch, those that may be afterwards.
    pub fn lanes(&self, settings: &Settings) -> f64 {
        let lanes = self.shards * settings.factor;
        settings.reserved.filter(|reserved| *reserved > 0.0).map_or(lanes, |reserved| lanes.min(reserved))
    }

    /// What comes of it.
    pub fn outcome(&self, settings: &Settings, now: &Settings, prices: &Prices) -> Outcome {
        let lanes = self.lanes(settings).max(1.0);
        let largest = self.largest_batch(settings);
        // Batches are what arrives meanwhile, which takes longer the larger they are.
        let (mut batch, mut interval) = (1.0_f64, self.poll_seconds);
        for _ in 0..100 {
            interval = self.interval(self.seconds(batch, settings, now), settings);
            batch = (self.rate / lanes * interval).clamp(1.0, largest);
        }
        // Fewer than one record a poll: an invocation waits for its record.
        interval = interval.max(lanes / self.rate);
        let seconds = self.seconds(batch, settings, now);
        let groups = self.groups(batch);
        let memory_gb = settings.memory_megabytes.map_or(0.25, |megabytes| megabytes / 1_024.0);
        let (rate, files) = (self.rate, self.files);
        let bill = cost::Load { rate, batch, groups, files, seconds, memory_gb, ..cost::Load::assumed(self.windows) };
        let share = (groups / self.entities).min(1.0);
        Outcome {
            batch,
            groups,
            seconds,
            working_seconds: self.working_seconds(batch, settings.memory_megabytes),
            latency: self.poll_seconds + settings.window_seconds + 2.0 * seconds,
            capacity: lanes * largest / self.seconds(largest, settings, now),
            write_units: bill.write_units(),
            dollars: cost::total(&bill.per_million(prices, None)),
            item_units: lanes / interval * share * bill.group_units().claim.max(2.0),
        }
    }

    /// From one invocation of a lane to its next: the window begins when the last one has ended.
    fn interval(&self, seconds: f64, settings: &Settings) -> f64 {
        if settings.window_seconds > 0.0 { settings.window_seconds + seconds } else { seconds.max(self.poll_seconds) }
    }
}

impl Seen {
    /// The entities that such batches are of.
    pub fn entities(&self) -> f64 {
        entities_of(self.batch, self.groups)
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::DEFAULTS;
    use super::super::tests::load;
    use super::*;

    #[test]
    fn longer_windows_make_larger_batches_that_cost_less() {
        let prices = Prices::read(None).unwrap();
        let load = Load { entities: 50.0, ..load(500.0) };
        let of = |window_seconds| load.outcome(&Settings { window_seconds, ..DEFAULTS }, &DEFAULTS, &prices);
        let (short, long) = (of(0.0), of(5.0));
        assert!(short.batch < 200.0 && long.batch == 1_000.0, "{short:?} {long:?}");
        assert!(long.write_units < short.write_units / 3.0 && long.latency > short.latency + 4.0);
        assert!(short.item_units > long.item_units);
    }

    #[test]
    fn what_was_measured_goes_before_the_constants() {
        // 390 counters are 16 transactions, two rounds of 8.
        let seen = Seen { batch: 1_000.0, groups: 390.0, seconds: 1.0, ..Seen::default() };
        let slow = Load { entities: seen.entities(), seen: Some(seen), ..load(1_000.0) };
        let seconds = slow.seconds(1_000.0, &DEFAULTS, &DEFAULTS);
        assert!((seconds - 1.0).abs() < 0.05, "{seconds}");
        // Twice as many at once take half as long, but for the processor's work and the file.
        let faster = slow.seconds(1_000.0, &Settings { commits: 16.0, ..DEFAULTS }, &DEFAULTS);
        assert!((0.5..0.6).contains(&faster), "{faster}");
    }

    #[test]
    fn memory_is_processor_up_to_one_core() {
        let load = load(100.0);
        let at = |megabytes| load.working_seconds(10_000.0, Some(megabytes));
        assert!((at(256.0) / at(512.0) - 2.0).abs() < 1e-9);
        assert_eq!(at(1_769.0), at(10_240.0));
        assert_eq!(load.working_seconds(10_000.0, None), at(1_769.0));
    }
}
