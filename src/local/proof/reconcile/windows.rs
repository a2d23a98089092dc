//! The windows of a time, as prefixes of its text, without using the code that is being checked.

use stream_types::Timestamp;
use usage_aggregator::window::Window;

/// The length of the prefix of `2026-11-21T03:04:05Z` that names its hour, day or month.
const HOUR: usize = "2026-11-21T03".len();
const DAY: usize = "2026-11-21".len();
const MONTH: usize = "2026-11".len();

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
    fn windows_are_cut_from_the_instant() {
        let at = Timestamp::parse("2024-02-29T23:59:59.5Z").unwrap();
        let shorts = Window::ALL.map(|window| containing(window, at));
        assert_eq!(shorts, ["2024-02-29T23", "2024-02-29", "2024-02"]);
        let starts = shorts.each_ref().map(|text| start(text));
        assert_eq!(starts, ["2024-02-29T23:00:00Z", "2024-02-29T00:00:00Z", "2024-02-01T00:00:00Z"]);
        for (window, (short_text, start)) in Window::ALL.into_iter().zip(shorts.iter().zip(&starts)) {
            assert_eq!(short(window, start), short_text);
        }
    }
}
