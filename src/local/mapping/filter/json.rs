//! JSON as filters see it: numbers keep their text, and of two equal names the last one counts.

use crate::decode::json::{JsonError, Reader};

/// 200: a level of an attribute is two of JSON, DynamoDB has 32 of them, and a Kinesis message may have as many. Deeper
/// texts are refused, since reading them takes the thread's stack.
const MAXIMUM_DEPTH: usize = 200;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it was written: 1 and 1.0 differ.
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole text.
    pub fn parse(text: &str) -> Result<Json, JsonError> {
        let mut reader = Reader::new(text);
        let json = value(&mut reader, MAXIMUM_DEPTH)?;
        reader.end()?;
        Ok(json)
    }

    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

fn value(reader: &mut Reader<'_>, depth: usize) -> Result<Json, JsonError> {
    let deeper = |reader: &Reader<'_>| depth.checked_sub(1).ok_or_else(|| reader.error("less nesting"));
    match reader.peek() {
        Some(b'{') => {
            let inner = deeper(reader)?;
            let mut fields: Vec<(String, Json)> = Vec::new();
            reader.object(|reader, name| {
                let value = value(reader, inner)?;
                fields.retain(|(earlier, _)| *earlier != name);
                fields.push((name.into_owned(), value));
                Ok::<_, JsonError>(())
            })?;
            Ok(Json::Object(fields))
        }
        Some(b'[') => {
            let inner = deeper(reader)?;
            let mut list = Vec::new();
            reader.array(|reader| {
                list.push(value(reader, inner)?);
                Ok::<_, JsonError>(())
            })?;
            Ok(Json::List(list))
        }
        Some(b'"') => Ok(Json::Text(reader.string()?.into_owned())),
        Some(b't' | b'f') => Ok(Json::Bool(reader.boolean()?)),
        Some(b'n') if reader.null() => Ok(Json::Null),
        _ => Ok(Json::Number(reader.number()?.to_owned())),
    }
}
