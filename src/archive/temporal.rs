//! Converts dates and times to Avro's logical types, from ISO 8601 text or from numbers in the field's unit. Values
//! with a higher precision than the type are rounded down, towards the past.

use super::schema::TypeNode;
use crate::decimal::{Decimal, power_of_ten};
use crate::time::Unit;

const DAY_SECONDS: i128 = 86_400;

/// `text` as the date or time type `node`, in days, milliseconds or microseconds.
///
/// # Errors
/// What was found instead, as a fixed text.
pub(super) fn count_of_text(node: &TypeNode, text: &str) -> Result<i64, &'static str> {
    match node {
        TypeNode::Date { .. } => date(text).ok_or("S that isn't a date (YYYY-MM-DD)"),
        TypeNode::TimeOfDay { target, .. } => {
            time_of_day(text, *target).ok_or("S that isn't a time of day (HH:MM or HH:MM:SS)")
        }
        TypeNode::Timestamp { target, .. } => {
            instant(text, *target).ok_or("S that isn't an RFC 3339 time with an offset")
        }
        _ => Err("S"),
    }
}

/// The same for a number.
///
/// # Errors
/// What was found instead, as a fixed text.
pub(super) fn count_of_number(node: &TypeNode, number: Decimal) -> Result<i64, &'static str> {
    match node {
        TypeNode::Date { unit } => days(number, *unit).ok_or("N that isn't a day in range"),
        TypeNode::TimeOfDay { target, unit } => {
            scaled(number, *unit, *target).filter(|count| is_in_day(*count, *target)).ok_or("N out of range")
        }
        TypeNode::Timestamp { target, unit } => scaled(number, *unit, *target).ok_or("N out of range"),
        _ => Err("N"),
    }
}

fn date(text: &str) -> Option<i64> {
    // jiff also accepts longer texts that start with a date.
    let date: jiff::civil::Date = (text.len() == 10).then(|| text.parse().ok())??;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_second().div_euclid(86_400))
}

fn days(number: Decimal, unit: Option<Unit>) -> Option<i64> {
    let days = match unit {
        None => number.units(0)?,
        Some(unit) => i128::from(scaled(number, unit, Unit::Seconds)?).div_euclid(DAY_SECONDS),
    };
    i32::try_from(days).ok().map(i64::from)
}

fn time_of_day(text: &str, target: Unit) -> Option<i64> {
    // jiff also accepts longer texts that contain a time, and times without minutes.
    let (clock, fraction) = text.split_at_checked(8).or_else(|| text.split_at_checked(5))?;
    let shape = clock.bytes().enumerate().all(|(index, byte)| (byte == b':') == matches!(index, 2 | 5));
    if !shape
        || (clock.len() == 5 && !fraction.is_empty())
        || !fraction.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
    {
        return None;
    }
    let time: jiff::civil::Time = text.parse().ok()?;
    let nanoseconds = time.duration_since(jiff::civil::Time::midnight()).as_nanos();
    i64::try_from(shifted(nanoseconds, digits(target) - 9)?).ok()
}

fn is_in_day(count: i64, target: Unit) -> bool {
    shifted(DAY_SECONDS, digits(target)).is_some_and(|day| (0..day).contains(&i128::from(count)))
}

fn instant(text: &str, target: Unit) -> Option<i64> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(shifted(instant.as_nanosecond(), digits(target) - 9)?).ok()
}

/// `number` × `unit`, converted to `target`.
fn scaled(number: Decimal, unit: Unit, target: Unit) -> Option<i64> {
    let scale = number.scale();
    let shift = digits(target) - digits(unit) - i32::try_from(scale).ok()?;
    i64::try_from(shifted(number.units(scale)?, shift)?).ok()
}

/// `value` × 10^`shift`, rounded down.
fn shifted(value: i128, shift: i32) -> Option<i128> {
    let power = power_of_ten(shift.unsigned_abs())?;
    if shift < 0 { Some(value.div_euclid(power)) } else { value.checked_mul(power) }
}

/// A unit is 10^-digits of a second.
fn digits(unit: Unit) -> i32 {
    match unit {
        Unit::Seconds => 0,
        Unit::Milliseconds => 3,
        Unit::Microseconds => 6,
    }
}
