//! Outlines of items that are values already: those that a decoder for odd texts has read, and those of tools and tests. Their
//! texts are written down anew.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Node, Outline, Span, Tag, fingerprint};
use crate::decimal::Decimal;
use crate::record::{ChangeRecord, Item, RecordOf, Value};

/// Items, written down, and their outlines.
#[derive(Debug, Default)]
pub struct WrittenItems {
    text: String,
    nodes: Vec<Node>,
}

impl WrittenItems {
    /// Only `item`.
    pub fn of(item: &Item<'_>) -> WrittenItems {
        let mut written = WrittenItems::default();
        written.push(item);
        written
    }

    /// The outline of all that was pushed: of the one item of [`WrittenItems::of`].
    pub fn outline(&self) -> Outline<'_> {
        Outline::new(&self.text, &self.nodes)
    }

    /// The record that `record` is, with outlines for its items.
    pub fn record<'k>(&'k mut self, record: ChangeRecord<'k>) -> RecordOf<'k, Outline<'k>> {
        self.text.clear();
        self.nodes.clear();
        let places = record.map(|item| self.push(&item));
        let (text, nodes) = (self.text.as_str(), self.nodes.as_slice());
        places.map(|range| Outline::new(text, nodes.get(range).unwrap_or_default()))
    }

    /// Writes `item` down; gives the place of its nodes.
    fn push(&mut self, item: &Item<'_>) -> std::ops::Range<usize> {
        let start = self.nodes.len();
        item.0.iter().for_each(|(name, value)| self.value(name, value));
        start..self.nodes.len()
    }

    fn value(&mut self, name: &str, value: &Value<'_>) {
        match value {
            Value::S(text) => self.scalar(name, Tag::S, text),
            Value::N(number) => self.number(name, number),
            Value::B(bytes) => self.scalar(name, Tag::B, &BASE64.encode(bytes)),
            Value::Bool(true) => self.scalar(name, Tag::True, ""),
            Value::Bool(false) => self.scalar(name, Tag::False, ""),
            Value::Null => self.scalar(name, Tag::Null, ""),
            Value::M(item) => self.nested(name, Tag::M, |written| {
                written.push(item);
            }),
            Value::L(list) => {
                self.nested(name, Tag::L, |written| list.iter().for_each(|value| written.value("", value)))
            }
            Value::Ss(set) => self.nested(name, Tag::Ss, |written| {
                set.iter().for_each(|text| written.scalar("", Tag::S, text));
            }),
            Value::Ns(set) => self.nested(name, Tag::Ns, |written| {
                set.iter().for_each(|number| written.number("", number));
            }),
            Value::Bs(set) => self.nested(name, Tag::Bs, |written| {
                set.iter().for_each(|bytes| written.scalar("", Tag::B, &BASE64.encode(bytes)));
            }),
        }
    }

    fn scalar(&mut self, name: &str, tag: Tag, text: &str) {
        let name_span = self.write(name);
        let value = self.write(text);
        let fingerprint = fingerprint(name.as_bytes());
        self.nodes.push(Node { name: name_span, fingerprint, value, inside: 0, tag, escaped: false });
    }

    fn number(&mut self, name: &str, number: &Decimal) {
        self.scalar(name, Tag::N, &number.to_string());
    }

    fn nested(&mut self, name: &str, tag: Tag, inside: impl FnOnce(&mut Self)) {
        self.scalar(name, tag, "");
        let first = self.nodes.len();
        inside(self);
        let count = u32::try_from(self.nodes.len() - first).unwrap_or(u32::MAX);
        if let Some(node) = first.checked_sub(1).and_then(|at| self.nodes.get_mut(at)) {
            node.inside = count;
        }
    }

    fn write(&mut self, text: &str) -> Span {
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let start = place(self.text.len());
        self.text.push_str(text);
        Span { start, end: place(self.text.len()) }
    }
}
