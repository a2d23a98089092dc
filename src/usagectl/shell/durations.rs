//! Durations on the command line: `500ms`, `30s`, `5m`, `1h`, `7d`.

use std::time::Duration;

/// Parses a duration.
///
/// # Errors
/// With the expected form if the unit is missing or the number isn't valid.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()) {
        return Ok(Duration::from_hours(24 * u64::from(days)));
    }
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| "expected a duration like 500ms, 30s, 5m, 1h or 7d".to_owned())
}

/// A duration for people: `3.2 s`, `48 s`, `5 min 3 s`, `2 h 5 min` or `3 d 4 h`.
pub fn span(duration: Duration) -> String {
    let (seconds, minutes, hours) = (duration.as_secs(), duration.as_secs() / 60, duration.as_secs() / 3_600);
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {smaller}"),
    };
    // Below this, one decimal doesn't round to 10.0.
    if duration < Duration::from_millis(9_950) {
        return format!("{:.1} s", duration.as_secs_f64());
    }
    match seconds {
        0..120 => format!("{} s", seconds.max(10)),
        120..7_200 => two(minutes, "min", seconds % 60, "s"),
        7_200..172_800 => two(hours, "h", minutes % 60, "min"),
        _ => two(hours / 24, "d", hours % 24, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_at_most_two_units() {
        for (millis, text) in [
            (3_210, "3.2 s"),
            (9_980, "10 s"),
            (48_700, "48 s"),
            (303_000, "5 min 3 s"),
            (7_500_000, "2 h 5 min"),
            (273_600_000, "3 d 4 h"),
            (259_200_000, "3 d"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_duration_needs_a_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1m 30s", 90_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "30", "-5s", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
