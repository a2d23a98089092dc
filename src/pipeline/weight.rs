//! Weights: how long a value stood, and the product of both.

use super::Amount;
use crate::decimal::{Decimal, DecimalError, power_of_ten};
use crate::time::Unit;
use crate::window::Zone;

/// Fraction digits of a value times a duration. Further digits are rounded, because an hour has a factor of 9: a third of
/// an hour has no exact decimal.
const FRACTION_DIGITS: i16 = 9;

/// Where the time is that a value stands since, and in which unit its duration counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// The path of the attribute with the time since which an image stands.
    pub since: String,
    /// The unit of a number in that attribute.
    pub since_unit: Unit,
    /// The time zone in which a date in that attribute begins: that of the windows.
    pub zone: Zone,
    /// The unit of durations.
    pub unit: DurationUnit,
}

/// The unit in which durations count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DurationUnit {
    /// For example, connection-seconds.
    Seconds,
    /// For example, call-minutes.
    Minutes,
    /// For example, GB-hours.
    Hours,
    /// For example, seat-days.
    Days,
}

impl Amount {
    /// Whether the old image of a change counts.
    pub fn needs_old_image(&self) -> bool {
        matches!(self, Amount::Difference { .. } | Amount::Standing(_))
    }
}

impl DurationUnit {
    /// 10^9 microseconds in this unit, as a fraction in lowest terms, which keeps products small.
    fn nano_ratio(self) -> (i128, i128) {
        match self {
            DurationUnit::Seconds => (1_000, 1),
            DurationUnit::Minutes => (50, 3),
            DurationUnit::Hours => (5, 18),
            DurationUnit::Days => (5, 432),
        }
    }

    /// `value` times a duration, rounded to nine fraction digits, halves up.
    ///
    /// # Errors
    /// If the product needs more than 38 digits.
    pub fn product(self, value: Decimal, micros: i64) -> Result<Decimal, DecimalError> {
        let (mantissa, exponent) = value.parts();
        let (up, down) = self.nano_ratio();
        let power = power_of_ten(u32::from(exponent.unsigned_abs())).ok_or(DecimalError::Precision)?;
        let (up, down) =
            if exponent < 0 { (Some(up), down.checked_mul(power)) } else { (up.checked_mul(power), Some(down)) };
        let product = up.and_then(|up| mantissa.checked_mul(up)).and_then(|product| product.checked_mul(micros.into()));
        let (Some(product), Some(down)) = (product, down) else { return Err(DecimalError::Precision) };
        let half = down / 2;
        let rounded = product.checked_add(half).ok_or(DecimalError::Precision)?.div_euclid(down);
        Decimal::from_parts(rounded, i32::from(-FRACTION_DIGITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(value: &str, micros: i64, unit: DurationUnit) -> String {
        unit.product(Decimal::parse(value).unwrap(), micros).map_or_else(|error| error.to_string(), |it| it.to_string())
    }

    #[test]
    fn a_value_times_a_duration_has_nine_fraction_digits_and_rounds_halves_up() {
        use DurationUnit::{Days, Hours, Minutes, Seconds};
        const HOUR: i64 = 3_600_000_000;
        let cases = [
            ("5", HOUR, Hours, "5"),
            ("5", HOUR / 3, Hours, "1.666666667"),
            ("-5", HOUR / 3, Hours, "-1.666666667"),
            ("2.5", HOUR, Seconds, "9000"),
            ("2.5", HOUR, Minutes, "150"),
            ("2.4", HOUR, Days, "0.1"),
            ("1", 24 * HOUR * 365, Days, "365"),
            ("1", 1, Seconds, "0.000001"),
            ("0.001", 1, Seconds, "0.000000001"),
            // 0.5 and -0.5 billionths.
            ("0.0005", 1, Seconds, "0.000000001"),
            ("-0.0005", 1, Seconds, "0"),
            ("0.0004", 1, Seconds, "0"),
            ("1E3", HOUR, Hours, "1000"),
            ("0", HOUR, Hours, "0"),
            ("123456789012.125", 3 * HOUR, Hours, "370370367036.375"),
            // A petabyte for a year, in byte-hours.
            ("1E15", 24 * HOUR * 365, Hours, "8760000000000000000"),
            ("12345678901234567890123456789012345678", HOUR, Hours, "has more than 38 significant digits"),
            ("1E-100", HOUR, Hours, "has more than 38 significant digits"),
        ];
        for (value, micros, unit, expected) in cases {
            assert_eq!(product(value, micros, unit), expected, "{value} for {micros} µs in {unit:?}");
        }
    }

    /// One that is counted in parts is the same as one that is counted at once, except for the rounding of each part.
    #[test]
    fn parts_add_up_to_the_whole_within_their_rounding() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..1_000 {
            let value = Decimal::from_parts(random.i128(1..1_000_000), -random.i32(0..4)).unwrap();
            let parts: Vec<i64> = (0..10).map(|_| random.i64(0..1_000_000_000_000)).collect();
            for unit in [DurationUnit::Seconds, DurationUnit::Minutes, DurationUnit::Hours, DurationUnit::Days] {
                let sum = parts.iter().map(|micros| unit.product(value, *micros).unwrap());
                let sum = sum.fold(Decimal::ZERO, |sum, part| sum.checked_add(part).unwrap());
                let whole = unit.product(value, parts.iter().sum()).unwrap();
                let error = sum.checked_sub(whole).unwrap().units(9).unwrap();
                assert!(error.abs() <= 5, "{value} {parts:?} {unit:?}: {error} billionths");
            }
        }
    }
}
