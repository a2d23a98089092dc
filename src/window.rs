//! Time windows: the hour, day, week and month that an instant lies in, in the time zone of a pipeline, and the one window of
//! all times.

mod zone;

use std::fmt;

use jiff::civil::{Date, ISOWeekDate, Weekday};

use crate::time::{DAY_SECONDS, EARLIEST_SECOND, END_SECOND, HOUR_SECONDS, Timestamp};
pub use zone::Zone;

/// The length of the window that a usage counter covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// An hour that starts at minute 0.
    Hour,
    /// A calendar day.
    Day,
    /// An ISO 8601 week, which starts on Monday.
    Week,
    /// A calendar month.
    Month,
    /// The one window of all times.
    Total,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Window; 5] = [Window::Hour, Window::Day, Window::Week, Window::Month, Window::Total];

    /// The windows of a pipeline that doesn't choose.
    pub const DEFAULT: [Window; 3] = [Window::Hour, Window::Day, Window::Month];

    /// The name of the window in pipelines and keys.
    pub fn name(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Week => "week",
            Window::Month => "month",
            Window::Total => TOTAL,
        }
    }

    /// The window of this length that contains `at`.
    pub fn containing(self, at: Timestamp, zone: Zone) -> Span {
        self.at(at.seconds(), zone)
    }

    /// The window of this length that contains a second since the epoch.
    pub fn at(self, second: i64, zone: Zone) -> Span {
        let start = match self {
            Window::Hour => zone.hour(second).0,
            Window::Day if zone.is_utc() => second - second.rem_euclid(DAY_SECONDS),
            Window::Day => zone.start_of(zone.date(second)),
            Window::Week => {
                let date = zone.date(second);
                zone.start_of(date.iso_week_date().first_of_week().map_or(date, ISOWeekDate::date))
            }
            Window::Month => zone.start_of(zone.date(second).first_of_month()),
            Window::Total => EARLIEST_SECOND,
        };
        Span { window: self, start, zone }
    }
}

/// One window in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The length of the window.
    pub window: Window,
    /// The first second of the window, in seconds since the epoch.
    pub start: i64,
    /// The time zone.
    pub zone: Zone,
}

const TOTAL: &str = "total";

impl Span {
    /// The first second after the window, in seconds since the epoch.
    pub fn end(self) -> i64 {
        let Span { window, start, zone } = self;
        let after = |last: Date| last.tomorrow().map_or(END_SECOND, |first| zone.start_of(first));
        match window {
            Window::Hour => zone.hour(start).1,
            Window::Day if zone.is_utc() => start + DAY_SECONDS,
            Window::Day => after(zone.date(start)),
            Window::Week => {
                let date = zone.date(start);
                after(date.iso_week_date().last_of_week().map_or(date, ISOWeekDate::date))
            }
            Window::Month => after(zone.date(start).last_of_month()),
            Window::Total => END_SECOND,
        }
    }

    /// The window for which `text_of` returns `text`. `text_of` must be [`Span::start_text`], [`Span::end_text`] or
    /// [`Span::key`].
    pub fn with_text(window: Window, text: &str, zone: Zone, text_of: impl Fn(Span) -> String) -> Option<Span> {
        let seconds = seconds_of(text, zone).unwrap_or([EARLIEST_SECOND; 2]);
        let spans = seconds.into_iter().map(|second| window.at(second, zone));
        spans.filter(|span| span.start < END_SECOND && span.end() > EARLIEST_SECOND).find(|span| text_of(*span) == text)
    }

    /// The window as a short text: `2026-11-21T03`, `2026-11-21`, `2026-W47`, `2026-11` or `total`. In a time zone other than UTC, an
    /// hour also has the offset: `2026-11-21T04+01:00`.
    pub fn key(self) -> String {
        let full = self.start_text();
        let cut = |length: usize| full.get(..length).unwrap_or(&full).to_owned();
        match self.window {
            Window::Hour if self.zone.is_utc() => cut(HOUR_CHARACTERS),
            Window::Hour => cut(HOUR_CHARACTERS) + full.get(INSTANT_CHARACTERS..).unwrap_or_default(),
            Window::Day => cut("2026-11-21".len()),
            Window::Week => {
                let week = self.zone.date(self.start).iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            Window::Month => cut("2026-11".len()),
            Window::Total => TOTAL.to_owned(),
        }
    }

    /// The first second of the window as RFC 3339 text, with the offset of the time zone. The total begins in 2000, before
    /// every record.
    pub fn start_text(self) -> String {
        self.zone.text(self.start)
    }

    /// The first second after the window as RFC 3339 text. The total ends in 2100, after every record.
    pub fn end_text(self) -> String {
        self.zone.text(self.end())
    }
}

const HOUR_CHARACTERS: usize = "2026-11-21T03".len();
const INSTANT_CHARACTERS: usize = "2026-11-21T03:00:00".len();

/// Two seconds, one of which lies in the window that has this text as its start, end or key.
fn seconds_of(text: &str, zone: Zone) -> Option<[i64; 2]> {
    let instant = |text: &str| Some(text.parse::<jiff::Timestamp>().ok()?.as_second());
    match text.split_at_checked(HOUR_CHARACTERS) {
        // The end of a window is the start of the next one.
        Some((_, rest)) if rest.starts_with(':') => instant(text).map(|second| [second, second - 1]),
        // If the offset changes within the hour, the window begins or ends with the change.
        Some((hour, offset)) => {
            let offset = if offset.is_empty() { "Z" } else { offset };
            instant(&format!("{hour}:00:00{offset}")).map(|first| [first, first + HOUR_SECONDS - 1])
        }
        None => {
            let first = match text.split_once("-W") {
                Some((year, week)) => {
                    ISOWeekDate::new(year.parse().ok()?, week.parse().ok()?, Weekday::Monday).ok()?.date()
                }
                None => format!("{text}{}", "2000-01-01".get(text.len()..)?).parse().ok()?,
            };
            Some([zone.start_of(first); 2])
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.window.name(), self.key())
    }
}

#[cfg(test)]
mod tests;
