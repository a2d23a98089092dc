//! The fast path over an image: checks everything that [`attribute`](super::attribute) checks, but pushes nodes that
//! say where the attributes are instead of building values. Anything invalid or unusual (escapes in names or numbers)
//! makes it return `None`; `attribute` then reads the image and reports the fault.

mod plain;

use super::attribute::{MAX_DEPTH, is_set};
use super::json::Reader;
use super::strings::{digits_length, plain_length};
use crate::decimal::Decimal;
use crate::outline::{Node, Tag, TextSpan, fingerprint};

/// Scans the image or keys at offset `at`, appends the nodes and returns the offset behind it.
pub(super) fn image(text: &str, at: usize, nodes: &mut Vec<Node>) -> Option<usize> {
    u32::try_from(text.len()).ok()?;
    let mut scan = Scan { text, bytes: text.as_bytes(), at, nodes };
    scan.attributes(0)?;
    Some(scan.at)
}

/// Scans a plain JSON object at the start of `text`, appends the nodes and returns the offset behind it.
pub(super) fn plain_image(text: &str, nodes: &mut Vec<Node>) -> Option<usize> {
    u32::try_from(text.len()).ok()?;
    let mut scan = Scan { text, bytes: text.as_bytes(), at: 0, nodes };
    scan.plain_attributes(0)?;
    Some(scan.at)
}

struct Scan<'t, 'n> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    nodes: &'n mut Vec<Node>,
}

/// What separates the name from the value in most attributes.
const BEFORE_TEXT: u64 = u64::from_le_bytes(*b"\":{\"S\":\"");
const BEFORE_NUMBER: u64 = u64::from_le_bytes(*b"\":{\"N\":\"");

impl Scan<'_, '_> {
    fn attributes(&mut self, depth: usize) -> Option<()> {
        self.sequence(b'{', b'}', |scan| {
            let name = scan.plain_string()?;
            scan.attribute(name, depth)
        })
    }

    /// Scans from the quote behind the name to the end of the value.
    #[inline]
    fn attribute(&mut self, name: TextSpan, depth: usize) -> Option<()> {
        match self.word() {
            Some(BEFORE_TEXT) => {
                self.at += 8;
                self.string_value(name)?;
                self.expect(b'}')
            }
            Some(BEFORE_NUMBER) => {
                self.at += 8;
                self.number_value(name)?;
                self.expect(b'}')
            }
            _ => {
                self.expect(b'"')?;
                self.expect(b':')?;
                self.typed(name, depth)
            }
        }
    }

    /// Scans a value with its type tag.
    fn typed(&mut self, name: TextSpan, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        let start = self.at;
        let tag = self.plain_string()?;
        self.expect(b'"')?;
        self.expect(b':')?;
        self.peek()?;
        match self.slice(tag)? {
            b"S" => {
                self.expect(b'"')?;
                self.string_value(name)?;
            }
            b"N" => {
                self.expect(b'"')?;
                self.number_value(name)?;
            }
            b"B" => {
                let value = self.binary()?;
                self.push(name, Tag::B, value, false);
            }
            b"BOOL" => {
                let tag =
                    if self.literal(b"true") { Tag::True } else { self.literal(b"false").then_some(Tag::False)? };
                self.push(name, tag, TextSpan::default(), false);
            }
            b"NULL" => {
                self.literal(b"true").then_some(())?;
                self.push(name, Tag::Null, TextSpan::default(), false);
            }
            b"M" if depth < MAX_DEPTH => self.nested(name, Tag::M, |scan| scan.attributes(depth + 1))?,
            b"L" if depth < MAX_DEPTH => {
                self.nested(name, Tag::L, |scan| scan.members(|scan| scan.typed(TextSpan::default(), depth + 1)))?
            }
            b"SS" => self.set(name, Tag::Ss, start, |scan| {
                scan.expect(b'"')?;
                scan.string_value(TextSpan::default())
            })?,
            b"NS" => self.set(name, Tag::Ns, start, |scan| {
                scan.expect(b'"')?;
                scan.number_value(TextSpan::default())
            })?,
            b"BS" => self.set(name, Tag::Bs, start, |scan| {
                let value = scan.binary()?;
                scan.push(TextSpan::default(), Tag::B, value, false);
                Some(())
            })?,
            _ => return None,
        }
        self.expect(b'}')
    }

    /// Scans a map, list or set. Its node precedes those of its members.
    fn nested(&mut self, name: TextSpan, tag: Tag, inside: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let index = self.nodes.len();
        self.push(name, tag, TextSpan::default(), false);
        inside(self)?;
        let inside = narrow(self.nodes.len() - index - 1);
        self.nodes.get_mut(index)?.inside = inside;
        Some(())
    }

    /// Scans a set whose type tag is at offset `start`.
    fn set(
        &mut self,
        name: TextSpan,
        tag: Tag,
        start: usize,
        member: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.check_set(start)?;
        self.nested(name, tag, |scan| scan.members(member))
    }

    fn members(&mut self, member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.sequence(b'[', b']', member)
    }

    #[inline]
    fn sequence(&mut self, open: u8, close: u8, mut part: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(open)?;
        if self.peek()? == close {
            self.at += 1;
            return Some(());
        }
        loop {
            part(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                byte if byte == close => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Checks that a set is neither empty nor has duplicate members. This has to parse the members.
    fn check_set(&self, start: usize) -> Option<()> {
        is_set(&mut Reader::at(self.text, start)).then_some(())
    }

    /// Scans the text behind an opening quote, and the closing quote.
    #[inline]
    fn string_value(&mut self, name: TextSpan) -> Option<()> {
        let start = self.at;
        self.skip_plain();
        let escaped = self.byte()? == b'\\';
        if escaped {
            let mut reader = Reader::at(self.text, self.at);
            reader.skip_escaped().ok()?;
            self.at = reader.position();
        }
        let value = TextSpan { start: narrow(start), end: narrow(self.at) };
        self.push(name, Tag::S, value, escaped);
        (self.byte()? == b'"').then(|| self.at += 1)
    }

    /// Scans the number behind an opening quote, and the closing quote.
    #[inline]
    fn number_value(&mut self, name: TextSpan) -> Option<()> {
        /// An integer with at most 16 digits is always in range. Most numbers are.
        const SHORT: usize = 16;
        let start = self.at;
        let digits = digits_length(self.bytes.get(start..)?);
        self.at += digits;
        if !(1..=SHORT).contains(&digits) || self.byte()? != b'"' {
            self.at = start;
            self.plain_text()?;
            Decimal::parse(self.text.get(start..self.at)?).ok()?;
        }
        let value = TextSpan { start: narrow(start), end: narrow(self.at) };
        self.push(name, Tag::N, value, false);
        self.at += 1;
        Some(())
    }

    /// Scans base64 in quotes.
    fn binary(&mut self) -> Option<TextSpan> {
        let value = self.plain_string()?;
        base64_simd::STANDARD.check(self.slice(value)?).ok()?;
        self.at += 1;
        Some(value)
    }

    /// Scans the text behind the next quote, up to the closing quote, if it has no escapes.
    #[inline]
    fn plain_string(&mut self) -> Option<TextSpan> {
        self.expect(b'"')?;
        self.plain_text()
    }

    #[inline]
    fn plain_text(&mut self) -> Option<TextSpan> {
        let start = self.at;
        self.skip_plain();
        (self.byte()? == b'"').then(|| TextSpan { start: narrow(start), end: narrow(self.at) })
    }

    #[inline]
    fn skip_plain(&mut self) {
        self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
    }

    #[inline]
    fn push(&mut self, name: TextSpan, tag: Tag, value: TextSpan, escaped: bool) {
        let fingerprint = fingerprint(self.slice(name).unwrap_or_default());
        self.nodes.push(Node { name, fingerprint, value, inside: 0, tag, escaped });
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Returns the next eight bytes without consuming them.
    #[inline]
    fn word(&self) -> Option<u64> {
        self.bytes.get(self.at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Skips white space and returns the next byte without consuming it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn literal(&mut self, word: &[u8]) -> bool {
        let found = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        if found {
            self.at += word.len();
        }
        found
    }

    #[inline]
    fn slice(&self, span: TextSpan) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
    }
}

#[inline]
fn narrow(offset: usize) -> u32 {
    // Always fits: the length of the text was checked first.
    u32::try_from(offset).unwrap_or(u32::MAX)
}
