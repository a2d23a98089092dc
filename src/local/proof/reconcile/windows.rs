//! The windows of a time, as prefixes of its text, without using the code that is being checked; and the one window whose
//! counters are checked, if not all are.

use jiff::ToSpan;
use stream_types::Timestamp;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::DAY_SECONDS;
use usage_aggregator::window::{Window, Zone};

/// The length of the prefix of `2026-11-21T03:04:05Z` that names its hour, day or month.
const HOUR: usize = "2026-11-21T03".len();
const DAY: usize = "2026-11-21".len();
const MONTH: usize = "2026-11".len();
const WEEK: usize = "2026-W47".len();
const SECOND: usize = "2026-11-21T03:04:05".len();
const ZONED_HOUR: usize = "2026-11-21T03+01:00".len();

/// The only month, week, day, or hour whose counters are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// Its short name.
    name: String,
    /// The days of a week.
    days: Vec<String>,
}

impl Period {
    /// The month `2026-11`, the week `2026-W47`, the day `2026-11-21`, or the hour `2026-11-21T03` or, of a time zone,
    /// `2026-11-21T03+01:00`.
    pub fn new(start: impl Into<String>) -> Period {
        let name = start.into();
        let first = jiff::civil::Date::strptime("%G-W%V-%u", format!("{name}-1"));
        let days = first.map(|first| first.series(1.day()).take(7).map(|day| day.to_string()).collect());
        Period { name, days: days.unwrap_or_default() }
    }

    /// Its short name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the short names of its windows begin with, and those of the times in it.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.days.iter().map(String::as_str))
    }

    /// Whether a time as RFC 3339 text, or a window by its short name, lies in it.
    pub(super) fn contains(&self, time: &str) -> bool {
        let is_instant = time.as_bytes().get(HOUR) == Some(&b':');
        let short = if is_instant { short(Window::Hour, time) } else { time.to_owned() };
        self.prefixes().any(|prefix| short.starts_with(prefix))
    }

    /// Whether the rows of a date, which is one in UTC, may be of this period, or with their `history`, before it.
    pub(super) fn needs(&self, date: &str, history: History, zone: Zone) -> bool {
        let parsed = date.parse::<jiff::civil::Date>().ok().filter(|_| !zone.is_utc());
        let Some(parsed) = parsed else { return self.has_date(date, history) };
        // A day of the time zone lies in up to three days of UTC.
        let around = [parsed.yesterday().ok(), Some(parsed), parsed.tomorrow().ok()];
        around.into_iter().flatten().any(|date| self.has_date(&date.to_string(), history))
    }

    /// The same, if records may count on other days than that of their creation.
    pub(super) fn may_count(&self, created: &str, history: History, (zone, drift): (Zone, Drift)) -> bool {
        let parsed = created.parse::<jiff::civil::Date>().ok().filter(|_| drift != Drift::default());
        let Some(parsed) = parsed else { return self.needs(created, history, zone) };
        let first = parsed.saturating_sub(drift.late_days.days()).to_string();
        let last = parsed.saturating_add(drift.early_days.days()).to_string();
        let begins_before_the_end = self.needs(&first, History::Needed, zone);
        let is_after_the_end = !self.needs(&last, History::Needed, zone);
        begins_before_the_end
            && (history == History::Needed || is_after_the_end || self.needs(&last, History::NotNeeded, zone))
    }

    fn has_date(&self, date: &str, history: History) -> bool {
        let mut days = self.days.iter().map(String::as_str);
        let (first, last) = match (days.next(), days.next_back()) {
            (Some(first), Some(last)) => (first, last),
            _ => (begin(&self.name, DAY), begin(&self.name, DAY)),
        };
        let date = begin(date, first.len());
        date <= last && (history == History::Needed || date >= first)
    }
}

/// Whether counting a record needs the states before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Needed,
    NotNeeded,
}

/// By how many days records may count before and after the day of their creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Drift {
    pub late_days: i64,
    pub early_days: i64,
}

impl Drift {
    pub(super) fn of(pipeline: &Pipeline) -> Drift {
        let early_days = (pipeline.early_seconds() + DAY_SECONDS - 1) / DAY_SECONDS;
        Drift { late_days: pipeline.late_days(), early_days }
    }
}

/// An instant as RFC 3339 text in the time zone of the windows, which begins with the names of its month, day and hour.
pub(super) fn local(at: Timestamp, zone: Zone) -> String {
    match zone.is_utc() {
        true => at.to_string(),
        false => {
            zoned_text(&jiff::Timestamp::from_microsecond(at.micros()).unwrap_or_default().to_zoned(zone.time_zone()))
        }
    }
}

fn zoned_text(zoned: &jiff::Zoned) -> String {
    zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// The short name of the window of this length that contains `at`.
pub(super) fn containing(window: Window, at: Timestamp, zone: Zone) -> String {
    short(window, &local(at, zone))
}

/// The short name of a window, from the text of any time in it.
pub(super) fn short(window: Window, instant: &str) -> String {
    match window {
        Window::Hour if instant.ends_with('Z') => begin(instant, HOUR).to_owned(),
        // The hour that is repeated when the clocks go back differs in the offset.
        Window::Hour => begin(instant, HOUR).to_owned() + instant.get(SECOND..).unwrap_or_default(),
        Window::Day => begin(instant, DAY).to_owned(),
        Window::Week => {
            let date = begin(instant, DAY).parse::<jiff::civil::Date>();
            date.map_or_else(|_| instant.to_owned(), |date| date.strftime("%G-W%V").to_string())
        }
        Window::Month => begin(instant, MONTH).to_owned(),
        Window::Total => window.name().to_owned(),
    }
}

fn begin(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

/// When a window starts, as RFC 3339 text.
pub(super) fn start(short: &str, zone: Zone) -> String {
    let date = match short.len() {
        HOUR => return format!("{short}:00:00Z"),
        ZONED_HOUR => return format!("{}:00:00{}", begin(short, HOUR), short.get(HOUR..).unwrap_or_default()),
        DAY => short.parse::<jiff::civil::Date>(),
        MONTH => format!("{short}-01").parse(),
        WEEK => jiff::civil::Date::strptime("%G-W%V-%u", format!("{short}-1")),
        _ => return short.to_owned(),
    };
    match date.and_then(|date| date.to_zoned(zone.time_zone())) {
        Ok(zoned) if zone.is_utc() => zoned.timestamp().to_string(),
        Ok(zoned) => zoned_text(&zoned),
        Err(_) => short.to_owned(),
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
            let needs = |history| [earlier, own, later].map(|date| Period::new(period).needs(date, history, Zone::UTC));
            assert_eq!(needs(History::Needed), [true, true, false], "{period}");
            assert_eq!(needs(History::NotNeeded), [false, true, false], "{period}");
        }
        assert!(Period::new("2026-11-21").contains("2026-11-21T03") && !Period::new("2026-11-21").contains("2026-11"));
        let week = |date| {
            [History::Needed, History::NotNeeded].map(|history| Period::new("2026-W48").needs(date, history, Zone::UTC))
        };
        let found = ["2026-11-22", "2026-11-23", "2026-11-29", "2026-11-30"].map(week);
        assert_eq!(found, [[true, false], [true, true], [true, true], [false, false]]);
        let week = Period::new("2026-W48");
        for (time, expected) in [
            ("2026-W48", true),
            ("2026-11-23T00:00:00Z", true),
            ("2026-11-29T23:59:59+01:00", true),
            ("2026-11-29", true),
            ("2026-11-29T23+01:00", true),
            ("2026-11-30", false),
            ("2026-11", false),
            ("2026-W49", false),
            ("total", false),
        ] {
            assert_eq!(week.contains(time), expected, "{time}");
        }
        let hour = Period::new("2026-10-25T02+01:00");
        assert!(hour.contains("2026-10-25T02:17:00+01:00") && !hour.contains("2026-10-25T02:17:00+02:00"));
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let dates = ["2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22", "2026-11-23"];
        let needed = dates.map(|date| Period::new("2026-11-21").needs(date, History::NotNeeded, berlin));
        assert_eq!(needed, [false, true, true, true, false]);
    }

    #[test]
    fn a_period_needs_the_dates_whose_records_may_count_in_it() {
        let week_late = Drift { late_days: 7, early_days: 1 };
        for (date, drift, expected) in [
            ("2026-11-20", Drift::default(), [true, false]),
            ("2026-11-22", Drift::default(), [false, false]),
            ("2026-11-19", week_late, [true, false]),
            ("2026-11-20", week_late, [true, true]),
            ("2026-11-28", week_late, [true, true]),
            ("2026-11-29", week_late, [false, false]),
        ] {
            let needs = |history| Period::new("2026-11-21").may_count(date, history, (Zone::UTC, drift));
            assert_eq!([History::Needed, History::NotNeeded].map(needs), expected, "{date} {drift:?}");
        }
    }

    #[test]
    fn windows_are_cut_from_the_instant() {
        let at = Timestamp::parse("2024-02-29T23:59:59.5Z").unwrap();
        let shorts = Window::ALL.map(|window| containing(window, at, Zone::UTC));
        assert_eq!(shorts, ["2024-02-29T23", "2024-02-29", "2024-W09", "2024-02", "total"]);
        let starts = shorts.each_ref().map(|text| start(text, Zone::UTC));
        let expected =
            ["2024-02-29T23:00:00Z", "2024-02-29T00:00:00Z", "2024-02-26T00:00:00Z", "2024-02-01T00:00:00Z", "total"];
        assert_eq!(starts, expected);
        for (window, (short_text, start)) in Window::ALL.into_iter().zip(shorts.iter().zip(&starts)) {
            assert_eq!(&short(window, start), short_text);
        }
    }

    #[test]
    fn windows_of_a_time_zone_are_cut_from_the_local_time() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        // The hour from 02:00 comes twice on 2026-10-25.
        for (at, expected, starts) in [
            (
                "2026-10-25T00:59:59Z",
                ["2026-10-25T02+02:00", "2026-10-25", "2026-W43", "2026-10", "total"],
                [
                    "2026-10-25T02:00:00+02:00",
                    "2026-10-25T00:00:00+02:00",
                    "2026-10-19T00:00:00+02:00",
                    "2026-10-01T00:00:00+02:00",
                    "total",
                ],
            ),
            (
                "2026-10-25T01:00:00Z",
                ["2026-10-25T02+01:00", "2026-10-25", "2026-W43", "2026-10", "total"],
                [
                    "2026-10-25T02:00:00+01:00",
                    "2026-10-25T00:00:00+02:00",
                    "2026-10-19T00:00:00+02:00",
                    "2026-10-01T00:00:00+02:00",
                    "total",
                ],
            ),
        ] {
            let at = Timestamp::parse(at).unwrap();
            let shorts = Window::ALL.map(|window| containing(window, at, berlin));
            assert_eq!(shorts, expected);
            assert_eq!(shorts.each_ref().map(|short| start(short, berlin)), starts);
            for (window, short) in Window::ALL.into_iter().zip(&shorts) {
                let span = window.containing(at, berlin);
                assert_eq!(&span.key(), short, "the function names the window in the same way");
                if window != Window::Total {
                    assert_eq!(span.start_text(), start(short, berlin));
                }
            }
        }
    }
}
