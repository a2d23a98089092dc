//! The type of numbers: a long, or a decimal with room for more digits than were seen.

use serde_json::{Value as Json, json};
use usage_aggregator::decimal::Decimal;
use usage_aggregator::record::Value;

/// 38: the most significant digits of a DynamoDB number, and of a decimal in Athena.
const DIGITS: u32 = 38;

/// The type of these numbers.
///
/// # Errors
/// Why there is none.
pub(super) fn number(values: &[&Value<'_>]) -> Result<Json, String> {
    let numbers = values.iter().filter_map(|value| if let Value::N(number) = value { Some(*number) } else { None });
    let scale = numbers.clone().map(Decimal::scale).max().unwrap_or(0);
    let is_long = |number: Decimal| number.units(0).is_some_and(|units| i64::try_from(units).is_ok());
    if scale == 0 && numbers.clone().all(is_long) {
        return Ok(json!("long"));
    }
    let whole = numbers.map(whole_digits).max().unwrap_or(0);
    let Some(room) = DIGITS.checked_sub(scale.saturating_add(whole)) else {
        return Err(format!(
            "it has numbers with {whole} digits before and {scale} after the decimal point, more than the {DIGITS} of a decimal"
        ));
    };
    // Twice the fraction digits that were seen, as far as half the room goes.
    let scale = scale + scale.min(room / 2);
    Ok(json!({ "type": "bytes", "logicalType": "decimal", "precision": DIGITS, "scale": scale }))
}

/// The digits before the decimal point.
fn whole_digits(number: Decimal) -> u32 {
    let (mantissa, exponent) = number.parts();
    let digits = mantissa.unsigned_abs().checked_ilog10().map_or(0, |log| i64::from(log) + 1);
    u32::try_from((digits + i64::from(exponent)).max(0)).unwrap_or(u32::MAX)
}
