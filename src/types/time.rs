//! Instants with microsecond precision, and days. Calendar arithmetic is left to jiff.

use std::fmt;

use crate::decimal::{Decimal, power_of_ten};

/// 2000-01-01 and 2100-01-01. An instant outside this range is a mistake: DynamoDB has existed since 2012.
pub const EARLIEST_SECOND: i64 = 946_684_800;
/// See [`EARLIEST_SECOND`].
pub const END_SECOND: i64 = 4_102_444_800;
const MICROS: i64 = 1_000_000;
/// Seconds in an hour.
pub const HOUR_SECONDS: i64 = 3_600;
/// Seconds in a day.
pub const DAY_SECONDS: i64 = 86_400;

/// Microseconds since 1970-01-01T00:00:00Z, within 2000 to 2099.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The unit of a number that represents a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Whole or fractional seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
}

/// In the plural: "milliseconds".
impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Microseconds => "microseconds",
        })
    }
}

impl Unit {
    fn digits(self) -> u32 {
        match self {
            Unit::Seconds => 0,
            Unit::Milliseconds => 3,
            Unit::Microseconds => 6,
        }
    }
}

impl Timestamp {
    /// The instant `micros` microseconds after the epoch, if it lies within 2000 to 2099.
    pub fn from_micros(micros: i64) -> Option<Timestamp> {
        (EARLIEST_SECOND * MICROS..END_SECOND * MICROS).contains(&micros).then_some(Timestamp(micros))
    }

    /// The instant `seconds` seconds after the epoch, if it lies within 2000 to 2099.
    pub fn from_seconds(seconds: i64) -> Option<Timestamp> {
        Timestamp::from_micros(seconds.checked_mul(MICROS)?)
    }

    /// The instant `number` × `unit` after the epoch, rounded down to the microsecond.
    pub fn from_number(number: Decimal, unit: Unit) -> Option<Timestamp> {
        let scale = number.scale();
        let units = number.units(scale)?;
        let shift = scale + unit.digits();
        // `units` counts 10^-scale of the unit, and the unit is 10^-digits of a second.
        let micros = match 6_u32.checked_sub(shift) {
            Some(up) => units.checked_mul(power_of_ten(up)?)?,
            None => units.div_euclid(power_of_ten(shift - 6)?),
        };
        Timestamp::from_micros(i64::try_from(micros).ok()?)
    }

    /// The instant that `number` represents, and its unit: the only unit in which it lies within 2000 to 2099.
    pub fn recognize(number: Decimal) -> Option<(Timestamp, Unit)> {
        [Unit::Seconds, Unit::Milliseconds, Unit::Microseconds]
            .into_iter()
            .find_map(|unit| Some((Timestamp::from_number(number, unit)?, unit)))
    }

    /// Parses an ISO 8601 instant with an offset, or a date, which means its midnight in UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let instant = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            // A date has exactly ten characters; anything longer without an offset is ambiguous.
            let date = (text.len() == 10).then(|| text.parse::<jiff::civil::Date>().ok())??;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        })?;
        Timestamp::from_micros(instant.as_microsecond())
    }

    /// Microseconds since the epoch.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS)
    }

    /// The day, in UTC.
    pub fn date(self) -> Date {
        Date(self.seconds().div_euclid(DAY_SECONDS))
    }

    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or_default()
    }
}

/// RFC 3339 in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.instant())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A day in UTC, as days since 1970-01-01; written `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i64);

impl Date {
    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        self.0
    }

    /// The first second of the day, in seconds since the epoch.
    pub fn start_seconds(self) -> i64 {
        self.0 * DAY_SECONDS
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_second(self.start_seconds()).unwrap_or_default();
        write!(f, "{}", jiff::tz::Offset::UTC.to_datetime(instant).date())
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognized(text: &str) -> Option<String> {
        Some(Timestamp::recognize(Decimal::parse(text).ok()?)?.0.to_string())
    }

    #[test]
    fn times_are_recognized_in_every_notation_and_unit() {
        for text in ["1789651660", "1.78965166E9", "1789651660.0", "1789651660000", "1.78965166E12", "1789651660000000"]
        {
            assert_eq!(recognized(text).as_deref(), Some("2026-09-17T13:27:40Z"), "{text}");
        }
        assert_eq!(recognized("1789651660.5").as_deref(), Some("2026-09-17T13:27:40.5Z"));
        assert_eq!(recognized("1721011165891550").as_deref(), Some("2024-07-15T02:39:25.89155Z"));
        assert_eq!(recognized("1651495525900").as_deref(), Some("2022-05-02T12:45:25.9Z"));
    }

    #[test]
    fn times_outside_2000_to_2099_are_not_recognized() {
        for text in ["0", "-1", "-62135596800", "253402300800", "1E-7", "9.9E125", "946684799", "4102444800"] {
            assert_eq!(recognized(text), None, "{text}");
        }
    }

    #[test]
    fn dates_and_instants_are_read_from_text() {
        assert_eq!(Timestamp::parse("2024-02-29").unwrap().date().to_string(), "2024-02-29");
        assert_eq!(Timestamp::parse("2024-02-29T23:30:00-02:00").unwrap().date().to_string(), "2024-03-01");
        for text in ["2023-02-29", "2024-02-29T23:30:00", "../../x", "", "0001-01-01", "2024-02-29\n"] {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }
}
