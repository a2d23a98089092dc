//! Items as exports and streams have them, in DynamoDB JSON, and the key that identifies an item wherever it is read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use stream_types::Decimal;

/// The key of an item as DynamoDB JSON, with its attributes sorted by name. Every spelling of a key gives the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ItemKey(String);

impl ItemKey {
    /// The key of an item with these attributes; `names` are those of the table's key.
    ///
    /// # Errors
    /// If the item lacks an attribute of its key, or has one that can't be a key.
    pub(super) fn of(attributes: &str, names: &[String]) -> Result<ItemKey, String> {
        let image: BTreeMap<String, &RawValue> =
            serde_json::from_str(attributes).map_err(|error| format!("is not an item in DynamoDB JSON: {error}"))?;
        let mut parts = BTreeMap::new();
        for name in names {
            let value = image.get(name).ok_or_else(|| format!("has no key attribute `{name}`"))?;
            let invalid = || format!("has a key attribute `{name}` that is neither a string, a number nor binary");
            let mut value: BTreeMap<String, String> = serde_json::from_str(value.get()).map_err(|_| invalid())?;
            match value.pop_first() {
                Some((kind, text)) if value.is_empty() && kind == "N" => {
                    let number = Decimal::parse(&text).map_err(|_| invalid())?;
                    parts.insert(name, BTreeMap::from([(kind, number.to_string())]));
                }
                Some((kind, text)) if value.is_empty() && matches!(kind.as_str(), "S" | "B") => {
                    parts.insert(name, BTreeMap::from([(kind, text)]));
                }
                _ => return Err(invalid()),
            }
        }
        serde_json::to_string(&parts).map(ItemKey).map_err(|error| error.to_string())
    }

    /// The key as DynamoDB JSON.
    pub(super) fn json(&self) -> &str {
        &self.0
    }

    /// A number that stands for the key: the beginning of a hash.
    pub(super) fn number(&self) -> u64 {
        let hash = blake3::hash(self.0.as_bytes());
        hash.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
    }
}

/// A line of a data file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// The key of its item.
    pub(super) key: ItemKey,
    /// The item, unless the line says that it was deleted.
    pub(super) image: Option<&'a str>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(rename = "Item", borrow)]
    item: Option<&'a RawValue>,
    #[serde(rename = "Keys", borrow)]
    keys: Option<&'a RawValue>,
    #[serde(rename = "NewImage", borrow)]
    new_image: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    /// Reads a line of a full or incremental export.
    ///
    /// # Errors
    /// What the line lacks.
    pub(super) fn read(line: &'a str, names: &[String]) -> Result<Line<'a>, String> {
        let written: Written<'a> = serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
        match written {
            Written { item: Some(item), .. } => {
                Ok(Line { key: ItemKey::of(item.get(), names)?, image: Some(item.get()) })
            }
            Written { keys: Some(keys), new_image, .. } => {
                Ok(Line { key: ItemKey::of(keys.get(), names)?, image: new_image.map(RawValue::get) })
            }
            _ => Err("has neither `Item` nor `Keys`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["pk".to_owned(), "n".to_owned()].into()
    }

    #[test]
    fn every_spelling_of_a_key_is_one_key() {
        let key = |text: &str| ItemKey::of(text, &names());
        let expected = r#"{"n":{"N":"10.5"},"pk":{"S":"a\"b"}}"#;
        for text in [
            r#"{"pk":{"S":"a\"b"},"n":{"N":"10.50"},"other":{"M":{}}}"#,
            r#"{ "n" : { "N" : "1.05E1" }, "pk" : { "S" : "a\u0022b" } }"#,
        ] {
            assert_eq!(key(text).unwrap().json(), expected, "{text}");
        }
        assert_ne!(key(r#"{"pk":{"S":"1"},"n":{"N":"1"}}"#), key(r#"{"pk":{"B":"1"},"n":{"N":"1"}}"#));
        assert_eq!(key(r#"{"pk":{"S":"1"}}"#).unwrap_err(), "has no key attribute `n`");
        let invalid = key(r#"{"pk":{"BOOL":true},"n":{"N":"1"}}"#).unwrap_err();
        assert_eq!(invalid, "has a key attribute `pk` that is neither a string, a number nor binary");
    }

    #[test]
    fn lines_of_full_and_incremental_exports_are_read() {
        let names = ["pk".to_owned()];
        let read = |text| Line::read(text, &names).map(|line| (line.key.json().to_owned(), line.image));
        let key = r#"{"pk":{"S":"a"}}"#.to_owned();
        let full = r#"{"Item":{"pk":{"S":"a"},"n":{"N":"1"}}}"#;
        assert_eq!(read(full), Ok((key.clone(), Some(r#"{"pk":{"S":"a"},"n":{"N":"1"}}"#))));
        let changed = r#"{"Metadata":{"WriteTimestampMicros":{"N":"1680109764000000"}},"Keys":{"pk":{"S":"a"}},"OldImage":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"},"n":{"N":"2"}}}"#;
        assert_eq!(read(changed), Ok((key.clone(), Some(r#"{"pk":{"S":"a"},"n":{"N":"2"}}"#))));
        let deleted = r#"{"Metadata":{"WriteTimestampMicros":"1680109764000000"},"Keys":{"pk":{"S":"a"}}}"#;
        assert_eq!(read(deleted), Ok((key, None)));
        assert_eq!(read(r#"{"Attributes":{}}"#).unwrap_err(), "has neither `Item` nor `Keys`");
        assert!(read("{").unwrap_err().starts_with("is not JSON: "));
    }
}
