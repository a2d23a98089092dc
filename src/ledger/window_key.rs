//! The windows that have states: minutes, and the hours, days and months above them.

use std::fmt;

use crate::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use crate::usage::Segment;
use crate::window::{Span, Window};

/// The length of a window that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A minute, whose state is the sum of its pages.
    Minute,
    /// An hour, whose state is the sum of its minutes.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

impl Level {
    /// Every level, shortest first.
    pub const ALL: [Level; 4] = [Level::Minute, Level::Hour, Level::Day, Level::Month];

    /// The level above this one.
    pub fn above(self) -> Option<Level> {
        Level::ALL.into_iter().find(|level| *level > self)
    }

    /// The level of snapshots of this window.
    pub fn of(window: Window) -> Level {
        match window {
            Window::Hour => Level::Hour,
            Window::Day => Level::Day,
            Window::Month => Level::Month,
        }
    }

    /// How many characters of an RFC 3339 text name a window of this level.
    fn characters(self) -> usize {
        match self {
            Level::Minute => "2026-11-28T08:57".len(),
            Level::Hour => "2026-11-28T08".len(),
            Level::Day => "2026-11-28".len(),
            Level::Month => "2026-11".len(),
        }
    }
}

/// A window that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// The length of the window.
    pub level: Level,
    /// The first second of the window, in seconds since the epoch.
    start: i64,
}

impl WindowKey {
    /// The window of this level that contains `at`.
    pub fn containing(level: Level, at: Timestamp) -> WindowKey {
        let start = match level {
            Level::Minute => Segment::containing(at).start(),
            Level::Hour => Window::Hour.containing(at).start,
            Level::Day => Window::Day.containing(at).start,
            Level::Month => Window::Month.containing(at).start,
        };
        WindowKey { level, start }
    }

    /// The minute.
    pub fn minute(minute: Segment) -> WindowKey {
        WindowKey { level: Level::Minute, start: minute.start() }
    }

    /// The window of snapshots that this is; a minute is none.
    pub fn span(self) -> Option<Span> {
        let window = Window::ALL.into_iter().find(|window| Level::of(*window) == self.level)?;
        Some(Span { window, start: self.start })
    }

    /// The window above this one.
    pub fn parent(self) -> Option<WindowKey> {
        let level = self.level.above()?;
        Some(WindowKey::containing(level, Timestamp::from_seconds(self.start)?))
    }

    /// The first second of the window, in seconds since the epoch.
    pub fn start(self) -> i64 {
        self.start
    }

    /// The first second after the window, in seconds since the epoch.
    pub fn end(self) -> i64 {
        match self.span() {
            Some(span) => span.end(),
            None => self.start + 60,
        }
    }

    /// The window as texts name it: `2026-11-28T08:57`, `2026-11-28T08`, `2026-11-28`, `2026-11`.
    pub fn text(self) -> String {
        let full = jiff::Timestamp::from_second(self.start).unwrap_or_default().to_string();
        full.get(..self.level.characters()).unwrap_or(&full).to_owned()
    }

    /// The window with this text.
    pub fn parse(text: &str) -> Option<WindowKey> {
        const FIRST: &str = "2000-01-01T00:00:00Z";
        let level = Level::ALL.into_iter().find(|level| level.characters() == text.len())?;
        let at = Timestamp::parse(&format!("{text}{}", FIRST.get(text.len()..)?))?;
        Some(WindowKey::containing(level, at)).filter(|window| window.text() == text)
    }

    /// When the state of this window may expire, in seconds since the epoch: its parent may be summed again until then.
    pub fn expires_at(self, keep_days: i64) -> i64 {
        self.parent().unwrap_or(self).end() + (keep_days + GRACE_DAYS) * DAY_SECONDS
    }
}

/// Days that pages and states are kept beyond KEEP_DAYS.
pub(super) const GRACE_DAYS: i64 = 7;

impl fmt::Display for WindowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// When a page may expire, in seconds since the epoch.
/// Whether the pages of a minute may already be gone, or will be within a day.
pub fn is_expiring(minute: Segment, keep_days: i64, now: Timestamp) -> bool {
    page_expires_at(minute, keep_days) - DAY_SECONDS < now.seconds()
}

pub(super) fn page_expires_at(minute: Segment, keep_days: i64) -> i64 {
    minute.start() + (keep_days + GRACE_DAYS) * DAY_SECONDS
}

const _: () = assert!(HOUR_SECONDS == 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_nest_and_read_back() {
        let at = Timestamp::parse("2026-02-28T23:59:30Z").unwrap();
        let minute = WindowKey::containing(Level::Minute, at);
        let mut texts = Vec::new();
        let mut window = Some(minute);
        while let Some(found) = window {
            assert_eq!(WindowKey::parse(&found.text()), Some(found));
            assert_eq!(WindowKey::containing(found.level, at), found);
            texts.push(found.text());
            window = found.parent();
        }
        assert_eq!(texts, ["2026-02-28T23:59", "2026-02-28T23", "2026-02-28", "2026-02"]);
        for wrong in ["", "2026", "2026-13", "2026-02-30", "2026-02-28T24", "2026-02-28T23:60", "2026-02-28t23:59"] {
            assert_eq!(WindowKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_state_outlives_what_may_be_summed_from_it() {
        let day = 86_400;
        let of = |text: &str| WindowKey::parse(text).unwrap().expires_at(18);
        let end = |text: &str| Timestamp::parse(text).unwrap().seconds();
        assert_eq!(of("2026-02-28T23:59"), end("2026-03-01T00:00:00Z") + 25 * day, "the end of its hour");
        assert_eq!(of("2026-02-28T22"), end("2026-03-01T00:00:00Z") + 25 * day, "the end of its day");
        assert_eq!(of("2026-02-03"), end("2026-03-01T00:00:00Z") + 25 * day, "the end of its month");
        assert_eq!(of("2026-02"), end("2026-03-01T00:00:00Z") + 25 * day, "its own end");
    }
}
