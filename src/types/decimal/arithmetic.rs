//! Exact sums and products.

use super::{Decimal, DecimalError, normalized, power_of_ten};

impl Decimal {
    /// The exact sum.
    ///
    /// # Errors
    /// If the sum needs more than 38 digits.
    pub fn checked_add(self, other: Decimal) -> Result<Decimal, DecimalError> {
        if self.is_zero() {
            return Ok(other);
        }
        if other.is_zero() {
            return Ok(self);
        }
        let exponent = self.exponent.min(other.exponent);
        // Unsigned, because 2E38 exceeds an i128: a summand may have that much, and then the sum has less, or ends in zeros.
        let [a, b] = [self, other].map(|number| number.magnitude_at(exponent));
        let (a, b) = a.zip(b).ok_or(DecimalError::Precision)?;
        let is_negative = if a < b { other.is_negative() } else { self.is_negative() };
        let magnitude = match self.is_negative() == other.is_negative() {
            true => a.checked_add(b).ok_or(DecimalError::Precision)?,
            false => a.abs_diff(b),
        };
        signed(magnitude, i32::from(exponent), is_negative)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// If the difference needs more than 38 digits.
    pub fn checked_sub(self, other: Decimal) -> Result<Decimal, DecimalError> {
        self.checked_add(-other)
    }

    /// The exact product.
    ///
    /// # Errors
    /// If the product needs more than 38 digits.
    pub fn checked_mul(self, other: Decimal) -> Result<Decimal, DecimalError> {
        let (magnitude, tens) =
            product(self.mantissa.unsigned_abs(), other.mantissa.unsigned_abs()).ok_or(DecimalError::Precision)?;
        let exponent = i32::from(self.exponent) + i32::from(other.exponent) + tens;
        signed(magnitude, exponent, self.is_negative() != other.is_negative())
    }

    /// The absolute value of the mantissa of this number as a multiple of 10^`exponent`, in the same cases.
    fn magnitude_at(self, exponent: i16) -> Option<u128> {
        let magnitude = self.mantissa.unsigned_abs();
        match u32::try_from(i32::from(self.exponent) - i32::from(exponent)).ok()? {
            0 => Some(magnitude),
            shift => magnitude.checked_mul(power_of_ten(shift)?.unsigned_abs()),
        }
    }

    fn is_negative(self) -> bool {
        self.mantissa < 0
    }
}

/// The product of two numbers without trailing zeros, without some of its tens, and how many those are.
fn product(mut a: u128, mut b: u128) -> Option<(u128, i32)> {
    let mut tens = 0;
    loop {
        if let Some(product) = a.checked_mul(b) {
            return Some((product, tens));
        }
        // A ten is a five of one factor and a two of the other.
        (a, b) = match (a % 5, b % 2, a % 2, b % 5) {
            (0, 0, _, _) => (a / 5, b / 2),
            (_, _, 0, 0) => (a / 2, b / 5),
            _ => return None,
        };
        tens += 1;
    }
}

/// `magnitude` × 10^`exponent`, or its negative.
pub(super) fn signed(magnitude: u128, exponent: i32, is_negative: bool) -> Result<Decimal, DecimalError> {
    let number = normalized(magnitude, exponent)?;
    Ok(if is_negative { -number } else { number })
}
