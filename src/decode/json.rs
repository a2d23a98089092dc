//! A strict JSON reader that borrows from its input: strings and numbers are slices of the text, numbers keep all their
//! digits, and a value of any depth can be skipped without recursion. Errors give the position and never quote the
//! text.

mod scalar;

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
}

#[cfg(test)]
mod tests;
