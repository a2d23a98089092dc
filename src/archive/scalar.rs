//! Encodes scalars in Avro's binary format. Values are exact, or the nearest one if the type is float or double. Dates
//! and times are left to `temporal`.

use apache_avro::Uuid;

use super::schema::{DecimalForm, TypeNode};
use super::{json, temporal, wire};
use crate::decimal::Decimal;
use crate::outline::{Entry, Tag};

/// Appends `value` as a scalar of type `node`.
///
/// # Errors
/// What was found instead, as a fixed text. Nothing is appended then.
pub(super) fn encode(node: &TypeNode, value: Entry<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    match (node, value.tag()) {
        (TypeNode::JsonText, _) => wire::bytes(out, json::text(&value.value()).as_bytes()),
        (_, Tag::S) => return string(node, value, out),
        (_, Tag::N) => return number(node, value, out),
        (TypeNode::Null, Tag::Null) => {}
        (TypeNode::Boolean, Tag::True) => out.push(1),
        (TypeNode::Boolean, Tag::False) => out.push(0),
        (TypeNode::Bytes, Tag::B) => wire::bytes(out, &value.binary().unwrap_or_default()),
        (TypeNode::Fixed(size), Tag::B) => match value.binary() {
            Some(bytes) if bytes.len() == *size => out.extend_from_slice(&bytes),
            _ => return Err("B of a different length"),
        },
        _ => return Err(value.type_name()),
    }
    Ok(())
}

fn string(node: &TypeNode, value: Entry<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let text = value.string().unwrap_or_default();
    match node {
        TypeNode::String => wire::bytes(out, text.as_bytes()),
        TypeNode::Enum(symbols) => wire::count(out, symbols.position(&text).ok_or("S that isn't one of its symbols")?),
        TypeNode::UuidText => {
            let text = uuid(&text)?;
            wire::bytes(out, text.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        }
        TypeNode::UuidBytes => out.extend_from_slice(uuid(&text)?.as_bytes()),
        TypeNode::Date { .. } | TypeNode::TimeOfDay { .. } | TypeNode::Timestamp { .. } => {
            wire::long(out, temporal::count_of_text(node, &text)?);
        }
        _ => return Err(value.type_name()),
    }
    Ok(())
}

fn number(node: &TypeNode, value: Entry<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let number = || value.number().unwrap_or_default();
    match node {
        TypeNode::Int => match short_integer(value).map(i32::try_from) {
            Some(Ok(integer)) => wire::long(out, i64::from(integer)),
            _ => wire::long(out, i64::from(integer::<i32>(number())?)),
        },
        TypeNode::Long => match short_integer(value) {
            Some(integer) => wire::long(out, integer),
            None => wire::long(out, integer::<i64>(number())?),
        },
        TypeNode::Float => out.extend_from_slice(&nearest_float(number())?.to_le_bytes()),
        // No DynamoDB number overflows a double: all are below 1E126.
        TypeNode::Double => out.extend_from_slice(&number().to_f64().to_le_bytes()),
        TypeNode::Decimal { precision, scale, form } => decimal(out, unscaled(number(), *precision, *scale)?, *form)?,
        TypeNode::Date { .. } | TypeNode::TimeOfDay { .. } | TypeNode::Timestamp { .. } => {
            wire::long(out, temporal::count_of_number(node, number())?);
        }
        _ => return Err(value.type_name()),
    }
    Ok(())
}

/// `value`, unless it is an infinity or NaN.
pub(super) fn finite(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

/// Parses an integer of up to 18 digits without building a decimal. Most integers are that short, and they always fit.
fn short_integer(value: Entry<'_>) -> Option<i64> {
    const DIGITS: usize = 18;
    let text = value.digits()?.as_bytes();
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(if digits.len() < text.len() { -magnitude } else { magnitude })
}

fn integer<T: TryFrom<i128>>(number: Decimal) -> Result<T, &'static str> {
    number.units(0).and_then(|value| T::try_from(value).ok()).ok_or("N that isn't an integer in range")
}

/// The nearest float, by way of text: converting through a double would round twice.
fn nearest_float(number: Decimal) -> Result<f32, &'static str> {
    number.to_string().parse().ok().and_then(finite).ok_or("N out of range")
}

fn uuid(text: &str) -> Result<Uuid, &'static str> {
    Uuid::try_parse(text).map_err(|_| "S that isn't a UUID")
}

/// `number` as a multiple of 10^-`scale`.
fn unscaled(number: Decimal, precision: u32, scale: u32) -> Result<i128, &'static str> {
    if number.scale() > scale {
        return Err("N with too many fraction digits");
    }
    number.units(scale).filter(|units| units.unsigned_abs() < 10_u128.pow(precision)).ok_or("N with too many digits")
}

/// Appends big-endian two's complement: as short as possible for bytes, sign-extended for fixed.
fn decimal(out: &mut Vec<u8>, units: i128, form: DecimalForm) -> Result<(), &'static str> {
    let bytes = units.to_be_bytes();
    let mut rest = bytes.as_slice();
    // A leading byte that only repeats the sign of the next byte is redundant.
    while let [0x00, 0x00..0x80, ..] | [0xff, 0x80..=0xff, ..] = rest {
        rest = rest.get(1..).unwrap_or_default();
    }
    match form {
        DecimalForm::Bytes => wire::bytes(out, rest),
        DecimalForm::Fixed(size) => {
            let padding = size.checked_sub(rest.len()).ok_or("N with too many digits")?;
            out.extend(std::iter::repeat_n(if units < 0 { 0xff } else { 0x00 }, padding));
            out.extend_from_slice(rest);
        }
    }
    Ok(())
}
