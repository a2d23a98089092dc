//! Record ids: BLAKE3 over a canonical, length-prefixed encoding of what identifies a record. Attributes are sorted by
//! name, set members by their bytes, and numbers are normalized, so that every spelling of a change has the same id.

use std::borrow::Cow;

use crate::decimal::Decimal;
use crate::outline::{Entry, Outline, Tag};
use crate::record::{Event, Item, RecordId, SequenceNumber, Value};
use crate::time::{Timestamp, Unit};

/// The id of a DynamoDB Streams record, made of the stream, the item's keys and the sequence number. The documentation
/// doesn't say that sequence numbers alone are unique across shards. `scratch` is overwritten.
pub(super) fn of_stream_record(
    stream_arn: &str,
    keys: &impl Canonical,
    sequence: &SequenceNumber<'_>,
    scratch: &mut Vec<u8>,
) -> RecordId {
    let mut canonical = Bytes::new(b'D', scratch);
    canonical.text(stream_arn);
    keys.write(&mut canonical);
    canonical.text(sequence.as_str());
    canonical.finish()
}

/// A change of a table that came through Kinesis. Kinesis may repeat it with another sequence number, so only the
/// change itself identifies it.
#[derive(Debug)]
pub(super) struct TableChange<'c, I> {
    pub table: &'c str,
    pub keys: &'c I,
    pub event: Event,
    pub created_at: Timestamp,
    pub precision: Unit,
    pub old: Option<&'c I>,
    pub new: Option<&'c I>,
}

/// The id of a change that came through Kinesis Data Streams for DynamoDB. `scratch` is overwritten.
pub(super) fn of_table_change(change: &TableChange<'_, impl Canonical>, scratch: &mut Vec<u8>) -> RecordId {
    let mut canonical = Bytes::new(b'K', scratch);
    canonical.text(change.table);
    change.keys.write(&mut canonical);
    canonical.text(change.event.stream_name());
    canonical.bytes(&change.created_at.micros().to_be_bytes());
    canonical.tag(match change.precision {
        Unit::Seconds => b's',
        Unit::Milliseconds => b'm',
        Unit::Microseconds => b'u',
    });
    for image in [change.old, change.new] {
        match image {
            Some(item) => item.write(&mut canonical),
            None => canonical.tag(b'-'),
        }
    }
    canonical.finish()
}

/// A plain Kinesis message. The data identifies it, too, because the messages that Lambda takes out of an aggregated
/// record share a sequence number. Where the function does that itself, each has its position in the record as well.
#[derive(Debug)]
pub(super) struct Message<'m> {
    pub stream_arn: &'m str,
    pub shard: &'m str,
    pub sequence: &'m SequenceNumber<'m>,
    pub user_record: Option<usize>,
    pub data: &'m [u8],
}

/// The id of a plain Kinesis message.
pub(super) fn of_message(message: &Message<'_>) -> RecordId {
    let mut scratch = Vec::new();
    let kind = if message.user_record.is_some() { b'A' } else { b'M' };
    let mut canonical = Bytes::new(kind, &mut scratch);
    canonical.text(message.stream_arn);
    canonical.text(message.shard);
    canonical.text(message.sequence.as_str());
    if let Some(index) = message.user_record {
        canonical.length(index);
    }
    canonical.bytes(message.data);
    canonical.finish()
}

/// An item in one of its forms, values or outline. Both forms give the same bytes.
pub(super) trait Canonical {
    fn is_empty(&self) -> bool;
    fn write(&self, bytes: &mut Bytes<'_>);
}

impl Canonical for Item<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn write(&self, bytes: &mut Bytes<'_>) {
        bytes.item(self);
    }
}

impl Canonical for Outline<'_> {
    fn is_empty(&self) -> bool {
        Outline::is_empty(*self)
    }

    fn write(&self, bytes: &mut Bytes<'_>) {
        bytes.outline(*self);
    }
}

/// Builds bytes in which every part has a tag or a length, so that different inputs never give the same bytes.
pub(super) struct Bytes<'s>(&'s mut Vec<u8>);

impl<'s> Bytes<'s> {
    fn new(kind: u8, scratch: &'s mut Vec<u8>) -> Self {
        scratch.clear();
        scratch.push(kind);
        Bytes(scratch)
    }

    fn finish(self) -> RecordId {
        let hash = blake3::hash(self.0);
        let (id, _) = hash.as_bytes().as_chunks::<16>();
        RecordId(id.first().copied().unwrap_or_default())
    }

    fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    /// Seven bits per byte, lowest first. The high bit is set in every byte but the last.
    fn length(&mut self, length: usize) {
        const MORE: u8 = 0x80;
        let mut rest = length;
        while rest >= usize::from(MORE) {
            let [low, ..] = rest.to_le_bytes();
            self.0.push(low | MORE);
            rest >>= 7;
        }
        let [low, ..] = rest.to_le_bytes();
        self.0.push(low);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// A tag, then a length, then the bytes.
    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.tag(tag);
        self.bytes(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: &Decimal) {
        self.tagged(b'N', number.to_string().as_bytes());
    }

    fn outline(&mut self, outline: Outline<'_>) {
        self.tag(b'{');
        let (mut count, mut sorted, mut last) = (0, true, "");
        for (name, _) in outline.attributes() {
            count += 1;
            sorted &= in_order(last, name);
            last = name;
        }
        self.length(count);
        // Attributes that are already sorted don't need a list.
        if sorted {
            return outline.attributes().for_each(|attribute| self.attribute(attribute));
        }
        let mut attributes: Vec<_> = outline.attributes().collect();
        attributes.sort_by_key(|(name, _)| *name);
        attributes.into_iter().for_each(|attribute| self.attribute(attribute));
    }

    fn attribute(&mut self, (name, entry): (&str, Entry<'_>)) {
        self.text(name);
        self.entry(entry);
    }

    fn entry(&mut self, entry: Entry<'_>) {
        match entry.tag() {
            Tag::S => self.tagged(b'S', entry.string().unwrap_or_default().as_bytes()),
            Tag::N => match entry.digits() {
                Some(digits) if is_normal(digits.as_bytes()) => self.tagged(b'N', digits.as_bytes()),
                _ => self.number(&entry.number().unwrap_or_default()),
            },
            Tag::M => self.outline(entry.map().unwrap_or_default()),
            Tag::L => {
                let list = entry.list().unwrap_or_default();
                self.tag(b'[');
                self.length(list.entries().count());
                list.entries().for_each(|entry| self.entry(entry));
            }
            Tag::True => self.tag(b'1'),
            Tag::False => self.tag(b'0'),
            Tag::Null => self.tag(b'Z'),
            Tag::B | Tag::Ss | Tag::Ns | Tag::Bs => self.value(&entry.value()),
        }
    }

    fn item(&mut self, item: &Item<'_>) {
        self.tag(b'{');
        self.length(item.0.len());
        // Attributes that are already sorted don't need a list.
        if item.0.is_sorted_by(|(a, _), (b, _)| a <= b) {
            return self.attributes(item.0.iter());
        }
        let mut attributes: Vec<_> = item.0.iter().collect();
        attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.attributes(attributes.into_iter());
    }

    fn attributes<'i>(&mut self, attributes: impl Iterator<Item = &'i (Cow<'i, str>, Value<'i>)>) {
        for (name, value) in attributes {
            self.text(name);
            self.value(value);
        }
    }

    fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::S(text) => self.tagged(b'S', text.as_bytes()),
            Value::N(number) => self.number(number),
            Value::B(bytes) => self.tagged(b'B', bytes),
            Value::Bool(true) => self.tag(b'1'),
            Value::Bool(false) => self.tag(b'0'),
            Value::Null => self.tag(b'Z'),
            Value::M(item) => self.item(item),
            Value::L(list) => {
                self.tag(b'[');
                self.length(list.len());
                list.iter().for_each(|value| self.value(value));
            }
            Value::Ss(set) => self.set(b's', set.iter().map(|text| text.as_bytes().to_vec())),
            Value::Ns(set) => self.set(b'n', set.iter().map(|number| number.to_string().into_bytes())),
            Value::Bs(set) => self.set(b'b', set.iter().cloned()),
        }
    }

    fn set(&mut self, tag: u8, members: impl Iterator<Item = Vec<u8>>) {
        let mut members: Vec<_> = members.collect();
        members.sort_unstable();
        self.tag(tag);
        self.length(members.len());
        members.iter().for_each(|member| self.bytes(member));
    }
}

/// Whether `a` sorts before `b` or equals it. Most names differ in their first byte, which is checked inline.
fn in_order(a: &str, b: &str) -> bool {
    match (a.as_bytes().first(), b.as_bytes().first()) {
        (Some(first), Some(other)) if first != other => first < other,
        _ => a <= b,
    }
}

/// Whether a number is already written the way [`Decimal`] writes it: digits without superfluous zeros, with an
/// optional minus sign and decimal point.
fn is_normal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = digits.len() <= 18 && digits.first().is_some_and(u8::is_ascii_digit);
    let leading = matches!(digits, [b'0', next, ..] if *next != b'.');
    let points = digits.iter().filter(|byte| **byte == b'.').count();
    let all = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let ends_well = match (points, digits.last()) {
        (0, _) => text != b"-0",
        (1, Some(last)) => !matches!(last, b'0' | b'.'),
        _ => false,
    };
    plain && !leading && all && ends_well
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn exactly_the_numbers_that_decimal_writes_are_normal(text in "-?[0-9]{0,4}(\\.[0-9]{0,4})?([eE][-+]?[0-9])?") {
            let is_written = Decimal::parse(&text).is_ok_and(|number| number.to_string() == text);
            prop_assert_eq!(is_normal(text.as_bytes()), is_written, "{}", text);
        }
    }
}
