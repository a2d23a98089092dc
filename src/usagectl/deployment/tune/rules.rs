//! Which settings a load should have, and why: the contract's rows by load, each refined by what batches cost. Pure.

use super::model::{EVENT_BYTES, ITEM_UNITS, Load, Outcome};
use super::row::{REAL_TIME, Row, row};
use super::settings::{Parameter, Settings};
use crate::deployment::assume::MONTH_SECONDS;
use crate::deployment::cost::model::MILLION;
use crate::deployment::cost::prices::Prices;
use crate::shell::numbers::{number, seconds};

/// Sizes that people choose.
const BATCHES: [f64; 10] = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0];
const MEMORIES: [f64; 4] = [256.0, 512.0, 1_024.0, 1_769.0];
const TIMEOUTS: [f64; 5] = [60.0, 120.0, 300.0, 600.0, 900.0];
/// Larger batches than what arrives, to catch up after a pause.
const ROOM: f64 = 2.0;
/// What must be possible beyond the busiest minute.
pub const HEADROOM: f64 = 1.5;
/// So many times that is more than enough.
const AMPLE: f64 = 2.0;
/// The alarm Concurrency rings at 80 %.
const CONCURRENCY_SHARE: f64 = 0.8;
/// Lambda's limit of the factor.
const MOST_LANES: f64 = 10.0;
/// The alarm IteratorAgeWarning.
const OLD_SECONDS: f64 = 30.0;
/// A second's window must leave no more than this share of the write units, and save so many dollars a month, to be worth
/// its latency.
const WORTH: f64 = 0.9;
const WORTH_DOLLARS: f64 = 1.0;

/// What a parameter should be: within a range, and this where it isn't.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    pub value: f64,
    pub right: (f64, f64),
    pub reason: String,
}

/// The rules for a load under the settings of now.
pub struct Rules<'l> {
    load: &'l Load,
    now: &'l Settings,
    prices: &'l Prices,
    pub row: Row,
}

impl<'l> Rules<'l> {
    pub fn new(load: &'l Load, now: &'l Settings, prices: &'l Prices) -> Rules<'l> {
        Rules { load, now, prices, row: row(load) }
    }

    /// What a parameter should be, given what is settled before it; nothing where it doesn't apply.
    pub fn advice(&self, parameter: Parameter, settled: &Settings) -> Option<Advice> {
        Some(match parameter {
            Parameter::BatchWindowSeconds => self.window(settled),
            Parameter::BatchSize => self.batch_size(settled),
            Parameter::ParallelizationFactor => self.factor(settled),
            Parameter::ReservedConcurrency => return self.reserved(settled),
            Parameter::MemoryMegabytes => return self.memory(settled),
            Parameter::CommitConcurrency => self.commits(settled),
            Parameter::TimeoutSeconds => self.timeout(settled),
        })
    }

    fn outcome(&self, settings: Settings) -> Outcome {
        self.load.outcome(&settings, self.now, self.prices)
    }

    fn window(&self, settled: &Settings) -> Advice {
        let (low, high) = self.row.window;
        let goal = self.load.goal.map_or(f64::INFINITY, |goal| (goal / 2.0).floor());
        let latency = |goal: f64| format!("a window is latency, of which {} are wanted", seconds(goal));
        if let Some(wanted) = self.load.goal.filter(|_| goal < low) {
            return Advice { value: goal, right: (0.0, goal), reason: latency(wanted) };
        }
        let units = |window_seconds: f64| {
            let batch_size = self.row.batch.1.max(settled.batch_size);
            self.outcome(Settings { window_seconds, batch_size, ..*settled })
        };
        let pays = |shorter: &Outcome, longer: &Outcome| {
            let millions = self.load.rate * MONTH_SECONDS / MILLION;
            let saved = (shorter.dollars - longer.dollars) * millions;
            longer.write_units < shorter.write_units * WORTH && saved >= WORTH_DOLLARS
        };
        let mut value = low;
        while value + 1.0 <= high.min(goal) && pays(&units(value), &units(value + 1.0)) {
            value += 1.0;
        }
        // A busy item is written less often by larger batches.
        while units(value).item_units > ITEM_UNITS && value + 1.0 <= goal.min(300.0) {
            value += 1.0;
        }
        let upper = if self.load.goal.is_some() { value.max(goal.min(high)) } else { value.max(5.0) };
        let reason = match self.load.goal {
            Some(goal) if value < self.now.window_seconds => latency(goal),
            _ if value > high => {
                let units = number(ITEM_UNITS);
                format!("one item takes {units} write units a second; fewer and larger batches write it less often")
            }
            _ if value < self.now.window_seconds => "a longer window saves little, and is latency".to_owned(),
            _ => {
                format!("a counter costs per batch; in a window more of its records come together ({})", self.row.name)
            }
        };
        Advice { value, right: (value, upper), reason }
    }

    fn batch_size(&self, settled: &Settings) -> Advice {
        let (low, high) = self.row.batch;
        let fits = (EVENT_BYTES / self.load.record_bytes).floor();
        // As much as may arrive, and as much as a fifth of the timeout allows.
        let arrives = self.outcome(Settings { batch_size: high, ..*settled }).batch * ROOM;
        let in_time = |batch: &f64| self.load.seconds(*batch, settled, self.now) <= settled.timeout_seconds / 5.0;
        let wanted = BATCHES.into_iter().filter(|size| (low..=high).contains(size));
        let possible: Vec<f64> = wanted.filter(|size| *size <= low || in_time(size)).collect();
        let enough = possible.iter().copied().find(|size| *size >= arrives.min(fits));
        let value = enough.or(possible.last().copied()).unwrap_or(low);
        if self.row == REAL_TIME {
            let reason = format!("small batches are done sooner ({})", self.row.name);
            return Advice { value, right: (low, high), reason };
        }
        let slowest = BATCHES.into_iter().rfind(in_time).unwrap_or(low).max(value);
        let slow = self.now.batch_size > slowest;
        let reason = if slow {
            format!(
                "a full batch would take {}, too long for the timeout",
                seconds(self.load.seconds(self.now.batch_size, settled, self.now))
            )
        } else {
            format!("some {} records arrive for a batch; more fit where it has to catch up", number(arrives / ROOM))
        };
        Advice { value, right: (value.min(arrives.max(low)), slowest), reason }
    }

    fn factor(&self, settled: &Settings) -> Advice {
        let (low, high) = self.row.factor;
        let free = |factor| Settings { factor, reserved: None, ..*settled };
        let needed = self.load.rate * HEADROOM;
        let mut value = low;
        while self.outcome(free(value)).capacity < needed && value < MOST_LANES {
            value += 1.0;
        }
        let old = self.load.goal.unwrap_or(OLD_SECONDS).max(1.0);
        let lags = self.load.seen.filter(|seen| seen.age_seconds > old && seen.throttles == 0.0 && seen.errors == 0.0);
        if let Some(seen) = lags.filter(|_| value <= self.now.factor && self.now.factor < MOST_LANES) {
            let reason = format!(
                "records were {} old, without errors or throttles: more hands are needed",
                seconds(seen.age_seconds)
            );
            let value = self.now.factor + 1.0;
            return Advice { value, right: (value, MOST_LANES), reason };
        }
        let can = |factor| number(self.outcome(free(factor)).capacity);
        let now = self.now.factor;
        let reason = if now > value.max(high) {
            format!(
                "{} lanes a shard take {} records/s; more split batches and repeat counters in each",
                number(value),
                can(value)
            )
        } else if self.outcome(free(now)).capacity < needed {
            format!("now {} records/s can be taken, {} are wanted", can(now), number(needed))
        } else {
            format!("a batch that is retried holds up one lane instead of its shard ({})", self.row.name)
        };
        // More lanes split batches, which costs write units: one that is fast enough by far stays, but for real time.
        let enough = |factor: &f64| self.row != REAL_TIME && self.outcome(free(*factor)).capacity >= needed * AMPLE;
        let least = Some(1.0).filter(enough).unwrap_or(value);
        Advice { value, right: (least, value.max(high)), reason }
    }

    fn reserved(&self, settled: &Settings) -> Option<Advice> {
        // Switched off on purpose, or a machine of one's own.
        if self.now.reserved == Some(0.0) || self.now.memory_megabytes.is_none() {
            return None;
        }
        let lanes = self.load.shards * settled.factor;
        let mut value = (lanes / CONCURRENCY_SHARE).ceil().max(self.row.reserved);
        let mut reason = format!(
            "{} shards × {} lanes, and the alarm rings at 80 % ({})",
            number(self.load.shards),
            number(settled.factor),
            self.row.name
        );
        if let Some(seen) = self.load.seen.filter(|seen| seen.throttles > 0.0) {
            value = value.max(self.now.reserved.unwrap_or_default() * 2.0);
            reason = format!("{} invocations were throttled", number(seen.throttles));
        }
        Some(Advice { value, right: (value, f64::INFINITY), reason })
    }

    fn memory(&self, settled: &Settings) -> Option<Advice> {
        self.now.memory_megabytes?;
        let batch = self.outcome(*settled).batch;
        let at = |megabytes| Settings { memory_megabytes: Some(megabytes), ..*settled };
        let share = |megabytes: f64| {
            self.load.working_seconds(batch, Some(megabytes)) / self.load.seconds(batch, &at(megabytes), self.now)
        };
        // While the processor is what a batch waits for, more of it costs no more GB-seconds.
        let value = MEMORIES.into_iter().find(|megabytes| share(*megabytes) <= 0.5).unwrap_or(1_769.0);
        let working = seconds(self.load.working_seconds(batch, self.now.memory_megabytes));
        let reason = if self.now.memory_megabytes < Some(value) {
            format!("the processor works {working} of a batch, more than half of its time, and comes with memory")
        } else {
            format!("the processor works {working} of a batch; waiting for the services isn't shortened by memory")
        };
        Some(Advice { value, right: (value, value * 2.0), reason })
    }

    fn commits(&self, settled: &Settings) -> Advice {
        if let Some(seen) = self.load.seen.filter(|seen| seen.table_throttles > 0.0) {
            let value = (self.now.commits / 2.0).floor().max(1.0);
            let reason = format!("the tables throttled {} writes", number(seen.table_throttles));
            return Advice { value, right: (1.0, value), reason };
        }
        // A full batch, as when it has to catch up.
        let groups = self.load.groups(self.load.largest_batch(settled));
        let transactions = self.load.transactions(groups);
        let value = [8.0, 16.0, 32.0, 64.0].into_iter().find(|commits| transactions <= *commits).unwrap_or(64.0);
        let reason = format!(
            "{} counters of a full batch are {} transactions, which mostly wait and can do so together",
            number(groups.round()),
            number(transactions)
        );
        Advice { value, right: (value / 2.0, value * 4.0), reason }
    }

    fn timeout(&self, settled: &Settings) -> Advice {
        let full = self.load.seconds(self.load.largest_batch(settled), settled, self.now);
        let seen = self.load.seen.and_then(|seen| seen.p99_seconds).unwrap_or_default();
        let slowest = full.max(seen);
        let value = TIMEOUTS.into_iter().find(|timeout| *timeout >= slowest * 5.0).unwrap_or(900.0);
        let reason = format!("five times the slowest batch of {}; a quarter is kept for the files", seconds(slowest));
        Advice { value, right: ((slowest * 5.0).min(900.0), 900.0), reason }
    }
}
