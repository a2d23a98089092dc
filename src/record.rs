//! The types that describe one stream record. All other modules use them. This module imports only numbers and times,
//! and knows nothing of JSON, AWS or pipelines.

mod fault;
mod item;

use std::borrow::Cow;
use std::fmt;
use std::hash::Hasher;

use crate::time::Timestamp;

pub use fault::{Code, Fault, Rejection};
pub use item::{Item, Step, Value};
pub use stream_types::SequenceNumber;

/// One change of one item, as a stream delivered it. `I` is the form of its items: values or outlines. Text borrows
/// from the event's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordOf<'a, I> {
    /// The identity of the change, the same for every delivery.
    pub id: RecordId,
    /// The sequence number, by which the response to Lambda names this record.
    pub sequence: SequenceNumber<'a>,
    /// The `eventID` field. It isn't an identity: the user records of an aggregated Kinesis record share it.
    pub event_id: Cow<'a, str>,
    /// The position in an aggregated Kinesis record, if the record is one of its user records.
    pub user_record: Option<usize>,
    /// When the change was made, according to the stream's clock.
    pub created_at: Timestamp,
    /// The stream this record came from.
    pub source: Origin<'a>,
    /// The item's key attributes; empty for a plain Kinesis message.
    pub keys: I,
    /// What happened to the item.
    pub change: ChangeOf<I>,
}

/// A record whose items are values, for tools and for the fallback decoder.
pub type ChangeRecord<'a> = RecordOf<'a, Item<'a>>;

impl<'a, I> RecordOf<'a, I> {
    /// The image of the item's latest state: the new image, or the old image of a removed item.
    pub fn newest_image(&self) -> &ImageOf<I> {
        match &self.change {
            ChangeOf::Insert { new } | ChangeOf::Modify { new, .. } => new,
            ChangeOf::Remove { old, .. } => old,
        }
    }

    /// Converts the items of the record to another form.
    pub fn map<J>(self, mut form: impl FnMut(I) -> J) -> RecordOf<'a, J> {
        let RecordOf { id, sequence, event_id, user_record, created_at, source, keys, change } = self;
        let keys = form(keys);
        let mut image = |image: ImageOf<I>| match image {
            ImageOf::Carried(item) => ImageOf::Carried(form(item)),
            ImageOf::NotCarried => ImageOf::NotCarried,
        };
        let change = match change {
            ChangeOf::Insert { new } => ChangeOf::Insert { new: image(new) },
            ChangeOf::Modify { old, new } => ChangeOf::Modify { old: image(old), new: image(new) },
            ChangeOf::Remove { old, by } => ChangeOf::Remove { old: image(old), by },
        };
        RecordOf { id, sequence, event_id, user_record, created_at, source, keys, change }
    }
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin<'a> {
    /// The ARN of the stream.
    pub stream_arn: Cow<'a, str>,
    /// The name of the DynamoDB table or, for a plain message, of the Kinesis stream.
    pub name: Cow<'a, str>,
}

/// What happened to an item, with exactly the images that this kind of event has.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeOf<I> {
    /// A new item was put.
    Insert {
        /// The item after the change.
        new: ImageOf<I>,
    },
    /// An item was changed.
    Modify {
        /// The item before the change.
        old: ImageOf<I>,
        /// The item after the change.
        new: ImageOf<I>,
    },
    /// An item was deleted.
    Remove {
        /// The item before the change.
        old: ImageOf<I>,
        /// Who deleted it.
        by: Remover,
    },
}

/// A change whose items are values.
pub type Change<'a> = ChangeOf<Item<'a>>;

impl<I> ChangeOf<I> {
    /// The kind of event.
    pub fn event(&self) -> Event {
        match self {
            ChangeOf::Insert { .. } => Event::Insert,
            ChangeOf::Modify { .. } => Event::Modify,
            ChangeOf::Remove { by: Remover::Caller, .. } => Event::Remove,
            ChangeOf::Remove { by: Remover::TimeToLive, .. } => Event::Expire,
        }
    }
}

/// The kinds of event that a pipeline distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A new item was put.
    Insert,
    /// An item was changed.
    Modify,
    /// An item was deleted by a caller.
    Remove,
    /// An item was deleted by DynamoDB's Time to Live. In the stream, that is a REMOVE with a user identity.
    Expire,
}

impl Event {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Event; 4] = [Event::Insert, Event::Modify, Event::Remove, Event::Expire];

    /// The name in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Modify => "MODIFY",
            Event::Remove => "REMOVE",
            Event::Expire => "EXPIRE",
        }
    }

    /// The name in the stream, where an expired item is a REMOVE.
    pub fn stream_name(self) -> &'static str {
        match self {
            Event::Expire => Event::Remove.name(),
            other => other.name(),
        }
    }
}

/// Who deleted an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remover {
    /// A caller's DeleteItem, BatchWriteItem or transaction.
    Caller,
    /// DynamoDB's Time to Live.
    TimeToLive,
}

/// An item before or after the change, if the stream's view type includes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImageOf<I> {
    /// The stream includes the image.
    Carried(I),
    /// The image exists, but the stream's view type leaves it out.
    NotCarried,
}

/// An image whose attributes are values.
pub type Image<'a> = ImageOf<Item<'a>>;

impl<I> ImageOf<I> {
    /// The item, if the stream includes it.
    pub fn item(&self) -> Option<&I> {
        match self {
            ImageOf::Carried(item) => Some(item),
            ImageOf::NotCarried => None,
        }
    }
}

/// 16 bytes that are the same for every delivery of one change and different for any two changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// The first eight bytes, as explanations and lists show them: enough to distinguish the records of one entity and minute.
    pub fn short(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Takes the first bytes of a record id as its hash, since ids already are hashes.
#[derive(Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*word);
        }
    }

    // Ignores the length of the id.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
