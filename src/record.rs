//! What one stream record says, in the field's words. Every other module speaks in these types; this one imports only
//! [`Decimal`] and knows nothing of JSON, AWS or pipelines.

use std::borrow::Cow;
use std::fmt;

use crate::decimal::Decimal;
use crate::time::Timestamp;

pub use stream_types::SequenceNumber;

/// One change of one item, as a stream delivered it, its items in the form `I`. Text borrows from the event's bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordOf<'a, I> {
    /// What makes this record itself under every redelivery.
    pub id: RecordId,
    /// What the answer to Lambda calls this record.
    pub sequence: SequenceNumber<'a>,
    /// The event's own id; not an identity, since an aggregated Kinesis record repeats it.
    pub event_id: Cow<'a, str>,
    /// When the change was made, by the stream's clock.
    pub created_at: Timestamp,
    /// The stream this record came from.
    pub source: Source<'a>,
    /// The item's key attributes; empty for a plain Kinesis message.
    pub keys: I,
    /// What happened to the item.
    pub change: ChangeOf<I>,
}

/// A change whose items are values, for tools and for texts that are written in an odd way.
pub type ChangeRecord<'a> = RecordOf<'a, Item<'a>>;

impl<'a, I> RecordOf<'a, I> {
    /// The image that tells the item's latest state: the new one, or the old one of a removed item.
    pub fn newest_image(&self) -> &ImageOf<I> {
        match &self.change {
            ChangeOf::Insert { new } | ChangeOf::Modify { new, .. } => new,
            ChangeOf::Remove { old, .. } => old,
        }
    }

    /// The same record with its items in another form.
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
    /// The DynamoDB table, or the Kinesis stream of a plain message.
    pub name: Cow<'a, str>,
}

/// The event name with exactly the images that exist for it.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeOf<I> {
    /// An item was put where there was none.
    Insert { new: ImageOf<I> },
    /// An item was changed.
    Modify { old: ImageOf<I>, new: ImageOf<I> },
    /// An item was deleted.
    Remove { old: ImageOf<I>, by: Remover },
}

/// A change whose items are values.
pub type Change<'a> = ChangeOf<Item<'a>>;

impl<I> ChangeOf<I> {
    /// Which kind of event this is.
    pub fn event(&self) -> Event {
        match self {
            ChangeOf::Insert { .. } => Event::Insert,
            ChangeOf::Modify { .. } => Event::Modify,
            ChangeOf::Remove { by: Remover::Caller, .. } => Event::Remove,
            ChangeOf::Remove { by: Remover::TimeToLive, .. } => Event::Expire,
        }
    }
}

/// The kinds of event a pipeline can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    Insert,
    Modify,
    /// Deleted by somebody.
    Remove,
    /// Deleted by DynamoDB's time to live; on the wire a REMOVE with a user identity.
    Expire,
}

impl Event {
    /// Every kind, in the order documents list them.
    pub const ALL: [Event; 4] = [Event::Insert, Event::Modify, Event::Remove, Event::Expire];

    /// The name a pipeline uses.
    pub fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Modify => "MODIFY",
            Event::Remove => "REMOVE",
            Event::Expire => "EXPIRE",
        }
    }

    /// The name the stream uses: an expired item is a REMOVE there.
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
    /// A DeleteItem, BatchWriteItem or transaction of somebody's.
    Caller,
    /// DynamoDB's time to live.
    TimeToLive,
}

/// An item's state before or after the change, or the fact that the stream's view type doesn't carry it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ImageOf<I> {
    Carried(I),
    NotCarried,
}

/// An image whose item is values.
pub type Image<'a> = ImageOf<Item<'a>>;

impl<I> ImageOf<I> {
    /// The item, where the stream carries it.
    pub fn item(&self) -> Option<&I> {
        match self {
            ImageOf::Carried(item) => Some(item),
            ImageOf::NotCarried => None,
        }
    }
}

/// The attributes of an item or of a map inside it, in the order of the wire.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Item<'a>(pub Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Item<'a> {
    /// The value of the attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Value<'a>> {
        // Names of one length often differ at their ends (b_tokens_tc, b_tokens_cp), and this asks without a call.
        let same =
            |key: &str| key.len() == name.len() && key.as_bytes().last() == name.as_bytes().last() && key == name;
        self.0.iter().find(|(key, _)| same(key)).map(|(_, value)| value)
    }

    /// The value at `path`: the attribute of that very name, or else the one reached through maps at its dots.
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

/// One DynamoDB attribute value. Numbers are exact, binary values decoded.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    S(Cow<'a, str>),
    N(Decimal),
    B(Vec<u8>),
    Bool(bool),
    Null,
    M(Item<'a>),
    L(Vec<Value<'a>>),
    Ss(Vec<Cow<'a, str>>),
    Ns(Vec<Decimal>),
    Bs(Vec<Vec<u8>>),
}

impl Value<'_> {
    /// DynamoDB's name of this value's type.
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
    /// The first eight bytes, which a claim keeps: enough to tell records of one entity and minute apart.
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

/// Why a record can't be used: a stable code, the field to look at, and a sentence without the item's contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {field}: {message}", code.name())]
pub struct Fault {
    pub code: Code,
    /// The path of the field in the record, such as `NewImage.total`.
    pub field: String,
    pub message: String,
}

impl Fault {
    /// A fault of `field`.
    pub fn new(code: Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { code, field: field.into(), message: message.into() }
    }

    /// The same fault with `step` before the path of its field. A name of more than 80 characters is cut: names of
    /// attributes are data, and a log line isn't the place for kilobytes of it.
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

/// A record that can't be decoded, routed, encoded or made durable: it ends the prefix that an answer acknowledges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence}: {fault}")]
pub struct Rejection {
    pub sequence: SequenceNumber<'static>,
    pub fault: Fault,
}

/// The stable codes of faults, for logs, runbooks and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The record's JSON doesn't have the shape of a change record.
    Malformed,
    /// An attribute value has an unknown type tag or a value that doesn't fit its tag.
    InvalidAttribute,
    /// More than 32 levels of nesting.
    TooDeep,
    /// Not a DynamoDB number, or more than 38 digits.
    InvalidNumber,
    /// No time, or one outside 2000 to 2099.
    InvalidTime,
    /// An event name other than INSERT, MODIFY and REMOVE.
    UnknownEventName,
    /// A view type other than DynamoDB's four.
    UnknownViewType,
    /// A record of another source than the batch's first.
    MixedSources,
    /// A Kinesis record that holds several messages in the producer library's format.
    Aggregated,
    /// The route needs an image that the stream's view type leaves out.
    ImageNotCarried,
    /// No route matches and the pipeline says that is an error.
    Unmatched,
    /// An attribute that the route needs isn't there.
    MissingAttribute,
    /// An attribute has another type or range than the route or schema needs.
    InvalidValue,
    /// A key or name that DynamoDB would not take.
    InvalidKey,
    /// Older than the horizon: it can't be proven new.
    TooOld,
    /// DynamoDB or S3 refused the effect of this record.
    Refused,
    /// The effect could not be made durable before the deadline.
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
