//! Parses the digits and the exponent of a number.

use super::{Decimal, DecimalError, MAX_MANTISSA, power_of_ten};

/// The digits of a short plain number without its point, and the number of digits behind the point. Most numbers are
/// short.
pub(super) fn short_digits(text: &[u8]) -> Option<(i64, i16)> {
    /// 18 digits always fit into an i64.
    const MAX_LENGTH: usize = 18;
    if text.len() > MAX_LENGTH {
        return None;
    }
    let (mut value, mut digits, mut places) = (0_i64, 0_i16, None);
    for byte in text {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                digits += 1;
            }
            b'.' if places.is_none() => places = Some(digits),
            _ => return None,
        }
    }
    (digits > 0).then(|| (value, places.map_or(0, |before| digits - before)))
}

pub(super) fn parse_exponent(text: &[u8]) -> Result<i32, DecimalError> {
    let digits = match text {
        [_, b'-' | b'+', digits @ ..] | [_, digits @ ..] => digits,
        [] => return Err(DecimalError::Syntax),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Syntax);
    }
    let value =
        digits.iter().fold(0_i32, |value, digit| value.saturating_mul(10).saturating_add(i32::from(digit - b'0')));
    // Capped well outside the valid range, so that arithmetic with it can't overflow.
    let value = value.min(1_000_000);
    Ok(if text.get(1) == Some(&b'-') { -value } else { value })
}

pub(super) fn parse_digits(negative: bool, text: &[u8], exponent: i32) -> Result<Decimal, DecimalError> {
    let mut mantissa = 0_i128;
    let mut exponent = exponent;
    let (mut any, mut point, mut zeros) = (false, false, 0_u32);
    for byte in text {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                any = true;
                if point {
                    exponent -= 1;
                }
                // Zeros are added only when another digit follows, so that trailing zeros don't use up precision.
                if *byte == b'0' && mantissa != 0 {
                    zeros += 1;
                } else if *byte != b'0' {
                    let shift = power_of_ten(zeros + 1).ok_or(DecimalError::Precision)?;
                    mantissa = mantissa
                        .checked_mul(shift)
                        .and_then(|mantissa| mantissa.checked_add(i128::from(byte - b'0')))
                        .filter(|mantissa| *mantissa <= MAX_MANTISSA)
                        .ok_or(DecimalError::Precision)?;
                    zeros = 0;
                }
            }
            _ => return Err(DecimalError::Syntax),
        }
    }
    if !any {
        return Err(DecimalError::Syntax);
    }
    let exponent = exponent.saturating_add(i32::try_from(zeros).map_err(|_| DecimalError::Range)?);
    Decimal::from_parts(if negative { -mantissa } else { mantissa }, exponent)
}
