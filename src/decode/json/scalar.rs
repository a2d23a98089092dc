//! Reads and skips strings, numbers, booleans and null.

use std::borrow::Cow;

use super::super::strings::plain_length;
use super::{JsonError, Reader};

impl<'a> Reader<'a> {
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

    pub(super) fn skip_string(&mut self) -> Result<(), JsonError> {
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

    pub(super) fn skip_scalar(&mut self) -> Result<(), JsonError> {
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
