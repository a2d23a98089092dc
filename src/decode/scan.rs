//! The one pass over an image: checks everything that can be wrong with it, as [`attribute`](super::attribute) does, and
//! writes down where its attributes are instead of what they are. Whatever is wrong or written oddly (escapes in names or
//! numbers) makes it give up: then `attribute` reads the image, and tells the fault.

use super::attribute::{MAX_DEPTH, is_set};
use super::json::Reader;
use super::strings::{digits_length, plain_length};
use crate::decimal::Decimal;
use crate::outline::{Node, Span, Tag, fingerprint};

/// Passes the image or keys at `at`; gives its end, and appends its nodes.
pub fn image(text: &str, at: usize, nodes: &mut Vec<Node>) -> Option<usize> {
    u32::try_from(text.len()).ok()?;
    let mut scan = Scan { text, bytes: text.as_bytes(), at, nodes };
    scan.attributes(0)?;
    Some(scan.at)
}

/// Passes a plain JSON object at the start of `text`; gives its end, and appends its nodes.
pub fn plain_image(text: &str, nodes: &mut Vec<Node>) -> Option<usize> {
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

/// What comes between the name and the value of most attributes.
const BEFORE_TEXT: u64 = u64::from_le_bytes(*b"\":{\"S\":\"");
const BEFORE_NUMBER: u64 = u64::from_le_bytes(*b"\":{\"N\":\"");

impl Scan<'_, '_> {
    fn attributes(&mut self, depth: usize) -> Option<()> {
        self.sequence(b'{', b'}', |scan| {
            let name = scan.plain_string()?;
            scan.attribute(name, depth)
        })
    }

    /// From the quote behind the name to the end of the value.
    #[inline]
    fn attribute(&mut self, name: Span, depth: usize) -> Option<()> {
        match self.word() {
            Some(BEFORE_TEXT) => {
                self.at += 8;
                self.string_value(name)?;
                self.pass(b'}')
            }
            Some(BEFORE_NUMBER) => {
                self.at += 8;
                self.number_value(name)?;
                self.pass(b'}')
            }
            _ => {
                self.pass(b'"')?;
                self.pass(b':')?;
                self.typed(name, depth)
            }
        }
    }

    /// A value with its type tag.
    fn typed(&mut self, name: Span, depth: usize) -> Option<()> {
        self.pass(b'{')?;
        let start = self.at;
        let tag = self.plain_string()?;
        self.pass(b'"')?;
        self.pass(b':')?;
        self.peek()?;
        match self.slice(tag)? {
            b"S" => {
                self.pass(b'"')?;
                self.string_value(name)?;
            }
            b"N" => {
                self.pass(b'"')?;
                self.number_value(name)?;
            }
            b"B" => {
                let value = self.binary()?;
                self.push(name, Tag::B, value, false);
            }
            b"BOOL" => {
                let tag =
                    if self.literal(b"true") { Tag::True } else { self.literal(b"false").then_some(Tag::False)? };
                self.push(name, tag, Span::default(), false);
            }
            b"NULL" => {
                self.literal(b"true").then_some(())?;
                self.push(name, Tag::Null, Span::default(), false);
            }
            b"M" if depth < MAX_DEPTH => self.nested(name, Tag::M, |scan| scan.attributes(depth + 1))?,
            b"L" if depth < MAX_DEPTH => {
                self.nested(name, Tag::L, |scan| scan.members(|scan| scan.typed(Span::default(), depth + 1)))?
            }
            b"SS" => {
                self.check_set(start)?;
                self.nested(name, Tag::Ss, |scan| {
                    scan.members(|scan| {
                        scan.pass(b'"')?;
                        scan.string_value(Span::default())
                    })
                })?;
            }
            b"NS" => {
                self.check_set(start)?;
                self.nested(name, Tag::Ns, |scan| {
                    scan.members(|scan| {
                        scan.pass(b'"')?;
                        scan.number_value(Span::default())
                    })
                })?;
            }
            b"BS" => {
                self.check_set(start)?;
                self.nested(name, Tag::Bs, |scan| {
                    scan.members(|scan| {
                        let value = scan.binary()?;
                        scan.push(Span::default(), Tag::B, value, false);
                        Some(())
                    })
                })?;
            }
            _ => return None,
        }
        self.pass(b'}')
    }

    /// A map, list or set, whose node comes before those of its members.
    fn nested(&mut self, name: Span, tag: Tag, inside: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let place = self.nodes.len();
        self.push(name, tag, Span::default(), false);
        inside(self)?;
        let inside = narrow(self.nodes.len() - place - 1);
        self.nodes.get_mut(place)?.inside = inside;
        Some(())
    }

    fn members(&mut self, member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.sequence(b'[', b']', member)
    }

    #[inline]
    fn sequence(&mut self, open: u8, close: u8, mut part: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.pass(open)?;
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

    fn plain_attributes(&mut self, depth: usize) -> Option<()> {
        self.sequence(b'{', b'}', |scan| {
            let name = scan.plain_string()?;
            scan.pass(b'"')?;
            scan.pass(b':')?;
            scan.plain(name, depth)
        })
    }

    /// A plain JSON value.
    fn plain(&mut self, name: Span, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string_value(name)
            }
            b'{' if depth < MAX_DEPTH => self.nested(name, Tag::M, |scan| scan.plain_attributes(depth + 1)),
            b'[' if depth < MAX_DEPTH => {
                self.nested(name, Tag::L, |scan| scan.members(|scan| scan.plain(Span::default(), depth + 1)))
            }
            b't' => self.literal(b"true").then(|| self.push(name, Tag::True, Span::default(), false)),
            b'f' => self.literal(b"false").then(|| self.push(name, Tag::False, Span::default(), false)),
            b'n' => self.literal(b"null").then(|| self.push(name, Tag::Null, Span::default(), false)),
            _ => {
                let mut reader = Reader::at(self.text, self.at);
                Decimal::parse(reader.number().ok()?).ok()?;
                let value = Span { start: narrow(self.at), end: narrow(reader.place()) };
                self.at = reader.place();
                self.push(name, Tag::N, value, false);
                Some(())
            }
        }
    }

    /// Whether a set is neither empty nor with a member twice, which takes making values of its members.
    fn check_set(&self, start: usize) -> Option<()> {
        is_set(&mut Reader::at(self.text, start)).then_some(())
    }

    /// The text behind an opening quote, and its closing quote.
    #[inline]
    fn string_value(&mut self, name: Span) -> Option<()> {
        let start = self.at;
        self.pass_plain();
        let escaped = self.byte()? == b'\\';
        if escaped {
            let mut reader = Reader::at(self.text, self.at);
            reader.pass_escaped().ok()?;
            self.at = reader.place();
        }
        let value = Span { start: narrow(start), end: narrow(self.at) };
        self.push(name, Tag::S, value, escaped);
        (self.byte()? == b'"').then(|| self.at += 1)
    }

    /// The number behind an opening quote, and its closing quote.
    #[inline]
    fn number_value(&mut self, name: Span) -> Option<()> {
        /// An integer of so many digits is in range however it is written: what most numbers are.
        const SHORT: usize = 16;
        let start = self.at;
        let digits = digits_length(self.bytes.get(start..)?);
        self.at += digits;
        if !(1..=SHORT).contains(&digits) || self.byte()? != b'"' {
            self.at = start;
            self.plain_text()?;
            Decimal::parse(self.text.get(start..self.at)?).ok()?;
        }
        let value = Span { start: narrow(start), end: narrow(self.at) };
        self.push(name, Tag::N, value, false);
        self.at += 1;
        Some(())
    }

    /// Base64 in quotes.
    fn binary(&mut self) -> Option<Span> {
        let value = self.plain_string()?;
        base64_simd::STANDARD.check(self.slice(value)?).ok()?;
        self.at += 1;
        Some(value)
    }

    /// The text behind the next quote, if it ends without an escape; its closing quote comes next.
    #[inline]
    fn plain_string(&mut self) -> Option<Span> {
        self.pass(b'"')?;
        self.plain_text()
    }

    #[inline]
    fn plain_text(&mut self) -> Option<Span> {
        let start = self.at;
        self.pass_plain();
        (self.byte()? == b'"').then(|| Span { start: narrow(start), end: narrow(self.at) })
    }

    #[inline]
    fn pass_plain(&mut self) {
        self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
    }

    #[inline]
    fn push(&mut self, name: Span, tag: Tag, value: Span, escaped: bool) {
        let fingerprint = fingerprint(self.slice(name).unwrap_or_default());
        self.nodes.push(Node { name, fingerprint, value, inside: 0, tag, escaped });
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next eight bytes.
    #[inline]
    fn word(&self) -> Option<u64> {
        self.bytes.get(self.at..)?.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The next byte that isn't white space.
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
    fn pass(&mut self, byte: u8) -> Option<()> {
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
    fn slice(&self, span: Span) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
    }
}

#[inline]
fn narrow(place: usize) -> u32 {
    // No text is longer: that was checked at first.
    u32::try_from(place).unwrap_or(u32::MAX)
}
