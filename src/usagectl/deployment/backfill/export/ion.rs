//! Items in Amazon Ion, as table exports have them, one on each line: translates a line into DynamoDB JSON. Pure.
//!
//! An export has the text form of Ion: a version marker, and a struct. A number is a decimal, a set a list with an annotation, and
//! binary a blob. Texts are in double quotes, and names are symbols, with or without quotes.

mod text;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use stream_types::Decimal;

/// The values in a value: deeper than DynamoDB allows (32).
const MAXIMUM_DEPTH: usize = 64;
/// Begins and ends each part of a long text.
const LONG: &str = "'''";

/// The line in DynamoDB JSON.
///
/// # Errors
/// Why it isn't an item of an export in Ion.
pub(super) fn dynamodb_json(line: &str) -> Result<String, String> {
    let mut reader = Reader { text: line, at: 0 };
    while reader.takes("$ion_1_0") {}
    let fields = reader.fields(&mut |reader, name| match name {
        "Record" => reader.fields(&mut |reader, _| reader.part()).map(Value::Object),
        _ => reader.part(),
    })?;
    reader.skip();
    if reader.at < line.len() {
        return Err(reader.wrong("the end of the line"));
    }
    let record = match fields.get("Record") {
        Some(record) => record.clone(),
        None => Value::Object(fields),
    };
    Ok(record.to_string())
}

struct Reader<'l> {
    text: &'l str,
    at: usize,
}

impl<'l> Reader<'l> {
    /// A part of a line: an item, or what an incremental export says about one.
    fn part(&mut self) -> Result<Value, String> {
        self.fields(&mut |reader, _| reader.value(0)).map(Value::Object)
    }

    /// The value of an attribute.
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAXIMUM_DEPTH {
            return Err("is not an item in Ion: its values are nested too deeply".to_owned());
        }
        for (annotation, kind, of) in
            [("$dynamodb_SS", "SS", "S"), ("$dynamodb_NS", "NS", "N"), ("$dynamodb_BS", "BS", "B")]
        {
            if self.takes(annotation) {
                self.expect("::")?;
                return self.set(kind, of, depth);
            }
        }
        self.skip();
        match self.rest().as_bytes() {
            [b'"', ..] => Ok(json!({ "S": self.quoted("\"")? })),
            [b'\'', b'\'', b'\'', ..] => Ok(json!({ "S": self.long_text()? })),
            [b'{', b'{', ..] => Ok(json!({ "B": self.blob()? })),
            [b'{', ..] => {
                let fields = self.fields(&mut |reader, _| reader.value(depth + 1))?;
                Ok(json!({ "M": fields }))
            }
            [b'[', ..] => Ok(json!({ "L": self.list(depth)? })),
            [b'-' | b'0'..=b'9', ..] => Ok(json!({ "N": self.number()? })),
            _ => match self.word() {
                "true" => Ok(json!({ "BOOL": true })),
                "false" => Ok(json!({ "BOOL": false })),
                // Ion has a null of each type, such as `null.string`.
                word if word == "null" || word.starts_with("null.") => Ok(json!({ "NULL": true })),
                _ => Err(self.wrong("a value")),
            },
        }
    }

    /// The fields of a struct.
    fn fields(
        &mut self,
        value: &mut dyn FnMut(&mut Reader<'l>, &str) -> Result<Value, String>,
    ) -> Result<Map<String, Value>, String> {
        let mut fields = Map::new();
        self.expect("{")?;
        while !self.takes("}") {
            let name = self.name()?;
            self.expect(":")?;
            let value = value(self, &name)?;
            fields.insert(name.into_owned(), value);
            self.end_of_member('}')?;
        }
        Ok(fields)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, String> {
        let mut members = Vec::new();
        self.expect("[")?;
        while !self.takes("]") {
            members.push(self.value(depth + 1)?);
            self.end_of_member(']')?;
        }
        Ok(members)
    }

    /// The members of a set, all of which have one type.
    fn set(&mut self, kind: &str, of: &str, depth: usize) -> Result<Value, String> {
        let mut members = Vec::new();
        for member in self.list(depth)? {
            members.push(member.get(of).cloned().ok_or_else(|| self.wrong(&format!("members of type {of}")))?);
        }
        Ok(json!({ kind: members }))
    }

    /// A comma, unless the list or struct ends.
    fn end_of_member(&mut self, end: char) -> Result<(), String> {
        self.skip();
        if self.rest().starts_with(end) { Ok(()) } else { self.expect(",") }
    }

    fn name(&mut self) -> Result<Cow<'l, str>, String> {
        self.skip();
        match self.rest().chars().next() {
            Some('"') => self.quoted("\"").map(Cow::Owned),
            Some('\'') => self.quoted("'").map(Cow::Owned),
            _ => match self.word() {
                "" => Err(self.wrong("a name")),
                word => Ok(Cow::Borrowed(word)),
            },
        }
    }

    fn word(&mut self) -> &'l str {
        let rest = self.rest();
        let is_part = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '$' | '.');
        let word = rest.get(..rest.find(|one| !is_part(one)).unwrap_or(rest.len())).unwrap_or_default();
        self.at += word.len();
        word
    }

    /// A number as DynamoDB spells it, so that it's the same text as in the stream: Ion's `7.` is `7`, and `6d2` is `600`.
    fn number(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let is_part = |one: char| one.is_ascii_digit() || matches!(one, '-' | '+' | '.' | 'd' | 'D' | 'e' | 'E');
        let number = rest.get(..rest.find(|one| !is_part(one)).unwrap_or(rest.len())).unwrap_or_default();
        let decimal = Decimal::parse(&number.replace(['d', 'D'], "E"));
        let decimal = decimal.map_err(|_| self.wrong("a number of DynamoDB"))?;
        self.at += number.len();
        Ok(text::plain(decimal))
    }

    /// The Base64 text of a blob.
    fn blob(&mut self) -> Result<String, String> {
        self.expect("{{")?;
        let rest = self.rest();
        let end = rest.find("}}").ok_or_else(|| self.wrong("a blob"))?;
        let encoded: String = rest.get(..end).unwrap_or_default().split_ascii_whitespace().collect();
        BASE64_STANDARD.decode(&encoded).map_err(|_| self.wrong("a blob in Base64"))?;
        self.at += end + 2;
        Ok(encoded)
    }

    /// A text in several parts, each of them between three quotation marks.
    fn long_text(&mut self) -> Result<String, String> {
        let mut text = String::new();
        while self.rest().starts_with(LONG) {
            text.push_str(&self.quoted(LONG)?);
            self.skip();
        }
        Ok(text)
    }

    /// A text between two of these quotation marks.
    fn quoted(&mut self, mark: &str) -> Result<String, String> {
        let inner = self.rest().get(mark.len()..).unwrap_or_default();
        let (text, length) = text::unquoted(inner, mark).map_err(|expected| self.wrong(expected))?;
        self.at += mark.len() + length;
        Ok(text)
    }

    fn expect(&mut self, expected: &str) -> Result<(), String> {
        if self.takes(expected) { Ok(()) } else { Err(self.wrong(&format!("`{expected}`"))) }
    }

    /// Takes this if it comes next.
    fn takes(&mut self, expected: &str) -> bool {
        self.skip();
        let is_next = self.rest().starts_with(expected);
        self.at += if is_next { expected.len() } else { 0 };
        is_next
    }

    fn skip(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'l str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn wrong(&self, expected: &str) -> String {
        format!("is not an item in Ion: expected {expected} at character {}", self.at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Value, String> {
        dynamodb_json(line).map(|json| serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn every_type_of_an_item_is_translated() {
        let line = r#"$ion_1_0 {Item:{Id:101.,'Item name':"a \"b\"\n\u00e9\x41\uD83D\uDE00",Price:-12.50,Big:1.5d-3,Digits:12345678901234567890123456789012345678.,Open:true,None:null,Raw:{{Zm9v}},Map:{a:{b:[1.,"x",null,{{}}]}},Tags:$dynamodb_SS::["a","b"],Sizes:$dynamodb_NS::[1.,2.5],Blobs:$dynamodb_BS::[{{AA==}}],Empty:[]}}"#;
        let expected = json!({ "Item": {
            "Id": { "N": "101" }, "Item name": { "S": "a \"b\"\né\u{41}😀" }, "Price": { "N": "-12.5" },
            "Big": { "N": "0.0015" }, "Digits": { "N": "12345678901234567890123456789012345678" },
            "Open": { "BOOL": true }, "None": { "NULL": true }, "Raw": { "B": "Zm9v" },
            "Map": { "M": { "a": { "M": { "b": { "L": [{ "N": "1" }, { "S": "x" }, { "NULL": true }, { "B": "" }] } } } } },
            "Tags": { "SS": ["a", "b"] }, "Sizes": { "NS": ["1", "2.5"] }, "Blobs": { "BS": ["AA=="] },
            "Empty": { "L": [] },
        } });
        assert_eq!(read(line).unwrap(), expected);
    }

    #[test]
    fn spellings_that_no_export_needs_are_read_too() {
        let line = r#" $ion_1_0 { "Item" : { a : '''b'c''' '''\nd''' , b : null.string , c : 0d5, d : -0., e : 7.d2, f : {{ Zm9v }} , } }"#;
        let expected = json!({ "Item": {
            "a": { "S": "b'c\nd" }, "b": { "NULL": true }, "c": { "N": "0" }, "d": { "N": "0" }, "e": { "N": "700" },
            "f": { "B": "Zm9v" },
        } });
        assert_eq!(read(line).unwrap(), expected);
    }

    #[test]
    fn lines_of_incremental_exports_are_translated() {
        let line = r#"$ion_1_0 {Record:{Keys:{pk:"a"},Metadata:{WriteTimestampMicros:1680109764000000.},OldImage:{pk:"a"},NewImage:{pk:"a",n:2.}}}"#;
        let read = read(line).unwrap();
        assert_eq!((&read["Keys"], &read["NewImage"]["n"]), (&json!({ "pk": { "S": "a" } }), &json!({ "N": "2" })));
        let bare = dynamodb_json(r#"{Keys:{pk:"a"}}"#).unwrap();
        assert_eq!(bare, r#"{"Keys":{"pk":{"S":"a"}}}"#);
    }

    #[test]
    fn what_is_not_an_item_is_named() {
        for (line, expected) in [
            ("", "expected `{` at character 1"),
            ("$ion_1_0 {Item:{a:1.}", "expected `,` at character 22"),
            ("{Item:{a:2020-01-01T}}", "expected a number of DynamoDB at character 10"),
            (r#"{Item:{a:"x}}"#, "expected a complete text at character 10"),
            (r#"{Item:{a:"\q"}}"#, "expected an escape of Ion at character 10"),
            ("{Item:{a:symbol}}", "expected a value at character 16"),
            ("{Item:{}} {}", "expected the end of the line at character 11"),
            (r#"{Item:{a:{{"clob"}}}}"#, "expected a blob in Base64 at character 12"),
            ("{Item:{a:$dynamodb_SS::[1.]}}", "expected members of type S at character 28"),
            ("{Item:{a:$dynamodb_S::[1.]}}", "expected a value at character 21"),
            ("{Item:{a:1d126}}", "expected a number of DynamoDB at character 10"),
            ("{Item:{a:'''b''}}", "expected a complete text at character 10"),
        ] {
            assert_eq!(read(line).unwrap_err(), format!("is not an item in Ion: {expected}"), "{line}");
        }
        let deep = format!("{{Item:{{a:{}{}}}}}", "[".repeat(80), "]".repeat(80));
        assert!(read(&deep).unwrap_err().contains("nested too deeply"));
        let sets = format!("{{Item:{{a:{}{}}}}}", "$dynamodb_SS::[".repeat(80), "]".repeat(80));
        assert!(read(&sets).unwrap_err().contains("nested too deeply"));
    }
}
