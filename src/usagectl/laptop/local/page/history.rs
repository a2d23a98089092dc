//! The course of a run: one sample per second, for the charts of the page.

use std::collections::VecDeque;

use serde::Serialize;

use crate::laptop::local::status::Status;

/// How many samples are kept: ten minutes.
const SAMPLES: usize = 600;

/// What happened in one second, and the ages at its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Sample {
    /// Seconds since the start of the run.
    pub seconds: f64,
    /// Distinct records that became durable, per second.
    pub processed: f64,
    /// Records that the function was invoked with, per second. Each retry counts again.
    pub delivered: f64,
    /// Those of them whose batch failed, per second.
    pub failed: f64,
    /// The age of the last record of the latest batch, or, if there was no batch, of the oldest record that waits.
    pub iterator_age_ms: u64,
    /// The age of the oldest page that waits to be folded.
    pub fold_age_ms: u64,
}

/// The samples of a run, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    last: Totals,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    seconds: f64,
    processed: u64,
    delivered: u64,
    failed: u64,
    invocations: u64,
}

/// The samples as columns, which are smaller than a list of objects.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Columns {
    seconds: Vec<f64>,
    processed: Vec<f64>,
    delivered: Vec<f64>,
    failed: Vec<f64>,
    iterator_age_ms: Vec<u64>,
    fold_age_ms: Vec<u64>,
}

impl History {
    /// Adds what has happened since the last sample, and returns it. Without a later status, the last sample is returned.
    pub(super) fn add(&mut self, status: &Status) -> Sample {
        let now = Totals {
            seconds: status.seconds,
            processed: status.mapping.distinct_processed,
            delivered: status.mapping.invoked_event_count,
            failed: status.mapping.failed_invoke_event_count,
            invocations: status.mapping.invocations,
        };
        let time = now.seconds - self.last.seconds;
        if time <= 0.0 {
            return self.samples.back().copied().unwrap_or_default();
        }
        let rate = |total: u64, before: u64| ((count(total) - count(before)).max(0.0) / time * 10.0).round() / 10.0;
        let waiting = status.waiting.oldest_age_ms;
        let sample = Sample {
            seconds: (now.seconds * 10.0).round() / 10.0,
            processed: rate(now.processed, self.last.processed),
            delivered: rate(now.delivered, self.last.delivered),
            failed: rate(now.failed, self.last.failed),
            iterator_age_ms: if now.invocations > self.last.invocations {
                status.mapping.iterator_age_ms
            } else {
                waiting
            },
            fold_age_ms: status.fold.as_ref().map_or(0, |fold| fold.waiting.oldest_age_ms),
        };
        self.last = now;
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        sample
    }

    /// All samples.
    pub(super) fn columns(&self) -> Columns {
        let all = || self.samples.iter();
        Columns {
            seconds: all().map(|sample| sample.seconds).collect(),
            processed: all().map(|sample| sample.processed).collect(),
            delivered: all().map(|sample| sample.delivered).collect(),
            failed: all().map(|sample| sample.failed).collect(),
            iterator_age_ms: all().map(|sample| sample.iterator_age_ms).collect(),
            fold_age_ms: all().map(|sample| sample.fold_age_ms).collect(),
        }
    }
}

fn count(total: u64) -> f64 {
    u32::try_from(total).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use event_source_mapping::Counts;

    use super::*;
    use crate::shell::waiting::Waiting;

    fn status(seconds: f64, processed: u64, invocations: u64) -> Status {
        let mapping = Counts {
            distinct_processed: processed,
            invoked_event_count: processed * 2,
            invocations,
            iterator_age_ms: 40,
            ..Counts::default()
        };
        let waiting = Waiting { oldest_age_ms: 7_000, ..Waiting::default() };
        Status { seconds, mapping, waiting, ..Status::default() }
    }

    #[test]
    fn rates_are_per_second_whatever_the_interval() {
        let mut history = History::default();
        history.add(&status(1.0, 100, 1));
        let sample = history.add(&status(3.0, 500, 2));
        assert_eq!((sample.processed, sample.delivered, sample.iterator_age_ms), (200.0, 400.0, 40));
        let blocked = history.add(&status(4.0, 500, 2));
        assert_eq!((blocked.processed, blocked.iterator_age_ms), (0.0, 7_000), "what waits grows older");
        assert_eq!(history.add(&status(4.0, 500, 2)), blocked, "nothing is new");
        assert_eq!(history.columns().processed, [100.0, 200.0, 0.0]);
    }

    #[test]
    fn ten_minutes_are_kept() {
        let mut history = History::default();
        for second in 1..2_000_u32 {
            history.add(&status(f64::from(second), u64::from(second), 1));
        }
        let columns = history.columns();
        assert_eq!((columns.seconds.len(), columns.seconds.last()), (SAMPLES, Some(&1_999.0)));
        assert!(serde_json::to_string(&columns).unwrap().len() < 32_000);
    }
}
