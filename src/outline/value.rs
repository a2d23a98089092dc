//! One value of an outline, parsed as the type that the caller asks for.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Node, Outline, Tag, TextSpan};
use crate::decimal::Decimal;
use crate::record::{Item, Step, Value};
use crate::time::{Timestamp, Unit};

/// A value of an outline: its node, the nodes nested in it, and the text.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'t> {
    text: &'t str,
    node: &'t Node,
    inside: &'t [Node],
}

impl<'t> Entry<'t> {
    pub(super) fn new(text: &'t str, node: &'t Node, inside: &'t [Node]) -> Self {
        Entry { text, node, inside }
    }

    /// The attribute's name; empty in lists and sets.
    pub fn name(self) -> &'t str {
        self.slice(self.node.name)
    }

    pub(super) fn fingerprint(self) -> u32 {
        self.node.fingerprint
    }

    /// The type of the value.
    pub fn tag(self) -> Tag {
        self.node.tag
    }

    /// DynamoDB's name for the type of this value.
    pub fn type_name(self) -> &'static str {
        match self.node.tag {
            Tag::S => "S",
            Tag::N => "N",
            Tag::B => "B",
            Tag::True | Tag::False => "BOOL",
            Tag::Null => "NULL",
            Tag::M => "M",
            Tag::L => "L",
            Tag::Ss => "SS",
            Tag::Ns => "NS",
            Tag::Bs => "BS",
        }
    }

    /// The text of an S.
    pub fn string(self) -> Option<Cow<'t, str>> {
        if self.node.tag != Tag::S {
            return None;
        }
        let text = self.slice(self.node.value);
        Some(if self.node.escaped { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) })
    }

    /// The number of an N.
    pub fn number(self) -> Option<Decimal> {
        // The number was checked when the outline was made.
        (self.node.tag == Tag::N).then(|| Decimal::parse(self.slice(self.node.value)).unwrap_or_default())
    }

    /// The text of an N, exactly as it was received.
    pub fn digits(self) -> Option<&'t str> {
        (self.node.tag == Tag::N).then(|| self.slice(self.node.value))
    }

    /// The instant that an S or N represents: a date, an instant with an offset, or a number of `unit` since 1970.
    pub fn instant(self, unit: Unit) -> Option<Timestamp> {
        match self.node.tag {
            Tag::S => Timestamp::parse(&self.string()?),
            Tag::N => Timestamp::from_number(self.number()?, unit),
            _ => None,
        }
    }

    /// The bytes of a B.
    pub fn binary(self) -> Option<Vec<u8>> {
        (self.node.tag == Tag::B).then(|| BASE64.decode(self.slice(self.node.value)).unwrap_or_default())
    }

    /// The attributes of an M.
    pub fn map(self) -> Option<Outline<'t>> {
        (self.node.tag == Tag::M).then_some(self.inside())
    }

    /// The members of an L or of a set.
    pub fn list(self) -> Option<Outline<'t>> {
        matches!(self.node.tag, Tag::L | Tag::Ss | Tag::Ns | Tag::Bs).then_some(self.inside())
    }

    /// Whether both values are spelled the same. Then they are the same, and neither has to be parsed.
    pub fn is_spelled_like(self, other: Entry<'_>) -> bool {
        let is_like = |one: &Node, of_other: &Node| {
            (one.tag, one.inside, one.escaped) == (of_other.tag, of_other.inside, of_other.escaped)
                && self.slice(one.value) == other.slice(of_other.value)
        };
        let has_name = |one: &Node, of_other: &Node| self.slice(one.name) == other.slice(of_other.name);
        is_like(self.node, other.node)
            && self.inside.iter().zip(other.inside).all(|(one, other)| has_name(one, other) && is_like(one, other))
    }

    /// What the steps of a path that follow this value's name reach.
    pub(super) fn at_steps(self, steps: &str) -> Option<Entry<'t>> {
        match (Step::first(steps)?, self.node.tag) {
            (Step::End, _) => Some(self),
            (Step::Into(path), Tag::M) => self.inside().at_path(path),
            (Step::Member(index, further), Tag::L) => self.inside().entries().nth(index)?.at_steps(further),
            _ => None,
        }
    }

    /// Converts to a value that no longer needs the outline.
    pub fn value(self) -> Value<'t> {
        let string = |entry: Entry<'t>| entry.string().unwrap_or_default();
        let number = |entry: Entry<'t>| entry.number().unwrap_or_default();
        let binary = |entry: Entry<'t>| entry.binary().unwrap_or_default();
        let members = self.inside().entries();
        match self.node.tag {
            Tag::S => Value::S(string(self)),
            Tag::N => Value::N(number(self)),
            Tag::B => Value::B(binary(self)),
            Tag::True => Value::Bool(true),
            Tag::False => Value::Bool(false),
            Tag::Null => Value::Null,
            Tag::M => Value::M(self.inside().item()),
            Tag::L => Value::L(members.map(Entry::value).collect()),
            Tag::Ss => Value::Ss(members.map(string).collect()),
            Tag::Ns => Value::Ns(members.map(number).collect()),
            Tag::Bs => Value::Bs(members.map(binary).collect()),
        }
    }

    fn inside(self) -> Outline<'t> {
        Outline::new(self.text, self.inside)
    }

    fn slice(self, span: TextSpan) -> &'t str {
        let range = usize::try_from(span.start).unwrap_or(usize::MAX)..usize::try_from(span.end).unwrap_or(usize::MAX);
        self.text.get(range).unwrap_or_default()
    }
}

impl<'t> Outline<'t> {
    /// Converts to an item with values.
    pub fn item(self) -> Item<'t> {
        Item(self.attributes().map(|(name, entry)| (Cow::Borrowed(name), entry.value())).collect())
    }
}

/// Resolves the escapes of a JSON string. They were checked when the outline was made.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (character, after) = unescape(escape);
        out.push(character);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Resolves the escape at the start of `text`. Returns the character and the rest of the text.
fn unescape(text: &str) -> (char, &str) {
    let hexadecimal = |at: usize| text.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let (character, length) = match text.as_bytes().get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match (hexadecimal(2).unwrap_or_default(), hexadecimal(8)) {
            (high @ 0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) => {
                (char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).unwrap_or_default(), 12)
            }
            (code, _) => (char::from_u32(code).unwrap_or_default(), 6),
        },
        other => (other.copied().map_or('\\', char::from), 2),
    };
    (character, text.get(length..).unwrap_or_default())
}
