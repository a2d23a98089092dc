//! A strict JSON reader that borrows from its input: strings and numbers are slices of the text, numbers keep all their
//! digits, and a value of any depth can be skipped without recursion. Errors give the position and never quote the
//! text.

use std::borrow::Cow;

use super::strings::plain_length;

/// A syntax error in a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at byte {at}")]
pub struct JsonError {
    /// What the grammar allows at this position.
    pub expected: &'static str,
    /// The offset in bytes from the start of the text.
    pub at: usize,
}

/// Reads the object in `text` and calls `field` with the name and the JSON text of each value.
pub fn raw_fields<'a>(text: &'a str, mut field: impl FnMut(&str, &'a str)) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    reader.object(|reader, name| {
        field(&name, reader.raw()?);
        Ok::<_, JsonError>(())
    })?;
    reader.end()
}

/// Reads a JSON text from a position onward. Methods that return an error or `None` may have advanced the position,
/// unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Reader { text, at: 0 }
    }

    /// Starts at the byte offset `at` of `text`.
    pub fn at(text: &'a str, at: usize) -> Self {
        Reader { text, at }
    }

    /// The whole text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The current byte offset.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Advances to the offset `end` and returns the text in between.
    pub fn skip_to(&mut self, end: usize) -> Result<&'a str, JsonError> {
        let start = std::mem::replace(&mut self.at, end);
        self.slice(start)
    }

    /// Skips white space and returns the next byte without consuming it.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Creates an error at the current position.
    pub fn error(&self, expected: &'static str) -> JsonError {
        JsonError { expected, at: self.at }
    }

    /// Checks that nothing but white space follows.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("the end of the text")),
        }
    }

    /// Reads an object and calls `field` with each name. `field` must read the value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sequence(b'{', b'}', "an object", |reader| {
            let name = match reader.plain_name() {
                Some(name) => Cow::Borrowed(name),
                None => {
                    let name = reader.string()?;
                    reader.colon()?;
                    name
                }
            };
            field(reader, name)
        })
    }

    /// Reads a name and its colon if they are written without white space and escapes. Otherwise nothing is consumed.
    #[inline]
    fn plain_name(&mut self) -> Option<&'a str> {
        let rest = self.text.as_bytes().get(self.at..)?.strip_prefix(b"\"")?;
        let length = plain_length(rest);
        let [b'"', b':', ..] = rest.get(length..)? else { return None };
        let start = self.at + 1;
        let name = self.text.get(start..start + length)?;
        self.at = start + length + 2;
        Some(name)
    }

    /// Reads the colon between a name and its value.
    pub fn colon(&mut self) -> Result<(), JsonError> {
        self.expect(b':', "`:`")
    }

    /// Reads an array and calls `element` at each value. `element` must read the value.
    pub fn array<E: From<JsonError>>(&mut self, element: impl FnMut(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.sequence(b'[', b']', "an array", element)
    }

    /// Reads a string. It borrows from the text unless it has escapes.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        self.skip_plain_characters();
        if self.byte() == Some(b'"') {
            let plain = self.slice(start)?;
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.escaped_string(start).map(Cow::Owned)
    }

    /// Reads `{"X":"text"}` if it is written without white space and escapes, and returns X and the text. Otherwise
    /// nothing is consumed.
    pub fn tagged_text(&mut self) -> Option<(u8, &'a str)> {
        const BEFORE_TEXT: usize = r#"{"X":""#.len();
        let [b'{', b'"', tag, b'"', b':', b'"', ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let mut end = Reader { text: self.text, at: self.at + BEFORE_TEXT };
        end.skip_plain_characters();
        let [b'"', b'}', ..] = self.text.as_bytes().get(end.at..)? else { return None };
        let text = end.slice(self.at + BEFORE_TEXT).ok()?;
        self.at = end.at + 2;
        Some((*tag, text))
    }

    /// Reads a number and returns its text.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        while self.byte().is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = self.slice(start)?;
        if is_number(text.as_bytes()) {
            return Ok(text);
        }
        self.at = start;
        Err(self.error("a number"))
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        if self.literal("true") {
            return Ok(true);
        }
        if self.literal("false") {
            return Ok(false);
        }
        Err(self.error("true or false"))
    }

    /// Consumes `null` if it comes next.
    pub fn null(&mut self) -> bool {
        self.literal("null")
    }

    /// Skips one value of any depth and returns its text. Brackets and strings are matched; everything else is checked
    /// when the text is read.
    pub fn raw(&mut self) -> Result<&'a str, JsonError> {
        let first = self.peek().ok_or_else(|| self.error("a value"))?;
        let start = self.at;
        if first == b'"' {
            self.skip_string()?;
            return self.slice(start);
        }
        let mut depth = 0_usize;
        loop {
            match self.byte().ok_or_else(|| self.error("the end of a value"))? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or_else(|| self.error("a value"))?;
                    self.at += 1;
                }
                b',' | b':' if depth == 0 => return Err(self.error("a value")),
                b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                _ => self.skip_scalar()?,
            }
            if depth == 0 {
                return self.slice(start);
            }
        }
    }

    fn sequence<E: From<JsonError>>(
        &mut self,
        open: u8,
        close: u8,
        expected: &'static str,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(open, expected)?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("`,` or the end of the object or array").into()),
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn slice(&self, start: usize) -> Result<&'a str, JsonError> {
        self.text.get(start..self.at).ok_or_else(|| self.error("UTF-8"))
    }

    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &str) -> bool {
        self.peek();
        let found = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Advances to the next quote, backslash or control character.
    #[inline]
    fn skip_plain_characters(&mut self) {
        self.at += plain_length(self.text.as_bytes().get(self.at..).unwrap_or_default());
    }

    fn skip_string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            self.skip_plain_characters();
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                _ => return Err(self.error("the end of a string")),
            }
        }
    }

    fn skip_scalar(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a value")) } else { Ok(()) }
    }

    /// Advances to the closing quote of the current string and checks the escapes on the way.
    pub fn skip_escaped(&mut self) -> Result<(), JsonError> {
        loop {
            self.skip_plain_characters();
            match self.byte() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    self.at += 1;
                    self.escape()?;
                }
                _ => return Err(self.error("the end of a string")),
            }
        }
    }

    fn escaped_string(&mut self, start: usize) -> Result<String, JsonError> {
        let mut text = self.slice(start)?.to_owned();
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return Err(self.error("the end of a string")),
            }
            let plain = self.at;
            self.skip_plain_characters();
            text.push_str(self.slice(plain)?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let byte = self.byte().ok_or_else(|| self.error("an escape"))?;
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.error("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.hexadecimal()?;
        let code = if (0xD800..0xDC00).contains(&first) {
            if !self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(b"\\u")) {
                return Err(self.error("the second half of a surrogate pair"));
            }
            self.at += 2;
            let second = self.hexadecimal()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.error("the second half of a surrogate pair"));
            }
            0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.error("a character that isn't half of a surrogate pair"))
    }

    fn hexadecimal(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("four hexadecimal digits"))?;
        self.at += 4;
        Ok(code)
    }
}

/// JSON's number grammar.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let exponent = match exponent {
            [b'+' | b'-', exponent @ ..] => exponent,
            exponent => exponent,
        };
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
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
}
