//! Outlines of items: where in the JSON text each attribute is and which type it has, without parsing its value.
//!
//! A pipeline uses only a few attributes of an image, so turning every attribute into a value would be wasted work.
//! Decoding makes one pass over the text instead. For every attribute it pushes a [`Node`] onto a flat list: the byte
//! ranges of the name and the value, the type tag, and the number of nodes nested inside it. The members of a map, list
//! or set follow their node directly, so skipping a nested value means skipping that many nodes. An [`Outline`] is a
//! slice of that list together with the text. Looking up an attribute compares a 32-bit fingerprint of each name before
//! the name itself, and only the attribute that is found is parsed, by the method that asks for it ([`Entry::string`],
//! [`Entry::number`] and so on).
//!
//! The pass checks everything while it makes the nodes: numbers are DynamoDB numbers, binary values are base64, and
//! escapes are complete. Reading a value from an outline therefore can't fail.

mod lookup;
mod value;
mod written;

use std::ops::Range;

use crate::record::{RecordOf, Step};
pub use lookup::Lookup;
pub use value::Entry;
pub use written::WrittenItems;

/// A byte range of a text. An event has at most 6 MB, so 32 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextSpan {
    /// The offset of the first byte.
    pub start: u32,
    /// The offset behind the last byte.
    pub end: u32,
}

/// The type of a value, as DynamoDB names it. Booleans have one tag for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// A string.
    S,
    /// A number.
    N,
    /// A binary value.
    B,
    /// BOOL with the value true.
    True,
    /// BOOL with the value false.
    False,
    /// NULL.
    Null,
    /// A map.
    M,
    /// A list.
    L,
    /// A set of strings.
    Ss,
    /// A set of numbers.
    Ns,
    /// A set of binary values.
    Bs,
}

/// One value of an item. The members of a map, list or set follow their own node in the list of nodes.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// The attribute's name, which has no escapes; empty in lists and sets.
    pub name: TextSpan,
    /// The [`fingerprint`] of the name.
    pub fingerprint: u32,
    /// The text of an S, N or B, without its quotes.
    pub value: TextSpan,
    /// The number of following nodes that are nested inside this one, at any depth.
    pub inside: u32,
    /// The type of the value.
    pub tag: Tag,
    /// Whether the value's text contains escapes.
    pub escaped: bool,
}

/// A cheap hash of an attribute name: its length and three of its bytes. Equal names have equal fingerprints; different
/// names rarely do.
#[inline]
pub fn fingerprint(name: &[u8]) -> u32 {
    let (Some(first), Some(third), Some(last)) = (name.first(), name.get(name.len() / 3), name.last()) else {
        return 0;
    };
    let [length, ..] = name.len().to_le_bytes();
    u32::from_le_bytes([length, *first, *third, *last])
}

/// Matches the fingerprints of names with a given first and last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamePattern {
    mask: u32,
    fingerprint: u32,
}

impl NamePattern {
    /// Matches names with this first and this last byte. `None` matches any byte.
    pub fn new(first: Option<u8>, last: Option<u8>) -> NamePattern {
        let bits = |byte: Option<u8>| if byte.is_some() { u8::MAX } else { 0 };
        NamePattern {
            mask: u32::from_le_bytes([0, bits(first), 0, bits(last)]),
            fingerprint: u32::from_le_bytes([0, first.unwrap_or_default(), 0, last.unwrap_or_default()]),
        }
    }
}

/// A record whose items are outlines, which is the form in which records are planned and encoded.
pub type OutlinedRecord<'r> = RecordOf<'r, Outline<'r>>;

/// The attributes of an item or map, or the members of a list or set, in the order of the text. See the
/// [module](self) for how it works.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outline<'t> {
    text: &'t str,
    nodes: &'t [Node],
}

impl<'t> Outline<'t> {
    /// Creates an outline from `nodes`, whose spans refer to `text`.
    pub fn new(text: &'t str, nodes: &'t [Node]) -> Self {
        Outline { text, nodes }
    }

    /// The outline that consists of the nodes in `range`.
    pub fn part(self, range: Range<usize>) -> Option<Self> {
        Some(Outline { nodes: self.nodes.get(range)?, ..self })
    }

    /// Whether there are no attributes.
    pub fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// Iterates over names and values.
    pub fn attributes(self) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries().map(|entry| (entry.name(), entry))
    }

    /// Iterates over values.
    pub fn entries(self) -> Entries<'t> {
        Entries { rest: self }
    }

    /// The value of the attribute `name`; if the name occurs more than once, the first.
    pub fn attribute(self, name: &str) -> Option<Entry<'t>> {
        let fingerprint = fingerprint(name.as_bytes());
        let mut nodes = self.nodes;
        while let [node, rest @ ..] = nodes {
            #[cfg(test)]
            crate::steps::count();
            if node.fingerprint == fingerprint {
                let entry = Entry::new(self.text, node, split(rest, node.inside).0);
                if entry.name() == name {
                    return Some(entry);
                }
            }
            nodes = if node.inside == 0 { rest } else { split(rest, node.inside).1 };
        }
        None
    }

    /// The names and values of the attributes whose fingerprints match `pattern`. Their names may still differ from
    /// what the caller looks for.
    pub fn attributes_matching(self, pattern: NamePattern) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries()
            .filter(move |entry| entry.fingerprint() & pattern.mask == pattern.fingerprint)
            .map(|entry| (entry.name(), entry))
    }

    /// The value at `path`: the attribute with exactly that name or, if there is none, the one that the path reaches
    /// through nested maps and lists: `lines[0].price` is the price of the first line.
    pub fn at_path(self, path: &str) -> Option<Entry<'t>> {
        if let Some(entry) = self.attribute(path) {
            return Some(entry);
        }
        let (name, steps) = Step::split(path)?;
        self.attribute(name)?.at_steps(steps)
    }

    /// The value at `path`, unless it is NULL: many libraries write NULL for an attribute without a value.
    pub fn value_at(self, path: &str) -> Option<Entry<'t>> {
        self.at_path(path).filter(|entry| entry.tag() != Tag::Null)
    }
}

/// Splits `nodes` after the first `count`.
fn split(nodes: &[Node], count: u32) -> (&[Node], &[Node]) {
    if count == 0 {
        return (&[], nodes);
    }
    usize::try_from(count).ok().and_then(|count| nodes.split_at_checked(count)).unwrap_or((nodes, &[]))
}

/// An iterator over the values of an outline; nested values are skipped.
#[derive(Debug, Clone)]
pub struct Entries<'t> {
    rest: Outline<'t>,
}

impl<'t> Iterator for Entries<'t> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Entry<'t>> {
        let (node, rest) = self.rest.nodes.split_first()?;
        let (inside, after) = split(rest, node.inside);
        self.rest.nodes = after;
        Some(Entry::new(self.rest.text, node, inside))
    }
}

#[cfg(test)]
mod tests;
