//! The types that describe one stream record. All other modules use them. This module imports only numbers and times,
//! and knows nothing of JSON, AWS or pipelines.

use std::borrow::Cow;
use std::fmt;

use crate::decimal::Decimal;
use crate::time::Timestamp;

pub use stream_types::SequenceNumber;

/// One change of one item, as a stream delivered it. `I` is the form of its items: values or outlines. Text borrows
/// from the event's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordOf<'a, I> {
    /// The identity of the change, the same for every delivery.
    pub id: RecordId,
    /// The sequence number, by which the response to Lambda names this record.
    pub sequence: SequenceNumber<'a>,
    /// The `eventID` field. It isn't an identity: the messages of an aggregated Kinesis record share it.
    pub event_id: Cow<'a, str>,
    /// When the change was made, according to the stream's clock.
    pub created_at: Timestamp,
    /// The stream this record came from.
    pub source: Source<'a>,
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
        let RecordOf { id, sequence, event_id, created_at, source, keys, change } = self;
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
        RecordOf { id, sequence, event_id, created_at, source, keys, change }
    }
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Source<'a> {
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

/// The attributes of an item, or of a map inside one, in the order in which they were received.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Item<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Item<'a> {
    /// The value of the attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Value<'a>> {
        // Names of the same length often differ in their last byte (b_tokens_tc, b_tokens_cp), which is checked inline.
        let same =
            |key: &str| key.len() == name.len() && key.as_bytes().last() == name.as_bytes().last() && key == name;
        self.0.iter().find(|(key, _)| same(key)).map(|(_, value)| value)
    }

    /// The value at `path`: the attribute with exactly that name or, if there is none, the one that the path reaches
    /// through nested maps, with a dot before each level.
    pub fn at_path(&self, path: &str) -> Option<&Value<'a>> {
        if let Some(value) = self.attribute(path) {
            return Some(value);
        }
        let (head, rest) = path.split_once('.')?;
        match self.attribute(head)? {
            Value::M(inner) => inner.at_path(rest),
            _ => None,
        }
    }
}

/// One DynamoDB attribute value. Numbers are exact and binary values are decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A string.
    S(Cow<'a, str>),
    /// A number.
    N(Decimal),
    /// A binary value.
    B(Vec<u8>),
    /// A boolean.
    Bool(bool),
    /// NULL.
    Null,
    /// A map.
    M(Item<'a>),
    /// A list.
    L(Vec<Value<'a>>),
    /// A set of strings.
    Ss(Vec<Cow<'a, str>>),
    /// A set of numbers.
    Ns(Vec<Decimal>),
    /// A set of binary values.
    Bs(Vec<Vec<u8>>),
}

impl Value<'_> {
    /// DynamoDB's name for the type of this value.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::S(_) => "S",
            Value::N(_) => "N",
            Value::B(_) => "B",
            Value::Bool(_) => "BOOL",
            Value::Null => "NULL",
            Value::M(_) => "M",
            Value::L(_) => "L",
            Value::Ss(_) => "SS",
            Value::Ns(_) => "NS",
            Value::Bs(_) => "BS",
        }
    }
}

/// 16 bytes that are the same for every delivery of one change and different for any two changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(pub [u8; 16]);

impl RecordId {
    /// The first eight bytes, which claims store: enough to distinguish the records of one entity and minute.
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

/// Why a record can't be used: a stable code, the field to look at, and a message that never quotes the item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {message}", code.name())]
pub struct Fault {
    /// The stable code, for alarms and queries.
    pub code: Code,
    /// The path of the field in the record, for example `NewImage.total`.
    pub field: String,
    /// What is wrong; reads after the name of the field.
    pub message: String,
}

impl Fault {
    /// Creates a fault of `field`.
    pub fn new(code: Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { code, field: field.into(), message: message.into() }
    }

    /// Prefixes the path of the field with `step`. Names longer than 80 characters are cut, since attribute names are
    /// data and must not flood the log.
    #[must_use]
    pub fn within(self, step: &str) -> Self {
        const NAME_CHARACTERS: usize = 80;
        let step = step.char_indices().nth(NAME_CHARACTERS).and_then(|(end, _)| step.get(..end)).unwrap_or(step);
        let field = match self.field.as_str() {
            "" => step.to_owned(),
            rest if rest.starts_with('[') => format!("{step}{rest}"),
            rest => format!("{step}.{rest}"),
        };
        Fault { field, ..self }
    }
}

/// A record that can't be decoded, routed, encoded or made durable. The response to Lambda acknowledges only the
/// records before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence}: {fault}")]
pub struct Rejection {
    /// The sequence number of the record.
    pub sequence: SequenceNumber<'static>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The stable codes of faults, for logs, runbooks and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The JSON of the record doesn't have the structure of a change record.
    Malformed,
    /// An attribute value has an unknown type tag or a value that doesn't fit its tag.
    InvalidAttribute,
    /// The item is nested more than 32 levels deep.
    TooDeep,
    /// Not a DynamoDB number, or more than 38 digits.
    InvalidNumber,
    /// Not a valid time, or one outside 2000 to 2099.
    InvalidTime,
    /// An event name other than INSERT, MODIFY and REMOVE.
    UnknownEventName,
    /// A view type other than DynamoDB's four.
    UnknownViewType,
    /// A record from another stream than the first record of the batch.
    MixedSources,
    /// A Kinesis record that aggregates several messages in the format of the Kinesis Producer Library.
    Aggregated,
    /// The record type needs an image that the stream's view type leaves out.
    ImageNotCarried,
    /// No record type matches, and the pipeline sets `unmatched = "reject"`.
    Unmatched,
    /// An attribute that the record type needs is missing.
    MissingAttribute,
    /// An attribute has a type or value that doesn't fit the record type or its schema.
    InvalidValue,
    /// A key or name that DynamoDB would not accept.
    InvalidKey,
    /// Older than the horizon, so the record can't be proven new.
    TooOld,
    /// DynamoDB or S3 refused to store the effect of this record.
    Refused,
    /// The effect of this record could not be made durable before the deadline.
    NotDurable,
}

impl Code {
    /// The code as logs and tools print it.
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::InvalidAttribute => "invalid_attribute",
            Code::TooDeep => "too_deep",
            Code::InvalidNumber => "invalid_number",
            Code::InvalidTime => "invalid_time",
            Code::UnknownEventName => "unknown_event_name",
            Code::UnknownViewType => "unknown_view_type",
            Code::MixedSources => "mixed_sources",
            Code::Aggregated => "aggregated",
            Code::ImageNotCarried => "image_not_carried",
            Code::Unmatched => "unmatched",
            Code::MissingAttribute => "missing_attribute",
            Code::InvalidValue => "invalid_value",
            Code::InvalidKey => "invalid_key",
            Code::TooOld => "too_old",
            Code::Refused => "refused",
            Code::NotDurable => "not_durable",
        }
    }
}
