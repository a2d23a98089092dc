//! Encodes a field's default from the schema's JSON as Avro bytes. The Avro library isn't used for this: it writes
//! bytes above 127 as UTF-8, and maps in hash order, which would make files differ from run to run.

use serde_json::Value as Json;

use super::scalar;
use super::schema::{AvroRecord, DecimalForm, TypeNode};
use super::wire;

/// Appends the default `json` of type `node`. `records` are the record types so far; an unfinished record type can't be
/// part of a default.
///
/// # Errors
/// The innermost type that the JSON doesn't fit.
pub(super) fn encode(
    node: &TypeNode,
    json: &Json,
    records: &[Option<AvroRecord>],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    scalar_default(node, json, out)
        .or_else(|| match (node, json) {
            (TypeNode::Array(items), Json::Array(values)) => {
                Some(wire::block(out, values.len(), values.iter(), |out, value| encode(items, value, records, out)))
            }
            (TypeNode::Map(values), Json::Object(object)) => {
                Some(wire::block(out, object.len(), object.iter(), |out, (key, value)| {
                    wire::bytes(out, key.as_bytes());
                    encode(values, value, records, out)
                }))
            }
            (TypeNode::Union(branches), json) => Some(union(branches, json, records, out)),
            (TypeNode::Record { index, .. }, Json::Object(_)) => {
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

/// The first branch that fits, as in Avro 1.12.
fn union(branches: &[TypeNode], json: &Json, records: &[Option<AvroRecord>], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    for (index, branch) in branches.iter().enumerate() {
        wire::count(out, index);
        if encode(branch, json, records, out).is_ok() {
            return Ok(());
        }
        out.truncate(start);
    }
    Err(branches.iter().map(TypeNode::to_string).collect::<Vec<_>>().join(" or "))
}

/// Returns `None` and appends nothing if `node` isn't a scalar type or `json` isn't a value of it.
fn scalar_default(node: &TypeNode, json: &Json, out: &mut Vec<u8>) -> Option<Result<(), String>> {
    match (node, json) {
        (TypeNode::Null, Json::Null) => {}
        (TypeNode::Boolean, Json::Bool(value)) => out.push(u8::from(*value)),
        (TypeNode::Int | TypeNode::Date { .. }, json) => {
            wire::long(out, i64::from(i32::try_from(json.as_i64()?).ok()?))
        }
        (TypeNode::Long | TypeNode::TimeOfDay { .. } | TypeNode::Timestamp { .. }, json) => {
            wire::long(out, json.as_i64()?)
        }
        (TypeNode::Float, Json::Number(number)) => {
            out.extend_from_slice(&scalar::finite(number.to_string().parse::<f32>().ok()?)?.to_le_bytes());
        }
        (TypeNode::Double, Json::Number(number)) => out.extend_from_slice(&number.as_f64()?.to_le_bytes()),
        (TypeNode::String | TypeNode::JsonText | TypeNode::UuidText, Json::String(text)) => {
            wire::bytes(out, text.as_bytes())
        }
        (TypeNode::Enum(symbols), Json::String(symbol)) => wire::count(out, symbols.position(symbol)?),
        (TypeNode::Bytes | TypeNode::Decimal { form: DecimalForm::Bytes, .. }, Json::String(text)) => {
            wire::bytes(out, &latin1(text)?);
        }
        (TypeNode::Fixed(size) | TypeNode::Decimal { form: DecimalForm::Fixed(size), .. }, Json::String(text)) => {
            out.extend_from_slice(&latin1(text).filter(|bytes| bytes.len() == *size)?);
        }
        (TypeNode::UuidBytes, Json::String(text)) => {
            out.extend_from_slice(&latin1(text).filter(|bytes| bytes.len() == 16)?);
        }
        _ => return None,
    }
    Some(Ok(()))
}

/// Bytes as Avro's JSON represents them: code points 0 to 255.
fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect()
}
