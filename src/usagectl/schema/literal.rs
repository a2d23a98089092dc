//! The default of a field as an expression of Athena's SQL. A row that was compacted before its field existed shows null, for which
//! the view takes the default, as Avro readers do for raw rows.

use std::collections::HashMap;

use apache_avro::schema::{Name, Schema, UuidSchema};
use serde_json::Value;

/// The expression for the default of a field of this schema, whose type in views is `presto`.
///
/// `None` if the default is null, or if the field may be null: its nulls can't be told from the field's absence.
pub(super) fn default_of(
    schema: &Schema,
    default: Option<&Value>,
    presto: &str,
    names: &HashMap<Name, &Schema>,
) -> Option<String> {
    let default = default.filter(|default| !default.is_null() && !matches!(schema, Schema::Union(_)))?;
    let expression = expression(schema, default, names)?;
    // An empty list has no type of its own, and a ROW no names.
    let is_nested = ["array(", "map(", "row("].iter().any(|kind| presto.starts_with(kind));
    Some(if is_nested { format!("CAST({expression} AS {presto})") } else { expression })
}

fn expression(schema: &Schema, default: &Value, names: &HashMap<Name, &Schema>) -> Option<String> {
    match schema {
        Schema::Ref { name } => expression(names.get(name)?, default, names),
        _ if default.is_null() => Some("NULL".to_owned()),
        // A default of a union is one of its first type.
        Schema::Union(union) => expression(union.variants().first()?, default, names),
        Schema::String | Schema::Enum(_) | Schema::Uuid(UuidSchema::String) => Some(quoted(default.as_str()?)),
        Schema::Bytes | Schema::Fixed(_) | Schema::Uuid(UuidSchema::Bytes | UuidSchema::Fixed(_)) => {
            Some(format!("X'{}'", hex(&bytes(default)?)))
        }
        Schema::Decimal(decimal) => Some(format!("DECIMAL {}", quoted(&scaled(&bytes(default)?, decimal.scale)?))),
        Schema::Date => Some(format!("date_add('day', {}, DATE '1970-01-01')", default.as_i64()?)),
        Schema::TimestampMillis => {
            Some(format!("date_add('millisecond', {}, TIMESTAMP '1970-01-01 00:00:00.000')", default.as_i64()?))
        }
        Schema::Array(array) => {
            let items = default.as_array()?.iter().map(|item| expression(&array.items, item, names));
            Some(format!("ARRAY[{}]", items.collect::<Option<Vec<_>>>()?.join(", ")))
        }
        Schema::Map(map) => {
            let pairs = default.as_object()?;
            let values = pairs.values().map(|item| expression(&map.types, item, names)).collect::<Option<Vec<_>>>()?;
            let keys: Vec<String> = pairs.keys().map(|key| quoted(key)).collect();
            Some(format!("MAP(ARRAY[{}], ARRAY[{}])", keys.join(", "), values.join(", ")))
        }
        Schema::Record(record) => {
            let given = default.as_object()?;
            let fields = record.fields.iter().map(|field| {
                let default = given.get(&field.name).or(field.default.as_ref())?;
                expression(&field.schema, default, names)
            });
            Some(format!("ROW({})", fields.collect::<Option<Vec<_>>>()?.join(", ")))
        }
        _ => Some(default.to_string()),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The bytes of a default, which Avro writes as a text of the characters U+0000 to U+00FF.
fn bytes(default: &Value) -> Option<Vec<u8>> {
    default.as_str()?.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A decimal of `scale` fraction digits, whose unscaled value is written in two's complement; `None` if it has more than 38 digits.
fn scaled(bytes: &[u8], scale: usize) -> Option<String> {
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let fill = if negative { 0xff } else { 0 };
    let padding = size_of::<i128>().checked_sub(bytes.len())?;
    let all: Vec<u8> = std::iter::repeat_n(fill, padding).chain(bytes.iter().copied()).collect();
    let unscaled = i128::from_be_bytes(all.try_into().ok()?);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if unscaled < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use apache_avro::schema::ResolvedSchema;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_default_that_is_not_null_is_written_in_athenas_sql() {
        let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2 });
        let address = json!({ "type": "record", "name": "A", "fields": [
            { "name": "city", "type": "string" }, { "name": "country", "type": "string", "default": "DE" },
        ] });
        let cases = [
            (json!("string"), json!("it's"), Some("'it''s'")),
            (json!("long"), json!(-5), Some("-5")),
            (json!("boolean"), json!(false), Some("false")),
            (json!("double"), json!(0.5), Some("0.5")),
            (json!({ "type": "enum", "name": "E", "symbols": ["A", "B"] }), json!("B"), Some("'B'")),
            (json!("bytes"), json!("\u{0}ÿ"), Some("X'00ff'")),
            (
                json!({ "type": "string", "logicalType": "uuid" }),
                json!("0192f0c1-0000-7000-8000-000000000001"),
                Some("'0192f0c1-0000-7000-8000-000000000001'"),
            ),
            // Its column is binary.
            (
                json!({ "type": "fixed", "name": "F", "size": 16, "logicalType": "uuid" }),
                json!("\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}ÿ"),
                Some("X'010000000000000000000000000000ff'"),
            ),
            (decimal.clone(), json!("\u{4}Ò"), Some("DECIMAL '12.34'")),
            (decimal, json!("ÿ"), Some("DECIMAL '-0.01'")),
            (
                json!({ "type": "int", "logicalType": "date" }),
                json!(20_000),
                Some("date_add('day', 20000, DATE '1970-01-01')"),
            ),
            (json!({ "type": "array", "items": "string" }), json!([]), Some("ARRAY[]")),
            (json!({ "type": "array", "items": ["null", "int"] }), json!([null]), Some("ARRAY[NULL]")),
            (json!({ "type": "map", "values": "long" }), json!({ "a": 1 }), Some("MAP(ARRAY['a'], ARRAY[1])")),
            (address, json!({ "city": "Ulm" }), Some("ROW('Ulm', 'DE')")),
            // Null, or may be null.
            (json!(["null", "int"]), json!(null), None),
            (json!(["int", "null"]), json!(1), None),
        ];
        for (node, default, expected) in cases {
            let schema = Schema::parse(&node).unwrap();
            let names = ResolvedSchema::new(&schema).unwrap().get_names().clone();
            assert_eq!(default_of(&schema, Some(&default), "", &names).as_deref(), expected, "{node}");
        }
        let schema = Schema::parse(&json!({ "type": "array", "items": "string" })).unwrap();
        let empty = default_of(&schema, Some(&json!([])), "array(varchar)", &HashMap::new());
        assert_eq!(empty.as_deref(), Some("CAST(ARRAY[] AS array(varchar))"));
    }
}
