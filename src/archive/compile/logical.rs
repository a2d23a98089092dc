//! The logical types that this crate writes, the types they apply to, and messages for all others.

use serde_json::{Map, Value as Json};

use super::super::schema::{DecimalForm, TypeNode};
use crate::decimal::DIGITS;
use crate::time::Unit;

/// The type that results from `logical_type` on `node`. `unit` is the unit of numbers, if the field has one.
///
/// # Errors
/// A message that says what is wrong and what to write instead.
pub(super) fn node(
    logical_type: &Json,
    object: &Map<String, Json>,
    node: TypeNode,
    unit: Option<Unit>,
) -> Result<TypeNode, String> {
    let Some(name) = logical_type.as_str() else {
        return Err("logicalType is not a string; write its name in quotes".to_owned());
    };
    let with_unit = |target: Unit| (target, unit.unwrap_or(target));
    match (name, node) {
        ("decimal", TypeNode::Bytes) => decimal(object, DecimalForm::Bytes),
        ("decimal", TypeNode::Fixed(size)) => decimal(object, DecimalForm::Fixed(size)),
        ("uuid", TypeNode::String) => Ok(TypeNode::UuidText),
        ("uuid", TypeNode::Fixed(16)) => Ok(TypeNode::UuidBytes),
        ("date", TypeNode::Int) => Ok(TypeNode::Date { unit }),
        ("time-millis", TypeNode::Int) => {
            let (target, unit) = with_unit(Unit::Milliseconds);
            Ok(TypeNode::TimeOfDay { target, unit })
        }
        ("time-micros", TypeNode::Long) => {
            let (target, unit) = with_unit(Unit::Microseconds);
            Ok(TypeNode::TimeOfDay { target, unit })
        }
        ("timestamp-millis", TypeNode::Long) => {
            let (target, unit) = with_unit(Unit::Milliseconds);
            Ok(TypeNode::Timestamp { target, unit })
        }
        ("timestamp-micros", TypeNode::Long) => {
            let (target, unit) = with_unit(Unit::Microseconds);
            Ok(TypeNode::Timestamp { target, unit })
        }
        (_, node) => Err(format!("logicalType {name} can't be used on {node}; {}", instead_of(name))),
    }
}

/// What to write instead of a logical type that is unknown or used on the wrong type.
fn instead_of(name: &str) -> &'static str {
    match name {
        "decimal" => "use it on bytes or fixed",
        "uuid" => "use it on string or a fixed of size 16",
        "date" | "time-millis" => "use it on int",
        "time-micros" | "timestamp-millis" | "timestamp-micros" => "use it on long",
        "timestamp-nanos" => "write timestamp-micros",
        "local-timestamp-millis" | "local-timestamp-micros" | "local-timestamp-nanos" => {
            "write timestamp-millis or timestamp-micros"
        }
        "big-decimal" => "write decimal with a precision and a scale",
        "duration" => "write a long and put the unit into the name of the field",
        _ => {
            "write decimal, uuid, date, time-millis, time-micros, timestamp-millis or timestamp-micros, or leave it out"
        }
    }
}

fn decimal(object: &Map<String, Json>, form: DecimalForm) -> Result<TypeNode, String> {
    let number = |key: &str| object.get(key).map(|value| value.as_u64().and_then(|value| u32::try_from(value).ok()));
    // 38: the digits of a DynamoDB number, and the maximum that Athena and Spark can read.
    let Some(Some(precision @ 1..=DIGITS)) = number("precision") else {
        return Err(format!("the precision of a decimal must be 1 to {DIGITS}; write \"precision\": <digits>"));
    };
    let Some(scale) = number("scale").unwrap_or(Some(0)).filter(|scale| *scale <= precision) else {
        return Err("the scale of a decimal must be 0 to its precision; write \"scale\": <fraction digits>".to_owned());
    };
    match form {
        DecimalForm::Fixed(size) if digits_in(size) < precision => {
            Err(format!("a fixed of size {size} holds {} digits; write a larger size", digits_in(size)))
        }
        form => Ok(TypeNode::Decimal { precision, scale, form }),
    }
}

/// The number of digits that always fit into a two's complement number of `size` bytes, at most 38.
fn digits_in(size: usize) -> u32 {
    let unused_bits = u32::try_from(16_usize.saturating_sub(size) * 8).unwrap_or(0);
    (i128::MAX >> unused_bits).checked_ilog10().unwrap_or(0).min(DIGITS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fixed_can_have_as_many_digits_as_always_fit() {
        for (size, digits) in [(1, 2), (2, 4), (4, 9), (8, 18), (12, 28), (15, 35), (16, 38), (20, 38)] {
            assert_eq!(super::digits_in(size), digits, "{size}");
        }
    }
}
