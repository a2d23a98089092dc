//! The windows that have states: minutes, and the hours, days, weeks, months and the total above them. Between a minute and an
//! hour other than its own lies a piece.

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
    /// What the minutes of one hour say about another hour, because the pipeline takes windows from an attribute.
    Piece,
    /// An hour, whose state is the sum of its minutes, and of the pieces about it.
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
    /// Every level but the piece, which few pipelines have. Each comes after the one that it is summed up from.
    pub const ALL: [Level; 6] = [Level::Minute, Level::Hour, Level::Day, Level::Week, Level::Month, Level::Total];

    /// The level whose states this one is the sum of; an hour is also the sum of pieces.
    pub fn below(self) -> Option<Level> {
        match self {
            Level::Minute => None,
            Level::Piece | Level::Hour => Some(Level::Minute),
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

    /// Whether a window of this level is the sum of windows of the level `child`, among others.
    pub fn is_sum_of(self, child: Level) -> bool {
        self.below() == Some(child) || (self, child) == (Level::Hour, Level::Piece)
    }

    /// Whether a window of this level may be summed from the states of `child`.
    fn sums(self, child: Level, windows: &[Window]) -> bool {
        // The states of minutes, hours, days and months are kept for the hour, day, month and total whether it is counted or not. A
        // total that is counted again lists the months that it had.
        let may_be_counted = match self {
            Level::Week => windows.contains(&Window::Week),
            _ => true,
        };
        self.is_sum_of(child) && may_be_counted
    }
}

/// A window that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowKey {
    /// The length of the window.
    pub level: Level,
    /// The first second of the window, in seconds since the epoch.
    start: i64,
    /// For a piece, the first second of the hour whose minutes say it.
    home_hour: Option<i64>,
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
        WindowKey { level: Level::Minute, start: minute.start(), home_hour: None, zone }
    }

    /// What the hour of a minute says about the hour that contains `hour`.
    pub fn piece(hour: Segment, minute: WindowKey) -> WindowKey {
        let start = Window::Hour.at(hour.start(), minute.zone).start;
        WindowKey { level: Level::Piece, start, home_hour: Some(minute.within(Level::Hour).start), zone: minute.zone }
    }

    /// Whether this window is the sum of `child`, among others.
    pub fn is_sum_of(self, child: WindowKey) -> bool {
        let contains = match self.home_hour {
            Some(home_hour) => child.within(Level::Hour).start == home_hour,
            None => child.within(self.level) == self,
        };
        self.level.is_sum_of(child.level) && contains
    }

    /// The hour whose minutes a piece is the sum of.
    fn home_hour(self) -> Option<WindowKey> {
        Some(WindowKey { level: Level::Hour, start: self.home_hour?, home_hour: None, ..self })
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
        WindowKey { level, start, home_hour: None, zone }
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
            None if self.level == Level::Piece => self.within(Level::Hour).end(),
            None => self.start + 60,
        }
    }

    /// The time zone.
    pub fn zone(self) -> Zone {
        self.zone
    }

    /// The window as texts name it: `2026-11-28T08:57`, a minute in UTC; `2026-11-28T08`, `2026-11-28`, `2026-W48`, `2026-11`,
    /// `total`. A piece has the hour that it is about and, behind an `@`, the hour whose minutes say it.
    pub fn text(self) -> String {
        if let Some(home_hour) = self.home_hour() {
            return format!("{}@{home_hour}", self.within(Level::Hour));
        }
        self.span().map_or_else(|| Segment::at(self.start).text(), Span::key)
    }

    /// The window with this text.
    pub fn parse(text: &str, zone: Zone) -> Option<WindowKey> {
        if let Some(minute) = Segment::parse(text) {
            return Some(WindowKey::minute(minute, zone));
        }
        if let Some((hour, home_hour)) = text.split_once('@') {
            let [about, home] = [hour, home_hour].map(|text| Span::with_text(Window::Hour, text, zone, Span::key));
            return Some(WindowKey { level: Level::Piece, start: about?.start, home_hour: Some(home?.start), zone });
        }
        let span = |window| Span::with_text(window, text, zone, Span::key);
        let Span { window, start, .. } = Window::ALL.into_iter().find_map(span)?;
        Some(WindowKey { level: Level::of(window), start, home_hour: None, zone })
    }

    /// What the partition of this window's state is named by: the window that it is kept in. Months are together, and so are
    /// weeks, which aren't in one month each.
    pub(super) fn home(self) -> String {
        match self.level {
            Level::Minute | Level::Piece => self.within(Level::Hour).text(),
            Level::Hour => self.within(Level::Day).text(),
            Level::Day => self.within(Level::Month).text(),
            Level::Month => String::new(),
            Level::Week => Window::Week.name().to_owned(),
            Level::Total => self.text(),
        }
    }

    /// Where the states are that this window is the sum of: what their partitions are named by, and their first and last sort
    /// keys, if these partitions have many others as well. That of an hour has its minutes and the pieces about it.
    pub(super) fn children(self) -> (BTreeSet<String>, Option<[String; 2]>) {
        let [first, last] = [self.within(Level::Day), self.last(Level::Day)];
        match self.level {
            Level::Total => (BTreeSet::from([String::new()]), None),
            // A `~` sorts behind the digits of a part.
            Level::Week => {
                (BTreeSet::from([first.home(), last.home()]), Some([format!("{first}/"), format!("{last}/~")]))
            }
            _ => (BTreeSet::from([self.home_hour().unwrap_or(self).text()]), None),
        }
    }

    /// When the state of this window may expire, in seconds since the epoch: what is summed from it may be summed again until
    /// then. The total never ends, so neither it nor a month expires. `keep_days` includes the days by which an attribute may be late that decides the window.
    pub fn expires_at(self, windows: &[Window], keep_days: i64) -> Option<i64> {
        let above = Level::ALL.into_iter().filter(|level| level.sums(self.level, windows));
        let needed: Vec<WindowKey> =
            above.map(|level| self.within(level)).chain([self]).chain(self.home_hour()).collect();
        if needed.iter().any(|window| window.level == Level::Total) {
            return None;
        }
        Some(needed.into_iter().map(WindowKey::end).max()? + (keep_days + GRACE_DAYS) * DAY_SECONDS)
    }
}

/// Days that pages and states are kept beyond KEEP_DAYS.
pub(crate) const GRACE_DAYS: i64 = 7;

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
mod tests;
