//! An item's image from its archived row, as far as the row contains it.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::fields::RowFields;
use super::provable::optional;
use stream_types::Decimal;
use usage_aggregator::record::{Item, Value};

/// The attributes that `row` has fields for.
pub fn image(row: &Map<String, Json>, fields: &RowFields) -> Item<'static> {
    attributes(row, fields, fields.attributes().map(|(attribute, _)| attribute))
}

/// Those of these attributes that `row` has fields for.
pub fn attributes<'n>(
    row: &Map<String, Json>,
    fields: &RowFields,
    names: impl Iterator<Item = &'n str>,
) -> Item<'static> {
    let attribute = |attribute: &str| {
        let (field, field_type) = fields.attribute(attribute)?;
        Some((Cow::Owned(attribute.to_owned()), value(row.get(field)?, field_type)?))
    };
    Item(names.filter_map(attribute).collect())
}

/// The attribute's value; `None` if the attribute was absent or its type is lost.
fn value(json: &Json, field_type: &Json) -> Option<Value<'static>> {
    match optional(field_type) {
        Json::String(name) => plain(json, name),
        Json::Object(complex) => {
            let text = |name: &str| complex.get(name).and_then(Json::as_str);
            match (text("logicalType"), text("type")) {
                (Some("decimal"), _) => number(json.as_str()?),
                (Some("uuid"), _) => plain(json, "string"),
                (Some(_), _) => None,
                (None, Some("enum")) => plain(json, "string"),
                (None, Some("record")) => {
                    let fields = complex.get("fields")?.as_array()?;
                    let field = |field: &Json| {
                        let name = field.get("name")?.as_str()?;
                        let attribute = field.get("attribute").and_then(Json::as_str).unwrap_or(name);
                        Some((Cow::Owned(attribute.to_owned()), value(json.get(name)?, field.get("type")?)?))
                    };
                    json.is_object().then(|| Value::M(Item(fields.iter().filter_map(field).collect())))
                }
                (None, Some("map")) => {
                    let values = complex.get("values")?;
                    let entry = |(name, json): (&String, &Json)| Some((Cow::Owned(name.clone()), value(json, values)?));
                    Some(Value::M(Item(json.as_object()?.iter().filter_map(entry).collect())))
                }
                (None, Some(name)) => plain(json, name),
                (None, None) => value(json, complex.get("type")?),
            }
        }
        _ => None,
    }
}

fn plain(json: &Json, name: &str) -> Option<Value<'static>> {
    match (name, json) {
        ("string", Json::String(text)) => Some(Value::S(Cow::Owned(text.clone()))),
        ("boolean", Json::Bool(truth)) => Some(Value::Bool(*truth)),
        ("int" | "long" | "float" | "double", Json::Number(digits)) => number(&digits.to_string()),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value<'static>> {
    Decimal::parse(text).ok().map(Value::N)
}
