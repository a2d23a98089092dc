//! Recommends settings for a load, with reasons: a row of the table by load, refined by the cost of batches. Pure.

use super::model::{EVENT_BYTES, Load, Outcome, PARTITION_READ_UNITS, PARTITION_UNITS};
use super::report::counted;
use super::row::{REAL_TIME, Row, row};
use super::settings::{Parameter, Settings};
use crate::deployment::assume::MONTH_SECONDS;
use crate::deployment::cost::model::MILLION;
use crate::deployment::cost::prices::Prices;
use crate::shell::numbers::{number, seconds};

/// The values to choose from.
const BATCHES: [f64; 10] = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0];
const MEMORIES: [f64; 4] = [256.0, 512.0, 1_024.0, 1_769.0];
const TIMEOUTS: [f64; 5] = [60.0, 120.0, 300.0, 600.0, 900.0];
/// 2: batches may be twice what usually arrives, to catch up after a pause.
const CATCH_UP: f64 = 2.0;
/// 1.5: the throughput must exceed the busiest minute by half.
pub const HEADROOM: f64 = 1.5;
/// 2: twice that throughput is more than enough.
const AMPLE: f64 = 2.0;
/// 80%: the threshold of the alarm Concurrency.
const CONCURRENCY_SHARE: f64 = 0.8;
/// 10: Lambda's limit for ParallelizationFactor.
const MOST_LANES: f64 = 10.0;
/// 30 s: the threshold of the alarm IteratorAgeWarning.
const OLD_SECONDS: f64 = 30.0;
/// A second of batching window is worth its latency if at most this share of the cost remains.
const WORTHWHILE_SHARE: f64 = 0.9;
/// And if it saves at least this much per month.
const WORTHWHILE_DOLLARS: f64 = 1.0;

/// The recommendation for a parameter: a range that is fine, and the value to set otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// The recommended value.
    pub value: f64,
    /// The range that needs no change.
    pub fine: (f64, f64),
    /// Why.
    pub reason: String,
}

/// The rules for a load under the current settings.
pub struct Rules<'l> {
    pub(super) load: &'l Load,
    pub(super) now: &'l Settings,
    prices: &'l Prices,
    /// The row of the table that the load belongs to.
    pub row: Row,
}

impl<'l> Rules<'l> {
    /// The rules for a load under the settings `now`.
    pub fn new(load: &'l Load, now: &'l Settings, prices: &'l Prices) -> Rules<'l> {
        Rules { load, now, prices, row: row(load) }
    }

    /// The recommendation for a parameter, given the settings so far; `None` if the parameter doesn't apply.
    pub fn advice(&self, parameter: Parameter, settled: &Settings) -> Option<Advice> {
        let advice = self.advice_for_the_load(parameter, settled)?;
        let is_concurrency = matches!(parameter, Parameter::ParallelizationFactor | Parameter::ReservedConcurrency);
        let now = parameter.of(self.now).filter(|now| *now < advice.value);
        match now.filter(|_| is_concurrency && self.is_failing_now()) {
            // A failing batch holds up its shard, however many others run at once.
            Some(now) => Some(Advice { value: now, fine: (now, f64::INFINITY), reason: String::new() }),
            None => Some(advice),
        }
    }

    fn is_failing_now(&self) -> bool {
        self.load.observed.is_some_and(|observed| observed.failures.is_failing_now())
    }

    fn advice_for_the_load(&self, parameter: Parameter, settled: &Settings) -> Option<Advice> {
        Some(match parameter {
            Parameter::BatchWindowSeconds => self.window(settled),
            Parameter::BatchSize => self.batch_size(settled),
            Parameter::ParallelizationFactor => self.factor(settled),
            Parameter::ReservedConcurrency => return self.reserved(settled),
            Parameter::MemoryMegabytes => return self.memory(settled),
            Parameter::CommitConcurrency => self.commits(),
            Parameter::TimeoutSeconds => self.timeout(settled),
            Parameter::FoldWindowSeconds => return self.fold_window(settled),
        })
    }

    pub(super) fn outcome(&self, settings: Settings) -> Outcome {
        self.load.outcome(&settings, self.now, self.prices)
    }

    fn window(&self, settled: &Settings) -> Advice {
        let (low, high) = self.row.window;
        // Half of the latency, or a quarter of the time until the snapshots are written.
        let goals = [self.load.goal.map(|goal| (goal, 2.0)), self.load.freshness.map(|goal| (goal, 4.0))];
        let shares = goals.into_iter().flatten().map(|(goal, share)| (goal, (goal / share).floor()));
        let wanted = shares.min_by(|one, other| one.1.total_cmp(&other.1));
        let goal = wanted.map_or(f64::INFINITY, |(_, share)| share);
        let latency = |goal: f64| format!("a batching window adds latency, and the goal is {}", seconds(goal));
        if let Some((wanted, _)) = wanted.filter(|_| goal < low) {
            return Advice { value: goal, fine: (0.0, goal), reason: latency(wanted) };
        }
        let units = |window_seconds: f64| {
            let batch_size = self.row.batch.1.max(settled.batch_size);
            self.outcome(Settings { window_seconds, batch_size, ..*settled })
        };
        let pays = |shorter: &Outcome, longer: &Outcome| {
            let millions = self.load.rate * MONTH_SECONDS / MILLION;
            let saved = (shorter.dollars - longer.dollars) * millions;
            longer.dollars < shorter.dollars * WORTHWHILE_SHARE && saved >= WORTHWHILE_DOLLARS
        };
        let mut value = low;
        while value + 1.0 <= high.min(goal) && pays(&units(value), &units(value + 1.0)) {
            value += 1.0;
        }
        // Larger batches write fewer pages, and read each target less often.
        let is_too_often =
            |outcome: &Outcome| outcome.page_units > PARTITION_UNITS || outcome.target_units > PARTITION_READ_UNITS;
        let is_larger = |value: f64| units(value + 1.0).batch > units(value).batch;
        while is_too_often(&units(value)) && is_larger(value) && value + 1.0 <= goal.min(300.0) {
            value += 1.0;
        }
        let upper = if wanted.is_some() { value.max(goal.min(high)) } else { value.max(5.0) };
        let reason = match wanted {
            Some((goal, _)) if value < self.now.window_seconds => latency(goal),
            _ if value > high && units(high).target_units > PARTITION_READ_UNITS => {
                let (needed, most) = (number(units(high).target_units), number(PARTITION_READ_UNITS));
                format!(
                    "a target and its items would need {needed} read units/s, and one partition takes {most}; each batch reads them once"
                )
            }
            _ if value > high => {
                let units = number(PARTITION_UNITS);
                format!(
                    "one partition of the ledger takes {units} write units/s; fewer and larger batches write fewer pages"
                )
            }
            _ if value < self.now.window_seconds => "a longer batching window adds latency and saves little".to_owned(),
            _ if self.load.indicators.targets > 0.0 => format!(
                "a page costs per batch and minute, and a target per batch; a batching window collects more records for both ({})",
                self.row.name
            ),
            _ => format!(
                "a page costs per batch and minute; a batching window collects more records for it ({})",
                self.row.name
            ),
        };
        Advice { value, fine: (value, upper), reason }
    }

    fn batch_size(&self, settled: &Settings) -> Advice {
        let (low, high) = self.row.batch;
        let fits = (EVENT_BYTES / self.load.record_bytes).floor();
        // As large as what may arrive, and small enough for a fifth of the timeout.
        let arrives = self.outcome(Settings { batch_size: high, ..*settled }).batch * CATCH_UP;
        let in_time = |batch: &f64| self.load.seconds(*batch, settled, self.now) <= settled.timeout_seconds / 5.0;
        let wanted = BATCHES.into_iter().filter(|size| (low..=high).contains(size));
        let possible: Vec<f64> = wanted.filter(|size| *size <= low || in_time(size)).collect();
        let enough = possible.iter().copied().find(|size| *size >= arrives.min(fits));
        let value = enough.or(possible.last().copied()).unwrap_or(low);
        if self.row == REAL_TIME {
            let reason = format!("small batches finish sooner ({})", self.row.name);
            return Advice { value, fine: (low, high), reason };
        }
        let slowest = BATCHES.into_iter().rfind(in_time).unwrap_or(low).max(value);
        let slow = self.now.batch_size > slowest;
        let reason = if slow {
            format!(
                "a full batch takes {}, too long for the timeout",
                seconds(self.load.seconds(self.now.batch_size, settled, self.now))
            )
        } else {
            format!("about {} records arrive per batch; a larger batch helps to catch up", number(arrives / CATCH_UP))
        };
        Advice { value, fine: (value.min(arrives.max(low)), slowest), reason }
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
        let lags = self
            .load
            .observed
            .filter(|observed| observed.age_seconds > old && observed.throttles == 0.0 && !observed.failures.any());
        if let Some(observed) = lags.filter(|_| value <= self.now.factor && self.now.factor < MOST_LANES) {
            let reason = format!(
                "records were {} old without errors or throttling: more concurrency is needed",
                seconds(observed.age_seconds)
            );
            let value = self.now.factor + 1.0;
            return Advice { value, fine: (value, MOST_LANES), reason };
        }
        let can = |factor| number(self.outcome(free(factor)).capacity);
        let now = self.now.factor;
        let reason = if now > value.max(high) {
            format!(
                "a factor of {} can process {} records/s; more lanes split batches and repeat counters in each",
                number(value),
                can(value)
            )
        } else if self.outcome(free(now)).capacity < needed {
            format!("{} records/s can be processed, but {} are needed", can(now), number(needed))
        } else {
            format!("a batch that is retried blocks one lane instead of its shard ({})", self.row.name)
        };
        // More lanes split batches, which costs write units: if one lane is more than enough, it stays, except in real time.
        let enough = |factor: &f64| self.row != REAL_TIME && self.outcome(free(*factor)).capacity >= needed * AMPLE;
        let least = Some(1.0).filter(enough).unwrap_or(value);
        Advice { value, fine: (least, value.max(high)), reason }
    }

    fn reserved(&self, settled: &Settings) -> Option<Advice> {
        // Switched off on purpose, or on a laptop.
        if self.now.reserved == Some(0.0) || self.now.memory_megabytes.is_none() {
            return None;
        }
        let observed = self.load.observed.filter(|observed| observed.throttles > 0.0);
        // Nothing is reserved, and nothing is missing.
        if self.now.reserved.is_none() && observed.is_none() {
            return None;
        }
        let lanes = self.load.shards * settled.factor;
        let mut value = (lanes / CONCURRENCY_SHARE).ceil().max(self.row.reserved);
        let mut reason = format!(
            "{} shards × factor {}, and the alarm fires at 80% ({})",
            number(self.load.shards),
            number(settled.factor),
            self.row.name
        );
        if let Some(observed) = observed {
            value = value.max(self.now.reserved.unwrap_or_default() * 2.0);
            reason = format!("{} invocations were throttled", number(observed.throttles));
        }
        Some(Advice { value, fine: (value, f64::INFINITY), reason })
    }

    fn memory(&self, settled: &Settings) -> Option<Advice> {
        self.now.memory_megabytes?;
        let batch = self.outcome(*settled).batch;
        let at = |megabytes| Settings { memory_megabytes: Some(megabytes), ..*settled };
        let share = |megabytes: f64| {
            self.load.working_seconds(batch, Some(megabytes)) / self.load.seconds(batch, &at(megabytes), self.now)
        };
        // While a batch is limited by CPU, more memory costs no more GB-seconds.
        let value = MEMORIES.into_iter().find(|megabytes| share(*megabytes) <= 0.5).unwrap_or(1_769.0);
        let working = seconds(self.load.working_seconds(batch, self.now.memory_megabytes));
        let reason = if self.now.memory_megabytes < Some(value) {
            format!("the CPU time of a batch is {working}, more than half of its duration, and more memory adds CPU")
        } else {
            format!("the CPU time of a batch is {working}; more memory doesn't shorten the rest")
        };
        Some(Advice { value, fine: (value, value * 2.0), reason })
    }

    fn commits(&self) -> Advice {
        if let Some(observed) = self.load.observed.filter(|observed| observed.table_throttles > 0.0) {
            let value = (self.now.commits / 2.0).floor().max(1.0);
            let reason = format!("the tables throttled {}", counted(observed.table_throttles, ["write", "writes"]));
            return Advice { value, fine: (1.0, value), reason };
        }
        let writes = self.load.writes();
        let value = [8.0, 16.0, 32.0, 64.0].into_iter().find(|commits| writes <= *commits).unwrap_or(64.0);
        let reason = format!(
            "a batch has about {} pages and files, which mostly wait and can be written at once",
            number(writes)
        );
        Advice { value, fine: (value / 2.0, value * 4.0), reason }
    }

    fn timeout(&self, settled: &Settings) -> Advice {
        let full = self.load.seconds(self.load.largest_batch(settled), settled, self.now);
        let observed = self.load.observed.and_then(|observed| observed.p99_seconds).unwrap_or_default();
        let slowest = full.max(observed);
        let value = TIMEOUTS.into_iter().find(|timeout| *timeout >= slowest * 5.0).unwrap_or(900.0);
        let reason =
            format!("five times the slowest batch, {}; a quarter of it is reserved for the files", seconds(slowest));
        Advice { value, fine: ((slowest * 5.0).min(900.0), 900.0), reason }
    }
}
