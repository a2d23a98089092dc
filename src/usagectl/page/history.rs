//! The course of the figures, for the charts of the page. Of a run it has one sample per second, of a stack one per period of its
//! metrics.

use std::collections::VecDeque;

use serde::Serialize;

/// How many samples are kept: ten minutes of a run.
const SAMPLES: usize = 600;

/// What happened in one second or period, and the ages at its end. What isn't known is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Seconds since the start of the run; of a stack, since 1970.
    pub seconds: f64,
    /// Records that became durable, per second. Of a run, each record counts once.
    pub processed: Option<f64>,
    /// Records that the function was invoked with, per second. Each retry counts again.
    pub delivered: Option<f64>,
    /// Those of them whose batch failed, per second.
    pub failed: Option<f64>,
    /// The age of the last record of the latest batch. Of a run, or, if there was no batch, of the oldest record that waits.
    pub iterator_age_ms: Option<f64>,
    /// The age of the oldest page that waits to be folded; of a stack, of the oldest page that was folded.
    pub fold_age_ms: Option<f64>,
}

/// Samples, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
}

/// Samples as columns, which are smaller than a list of objects.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Columns {
    pub seconds: Vec<f64>,
    pub processed: Vec<Option<f64>>,
    pub delivered: Vec<Option<f64>>,
    pub failed: Vec<Option<f64>>,
    pub iterator_age_ms: Vec<Option<f64>>,
    pub fold_age_ms: Vec<Option<f64>>,
}

impl History {
    /// Adds a sample, and forgets those that are too old.
    pub(crate) fn push(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Replaces all samples.
    pub(crate) fn replace(&mut self, samples: impl IntoIterator<Item = Sample>) {
        self.samples.clear();
        samples.into_iter().for_each(|sample| self.push(sample));
    }

    /// The latest sample.
    pub(crate) fn latest(&self) -> Option<Sample> {
        self.samples.back().copied()
    }

    /// All samples.
    pub(crate) fn columns(&self) -> Columns {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_minutes_of_a_run_are_kept() {
        let mut history = History::default();
        for second in 1..2_000_u32 {
            let second = f64::from(second);
            let all = Some(second);
            history.push(Sample {
                seconds: second,
                processed: all,
                delivered: all,
                failed: all,
                iterator_age_ms: all,
                fold_age_ms: None,
            });
        }
        let columns = history.columns();
        assert_eq!((columns.seconds.len(), columns.seconds.last()), (SAMPLES, Some(&1_999.0)));
        assert!(serde_json::to_string(&columns).unwrap().len() < 32_000);
    }
}
