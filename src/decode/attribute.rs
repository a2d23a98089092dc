//! The fallback decoder for attribute values: reads DynamoDB's typed JSON (`{"N":"1"}`) and plain JSON into [`Value`]s.
//! The nesting depth is checked on the way down, so that no input can exhaust the stack. A fault names the path of the
//! attribute, never its value.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::json::{JsonError, Reader, raw_fields};
use crate::decimal::Decimal;
use crate::record::{Code, Fault, Item, Value};

/// 32: DynamoDB's limit on nesting levels.
pub const MAX_DEPTH: usize = 32;

impl From<JsonError> for Fault {
    fn from(error: JsonError) -> Self {
        Fault::new(Code::Malformed, "", error.to_string())
    }
}

/// Reads an image or the keys: an object with attribute names and typed values.
pub fn item<'a>(text: &'a str) -> Result<Item<'a>, Fault> {
    let mut reader = Reader::new(text);
    let item = attributes(&mut reader, 0, typed)?;
    reader.end()?;
    Ok(item)
}

/// Reads a plain JSON object as an item: strings become S, numbers N, arrays L and objects M.
pub fn plain_item<'a>(text: &'a str) -> Result<Item<'a>, Fault> {
    let mut reader = Reader::new(text);
    let item = attributes(&mut reader, 0, plain)?;
    reader.end()?;
    Ok(item)
}

/// Reads the attributes of an image or of the keys that can be read, and leaves out the others.
pub fn readable_item(text: &str) -> Item<'_> {
    readable(text, |value| typed(&mut Reader::new(value), 0).ok())
}

/// The same for a plain JSON object and the objects inside it.
pub fn readable_plain_item(text: &str) -> Item<'_> {
    readable_plain(text, 0)
}

fn readable_plain(text: &str, depth: usize) -> Item<'_> {
    readable(text, |value| match deeper(depth) {
        Ok(depth) if value.starts_with('{') => Some(Value::M(readable_plain(value, depth))),
        _ => plain(&mut Reader::new(value), depth).ok(),
    })
}

fn readable<'a>(text: &'a str, read: impl Fn(&'a str) -> Option<Value<'a>>) -> Item<'a> {
    let mut item = Item::default();
    // What comes before a syntax error has been read.
    let _ = raw_fields(text, |name, json| {
        item.0.extend(read(json).map(|value| (Cow::Owned(name.to_owned()), value)));
    });
    item
}

/// Initial capacities that fit most items and most maps inside them, so that their lists rarely grow.
const ITEM_ATTRIBUTES: usize = 24;
const MAP_ATTRIBUTES: usize = 4;

fn attributes<'a>(
    reader: &mut Reader<'a>,
    depth: usize,
    read: impl Fn(&mut Reader<'a>, usize) -> Result<Value<'a>, Fault>,
) -> Result<Item<'a>, Fault> {
    let mut item = Vec::with_capacity(if depth == 0 { ITEM_ATTRIBUTES } else { MAP_ATTRIBUTES });
    reader.object(|reader, name| {
        let value = read(reader, depth).map_err(|fault| fault.within(&name))?;
        item.push((name, value));
        Ok::<_, Fault>(())
    })?;
    Ok(Item(item))
}

fn list<'a>(
    reader: &mut Reader<'a>,
    depth: usize,
    read: impl Fn(&mut Reader<'a>, usize) -> Result<Value<'a>, Fault>,
) -> Result<Vec<Value<'a>>, Fault> {
    let mut list = Vec::new();
    reader.array(|reader| {
        let value = read(reader, depth).map_err(|fault| fault.within(&format!("[{}]", list.len())))?;
        list.push(value);
        Ok::<_, Fault>(())
    })?;
    Ok(list)
}

/// Reads one typed value that is nested in `depth` maps and lists.
fn typed<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Value<'a>, Fault> {
    // Nearly all attributes are strings and numbers, written without white space.
    match reader.tagged_text() {
        Some((b'S', text)) => return Ok(Value::S(Cow::Borrowed(text))),
        Some((b'N', text)) => return Ok(Value::N(number(text)?)),
        Some((b'B', text)) => return Ok(Value::B(binary(text)?)),
        Some(_) => return Err(invalid(UNKNOWN_TAG)),
        None => {}
    }
    any_typed(reader, depth)
}

const UNKNOWN_TAG: &str = "has an unknown type tag; expected one of S, N, B, BOOL, NULL, M, L, SS, NS, BS";

/// Reads a typed value in any valid spelling.
fn any_typed<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Value<'a>, Fault> {
    let mut value = None;
    reader.object(|reader, tag| {
        if value.is_some() {
            return Err(invalid("has more than one type tag"));
        }
        value = Some(match &*tag {
            "S" => Value::S(reader.string()?),
            "N" => Value::N(number(&reader.string()?)?),
            "B" => Value::B(binary(&reader.string()?)?),
            "BOOL" => Value::Bool(reader.boolean()?),
            "NULL" if reader.boolean()? => Value::Null,
            "NULL" => return Err(invalid("is NULL with the value false; only true is valid")),
            "M" => Value::M(attributes(reader, deeper(depth)?, typed)?),
            "L" => Value::L(list(reader, deeper(depth)?, typed)?),
            "SS" => Value::Ss(set(reader, |text| Ok(text.clone()))?),
            "NS" => Value::Ns(set(reader, |text| number(text))?),
            "BS" => Value::Bs(set(reader, |text| binary(text))?),
            _ => return Err(invalid(UNKNOWN_TAG)),
        });
        Ok(())
    })?;
    value.ok_or_else(|| invalid("has no type tag"))
}

/// Whether the tag and the members of a valid set come next.
pub fn is_set(reader: &mut Reader<'_>) -> bool {
    let mut read = || -> Result<(), Fault> {
        let tag = reader.string()?;
        reader.colon()?;
        match &*tag {
            "SS" => drop(set(reader, |text| Ok(text.clone()))?),
            "NS" => drop(set(reader, |text| number(text))?),
            _ => drop(set(reader, |text| binary(text))?),
        }
        Ok(())
    };
    read().is_ok()
}

/// Reads one plain JSON value that is nested in `depth` objects and arrays.
fn plain<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<Value<'a>, Fault> {
    match reader.peek() {
        Some(b'"') => Ok(Value::S(reader.string()?)),
        Some(b'{') => Ok(Value::M(attributes(reader, deeper(depth)?, plain)?)),
        Some(b'[') => Ok(Value::L(list(reader, deeper(depth)?, plain)?)),
        Some(b't' | b'f') => Ok(Value::Bool(reader.boolean()?)),
        Some(b'n') if reader.null() => Ok(Value::Null),
        _ => Ok(Value::N(number(reader.number()?)?)),
    }
}

fn deeper(depth: usize) -> Result<usize, Fault> {
    if depth == MAX_DEPTH {
        return Err(Fault::new(Code::TooDeep, "", "is nested deeper than 32 levels, DynamoDB's limit"));
    }
    Ok(depth + 1)
}

/// Reads a set. DynamoDB allows neither empty sets nor duplicate members.
fn set<'a, T: Eq + Hash>(
    reader: &mut Reader<'a>,
    member: impl Fn(&Cow<'a, str>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut members = Vec::new();
    reader.array(|reader| {
        members.push(member(&reader.string()?)?);
        Ok::<_, Fault>(())
    })?;
    if members.is_empty() {
        return Err(invalid("is an empty set"));
    }
    // Compares values, not texts: 1 and 1.0 are the same number.
    if members.iter().collect::<HashSet<_>>().len() < members.len() {
        return Err(invalid("is a set with a duplicate member"));
    }
    Ok(members)
}

fn number(text: &str) -> Result<Decimal, Fault> {
    Decimal::parse(text).map_err(|error| Fault::new(Code::InvalidNumber, "", error.to_string()))
}

fn binary(text: &str) -> Result<Vec<u8>, Fault> {
    BASE64.decode(text).map_err(|_| invalid("is a binary value that isn't valid base64"))
}

fn invalid(message: &str) -> Fault {
    Fault::new(Code::InvalidAttribute, "", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attribute_type_is_read() {
        let text = r#"{"s":{"S":"é\n"},"n":{"N":"-1.50"},"b":{"B":"Zm9v"},"t":{"BOOL":true},"z":{"NULL":true},
            "m":{"M":{"x":{"L":[{"S":""},{"N":"0"}]}}},"ss":{"SS":["a","b"]},"ns":{"NS":["1","2E1"]},"bs":{"BS":["AA=="]}}"#;
        insta::assert_debug_snapshot!(item(text).unwrap());
    }

    #[test]
    fn a_fault_names_the_path_and_never_the_value() {
        let cases = [
            (r#"{"a":{"N":"SECRET"}}"#, "invalid_number: a: is not a decimal number"),
            (
                r#"{"a":{"M":{"b":{"L":[{"S":"x"},{"N":"1e126"}]}}}}"#,
                "invalid_number: a.b[1]: is outside the range of DynamoDB's numbers (1E-130 to 9.99E+125)",
            ),
            (r#"{"a":{"B":"SECRET!"}}"#, "invalid_attribute: a: is a binary value that isn't valid base64"),
            (r#"{"a":{"SS":[]}}"#, "invalid_attribute: a: is an empty set"),
            (r#"{"a":{"NS":["1","1"]}}"#, "invalid_attribute: a: is a set with a duplicate member"),
            (
                r#"{"a":{"X":"SECRET"}}"#,
                "invalid_attribute: a: has an unknown type tag; expected one of S, N, B, BOOL, NULL, M, L, SS, NS, BS",
            ),
            (r#"{"a":{}}"#, "invalid_attribute: a: has no type tag"),
            (r#"{"a":{"S":"x","N":"1"}}"#, "invalid_attribute: a: has more than one type tag"),
            (r#"{"a":{"NULL":false}}"#, "invalid_attribute: a: is NULL with the value false; only true is valid"),
            (r#"{"a":{"N":1}}"#, "malformed: a: expected a string at byte 10"),
            (r#"{"a":{"S":"\ud800"}}"#, "malformed: a: expected the second half of a surrogate pair at byte 17"),
        ];
        for (text, expected) in cases {
            assert_eq!(item(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn thirty_two_levels_are_read_and_thirty_three_refused() {
        let nested = |levels: usize, open: &str, close: &str| {
            format!(r#"{{"a":{}{{"S":"x"}}{}}}"#, open.repeat(levels), close.repeat(levels))
        };
        for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"b":"#, "}}")] {
            assert!(item(&nested(32, open, close)).is_ok());
            assert_eq!(item(&nested(33, open, close)).unwrap_err().code, Code::TooDeep);
            assert_eq!(item(&nested(200_000, open, close)).unwrap_err().code, Code::TooDeep);
        }
        let plain = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(plain_item(&plain).unwrap_err().code, Code::TooDeep);
    }

    #[test]
    fn an_attribute_that_cannot_be_read_does_not_hide_the_others() {
        let typed = r#"{"a":{"S":"x"},"b":{"N":"NaN"},"c":{"M":{"d":{"S":"\ud800"}}},"e":{"N":"1"}}"#;
        assert_eq!(readable_item(typed), item(r#"{"a":{"S":"x"},"e":{"N":"1"}}"#).unwrap());
        let plain = r#"{"a":"x","b":1e400,"c":{"d":"\ud800","e":[[2]]},"f":[1e400],"g":true}"#;
        let rest = plain_item(r#"{"a":"x","c":{"e":[[2]]},"g":true}"#).unwrap();
        assert_eq!(readable_plain_item(plain), rest);
        // A syntax error ends the item.
        assert_eq!(readable_plain_item(&plain.replace("true}", "true,")), rest);
        assert_eq!((readable_item("7"), readable_plain_item("")), (Item::default(), Item::default()));
        let deep = format!(r#"{{"a":1,"b":{}1{}}}"#, r#"{"b":"#.repeat(50_000), "}".repeat(50_000));
        assert_eq!(readable_plain_item(&deep).at_path("a"), plain_item(r#"{"a":1}"#).unwrap().at_path("a"));
    }

    #[test]
    fn plain_json_keeps_exact_numbers() {
        let text = r#"{"n":9007199254740993,"x":[true,null,{"y":"z"}],"e":1.50E2}"#;
        insta::assert_debug_snapshot!(plain_item(text).unwrap());
    }
}
