//! JSON values for filters: numbers keep their text, and the last of several equal keys wins.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// 200: DynamoDB allows 32 levels of attributes, each of which takes two levels of JSON, and a Kinesis record may nest its
/// own data. Deeper JSON is rejected, because parsing is recursive and could overflow the stack.
const MAXIMUM_DEPTH: usize = 200;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// The number's text: 1 and 1.0 differ.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Parses a JSON text.
    pub(super) fn parse(text: &str) -> serde_json::Result<Json> {
        value(serde_json::from_str(text)?, MAXIMUM_DEPTH)
    }

    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

fn value(raw: &RawValue, depth: usize) -> serde_json::Result<Json> {
    let text = raw.get();
    let deeper = || depth.checked_sub(1).ok_or_else(|| serde_json::Error::custom("nested more than 200 levels deep"));
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let inner = deeper()?;
            let mut fields: Vec<(String, Json)> = Vec::new();
            for (name, raw) in serde_json::from_str::<Fields<'_>>(text)?.0 {
                let value = value(raw, inner)?;
                fields.retain(|(earlier, _)| *earlier != name);
                fields.push((name, value));
            }
            Json::Object(fields)
        }
        Some(b'[') => {
            let inner = deeper()?;
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Json::List(items.into_iter().map(|item| value(item, inner)).collect::<serde_json::Result<_>>()?)
        }
        Some(b'"') => Json::Text(serde_json::from_str(text)?),
        Some(b't' | b'f') => Json::Bool(serde_json::from_str(text)?),
        Some(b'n') => Json::Null,
        _ => Json::Number(text.to_owned()),
    })
}

/// The fields of an object in the order of the text, including repeated names.
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'t> Deserialize<'t> for Fields<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'t> Visitor<'t> for All {
            type Value = Fields<'t>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Fields<'t>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &RawValue>()? {
                    fields.push((name, raw));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(All)
    }
}
