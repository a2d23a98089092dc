//! The windows that have states: minutes, and the hours, days, weeks, months and the total above them.

use std::collections::BTreeSet;
use std::fmt;

use crate::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use crate::usage::Segment;
use crate::window::{Span, Window, Zone};

/// The length of a window that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// A minute, whose state is the sum of its pages.
    Minute,
    /// An hour, whose state is the sum of its minutes.
    Hour,
    /// A day.
    Day,
    /// A week, whose state is the sum of its days, as that of a month is.
    Week,
    /// A month.
    Month,
    /// The total, whose state is the sum of the months.
    Total,
}

impl Level {
    /// Every level. Each comes after the one that it is summed up from.
    pub const ALL: [Level; 6] = [Level::Minute, Level::Hour, Level::Day, Level::Week, Level::Month, Level::Total];

    /// The level whose states this one is the sum of.
    pub fn below(self) -> Option<Level> {
        match self {
            Level::Minute => None,
            Level::Hour => Some(Level::Minute),
            Level::Day => Some(Level::Hour),
            Level::Week | Level::Month => Some(Level::Day),
            Level::Total => Some(Level::Month),
        }
    }

    /// The level of snapshots of this window.
    pub fn of(window: Window) -> Level {
        match window {
            Window::Hour => Level::Hour,
            Window::Day => Level::Day,
            Window::Week => Level::Week,
            Window::Month => Level::Month,
            Window::Total => Level::Total,
        }
    }

    /// This level and those that it is summed up from, longest first, without the minute.
    pub fn down(self) -> impl Iterator<Item = Level> {
        std::iter::successors(Some(self), |level| level.below()).filter(|level| *level != Level::Minute)
    }

    /// The levels above the minute that have states if these windows are counted. Each comes after the one that it is summed
    /// up from.
    pub fn needed(windows: &[Window]) -> impl Iterator<Item = Level> {
        let is_needed =
            |level: &Level| windows.iter().any(|window| Level::of(*window).down().any(|needed| needed == *level));
        Level::ALL.into_iter().filter(is_needed)
    }

    /// The window of snapshots of this level; the minute has none.
    fn window(self) -> Option<Window> {
        Window::ALL.into_iter().find(|window| Level::of(*window) == self)
    }

    /// Whether a window of this level may be summed from the states of `child`.
    fn sums(self, child: Level, windows: &[Window]) -> bool {
        // The states of minutes, hours and days are kept for the hour, day and month whether it is counted or not.
        let may_be_counted = match self {
            Level::Week => windows.contains(&Window::Week),
            Level::Total => windows.contains(&Window::Total),
            _ => true,
        };
        self.below() == Some(child) && may_be_counted
    }
}

/// A window that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// The length of the window.
    pub level: Level,
    /// The first second of the window, in seconds since the epoch.
    start: i64,
    /// The time zone of the pipeline. A minute is the same in each; the hour that its state is kept for isn't.
    zone: Zone,
}

impl WindowKey {
    /// The window of this level that contains `at`.
    pub fn containing(level: Level, at: Timestamp, zone: Zone) -> WindowKey {
        WindowKey::minute(Segment::containing(at), zone).within(level)
    }

    /// The minute.
    pub fn minute(minute: Segment, zone: Zone) -> WindowKey {
        WindowKey { level: Level::Minute, start: minute.start(), zone }
    }

    /// The window of snapshots that this is; a minute is none.
    pub fn span(self) -> Option<Span> {
        let window = self.level.window()?;
        Some(Span { window, start: self.start, zone: self.zone })
    }

    /// The window of this level that contains the first second of this one.
    #[must_use]
    pub fn within(self, level: Level) -> WindowKey {
        let WindowKey { start, zone, .. } = self;
        let start = level.window().map_or(start, |window| window.at(start, zone).start);
        WindowKey { level, start, zone }
    }

    /// The window of this level that contains the last second of this one.
    pub(super) fn last(self, level: Level) -> WindowKey {
        WindowKey { start: self.end() - 1, ..self }.within(level)
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

    /// The time zone.
    pub fn zone(self) -> Zone {
        self.zone
    }

    /// The window as texts name it: `2026-11-28T08:57`, a minute in UTC; `2026-11-28T08`, `2026-11-28`, `2026-W48`, `2026-11`,
    /// `total`.
    pub fn text(self) -> String {
        self.span().map_or_else(|| Segment::at(self.start).text(), Span::key)
    }

    /// The window with this text.
    pub fn parse(text: &str, zone: Zone) -> Option<WindowKey> {
        if let Some(minute) = Segment::parse(text) {
            return Some(WindowKey::minute(minute, zone));
        }
        let span = |window| Span::with_text(window, text, zone, Span::key);
        let Span { window, start, .. } = Window::ALL.into_iter().find_map(span)?;
        Some(WindowKey { level: Level::of(window), start, zone })
    }

    /// What the partition of this window's state is named by: the window that it is kept in. Months are together, and so are
    /// weeks, which aren't in one month each.
    pub(super) fn home(self) -> String {
        match self.level {
            Level::Minute => self.within(Level::Hour).text(),
            Level::Hour => self.within(Level::Day).text(),
            Level::Day => self.within(Level::Month).text(),
            Level::Month => String::new(),
            Level::Week => Window::Week.name().to_owned(),
            Level::Total => self.text(),
        }
    }

    /// Where the states are that this window is the sum of: what their partitions are named by, and their first and last sort
    /// keys, if these partitions have others as well.
    pub(super) fn children(self) -> (BTreeSet<String>, Option<[String; 2]>) {
        let [first, last] = [self.within(Level::Day), self.last(Level::Day)];
        match self.level {
            Level::Total => (BTreeSet::from([String::new()]), None),
            // A `~` sorts behind the digits of a part.
            Level::Week => {
                (BTreeSet::from([first.home(), last.home()]), Some([format!("{first}/"), format!("{last}/~")]))
            }
            _ => (BTreeSet::from([self.text()]), None),
        }
    }

    /// When the state of this window may expire, in seconds since the epoch: what is summed from it may be summed again until
    /// then. The total never ends.
    pub fn expires_at(self, windows: &[Window], keep_days: i64) -> Option<i64> {
        let above = Level::ALL.into_iter().filter(|level| level.sums(self.level, windows));
        let needed: Vec<WindowKey> = above.map(|level| self.within(level)).chain([self]).collect();
        if needed.iter().any(|window| window.level == Level::Total) {
            return None;
        }
        Some(needed.into_iter().map(WindowKey::end).max()? + (keep_days + GRACE_DAYS) * DAY_SECONDS)
    }
}

/// Days that pages and states are kept beyond KEEP_DAYS.
pub(super) const GRACE_DAYS: i64 = 7;

impl fmt::Display for WindowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// Whether the pages of a minute may already be gone, or will be within a day.
pub fn is_expiring(minute: Segment, keep_days: i64, now: Timestamp) -> bool {
    page_expires_at(minute, keep_days) - DAY_SECONDS < now.seconds()
}

/// When a page may expire, in seconds since the epoch.
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
        let texts = Level::ALL.map(|level| {
            let found = WindowKey::containing(level, at, Zone::UTC);
            assert_eq!(WindowKey::parse(&found.text(), Zone::UTC), Some(found));
            if let Some(below) = level.below() {
                let child = WindowKey::containing(below, at, Zone::UTC);
                assert!(found.start() <= child.start() && child.end() <= found.end());
                assert_eq!(child.within(level), found);
            }
            found.text()
        });
        assert_eq!(texts, ["2026-02-28T23:59", "2026-02-28T23", "2026-02-28", "2026-W09", "2026-02", "total"]);
        for wrong in
            ["", "2026", "2026-13", "2026-02-30", "2026-02-28T24", "2026-02-28T23:60", "2026-02-28t23:59", "totals"]
        {
            assert_eq!(WindowKey::parse(wrong, Zone::UTC), None, "{wrong}");
        }
    }

    #[test]
    fn levels_are_needed_down_to_the_hour() {
        let needed = |windows: &[Window]| Level::needed(windows).collect::<Vec<_>>();
        assert_eq!(needed(&[]), []);
        assert_eq!(needed(&[Window::Hour]), [Level::Hour]);
        assert_eq!(needed(&[Window::Month]), [Level::Hour, Level::Day, Level::Month]);
        assert_eq!(needed(&[Window::Week]), [Level::Hour, Level::Day, Level::Week]);
        assert_eq!(needed(&[Window::Total, Window::Hour]), [Level::Hour, Level::Day, Level::Month, Level::Total]);
    }

    #[test]
    fn a_state_outlives_what_may_be_summed_from_it() {
        let day = 86_400;
        let of = |windows: &[Window], text: &str| {
            WindowKey::parse(text, Zone::UTC).unwrap().expires_at(windows, 18).map(|at| at - 25 * day)
        };
        let end = |text: &str| Some(Timestamp::parse(text).unwrap().seconds());
        let usual = |text: &str| of(&Window::DEFAULT, text);
        assert_eq!(usual("2026-02-28T23:59"), end("2026-03-01T00:00:00Z"), "the end of its hour");
        assert_eq!(usual("2026-02-28T22"), end("2026-03-01T00:00:00Z"), "the end of its day");
        assert_eq!(usual("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
        assert_eq!(usual("2026-02"), end("2026-03-01T00:00:00Z"), "its own end");
        let with_week = |text: &str| of(&[Window::Week], text);
        assert_eq!(with_week("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
        assert_eq!(with_week("2026-03-30"), end("2026-04-06T00:00:00Z"), "the end of its week");
        assert_eq!(with_week("2026-W14"), end("2026-04-06T00:00:00Z"), "its own end");
        let with_total = |text: &str| of(&[Window::Total], text);
        assert_eq!(with_total("2026-02-03"), end("2026-03-01T00:00:00Z"), "the end of its month");
        assert_eq!((with_total("2026-02"), with_total("total")), (None, None), "the total never ends");
    }
}
