//! The windows to export, by the texts of their starts.

use std::iter::successors;

use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use super::row::second_of;
use crate::results::usage::start_length;
use crate::shell::console::UsageError;

/// Windows of one length, from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Period {
    /// The length of the windows.
    pub window: Window,
    /// The beginning of the first window's start; `None` for all windows up to the last.
    first: Option<String>,
    /// The beginning of the last windows' starts.
    last: Option<String>,
}

impl Period {
    /// The windows of this length whose starts are between `start` and `end`. Both may name something longer: the days of
    /// `2026-10` are those of October. Without an end, they are those that `start` names.
    ///
    /// # Errors
    /// If a text names something that is shorter than the windows, or if the end is before the start.
    pub(super) fn new(window: Window, start: Option<String>, end: Option<String>) -> Result<Period, UsageError> {
        for (option, text) in [("--start", &start), ("--end", &end)] {
            if let Some(text) = text.as_ref().filter(|text| text.len() > start_length(window)) {
                let length = window.name();
                return Err(UsageError(format!(
                    "{option} {text} is shorter than a {length}: name a {length}, or use a shorter --window"
                )));
            }
        }
        if let (Some(start), Some(end)) = (&start, &end)
            && end.get(..start.len()).unwrap_or(end) < start.get(..end.len()).unwrap_or(start)
        {
            return Err(UsageError(format!("--end {end} is before --start {start}")));
        }
        let last = end.or_else(|| start.clone());
        Ok(Period { window, first: start, last })
    }

    /// Whether the window that starts then is one of them.
    pub(super) fn contains(&self, start: &str) -> bool {
        let begins = |text: &str| start.get(..text.len()).unwrap_or(start).to_owned();
        self.first.as_ref().is_none_or(|first| begins(first) >= *first)
            && self.last.as_ref().is_none_or(|last| begins(last) <= *last)
    }

    /// How many of the windows have snapshots that may have expired. If the period has no start, it begins with `earliest`, the start
    /// of a window.
    pub(super) fn expired_windows(&self, earliest: Option<&str>, snapshot: &Snapshot, now: Timestamp) -> usize {
        let first_day = |first: &String| first.get(..10).map_or_else(|| format!("{first}-01"), str::to_owned);
        let second = match &self.first {
            Some(first) => snapshot.zone.day(&first_day(first)),
            None => earliest.and_then(second_of),
        };
        let Some(second) = second else { return 0 };
        let at = |second: i64| self.window.at(second, snapshot.zone);
        // The period can begin with an hour of that day, and a week before its month.
        let windows = successors(Some(at(second)), |span| Some(at(span.end())));
        let expired = windows.take_while(|span| snapshot.has_expired(*span, now)).map(|span| span.start_text());
        expired.skip_while(|start| !self.contains(start)).take_while(|start| self.contains(start)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(window: Window, start: &str, end: &str) -> Result<Period, String> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Period::new(window, text(start), text(end)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_month_selects_itself_and_its_days() {
        for (window, start, end, inside, outside) in [
            (Window::Month, "2026-10", "", &["2026-10"][..], &["2026-09", "2026-11"][..]),
            (Window::Day, "2026-10", "", &["2026-10-01", "2026-10-31"], &["2026-09-30", "2026-11-01"]),
            (Window::Day, "2026-10-30", "2026-11", &["2026-10-30", "2026-11-30"], &["2026-10-29", "2026-12-01"]),
            (Window::Hour, "2026-10", "2026-10-02", &["2026-10-01T00", "2026-10-02T23"], &["2026-10-03T00"]),
            (Window::Month, "", "", &["2026-10"], &[]),
        ] {
            let period = period(window, start, end).unwrap();
            let contains = |key: &&str| {
                let rest = "2000-01-01T00:00:00Z".get(key.len()..).unwrap();
                period.contains(&format!("{key}{rest}"))
            };
            assert!(inside.iter().all(contains), "{period:?}");
            assert!(!outside.iter().any(contains), "{period:?}");
        }
    }

    #[test]
    fn windows_that_may_have_expired_are_counted() {
        use usage_aggregator::pipeline::{Pipeline, shipped};
        // Hours are kept for 90 days, days for 400.
        let snapshot = Pipeline::parse(&shipped("orders").unwrap()).unwrap().snapshot.unwrap();
        let now = Timestamp::parse("2026-11-30T12:00:00Z").unwrap();
        for (window, start, end, earliest, expired) in [
            (Window::Hour, "2026-07", "", None, 31 * 24),
            (Window::Hour, "2026-09-01T03", "2026-09", None, 8),
            (Window::Hour, "2026-11", "", None, 0),
            (Window::Hour, "", "", Some("2026-09-01T10:00:00Z"), 1),
            (Window::Hour, "", "", None, 0),
            (Window::Day, "2025-10-20", "2026-11", None, 6),
            (Window::Month, "2000-01", "2026-11", None, 0),
            (Window::Total, "", "", Some("2000-01-01T00:00:00Z"), 0),
        ] {
            let period = period(window, start, end).unwrap();
            assert_eq!(period.expired_windows(earliest, &snapshot, now), expired, "{period:?}");
        }
    }

    #[test]
    fn what_is_shorter_than_the_window_or_ends_before_it_starts_is_refused() {
        let shorter = period(Window::Month, "2026-10-21", "").unwrap_err();
        assert_eq!(shorter, "--start 2026-10-21 is shorter than a month: name a month, or use a shorter --window");
        let before = period(Window::Day, "2026-10", "2026-09-30").unwrap_err();
        assert_eq!(before, "--end 2026-09-30 is before --start 2026-10");
        assert!(period(Window::Day, "2026-10-30", "2026-10").is_ok(), "it ends with the month");
    }
}
