//! Tests of the JSON reader, with serde_json as the oracle.

use super::*;
use proptest::prelude::*;
use serde_json::Value as Json;

/// Reads a whole text into serde_json's tree, so that serde_json can be the oracle.
fn read(text: &str) -> Result<Json, JsonError> {
    fn value(reader: &mut Reader<'_>) -> Result<Json, JsonError> {
        match reader.peek() {
            Some(b'{') => {
                let mut map = serde_json::Map::new();
                reader.object(|reader, name| {
                    map.insert(name.into_owned(), value(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Ok(Json::Object(map))
            }
            Some(b'[') => {
                let mut list = Vec::new();
                reader.array(|reader| {
                    list.push(value(reader)?);
                    Ok::<_, JsonError>(())
                })?;
                Ok(Json::Array(list))
            }
            Some(b'"') => Ok(Json::String(reader.string()?.into_owned())),
            Some(b't' | b'f') => Ok(Json::Bool(reader.boolean()?)),
            Some(b'n') if reader.null() => Ok(Json::Null),
            _ => Ok(serde_json::from_str(reader.number()?).unwrap_or(Json::Null)),
        }
    }
    let mut reader = Reader::new(text);
    let json = value(&mut reader)?;
    reader.end()?;
    Ok(json)
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".{0,30}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|fields| Json::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_serde_json_on_valid_text(json in any_json()) {
        let text = serde_json::to_string_pretty(&json).unwrap();
        prop_assert_eq!(read(&text).unwrap(), json);
        prop_assert_eq!(Reader::new(&text).raw().unwrap(), text.as_str());
    }

    #[test]
    fn agrees_with_serde_json_on_damaged_text(json in any_json(), at: prop::sample::Index, new in any::<char>()) {
        let mut text: Vec<char> = serde_json::to_string(&json).unwrap().chars().collect();
        let at = at.index(text.len());
        text[at] = new;
        let text: String = text.into_iter().collect();
        // serde_json refuses numbers that don't fit into an f64 (8E30307). Here, numbers are text that Decimal
        // checks.
        let valid = match serde_json::from_str::<Json>(&text) {
            Ok(_) => true,
            Err(error) => error.to_string().starts_with("number out of range"),
        };
        prop_assert_eq!(read(&text).is_ok(), valid, "{}", text);
        let _ = Reader::new(&text).raw();
    }
}

#[test]
fn escapes_and_surrogate_pairs_are_resolved() {
    assert_eq!(read(r#""a\u00e9\ud83d\ude00\n\u0000""#).unwrap(), Json::from("aé😀\n\0"));
    for lone in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83dA""#, r#""\u12"#, r#""\x""#] {
        assert!(read(lone).is_err(), "{lone}");
    }
}

#[test]
fn every_escape_of_one_letter_is_resolved_as_serde_json_does() {
    for byte in b' '..=b'~' {
        let text = format!(r#""\{}""#, char::from(byte));
        match serde_json::from_str::<Json>(&text) {
            Ok(expected) => assert_eq!(read(&text), Ok(expected), "{text}"),
            Err(_) => assert!(read(&text).is_err(), "{text}"),
        }
    }
}

#[test]
fn numbers_keep_every_digit_and_follow_the_grammar() {
    let digits = "123456789012345678901234567890123456789";
    assert_eq!(Reader::new(digits).number().unwrap(), digits);
    for wrong in ["01", "1.", ".5", "+1", "1e", "NaN", "-", "1e+", "0x1"] {
        let mut reader = Reader::new(wrong);
        assert!(reader.number().is_err() || reader.end().is_err(), "{wrong}");
    }
}

#[test]
fn a_value_of_any_depth_is_skipped_without_recursion() {
    let text = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(Reader::new(&text).raw().unwrap().len(), text.len());
    assert!(Reader::new(&text[..300_000]).raw().is_err());
}
