//! Windows of time, in UTC: the hour, day and month that an instant lies in.

use std::fmt;

use crate::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};

/// The span of a usage counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    Hour,
    Day,
    Month,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Window; 3] = [Window::Hour, Window::Day, Window::Month];

    /// The name in pipelines and keys.
    pub fn name(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Month => "month",
        }
    }

    /// The window of this length that `at` lies in.
    pub fn containing(self, at: Timestamp) -> Span {
        let second = at.seconds();
        let start = match self {
            Window::Hour => second - second.rem_euclid(HOUR_SECONDS),
            Window::Day => at.date().start_seconds(),
            Window::Month => civil(second)
                .first_of_month()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .map_or(second, |zoned| zoned.timestamp().as_second()),
        };
        Span { window: self, start }
    }
}

/// One window: its length and its first second since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub window: Window,
    pub start: i64,
}

impl Span {
    /// The first second after the window.
    pub fn end(self) -> i64 {
        match self.window {
            Window::Hour => self.start + HOUR_SECONDS,
            Window::Day => self.start + DAY_SECONDS,
            Window::Month => self.start + i64::from(civil(self.start).days_in_month()) * DAY_SECONDS,
        }
    }

    /// The window of which `text_of` gives this text: its start's, its end's or its key.
    pub fn with_text(window: Window, text: &str, text_of: impl Fn(Span) -> String) -> Option<Span> {
        // A key is the beginning of the start's text; what it lacks is the same for all windows of its length.
        const FIRST: &str = "2000-01-01T00:00:00Z";
        let full = format!("{text}{}", FIRST.get(text.len()..)?);
        let at = Timestamp::parse(&full)
            .or_else(|| Timestamp::parse("2099-12-31T23:59:59Z").filter(|_| full.starts_with("2100")))?;
        let before = Timestamp::from_seconds(at.seconds() - 1);
        // An end is the next window's start.
        [Some(at), before].into_iter().flatten().map(|at| window.containing(at)).find(|span| text_of(*span) == text)
    }

    /// The short text of the window: `2026-11-21T03`, `2026-11-21` or `2026-11`.
    pub fn key(self) -> String {
        let full = rfc3339(self.start);
        let length = match self.window {
            Window::Hour => "2026-11-21T03".len(),
            Window::Day => "2026-11-21".len(),
            Window::Month => "2026-11".len(),
        };
        full.get(..length).unwrap_or(&full).to_owned()
    }

    /// The first second as RFC 3339 text.
    pub fn start_text(self) -> String {
        rfc3339(self.start)
    }

    /// The first second after the window as RFC 3339 text.
    pub fn end_text(self) -> String {
        rfc3339(self.end())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.window.name(), self.key())
    }
}

fn civil(second: i64) -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(second).unwrap_or_default()).date()
}

fn rfc3339(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn windows_of_leap_days_and_month_ends() {
        let cases = [
            ("2024-02-29T23:59:59.999999Z", "2024-02-29T23", "2024-02-29", "2024-02", "2024-03-01T00:00:00Z"),
            ("2023-02-28T12:00:00Z", "2023-02-28T12", "2023-02-28", "2023-02", "2023-03-01T00:00:00Z"),
            ("2026-12-31T23:00:00Z", "2026-12-31T23", "2026-12-31", "2026-12", "2027-01-01T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "2000-01-01T00", "2000-01-01", "2000-01", "2000-02-01T00:00:00Z"),
            ("2099-12-31T23:59:59Z", "2099-12-31T23", "2099-12-31", "2099-12", "2100-01-01T00:00:00Z"),
        ];
        for (instant, hour, day, month, month_end) in cases {
            let keys = Window::ALL.map(|window| window.containing(at(instant)).key());
            assert_eq!(keys, [hour, day, month], "{instant}");
            assert_eq!(Window::Month.containing(at(instant)).end_text(), month_end);
        }
    }

    proptest! {
        #[test]
        fn every_instant_lies_in_its_window_and_the_windows_tile(second in 946_684_800i64..4_102_444_800) {
            let instant = Timestamp::from_seconds(second).unwrap();
            for window in Window::ALL {
                let span = window.containing(instant);
                prop_assert!(span.start <= second && second < span.end());
                for edge in [span.start, span.end() - 1] {
                    prop_assert_eq!(window.containing(Timestamp::from_seconds(edge).unwrap()), span);
                }
                if let Some(next) = Timestamp::from_seconds(span.end()) {
                    prop_assert_eq!(window.containing(next).start, span.end());
                }
            }
        }

        #[test]
        fn windows_agree_with_jiff(second in 946_684_800i64..4_102_444_800) {
            let zoned = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let expected = [zoned.strftime("%Y-%m-%dT%H").to_string(), zoned.strftime("%Y-%m-%d").to_string(), zoned.strftime("%Y-%m").to_string()];
            let instant = Timestamp::from_seconds(second).unwrap();
            prop_assert_eq!(Window::ALL.map(|window| window.containing(instant).key()), expected);
        }
    }
}
