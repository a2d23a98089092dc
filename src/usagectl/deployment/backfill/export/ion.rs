//! Items in Amazon Ion, as table exports have them, one on each line: translates a line into DynamoDB JSON. Pure.
//!
//! An export has the text form of Ion: a version marker, and a struct. A number is a decimal, a set a list with an annotation, and
//! binary a blob. Texts are in double quotes, and names are symbols, with or without quotes.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

/// The values in a value: deeper than DynamoDB allows (32).
const MAXIMUM_DEPTH: usize = 64;

/// The line in DynamoDB JSON.
///
/// # Errors
/// Why it isn't an item of an export in Ion.
pub(super) fn dynamodb_json(line: &str) -> Result<String, String> {
    let mut reader = Reader { text: line, at: 0 };
    while reader.takes("$ion_1_0") {}
    let fields = reader.fields(&mut |reader, name| match name {
        "Record" => reader.fields(&mut |reader, name| reader.part(name)).map(Value::Object),
        name => reader.part(name),
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
    fn part(&mut self, _: &str) -> Result<Value, String> {
        self.fields(&mut |reader, _| reader.value(0)).map(Value::Object)
    }

    /// The value of an attribute.
    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAXIMUM_DEPTH {
            return Err("is not an item in Ion: its values are nested too deeply".to_owned());
        }
        for (annotation, kind) in [("$dynamodb_SS::", "SS"), ("$dynamodb_NS::", "NS"), ("$dynamodb_BS::", "BS")] {
            if self.takes(annotation) {
                let member = |one: Value| one.as_object().and_then(|one| one.values().next().cloned());
                let members: Vec<Value> = self.list(depth)?.into_iter().filter_map(member).collect();
                return Ok(json!({ kind: members }));
            }
        }
        self.skip();
        match self.rest().as_bytes() {
            [b'"', ..] => Ok(json!({ "S": self.quoted('"')? })),
            [b'{', b'{', ..] => Ok(json!({ "B": self.blob()? })),
            [b'{', ..] => {
                let fields = self.fields(&mut |reader, _| reader.value(depth + 1))?;
                Ok(json!({ "M": fields }))
            }
            [b'[', ..] => Ok(json!({ "L": self.list(depth)? })),
            [b'-' | b'0'..=b'9', ..] => Ok(json!({ "N": self.number()? })),
            _ => match self.word() {
                "null" | "null.null" => Ok(json!({ "NULL": true })),
                "true" => Ok(json!({ "BOOL": true })),
                "false" => Ok(json!({ "BOOL": false })),
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

    /// A comma, unless the list or struct ends.
    fn end_of_member(&mut self, end: char) -> Result<(), String> {
        self.skip();
        if self.rest().starts_with(end) { Ok(()) } else { self.expect(",") }
    }

    fn name(&mut self) -> Result<Cow<'l, str>, String> {
        self.skip();
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map(Cow::Owned),
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

    /// A number of DynamoDB: Ion's `1.5d-3` is `1.5E-3`, and `7.` is `7`.
    fn number(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let is_part = |one: char| one.is_ascii_digit() || matches!(one, '-' | '+' | '.' | 'd' | 'D' | 'e' | 'E');
        let number = rest.get(..rest.find(|one| !is_part(one)).unwrap_or(rest.len())).unwrap_or_default();
        let text = number.replace(['d', 'D', 'e'], "E");
        let (mantissa, exponent) =
            text.split_once('E').map_or((&*text, None), |(mantissa, exponent)| (mantissa, Some(exponent)));
        let mantissa = mantissa.trim_end_matches('.');
        let plain = exponent.map_or_else(|| mantissa.to_owned(), |exponent| format!("{mantissa}E{exponent}"));
        stream_types::Decimal::parse(&plain).map_err(|_| self.wrong("a number of DynamoDB"))?;
        self.at += number.len();
        Ok(plain)
    }

    /// The Base64 text of a blob.
    fn blob(&mut self) -> Result<String, String> {
        self.expect("{{")?;
        let rest = self.rest();
        let end = rest.find("}}").ok_or_else(|| self.wrong("a blob"))?;
        self.at += end + 2;
        Ok(rest.get(..end).unwrap_or_default().split_ascii_whitespace().collect())
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut rest = self.rest().char_indices().skip(1);
        while let Some((at, one)) = rest.next() {
            match one {
                one if one == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => {
                    let (_, escaped) = rest.next().ok_or_else(|| self.wrong("a complete text"))?;
                    let digits = match escaped {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        escaped => {
                            text.push(plain_escape(escaped).ok_or_else(|| self.wrong("an escape of Ion"))?);
                            continue;
                        }
                    };
                    let digits: String = rest.by_ref().take(digits).map(|(_, digit)| digit).collect();
                    let mut code = u32::from_str_radix(&digits, 16).map_err(|_| self.wrong("an escape of Ion"))?;
                    // A character outside the basic plane may be two surrogates.
                    if (0xD800..0xDC00).contains(&code) {
                        let low: String = rest.by_ref().take(6).map(|(_, digit)| digit).collect();
                        let low = low.strip_prefix("\\u").and_then(|digits| u32::from_str_radix(digits, 16).ok());
                        let low = low.filter(|low| (0xDC00..0xE000).contains(low));
                        let low = low.ok_or_else(|| self.wrong("an escape of Ion"))?;
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                    }
                    text.push(char::from_u32(code).ok_or_else(|| self.wrong("an escape of Ion"))?);
                }
                one => text.push(one),
            }
        }
        Err(self.wrong("a complete text"))
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

fn plain_escape(escaped: char) -> Option<char> {
    Some(match escaped {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' => '\t',
        'n' => '\n',
        'f' => '\u{c}',
        'r' => '\r',
        'v' => '\u{b}',
        '?' | '\\' | '\'' | '"' | '/' => escaped,
        _ => return None,
    })
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
            "Id": { "N": "101" }, "Item name": { "S": "a \"b\"\né\u{41}😀" }, "Price": { "N": "-12.50" },
            "Big": { "N": "1.5E-3" }, "Digits": { "N": "12345678901234567890123456789012345678" },
            "Open": { "BOOL": true }, "None": { "NULL": true }, "Raw": { "B": "Zm9v" },
            "Map": { "M": { "a": { "M": { "b": { "L": [{ "N": "1" }, { "S": "x" }, { "NULL": true }, { "B": "" }] } } } } },
            "Tags": { "SS": ["a", "b"] }, "Sizes": { "NS": ["1", "2.5"] }, "Blobs": { "BS": ["AA=="] },
            "Empty": { "L": [] },
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
        ] {
            assert_eq!(read(line).unwrap_err(), format!("is not an item in Ion: {expected}"), "{line}");
        }
        let deep = format!("{{Item:{{a:{}{}}}}}", "[".repeat(80), "]".repeat(80));
        assert!(read(&deep).unwrap_err().contains("nested too deeply"));
    }
}
