//! Exact decimal numbers, as DynamoDB stores them: up to 38 significant digits and an exponent, without rounding.

mod arithmetic;
mod digits;
mod order;

use std::fmt;

use arithmetic::signed;
use digits::{parse_digits, parse_exponent, short_digits};

/// 38: the maximum number of significant digits of a DynamoDB number.
pub const DIGITS: u32 = 38;
/// 1E-130 and 9.99…E+125: the smallest and largest magnitudes of a DynamoDB number.
const MIN_EXPONENT: i32 = -130;
const MAX_EXPONENT: i32 = 125;
/// The largest mantissa: 38 nines.
const MAX_MANTISSA: i128 = 10_i128.pow(DIGITS) - 1;

/// `mantissa` × 10^`exponent`. The mantissa has no trailing zeros, so that equal numbers compare equal field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    mantissa: i128,
    exponent: i16,
}

/// Why a text isn't a number, or why an operation has no exact result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not DynamoDB's number syntax.
    #[error("is not a decimal number")]
    Syntax,
    /// The exact result needs more than 38 significant digits.
    #[error("has more than 38 significant digits")]
    Precision,
    /// The magnitude is too small or too large for DynamoDB.
    #[error("is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)")]
    Range,
}

impl Decimal {
    /// The number 0.
    pub const ZERO: Decimal = Decimal { mantissa: 0, exponent: 0 };

    /// Parses DynamoDB's number syntax: digits with an optional sign, decimal point and exponent.
    ///
    /// # Errors
    /// If the text isn't a number, or if DynamoDB couldn't store the number exactly.
    pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if let Some((value, places)) = short_digits(bytes) {
            return Ok(short(if negative { -value } else { value }, -places));
        }
        let end = bytes.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (digits, exponent) = match end.and_then(|end| bytes.split_at_checked(end)) {
            Some((digits, exponent)) => (digits, parse_exponent(exponent)?),
            None => (bytes, 0),
        };
        parse_digits(negative, digits, exponent)
    }

    /// This number as a multiple of 10^-`scale`, if it has at most `scale` fraction digits and the result fits.
    pub fn units(self, scale: u32) -> Option<i128> {
        let shift = i32::from(self.exponent).checked_add(i32::try_from(scale).ok()?)?;
        if self.mantissa == 0 || shift == 0 {
            return Some(self.mantissa);
        }
        self.mantissa.checked_mul(power_of_ten(u32::try_from(shift).ok()?)?)
    }

    /// The nearest `f64`.
    pub fn to_f64(self) -> f64 {
        /// 2^53: below it every integer is a double.
        const EXACT: u64 = 1 << 53;
        /// The powers of ten that are doubles.
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
            1e19, 1e20, 1e21, 1e22,
        ];
        let power = POWERS.get(usize::from(self.exponent.unsigned_abs()));
        if let (Ok(mantissa), Some(power)) = (i64::try_from(self.mantissa), power)
            && mantissa.unsigned_abs() < EXACT
        {
            // Both operands are exact, so one correctly rounded operation gives the nearest double.
            #[expect(clippy::as_conversions, reason = "there is no lossless From, and integers below 2^53 are exact")]
            let mantissa = mantissa as f64;
            return if self.exponent < 0 { mantissa / power } else { mantissa * power };
        }
        format!("{}E{}", self.mantissa, self.exponent).parse().unwrap_or(f64::NAN)
    }

    /// The mantissa, without trailing zeros, and the power of ten by which it is multiplied.
    pub fn parts(self) -> (i128, i16) {
        (self.mantissa, self.exponent)
    }

    /// `mantissa` × 10^`exponent`.
    ///
    /// # Errors
    /// If DynamoDB couldn't store the number exactly.
    pub fn from_parts(mantissa: i128, exponent: i32) -> Result<Decimal, DecimalError> {
        signed(mantissa.unsigned_abs(), exponent, mantissa < 0)
    }

    /// The number of digits after the decimal point.
    pub fn scale(self) -> u32 {
        u32::try_from(-i32::from(self.exponent)).unwrap_or(0)
    }

    /// Whether this is zero.
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Splits the number into the nearest whole number (rounding halves up) and the remainder, which is at least -1/2
    /// and less than 1/2.
    pub fn nearest_whole(self) -> (Decimal, Decimal) {
        let scale = self.scale();
        // A number with more fraction digits than significant digits is below 1/10.
        let Some(unit) = Some(scale).filter(|scale| *scale <= DIGITS).and_then(power_of_ten) else {
            return (Decimal::ZERO, self);
        };
        if scale == 0 {
            return (self, Decimal::ZERO);
        }
        let whole = (self.mantissa + unit / 2).div_euclid(unit);
        let left = self.mantissa - whole * unit;
        // Both results have fewer digits than the number itself, or are ±1 or ±1/2, so there can be no error.
        let exponent = i32::from(self.exponent);
        (Decimal::from_parts(whole, 0).unwrap_or_default(), Decimal::from_parts(left, exponent).unwrap_or_default())
    }

    /// The mantissa of this number as a multiple of 10^`exponent`, if it is one and the mantissa fits.
    pub fn mantissa_at(self, exponent: i16) -> Option<i128> {
        match u32::try_from(i32::from(self.exponent) - i32::from(exponent)).ok()? {
            0 => Some(self.mantissa),
            shift => self.mantissa.checked_mul(power_of_ten(shift)?),
        }
    }
}

impl std::ops::Neg for Decimal {
    type Output = Decimal;

    fn neg(self) -> Decimal {
        Decimal { mantissa: -self.mantissa, exponent: self.exponent }
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        short(value, 0)
    }
}

/// Plain notation for up to 40 places on either side of the point; scientific notation beyond that.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PLACES: usize = 40;
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if let Ok(short) = u64::try_from(self.mantissa.unsigned_abs()) {
            if self.exponent == 0 {
                return write!(f, "{sign}{short}");
            }
            // Most amounts have few places, and 64-bit division is many times faster than 128-bit division.
            let power = 10_u64.checked_pow(u32::from(self.exponent.unsigned_abs()));
            if let (Some(power), true) = (power, self.exponent < 0) {
                let (whole, fraction) = (short / power, short % power);
                return write!(
                    f,
                    "{sign}{whole}.{fraction:0>width$}",
                    width = usize::from(self.exponent.unsigned_abs())
                );
            }
        }
        let digits = self.mantissa.unsigned_abs().to_string();
        let places = usize::from(self.exponent.unsigned_abs());
        if self.exponent >= 0 && digits.len() + places <= PLACES {
            return write!(f, "{sign}{digits}{}", "0".repeat(places));
        }
        if self.exponent < 0 && places <= PLACES {
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            return write!(f, "{sign}{whole}.{fraction}");
        }
        write!(f, "{sign}{digits}E{}", self.exponent)
    }
}

/// `value` × 10^`exponent`, which the caller knows to be in range; 19 digits never exceed the precision.
fn short(mut value: i64, mut exponent: i16) -> Decimal {
    if value == 0 {
        return Decimal::ZERO;
    }
    while value % 10 == 0 {
        value /= 10;
        exponent += 1;
    }
    Decimal { mantissa: i128::from(value), exponent }
}

/// 10^`exponent`, if it fits into an `i128`.
pub fn power_of_ten(exponent: u32) -> Option<i128> {
    /// 10^0 to 10^38; 10^39 exceeds i128::MAX.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time")]
    const POWERS: [i128; 39] = {
        let mut powers = [1; 39];
        let mut at = 1;
        while at < powers.len() {
            powers[at] = powers[at - 1] * 10;
            at += 1;
        }
        powers
    };
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// Strips trailing zeros and checks that DynamoDB could store the number.
fn normalized(mut magnitude: u128, mut exponent: i32) -> Result<Decimal, DecimalError> {
    /// Exponents at which 19 digits more or less are still in range.
    const SAFE_EXPONENTS: std::ops::RangeInclusive<i16> = -100..=100;
    // 64-bit division is many times faster than 128-bit division.
    if let (Ok(value), Ok(exponent)) = (i64::try_from(magnitude), i16::try_from(exponent))
        && SAFE_EXPONENTS.contains(&exponent)
    {
        return Ok(short(value, exponent));
    }
    if magnitude == 0 {
        return Ok(Decimal::ZERO);
    }
    while magnitude.is_multiple_of(10) {
        magnitude /= 10;
        exponent = exponent.saturating_add(1);
    }
    let mantissa = i128::try_from(magnitude).ok().filter(|mantissa| *mantissa <= MAX_MANTISSA);
    let mantissa = mantissa.ok_or(DecimalError::Precision)?;
    let digits = i32::try_from(magnitude.ilog10()).map_err(|_| DecimalError::Range)?;
    if !(MIN_EXPONENT..=MAX_EXPONENT).contains(&exponent.saturating_add(digits)) {
        return Err(DecimalError::Range);
    }
    let exponent = i16::try_from(exponent).map_err(|_| DecimalError::Range)?;
    Ok(Decimal { mantissa, exponent })
}

#[cfg(test)]
mod tests;
