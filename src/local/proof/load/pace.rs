//! When to write: at the requested rate, and never when it would be uncertain which hour a write belongs to, in any time zone.

use std::time::Duration;

use stream_types::Timestamp;

/// A record's hour is that of the timestamp that DynamoDB or Kinesis gives it. Nothing is sent for this long before and
/// after the end of a quarter, so that slow responses and small clock differences don't matter.
const QUIET_MICROS: i64 = 2_000_000;
/// A quarter of an hour. Every hour of a time zone begins with one: in Asia/Kolkata at half past in UTC, in Asia/Kathmandu at a quarter
/// past. All offsets since 2000 are multiples of 15 minutes.
const QUARTER_MICROS: i64 = 900_000_000;

/// How long to wait at `now` before sending.
pub(super) fn quiet(now: Timestamp) -> Duration {
    let since_quarter = now.micros().rem_euclid(QUARTER_MICROS);
    let until_quarter = QUARTER_MICROS - since_quarter;
    let wait_micros = match (since_quarter, until_quarter) {
        (since, _) if since < QUIET_MICROS => QUIET_MICROS - since,
        (_, until) if until <= QUIET_MICROS => until + QUIET_MICROS,
        _ => 0,
    };
    Duration::from_micros(wait_micros.unsigned_abs())
}

/// Whether two times are in the same quarter of an hour, and so in the same hour of every time zone.
pub(super) fn same_quarter(a: Timestamp, b: Timestamp) -> bool {
    a.micros().div_euclid(QUARTER_MICROS) == b.micros().div_euclid(QUARTER_MICROS)
}

/// When the change with this index is due, from the start; immediately if the rate is 0.
pub(super) fn due(index: u64, rate_per_second: u32) -> Duration {
    let rate = u64::from(rate_per_second);
    let (Some(seconds), Some(rest)) = (index.checked_div(rate), index.checked_rem(rate)) else { return Duration::ZERO };
    // The rest is less than the rate, which has 32 bits, so this can't overflow.
    Duration::from_secs(seconds) + Duration::from_nanos(rest * 1_000_000_000 / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn nothing_is_sent_around_the_end_of_an_hour_of_any_time_zone() {
        for (now, wait_millis) in [
            ("2026-11-21T09:59:57.999Z", 0),
            ("2026-11-21T09:59:58Z", 4_000),
            ("2026-11-21T09:59:59.5Z", 2_500),
            ("2026-11-21T10:00:00Z", 2_000),
            ("2026-11-21T10:00:01.9Z", 100),
            ("2026-11-21T10:00:02Z", 0),
            ("2026-11-21T10:14:57.999Z", 0),
            ("2026-11-21T10:29:59.5Z", 2_500),
            ("2026-11-21T10:30:01Z", 1_000),
            ("2026-11-21T10:40:00Z", 0),
            ("2026-11-21T10:45:00Z", 2_000),
        ] {
            assert_eq!(quiet(at(now)), Duration::from_millis(wait_millis), "{now}");
        }
    }

    #[test]
    fn times_are_compared_by_their_quarter_of_an_hour() {
        assert!(same_quarter(at("2026-11-21T10:45:00Z"), at("2026-11-21T10:59:59.9Z")));
        assert!(!same_quarter(at("2026-11-21T10:59:59.9Z"), at("2026-11-21T11:00:00Z")));
        assert!(!same_quarter(at("2026-11-21T10:29:59.9Z"), at("2026-11-21T10:30:00.1Z")), "Asia/Kolkata");
    }

    #[test]
    fn changes_are_due_at_the_rate() {
        assert_eq!(due(0, 3), Duration::ZERO);
        assert_eq!(due(1, 4), Duration::from_millis(250));
        assert_eq!(due(300_000, 1_000), Duration::from_secs(300));
        assert_eq!(due(u64::from(u32::MAX), u32::MAX), Duration::from_secs(1));
        assert_eq!(due(7, 0), Duration::ZERO);
    }
}
