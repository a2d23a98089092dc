//! Units of the archive. The rows of one record type, partition date and unit of creation time share the start of their files'
//! names, and are later compacted together: they become one Parquet file, each record once.

use std::fmt;

use crate::time::{Date, HOUR_SECONDS, Timestamp};

/// How much creation time a unit covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitLength {
    /// An hour: `2026-11-28T08`.
    #[default]
    Hour,
    /// Ten minutes: `2026-11-28T0840`.
    TenMinutes,
    /// A minute: `2026-11-28T0847`.
    Minute,
}

impl UnitLength {
    /// The length with this name.
    pub fn parse(name: &str) -> Option<UnitLength> {
        Some(match name {
            "hour" => UnitLength::Hour,
            "ten-minutes" => UnitLength::TenMinutes,
            "minute" => UnitLength::Minute,
            _ => return None,
        })
    }

    fn seconds(self) -> i64 {
        match self {
            UnitLength::Hour => HOUR_SECONDS,
            UnitLength::TenMinutes => 600,
            UnitLength::Minute => 60,
        }
    }
}

/// A unit of creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveUnit {
    /// In seconds since the epoch.
    start: i64,
    length: UnitLength,
}

impl ArchiveUnit {
    /// The unit in which a record was created.
    pub fn containing(created_at: Timestamp, length: UnitLength) -> ArchiveUnit {
        let seconds = created_at.seconds();
        ArchiveUnit { start: seconds - seconds.rem_euclid(length.seconds()), length }
    }

    /// The unit with this text. Ten minutes and their first minute have the same text, and the longer one is returned.
    pub fn parse(text: &str) -> Option<ArchiveUnit> {
        let (date, time) = text.split_once('T')?;
        let (instant, length) = match (time.get(..2)?, time.get(2..)?) {
            (hour, "") => (format!("{date}T{hour}:00:00Z"), UnitLength::Hour),
            (hour, minute) if minute.ends_with('0') => (format!("{date}T{hour}:{minute}:00Z"), UnitLength::TenMinutes),
            (hour, minute) => (format!("{date}T{hour}:{minute}:00Z"), UnitLength::Minute),
        };
        let unit = ArchiveUnit::containing(Timestamp::parse(&instant)?, length);
        (unit.to_string() == text).then_some(unit)
    }

    /// The first second after the unit, in seconds since the epoch.
    pub fn end_seconds(self) -> i64 {
        self.start + self.length.seconds()
    }
}

/// `2026-11-28T08` or `2026-11-28T0840`. There is no colon, because Hadoop can't read paths with one.
impl fmt::Display for ArchiveUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_second(self.start).unwrap_or_default();
        let civil = jiff::tz::Offset::UTC.to_datetime(instant);
        write!(f, "{}T{:02}", civil.date(), civil.hour())?;
        if self.length == UnitLength::Hour { Ok(()) } else { write!(f, "{:02}", civil.minute()) }
    }
}

/// Where the rows of a record type are: the date of their partition, and the unit in which they were created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The date.
    pub date: Date,
    /// The unit.
    pub unit: ArchiveUnit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_hour_ten_minutes_or_minute_of_a_record() {
        let at = Timestamp::parse("2026-11-28T08:47:59.999Z").unwrap();
        for (name, text, end) in [
            ("hour", "2026-11-28T08", "2026-11-28T09:00:00Z"),
            ("ten-minutes", "2026-11-28T0840", "2026-11-28T08:50:00Z"),
            ("minute", "2026-11-28T0847", "2026-11-28T08:48:00Z"),
        ] {
            let unit = ArchiveUnit::containing(at, UnitLength::parse(name).unwrap());
            assert_eq!((unit.to_string(), ArchiveUnit::parse(text)), (text.to_owned(), Some(unit)));
            assert_eq!(Timestamp::from_seconds(unit.end_seconds()).unwrap().to_string(), end);
        }
        assert_eq!(UnitLength::parse("day"), None);
    }

    #[test]
    fn other_texts_are_not_units() {
        for text in [
            "",
            "T",
            "2026-11-28",
            "2026-11-28T",
            "2026-11-28T8",
            "2026-11-28T24",
            "2026-11-28T085",
            "2026-11-28T08:40",
            "2026-11-28T084700",
            "2026-13-28T08",
            "9877f2f2ae7cf25dcf1859b79128e7fe",
            "2026-11-28T08é",
        ] {
            assert_eq!(ArchiveUnit::parse(text), None, "{text}");
        }
    }
}
