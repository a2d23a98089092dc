//! Whether a shard is blocked: its records get older while deliveries fail. Pure.

use serde::Serialize;

/// How far back to look. 15 minutes: several times the longest pause between two retries.
const WINDOW_SECONDS: i64 = 900;
/// How old the last failure and the last age may be. CloudWatch needs a few minutes to show a metric.
const RECENT_SECONDS: i64 = 360;
/// How long the age must have grown. Below a minute, one slow batch explains it.
const GROWING_SECONDS: f64 = 60.0;
/// 0.5: the records of a blocked shard age as fast as the clock runs. Half of that allows for the minutes of metrics.
const GROWTH: f64 = 0.5;
const MILLISECONDS: f64 = 1_000.0;

/// A value of a metric: the start of its period in seconds since the epoch, and the value.
pub type Point = (i64, f64);

/// A shard that makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BlockedShard {
    /// The age of its records.
    pub age_seconds: f64,
    /// For how long the age has been growing.
    pub growing_seconds: f64,
}

/// Whether a shard is blocked at the time `now`, in seconds since the epoch. `ages_ms` are the highest iterator ages and
/// `failures` the failed deliveries of each period, both in order of time.
pub fn blocked(ages_ms: &[Point], failures: &[Point], now: i64) -> Option<BlockedShard> {
    if failing(failures, now, RECENT_SECONDS) == 0.0 {
        return None;
    }
    let mut newest_first = ages_ms.iter().rev().filter(|(time, _)| now - time <= WINDOW_SECONDS);
    let &(last, age) = newest_first.next().filter(|(time, _)| now - time <= RECENT_SECONDS)?;
    let mut later = (last, age);
    for &(time, age) in newest_first {
        let elapsed = u32::try_from(later.0 - time).map_or(f64::INFINITY, f64::from);
        if later.1 - age < elapsed * MILLISECONDS * GROWTH {
            break;
        }
        later = (time, age);
    }
    let growing_seconds = u32::try_from(last - later.0).map_or(0.0, f64::from);
    let age_seconds = age / MILLISECONDS;
    // A point is named by the start of its minute, so the growth may seem to have started before the record was written.
    let growing = BlockedShard { age_seconds, growing_seconds: growing_seconds.min(age_seconds) };
    (growing_seconds >= GROWING_SECONDS).then_some(growing)
}

/// The sum of the failures that began at most so many seconds ago.
fn failing(failures: &[Point], now: i64, seconds: i64) -> f64 {
    failures.iter().filter(|(time, _)| now - time <= seconds).map(|(_, count)| count).sum()
}

/// The failed deliveries of the last 15 minutes.
pub fn failing_now(failures: &[Point], now: i64) -> f64 {
    failing(failures, now, WINDOW_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    /// A point for each of these minutes before now.
    fn minutes(points: &[(i64, f64)]) -> Vec<Point> {
        points.iter().map(|(before, value)| (NOW - before * 60, *value)).collect()
    }

    #[test]
    fn a_shard_is_blocked_while_its_records_age_and_deliveries_fail() {
        let growing = minutes(&[(9, 900.0), (8, 1_000.0), (4, 240_000.0), (3, 300_000.0), (1, 421_000.0)]);
        let failures = minutes(&[(8, 1.0), (1, 1.0)]);
        // It was fine 8 minutes ago, and for days before.
        assert_eq!(
            blocked(&growing, &failures, NOW),
            Some(BlockedShard { age_seconds: 421.0, growing_seconds: 420.0 })
        );
        for (what, ages, failures) in [
            ("nothing fails: it is too slow", growing.clone(), vec![]),
            ("the last failure is long ago", growing.clone(), minutes(&[(10, 9.0)])),
            (
                "the batch was discarded, and the rest is read",
                minutes(&[(4, 240_000.0), (2, 3_000.0)]),
                failures.clone(),
            ),
            (
                "the age stays the same: failures and a backlog",
                minutes(&[(4, 60_000.0), (1, 61_000.0)]),
                failures.clone(),
            ),
            ("one slow batch", minutes(&[(1, 50_000.0)]), failures.clone()),
            ("nothing was read lately", minutes(&[(14, 1_000.0), (10, 241_000.0)]), failures.clone()),
            ("no data", vec![], failures),
        ] {
            assert_eq!(blocked(&ages, &failures, NOW), None, "{what}");
        }
    }

    #[test]
    fn failures_of_the_last_quarter_of_an_hour_count_as_failing_now() {
        assert_eq!(failing_now(&minutes(&[(30, 5.0), (15, 2.0), (0, 1.0)]), NOW), 3.0);
    }
}
