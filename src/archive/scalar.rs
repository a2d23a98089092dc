//! Scalars in Avro's binary encoding: exact where the type is, the nearest where it is a float. Dates and times are
//! `temporal`'s.

use apache_avro::Uuid;

use super::schema::{DecimalForm, Node};
use super::{json, temporal, wire};
use crate::decimal::Decimal;
use crate::record::Value;

/// Appends `value` as a scalar of type `node`.
///
/// # Errors
/// What was found instead, in fixed words; nothing is appended then.
pub(super) fn encode(node: &Node, value: &Value<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match (node, value) {
        (Node::Null, Value::Null) => {}
        (Node::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
        (Node::Int, Value::N(number)) => wire::long(out, i64::from(integer::<i32>(*number)?)),
        (Node::Long, Value::N(number)) => wire::long(out, integer::<i64>(*number)?),
        (Node::Float, Value::N(number)) => out.extend_from_slice(&nearest_float(*number)?.to_le_bytes()),
        // No DynamoDB number overflows a double: they end at 1E126.
        (Node::Double, Value::N(number)) => out.extend_from_slice(&number.to_f64().to_le_bytes()),
        (Node::Bytes, Value::B(bytes)) => wire::bytes(out, bytes),
        (Node::Fixed(size), Value::B(bytes)) if bytes.len() == *size => out.extend_from_slice(bytes),
        (Node::Fixed(_), Value::B(_)) => return Err("B of another length"),
        (Node::String, Value::S(text)) => wire::bytes(out, text.as_bytes()),
        (Node::JsonText, value) => wire::bytes(out, json::text(value).as_bytes()),
        (Node::Enum(symbols), Value::S(text)) => {
            wire::count(out, symbols.position(text).ok_or("S that is none of its symbols")?)
        }
        (Node::UuidText, Value::S(text)) => {
            let text = uuid(text)?;
            wire::bytes(out, text.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        }
        (Node::UuidBytes, Value::S(text)) => out.extend_from_slice(uuid(text)?.as_bytes()),
        (Node::Decimal { precision, scale, form }, Value::N(number)) => {
            decimal(out, unscaled(*number, *precision, *scale)?, *form)?;
        }
        (Node::Date { .. } | Node::TimeOfDay { .. } | Node::Timestamp { .. }, value) => {
            wire::long(out, temporal::count(node, value)?);
        }
        (_, value) => return Err(value.type_name()),
    }
    Ok(())
}

/// `value`, unless it is an infinity or NaN.
pub(super) fn finite(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

fn integer<T: TryFrom<i128>>(number: Decimal) -> Result<T, &'static str> {
    number.units(0).and_then(|value| T::try_from(value).ok()).ok_or("N that is no integer in range")
}

/// Through text: by way of a double it would be rounded twice.
fn nearest_float(number: Decimal) -> Result<f32, &'static str> {
    number.to_string().parse().ok().and_then(finite).ok_or("N out of range")
}

fn uuid(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text).map_err(|_| "S that is no UUID")
}

/// `number` as an integer count of 10^-`scale`.
fn unscaled(number: Decimal, precision: u32, scale: u32) -> Result<i128, &'static str> {
    if number.scale() > scale {
        return Err("N with more fraction digits");
    }
    number.units(scale).filter(|units| units.unsigned_abs() < 10_u128.pow(precision)).ok_or("N with more digits")
}

/// Big-endian two's complement: the shortest as bytes, sign-extended as fixed.
fn decimal(out: &mut Vec<u8>, units: i128, form: DecimalForm) -> Result<(), &'static str> {
    let bytes = units.to_be_bytes();
    let mut rest = bytes.as_slice();
    // A leading byte that only repeats the sign of the next one says nothing.
    while let [0x00, 0x00..0x80, ..] | [0xff, 0x80..=0xff, ..] = rest {
        rest = rest.get(1..).unwrap_or_default();
    }
    match form {
        DecimalForm::Bytes => wire::bytes(out, rest),
        DecimalForm::Fixed(size) => {
            let padding = size.checked_sub(rest.len()).ok_or("N with more digits")?;
            out.extend(std::iter::repeat_n(if units < 0 { 0xff } else { 0x00 }, padding));
            out.extend_from_slice(rest);
        }
    }
    Ok(())
}
