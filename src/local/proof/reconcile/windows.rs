//! The windows of a time, as prefixes of its text, without using the code that is being checked; and the one window whose
//! counters are checked, if not all are.

use stream_types::Timestamp;
use usage_aggregator::window::Window;

/// The length of the prefix of `2026-11-21T03:04:05Z` that names its hour, day or month.
const HOUR: usize = "2026-11-21T03".len();
const DAY: usize = "2026-11-21".len();
const MONTH: usize = "2026-11".len();

/// The only month, day, or hour whose counters are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period(String);

impl Period {
    /// The month `2026-11`, the day `2026-11-21`, or the hour `2026-11-21T03`.
    pub fn new(start: impl Into<String>) -> Period {
        Period(start.into())
    }

    /// How its windows start.
    pub fn prefix(&self) -> &str {
        &self.0
    }

    /// Whether a time, or a window by its short name, lies in it.
    pub(super) fn contains(&self, time: &str) -> bool {
        time.starts_with(&self.0)
    }

    /// Whether the rows of a date are of this period, or with their `history`, before it.
    pub(super) fn needs(&self, date: &str, history: History) -> bool {
        let own = self.0.get(..DAY).unwrap_or(&self.0);
        let date = date.get(..own.len()).unwrap_or(date);
        date == own || (history == History::Needed && date < own)
    }
}

/// Whether counting a record needs the states before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Needed,
    NotNeeded,
}

/// The short name of the window of this length that contains `at`.
pub(super) fn containing(window: Window, at: Timestamp) -> String {
    short(window, &at.to_string()).to_owned()
}

/// The short name of a window, from the text of any time in it.
pub(super) fn short(window: Window, instant: &str) -> &str {
    let length = match window {
        Window::Hour => HOUR,
        Window::Day => DAY,
        Window::Month => MONTH,
        Window::Total => return window.name(),
    };
    instant.get(..length).unwrap_or(instant)
}

/// When a window starts, as RFC 3339 text.
pub(super) fn start(short: &str) -> String {
    match short.len() {
        HOUR => format!("{short}:00:00Z"),
        DAY => format!("{short}T00:00:00Z"),
        MONTH => format!("{short}-01T00:00:00Z"),
        _ => short.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_needs_its_own_dates_and_the_histories_before_them() {
        for (period, earlier, own, later) in [
            ("2026-11", "2026-10-31", "2026-11-30", "2026-12-01"),
            ("2026-11-21", "2026-11-20", "2026-11-21", "2026-11-22"),
            ("2026-11-21T03", "2026-11-20", "2026-11-21", "2026-11-22"),
        ] {
            let needs = |history| [earlier, own, later].map(|date| Period::new(period).needs(date, history));
            assert_eq!(needs(History::Needed), [true, true, false], "{period}");
            assert_eq!(needs(History::NotNeeded), [false, true, false], "{period}");
        }
        assert!(Period::new("2026-11-21").contains("2026-11-21T03") && !Period::new("2026-11-21").contains("2026-11"));
    }

    #[test]
    fn windows_are_cut_from_the_instant() {
        let at = Timestamp::parse("2024-02-29T23:59:59.5Z").unwrap();
        let shorts = Window::DEFAULT.map(|window| containing(window, at));
        assert_eq!(shorts, ["2024-02-29T23", "2024-02-29", "2024-02"]);
        let starts = shorts.each_ref().map(|text| start(text));
        assert_eq!(starts, ["2024-02-29T23:00:00Z", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z"]);
        for (window, (short_text, start)) in Window::DEFAULT.into_iter().zip(shorts.iter().zip(&starts)) {
            assert_eq!(short(window, start), short_text);
        }
        assert_eq!((containing(Window::Total, at).as_str(), start("total").as_str()), ("total", "total"));
    }
}
