//! Time zones: the local time of an instant. The tz database is compiled in, so nothing depends on files of the host.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use crate::time::HOUR_SECONDS;

/// A time zone, by which windows begin and end.
#[derive(Debug, Clone, Copy)]
pub struct Zone(Option<&'static TimeZone>);

/// The zones that were asked for, each once. They live as long as the process, so that a window is a small value.
static KNOWN: Mutex<Vec<&'static TimeZone>> = Mutex::new(Vec::new());

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(None);

    /// The zone with this name in the tz database, such as `Europe/Berlin`. The spelling must be exact, because the name is
    /// part of keys.
    pub fn named(name: &str) -> Option<Zone> {
        if name == Zone::UTC.name() {
            return Some(Zone::UTC);
        }
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = known.iter().find(|zone| zone.iana_name() == Some(name)) {
            return Some(Zone(Some(zone)));
        }
        let found = TimeZoneDatabase::bundled().get(name).ok()?;
        (found.iana_name() == Some(name)).then(|| {
            let zone: &'static TimeZone = Box::leak(Box::new(found));
            known.push(zone);
            Zone(Some(zone))
        })
    }

    /// The name in the tz database.
    pub fn name(self) -> &'static str {
        self.0.map_or("UTC", |zone| zone.iana_name().unwrap_or_default())
    }

    /// The rules of the zone.
    pub fn time_zone(self) -> TimeZone {
        self.0.cloned().unwrap_or(TimeZone::UTC)
    }

    /// Whether it is UTC, whose texts have no offset.
    pub fn is_utc(self) -> bool {
        self.0.is_none()
    }

    fn offset(self, second: i64) -> Offset {
        self.0.map_or(Offset::UTC, |zone| zone.to_offset(instant(second)))
    }

    /// An instant as RFC 3339 text. UTC has `Z`; any other zone has its offset, even if that is zero.
    pub(super) fn text(self, second: i64) -> String {
        match self.0 {
            None => instant(second).to_string(),
            Some(_) => instant(second).display_with_offset(self.offset(second)).to_string(),
        }
    }

    /// The day of an instant: the last one that has begun. That differs from the local date where the clock is turned back
    /// across midnight.
    pub(super) fn date(self, second: i64) -> Date {
        let mut date = self.offset(second).to_datetime(instant(second)).date();
        if self.0.is_some() {
            while let Some(next) = date.tomorrow().ok().filter(|next| self.start_of(*next) <= second) {
                date = next;
            }
        }
        date
    }

    /// The first second of a day. A day that the zone skips begins and ends at once.
    pub(super) fn start_of(self, date: Date) -> i64 {
        date.to_zoned(self.time_zone()).map_or(0, |zoned| zoned.timestamp().as_second())
    }

    /// The first second of the day with this text, `2026-11-28`.
    pub fn day(self, text: &str) -> Option<i64> {
        // A date has exactly ten characters; anything longer is something else.
        let date = (text.len() == 10).then(|| text.parse::<Date>().ok())??;
        Some(self.start_of(date))
    }

    /// The first second of an hour and the first one after it. An hour of local time in which the offset changes is several
    /// windows, one for each offset.
    pub(super) fn hour(self, second: i64) -> (i64, i64) {
        let offset = self.offset(second);
        let local = second + i64::from(offset.seconds());
        let start = second - local.rem_euclid(HOUR_SECONDS);
        let end = start + HOUR_SECONDS;
        let Some(zone) = self.0 else { return (start, end) };
        let changed = |transition: jiff::tz::TimeZoneTransition<'_>| transition.timestamp().as_second();
        let start = match self.offset(start) == offset {
            true => start,
            false => zone.preceding(instant(second + 1)).next().map_or(start, changed),
        };
        let end = match self.offset(end - 1) == offset {
            true => end,
            false => zone.following(instant(second)).next().map_or(end, changed),
        };
        (start, end)
    }
}

fn instant(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(second).unwrap_or_default()
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl PartialOrd for Zone {
    fn partial_cmp(&self, other: &Zone) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Zone {
    fn cmp(&self, other: &Zone) -> Ordering {
        self.name().cmp(other.name())
    }
}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
