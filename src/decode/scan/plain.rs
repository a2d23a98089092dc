//! The fast path over plain JSON, whose values have no type tags.

use super::super::attribute::MAX_DEPTH;
use super::super::json::Reader;
use super::{Scan, narrow};
use crate::decimal::Decimal;
use crate::outline::{Tag, TextSpan};

impl Scan<'_, '_> {
    pub(super) fn plain_attributes(&mut self, depth: usize) -> Option<()> {
        self.sequence(b'{', b'}', |scan| {
            let name = scan.plain_string()?;
            scan.expect(b'"')?;
            scan.expect(b':')?;
            scan.plain(name, depth)
        })
    }

    /// Scans a plain JSON value.
    fn plain(&mut self, name: TextSpan, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.string_value(name)
            }
            b'{' if depth < MAX_DEPTH => self.nested(name, Tag::M, |scan| scan.plain_attributes(depth + 1)),
            b'[' if depth < MAX_DEPTH => {
                self.nested(name, Tag::L, |scan| scan.members(|scan| scan.plain(TextSpan::default(), depth + 1)))
            }
            b't' => self.literal(b"true").then(|| self.push(name, Tag::True, TextSpan::default(), false)),
            b'f' => self.literal(b"false").then(|| self.push(name, Tag::False, TextSpan::default(), false)),
            b'n' => self.literal(b"null").then(|| self.push(name, Tag::Null, TextSpan::default(), false)),
            _ => {
                let mut reader = Reader::at(self.text, self.at);
                Decimal::parse(reader.number().ok()?).ok()?;
                let value = TextSpan { start: narrow(self.at), end: narrow(reader.position()) };
                self.at = reader.position();
                self.push(name, Tag::N, value, false);
                Some(())
            }
        }
    }
}
