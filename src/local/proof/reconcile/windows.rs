//! The windows of an instant as texts, by cutting the text of the instant: not by the code that is being checked.

use stream_types::Timestamp;
use usage_aggregator::window::Window;

/// What is left of `2026-11-21T03:04:05Z` to name its hour, day and month.
const HOUR: usize = "2026-11-21T03".len();
const DAY: usize = "2026-11-21".len();
const MONTH: usize = "2026-11".len();

/// The short text of the window of this length that `at` lies in.
pub(super) fn containing(window: Window, at: Timestamp) -> String {
    short(window, &at.to_string()).to_owned()
}

/// The short text of a window, from the text of any instant in it.
pub(super) fn short(window: Window, instant: &str) -> &str {
    let length = match window {
        Window::Hour => HOUR,
        Window::Day => DAY,
        Window::Month => MONTH,
    };
    instant.get(..length).unwrap_or(instant)
}

/// The window's first second, as people read it.
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
