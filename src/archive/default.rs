//! A field's default, from the schema's JSON to Avro bytes. The Avro library's own way is not taken: it writes bytes
//! above 127 as UTF-8 and maps in the order of their hashes, so that a file would differ from run to run.

use serde_json::Value as Json;

use super::scalar;
use super::schema::{DecimalForm, Node, Record};
use super::wire;

/// Appends the default `json` of type `node`. `records` are the record types so far; a record type that isn't finished
/// can't be part of a default.
///
/// # Errors
/// The innermost type that doesn't fit.
pub(super) fn encode(node: &Node, json: &Json, records: &[Option<Record>], out: &mut Vec<u8>) -> Result<(), String> {
    scalar_default(node, json, out)
        .or_else(|| match (node, json) {
            (Node::Array(items), Json::Array(values)) => {
                Some(wire::block(out, values.len(), values.iter(), |out, value| encode(items, value, records, out)))
            }
            (Node::Map(values), Json::Object(object)) => {
                Some(wire::block(out, object.len(), object.iter(), |out, (key, value)| {
                    wire::bytes(out, key.as_bytes());
                    encode(values, value, records, out)
                }))
            }
            (Node::Union(branches), json) => Some(union(branches, json, records, out)),
            (Node::Record { index, .. }, Json::Object(_)) => {
                let record = records.get(*index)?.as_ref()?;
                Some(record.fields.iter().try_for_each(|field| match (json.get(&field.name), &field.default) {
                    (Some(value), _) => encode(&field.node, value, records, out),
                    (None, Some(default)) => {
                        out.extend_from_slice(default);
                        Ok(())
                    }
                    (None, None) => Err(field.node.to_string()),
                }))
            }
            _ => None,
        })
        .unwrap_or_else(|| Err(node.to_string()))
}

/// The first branch that fits, as Avro 1.12 has it.
fn union(branches: &[Node], json: &Json, records: &[Option<Record>], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    for (index, branch) in branches.iter().enumerate() {
        wire::count(out, index);
        if encode(branch, json, records, out).is_ok() {
            return Ok(());
        }
        out.truncate(start);
    }
    Err(branches.iter().map(Node::to_string).collect::<Vec<_>>().join(" or "))
}

/// `None` if `json` is no value of a scalar type `node`; nothing is appended then.
fn scalar_default(node: &Node, json: &Json, out: &mut Vec<u8>) -> Option<Result<(), String>> {
    match (node, json) {
        (Node::Null, Json::Null) => {}
        (Node::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
        (Node::Int | Node::Date { .. }, json) => wire::long(out, i64::from(i32::try_from(json.as_i64()?).ok()?)),
        (Node::Long | Node::TimeOfDay { .. } | Node::Timestamp { .. }, json) => wire::long(out, json.as_i64()?),
        (Node::Float, Json::Number(number)) => {
            out.extend_from_slice(&scalar::finite(number.to_string().parse::<f32>().ok()?)?.to_le_bytes());
        }
        (Node::Double, Json::Number(number)) => out.extend_from_slice(&number.as_f64()?.to_le_bytes()),
        (Node::String | Node::JsonText | Node::UuidText, Json::String(text)) => wire::bytes(out, text.as_bytes()),
        (Node::Enum(symbols), Json::String(symbol)) => wire::count(out, symbols.position(symbol)?),
        (Node::Bytes | Node::Decimal { form: DecimalForm::Bytes, .. }, Json::String(text)) => {
            wire::bytes(out, &latin1(text)?);
        }
        (Node::Fixed(size) | Node::Decimal { form: DecimalForm::Fixed(size), .. }, Json::String(text)) => {
            out.extend_from_slice(&latin1(text).filter(|bytes| bytes.len() == *size)?);
        }
        (Node::UuidBytes, Json::String(text)) => {
            out.extend_from_slice(&latin1(text).filter(|bytes| bytes.len() == 16)?);
        }
        _ => return None,
    }
    Some(Ok(()))
}

/// Bytes as Avro's JSON spells them: code points 0 to 255.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect()
}
