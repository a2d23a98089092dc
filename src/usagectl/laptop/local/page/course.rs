//! The course of a run: what happened since the last second.

use crate::laptop::local::status::Status;
use crate::page::history::Sample;

/// What was known of a run last.
#[derive(Debug, Default)]
pub(super) struct Course {
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

impl Course {
    /// What has happened since the last sample; nothing without a later status.
    pub(super) fn add(&mut self, status: &Status) -> Option<Sample> {
        let now = Totals {
            seconds: status.seconds,
            processed: status.mapping.distinct_processed,
            delivered: status.mapping.invoked_event_count,
            failed: status.mapping.failed_invoke_event_count,
            invocations: status.mapping.invocations,
        };
        let time = now.seconds - self.last.seconds;
        if time <= 0.0 {
            return None;
        }
        let rate = |total: u64, before: u64| ((count(total) - count(before)).max(0.0) / time * 10.0).round() / 10.0;
        let waiting = status.waiting.oldest_age_ms;
        let has_batch = now.invocations > self.last.invocations;
        let sample = Sample {
            seconds: (now.seconds * 10.0).round() / 10.0,
            processed: Some(rate(now.processed, self.last.processed)),
            delivered: Some(rate(now.delivered, self.last.delivered)),
            failed: Some(rate(now.failed, self.last.failed)),
            iterator_age_ms: Some(count(if has_batch { status.mapping.iterator_age_ms } else { waiting })),
            fold_age_ms: Some(count(status.fold.as_ref().map_or(0, |fold| fold.waiting.oldest_age_ms))),
        };
        self.last = now;
        Some(sample)
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
        let mut course = Course::default();
        course.add(&status(1.0, 100, 1));
        let sample = course.add(&status(3.0, 500, 2)).unwrap();
        let figures = (sample.processed, sample.delivered, sample.iterator_age_ms);
        assert_eq!(figures, (Some(200.0), Some(400.0), Some(40.0)));
        let blocked = course.add(&status(4.0, 500, 2)).unwrap();
        assert_eq!((blocked.processed, blocked.iterator_age_ms), (Some(0.0), Some(7_000.0)), "what waits grows older");
        assert_eq!(course.add(&status(4.0, 500, 2)), None, "nothing is new");
    }
}
