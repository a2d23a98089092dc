//! Why a record can't be used: faults with stable codes, and rejections, which name the record.

use stream_types::SequenceNumber;

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

    /// The fault of a record that makes the function panic.
    pub fn panicked() -> Self {
        Fault::new(Code::Panicked, "record", "made the function panic; report this record as a bug in usage-aggregator")
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

/// A record that can't be decoded, routed, encoded or made durable, or whose target can't be computed. It is quarantined, or
/// the response to Lambda acknowledges only the records before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence}{}: {fault}", within(*.user_record))]
pub struct Rejection {
    /// The sequence number of the record.
    pub sequence: SequenceNumber<'static>,
    /// The position in an aggregated Kinesis record, if the record is one of its user records.
    pub user_record: Option<usize>,
    /// The record type that it takes, if it was found.
    pub route: Option<String>,
    /// What is wrong with it.
    pub fault: Fault,
}

/// `, user record 3`, if there is one.
fn within(user_record: Option<usize>) -> String {
    user_record.map_or_else(String::new, |index| format!(", user record {index}"))
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
    /// The record type needs an image that the stream's view type leaves out.
    ImageNotCarried,
    /// No record type matches any of the images, and the pipeline sets `unmatched = "reject"`.
    Unmatched,
    /// An attribute that the record type needs is missing.
    MissingAttribute,
    /// An attribute has a type or value that doesn't fit the record type or its schema.
    InvalidValue,
    /// A key or name that DynamoDB would not accept.
    InvalidKey,
    /// Older than the horizon, so the record can't be proven new.
    TooOld,
    /// More than 5 minutes after the time of the invocation.
    TooNew,
    /// DynamoDB or S3 refused to store the effect of this record.
    Refused,
    /// The effect of this record could not be made durable before the deadline.
    NotDurable,
    /// The query of an indicator finds more items than `max_items`.
    TooManyItems,
    /// So many records of the batch are rejected that the whole batch is.
    TooManyRejected,
    /// The function panicked while planning this record, which is a bug in the function.
    Panicked,
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
            Code::ImageNotCarried => "image_not_carried",
            Code::Unmatched => "unmatched",
            Code::MissingAttribute => "missing_attribute",
            Code::InvalidValue => "invalid_value",
            Code::InvalidKey => "invalid_key",
            Code::TooOld => "too_old",
            Code::TooNew => "too_new",
            Code::Refused => "refused",
            Code::NotDurable => "not_durable",
            Code::TooManyItems => "too_many_items",
            Code::TooManyRejected => "too_many_rejected",
            Code::Panicked => "panicked",
        }
    }
}
