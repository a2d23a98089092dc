//! The outline of an item: where in a text each of its attributes is, and of what type, without any value made of it. Most
//! attributes of an image are never asked for; those that are get read from here, by whoever asks.
//!
//! An outline promises that its texts were checked: numbers are DynamoDB's, binary is base64, escapes are whole.

mod value;
mod written;

use std::ops::Range;

use crate::record::RecordOf;
pub use value::Entry;
pub use written::WrittenItems;

/// A part of a text. Events are of 6 MB at most, so that 32 bits will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

/// What kind of value a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    S,
    N,
    B,
    True,
    False,
    Null,
    M,
    L,
    Ss,
    Ns,
    Bs,
}

/// One value of an item. What is inside a map, list or set follows it.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    /// The name; empty in lists and sets. It has no escapes.
    pub name: Span,
    /// A cheap hash of the name: see [`fingerprint`].
    pub fingerprint: u32,
    /// The text of S, N or B without its quotes.
    pub value: Span,
    /// How many nodes follow that are inside this one.
    pub inside: u32,
    pub tag: Tag,
    /// Whether the text has escapes.
    pub escaped: bool,
}

/// A cheap hash of a name: its length and three of its bytes. Equal names have equal fingerprints; different names rarely do.
#[inline]
pub fn fingerprint(name: &[u8]) -> u32 {
    let (Some(first), Some(third), Some(last)) = (name.first(), name.get(name.len() / 3), name.last()) else {
        return 0;
    };
    let [length, ..] = name.len().to_le_bytes();
    u32::from_le_bytes([length, *first, *third, *last])
}

/// Matches the fingerprints of names that begin and end with certain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamePattern {
    mask: u32,
    fingerprint: u32,
}

impl NamePattern {
    /// Names of this first and this last byte, where they are known.
    pub fn new(first: Option<u8>, last: Option<u8>) -> NamePattern {
        let bits = |byte: Option<u8>| if byte.is_some() { u8::MAX } else { 0 };
        NamePattern {
            mask: u32::from_le_bytes([0, bits(first), 0, bits(last)]),
            fingerprint: u32::from_le_bytes([0, first.unwrap_or_default(), 0, last.unwrap_or_default()]),
        }
    }
}

/// A record whose items are outlines, as it is planned and encoded.
pub type OutlinedRecord<'r> = RecordOf<'r, Outline<'r>>;

/// The attributes of an item or map, or the members of a list or set, in the order of the text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outline<'t> {
    text: &'t str,
    nodes: &'t [Node],
}

impl<'t> Outline<'t> {
    /// The outline whose nodes have their spans in `text`.
    pub fn new(text: &'t str, nodes: &'t [Node]) -> Self {
        Outline { text, nodes }
    }

    /// The outline of these of the nodes.
    pub fn part(self, range: Range<usize>) -> Option<Self> {
        Some(Outline { nodes: self.nodes.get(range)?, ..self })
    }

    /// Whether there is no attribute.
    pub fn is_empty(self) -> bool {
        self.nodes.is_empty()
    }

    /// The names and values.
    pub fn attributes(self) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries().map(|entry| (entry.name(), entry))
    }

    /// The values.
    pub fn entries(self) -> Entries<'t> {
        Entries { rest: self }
    }

    /// The value of the attribute `name`: the first, should there be several.
    pub fn attribute(self, name: &str) -> Option<Entry<'t>> {
        let fingerprint = fingerprint(name.as_bytes());
        let mut nodes = self.nodes;
        while let [node, rest @ ..] = nodes {
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

    /// The names and values of those attributes that `like` doesn't exclude.
    pub fn attributes_matching(self, like: NamePattern) -> impl Iterator<Item = (&'t str, Entry<'t>)> {
        self.entries()
            .filter(move |entry| entry.fingerprint() & like.mask == like.fingerprint)
            .map(|entry| (entry.name(), entry))
    }

    /// The value at `path`: the attribute of that very name, or else the one reached through maps at its dots.
    pub fn at_path(self, path: &str) -> Option<Entry<'t>> {
        if let Some(entry) = self.attribute(path) {
            return Some(entry);
        }
        let (head, rest) = path.split_once('.')?;
        self.attribute(head)?.map()?.at_path(rest)
    }
}

/// The first `count` of `nodes`, and the others.
fn split(nodes: &[Node], count: u32) -> (&[Node], &[Node]) {
    if count == 0 {
        return (&[], nodes);
    }
    usize::try_from(count).ok().and_then(|count| nodes.split_at_checked(count)).unwrap_or((nodes, &[]))
}

/// The values of an outline.
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
