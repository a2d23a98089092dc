//! The values of metrics by the minute, in memory and bounded. The caller supplies the time.

use std::collections::BTreeMap;

const MINUTE: i64 = 60;
/// Three hours.
const MINUTES: usize = 180;
/// CloudWatch has no such limit. This one bounds the memory.
const METRICS: usize = 500;
/// Percentiles of a minute with more values are those of a random sample of this size.
const SAMPLES: usize = 250;

/// What identifies a metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::emulators) struct MetricId {
    pub namespace: String,
    pub name: String,
    pub dimensions: BTreeMap<String, String>,
}

/// One value, and how often it occurred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub value: f64,
    pub count: f64,
}

/// How the values of a period are aggregated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::emulators) enum Statistic {
    Sum,
    Average,
    Maximum,
    Minimum,
    SampleCount,
    /// 0 to 100.
    Percentile(f64),
}

/// The requested times, in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub start: i64,
    pub end: i64,
    pub period: i64,
}

/// The values of one minute, or of the minutes of a period.
#[derive(Debug, Clone, PartialEq)]
struct Values {
    sum: f64,
    count: f64,
    maximum: f64,
    minimum: f64,
    samples: Vec<Sample>,
    /// How many samples were added, whether kept or not.
    seen: usize,
}

/// All metrics.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<MetricId, BTreeMap<i64, Values>>);

impl Statistic {
    /// Parses CloudWatch's name: `Sum`, `p99`, `p99.9`.
    pub(in crate::emulators) fn parse(text: &str) -> Option<Statistic> {
        Some(match text {
            "Sum" => Statistic::Sum,
            "Average" => Statistic::Average,
            "Maximum" => Statistic::Maximum,
            "Minimum" => Statistic::Minimum,
            "SampleCount" => Statistic::SampleCount,
            text => {
                let percent = text.strip_prefix('p')?.parse().ok()?;
                return (0.0..=100.0).contains(&percent).then_some(Statistic::Percentile(percent));
            }
        })
    }
}

impl Values {
    fn none() -> Values {
        let (maximum, minimum) = (f64::NEG_INFINITY, f64::INFINITY);
        Values { sum: 0.0, count: 0.0, maximum, minimum, samples: Vec::new(), seen: 0 }
    }

    fn add(&mut self, sample: Sample) {
        self.sum += sample.value * sample.count;
        self.count += sample.count;
        self.maximum = self.maximum.max(sample.value);
        self.minimum = self.minimum.min(sample.value);
        self.seen += 1;
        if self.samples.len() < SAMPLES {
            self.samples.push(sample);
        } else if let Some(place) = self.samples.get_mut(fastrand::usize(..self.seen)) {
            *place = sample;
        }
    }

    fn join(self, other: &Values) -> Values {
        let mut joined = self.join_totals(other);
        joined.samples.extend(&other.samples);
        joined
    }

    /// The same without the samples, which only percentiles need.
    fn join_totals(mut self, other: &Values) -> Values {
        self.sum += other.sum;
        self.count += other.count;
        self.maximum = self.maximum.max(other.maximum);
        self.minimum = self.minimum.min(other.minimum);
        self
    }

    fn statistic(&self, statistic: Statistic) -> f64 {
        match statistic {
            Statistic::Sum => self.sum,
            Statistic::Average => self.sum / self.count,
            Statistic::Maximum => self.maximum,
            Statistic::Minimum => self.minimum,
            Statistic::SampleCount => self.count,
            Statistic::Percentile(percent) => self.percentile(percent),
        }
    }

    /// The lowest value that this percentage of all values doesn't exceed.
    fn percentile(&self, percent: f64) -> f64 {
        let mut samples = self.samples.clone();
        samples.sort_by(|a, b| a.value.total_cmp(&b.value));
        let wanted = samples.iter().map(|sample| sample.count).sum::<f64>() * percent / 100.0;
        let mut passed = 0.0;
        let reached = samples.iter().find(|sample| {
            passed += sample.count;
            passed >= wanted
        });
        reached.map_or(self.maximum, |sample| sample.value)
    }
}

impl History {
    /// Adds samples at a time in seconds since the epoch. Metrics beyond the limit are ignored.
    pub(super) fn add(&mut self, metric: MetricId, at: i64, samples: impl IntoIterator<Item = Sample>) {
        if self.0.len() >= METRICS && !self.0.contains_key(&metric) {
            return;
        }
        let minutes = self.0.entry(metric).or_default();
        let values = minutes.entry(at.div_euclid(MINUTE) * MINUTE).or_insert_with(Values::none);
        samples.into_iter().filter(|sample| sample.count > 0.0).for_each(|sample| values.add(sample));
        while minutes.len() > MINUTES {
            minutes.pop_first();
        }
    }

    /// The first second of each period that has values, and the statistic.
    pub(super) fn read(&self, metric: &MetricId, times: Times, statistic: Statistic) -> Vec<(i64, f64)> {
        let period_of = |second: i64| second.div_euclid(times.period) * times.period;
        let Some(minutes) = self.0.get(metric) else { return Vec::new() };
        let mut periods: BTreeMap<i64, Values> = BTreeMap::new();
        for (second, values) in minutes.range(period_of(times.start)..times.end.max(period_of(times.start))) {
            let period = periods.entry(period_of(*second)).or_insert_with(Values::none);
            *period = std::mem::replace(period, Values::none()).join(values);
        }
        let some = periods.into_iter().filter(|(_, values)| values.count > 0.0);
        some.map(|(second, values)| (second, values.statistic(statistic))).collect()
    }

    /// The statistic in each of the `periods` periods before `end`, oldest first; `None` where there is no value. The periods
    /// end at `end`, rather than at multiples of their length.
    pub(super) fn before(
        &self,
        metric: &MetricId,
        end: i64,
        period: i64,
        periods: usize,
        statistic: Statistic,
    ) -> Vec<Option<f64>> {
        let minutes = self.0.get(metric);
        let ends = (0..i64::try_from(periods).unwrap_or(0)).rev().map(|ago| end - ago * period);
        let value = |end: i64| {
            let values = minutes?.range(end - period..end).map(|(_, values)| values);
            let join = if matches!(statistic, Statistic::Percentile(_)) { Values::join } else { Values::join_totals };
            let values = values.fold(Values::none(), join);
            (values.count > 0.0).then(|| values.statistic(statistic))
        };
        ends.map(value).collect()
    }

    /// All metrics.
    pub(super) fn metrics(&self) -> impl Iterator<Item = &MetricId> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> MetricId {
        MetricId { namespace: "N".to_owned(), name: name.to_owned(), dimensions: BTreeMap::new() }
    }

    fn times(start: i64, end: i64, period: i64) -> Times {
        Times { start, end, period }
    }

    fn once(value: f64) -> [Sample; 1] {
        [Sample { value, count: 1.0 }]
    }

    #[test]
    fn minutes_are_aggregated_into_periods() {
        let mut history = History::default();
        for (at, value) in [(0, 1.0), (59, 3.0), (60, 5.0), (300, 7.0)] {
            history.add(metric("a"), at, once(value));
        }
        let read = |times, statistic: &str| history.read(&metric("a"), times, Statistic::parse(statistic).unwrap());
        assert_eq!(read(times(0, 600, 60), "Sum"), [(0, 4.0), (60, 5.0), (300, 7.0)]);
        assert_eq!(read(times(0, 600, 300), "Average"), [(0, 3.0), (300, 7.0)]);
        assert_eq!(read(times(0, 600, 300), "SampleCount"), [(0, 3.0), (300, 1.0)]);
        assert_eq!(read(times(0, 300, 300), "Maximum"), [(0, 5.0)]);
        // A period counts if its start is before the end, even if it began before the start.
        assert_eq!(read(times(200, 300, 300), "Minimum"), [(0, 1.0)]);
        assert_eq!(read(times(600, 0, 60), "Sum"), []);
    }

    #[test]
    fn the_periods_of_an_alarm_end_when_it_is_evaluated() {
        let mut history = History::default();
        for (at, value) in [(0, 1.0), (60, 5.0), (300, 7.0)] {
            history.add(metric("a"), at, once(value));
        }
        let before = |end| history.before(&metric("a"), end, 300, 2, Statistic::Sum);
        assert_eq!(before(300), [None, Some(6.0)]);
        assert_eq!(before(360), [Some(1.0), Some(12.0)]);
        assert_eq!(before(900), [Some(7.0), None]);
        assert_eq!(history.before(&metric("b"), 300, 60, 2, Statistic::Sum), [None, None]);
    }

    #[test]
    fn percentiles_weight_values_by_their_counts() {
        let mut history = History::default();
        history.add(metric("a"), 0, [Sample { value: 1.0, count: 98.0 }, Sample { value: 9.0, count: 2.0 }]);
        let read = |statistic| history.read(&metric("a"), times(0, 60, 60), Statistic::parse(statistic).unwrap());
        assert_eq!((read("p50"), read("p98"), read("p99")), (vec![(0, 1.0)], vec![(0, 1.0)], vec![(0, 9.0)]));
        for wrong in ["p101", "p", "Median", "px"] {
            assert_eq!(Statistic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_number_of_metrics_minutes_and_samples_is_bounded() {
        let mut history = History::default();
        for minute in 0..1_000 {
            history.add(metric("a"), minute * 60, (0..1_000).map(|value| Sample { value: value.into(), count: 1.0 }));
        }
        let all = history.read(&metric("a"), times(0, 60_000, 60), Statistic::SampleCount);
        assert_eq!((all.len(), all[0]), (MINUTES, (49_200, 1_000.0)));
        let p50 = history.read(&metric("a"), times(59_940, 60_000, 60), Statistic::Percentile(50.0))[0].1;
        assert!((300.0..700.0).contains(&p50), "{p50}");
        for name in 0..1_000 {
            history.add(metric(&name.to_string()), 0, once(1.0));
        }
        assert_eq!(history.metrics().count(), METRICS);
    }
}
