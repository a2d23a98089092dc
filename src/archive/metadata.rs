//! Fields that a change record fills itself, by `"source"` in the schema: its id, its event, its time. Which types each
//! source fits is decided once, at parse time, so that writing can't fail.

use super::schema::{Enum, Node};
use super::wire;
use crate::record::{Event, RecordOf};
use crate::time::Unit;

/// What a field can be filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    RecordId,
    EventId,
    EventName,
    SequenceNumber,
    CreatedAt,
    StreamArn,
    Name,
    Expired,
}

impl Source {
    /// Every source, in the order documents list them.
    pub(super) const ALL: [Source; 8] = [
        Source::RecordId,
        Source::EventId,
        Source::EventName,
        Source::SequenceNumber,
        Source::CreatedAt,
        Source::StreamArn,
        Source::Name,
        Source::Expired,
    ];

    /// The name in a schema.
    pub(super) fn name(self) -> &'static str {
        match self {
            Source::RecordId => "record_id",
            Source::EventId => "event_id",
            Source::EventName => "event_name",
            Source::SequenceNumber => "sequence_number",
            Source::CreatedAt => "created_at",
            Source::StreamArn => "stream_arn",
            Source::Name => "source_name",
            Source::Expired => "expired",
        }
    }

    /// The types it fits, for the message that asks for one of them.
    pub(super) fn types(self) -> &'static str {
        match self {
            Source::RecordId => "string, bytes or a fixed of size 16",
            Source::EventName => "string or an enum with the symbols INSERT, MODIFY and REMOVE",
            Source::CreatedAt => "timestamp-micros, timestamp-millis, long or string",
            Source::Expired => "boolean",
            Source::EventId | Source::SequenceNumber | Source::StreamArn | Source::Name => "string",
        }
    }
}

/// A source together with the form in which its field wants it.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The branch, where the field is a union.
    branch: Option<usize>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    RecordIdHex,
    RecordIdBytes,
    RecordIdFixed,
    EventId,
    EventName,
    /// The positions of INSERT, MODIFY and REMOVE.
    EventSymbol([usize; 3]),
    SequenceNumber,
    CreatedAtMicros,
    CreatedAtMillis,
    CreatedAtText,
    StreamArn,
    SourceName,
    Expired,
}

impl Metadata {
    /// How a field of type `node` takes `source`, if it can: directly, or as a branch of a union.
    pub(super) fn new(source: Source, node: &Node) -> Option<Metadata> {
        let Node::Union(branches) = node else {
            return Some(Metadata { branch: None, form: form(source, node)? });
        };
        branches
            .iter()
            .enumerate()
            .find_map(|(index, branch)| Some(Metadata { branch: Some(index), form: form(source, branch)? }))
    }

    /// Appends the value for `record`.
    pub(super) fn write<I>(&self, record: &RecordOf<'_, I>, out: &mut Vec<u8>) {
        if let Some(branch) = self.branch {
            wire::count(out, branch);
        }
        match &self.form {
            Form::RecordIdHex => write_hex(out, record.id.0),
            Form::RecordIdBytes => wire::bytes(out, &record.id.0),
            Form::RecordIdFixed => out.extend_from_slice(&record.id.0),
            Form::EventId => wire::bytes(out, record.event_id.as_bytes()),
            Form::EventName => wire::bytes(out, record.change.event().stream_name().as_bytes()),
            Form::EventSymbol(positions) => wire::count(out, symbol(*positions, record.change.event())),
            Form::SequenceNumber => wire::bytes(out, record.sequence.as_str().as_bytes()),
            Form::CreatedAtMicros => wire::long(out, record.created_at.micros()),
            Form::CreatedAtMillis => wire::long(out, record.created_at.micros().div_euclid(1_000)),
            Form::CreatedAtText => wire::bytes(out, record.created_at.to_string().as_bytes()),
            Form::StreamArn => wire::bytes(out, record.source.stream_arn.as_bytes()),
            Form::SourceName => wire::bytes(out, record.source.name.as_bytes()),
            Form::Expired => out.push(u8::from(record.change.event() == Event::Expire)),
        }
    }
}

fn form(source: Source, node: &Node) -> Option<Form> {
    Some(match (source, node) {
        (Source::RecordId, Node::String) => Form::RecordIdHex,
        (Source::RecordId, Node::Bytes) => Form::RecordIdBytes,
        (Source::RecordId, Node::Fixed(16)) => Form::RecordIdFixed,
        (Source::EventId, Node::String) => Form::EventId,
        (Source::EventName, Node::String) => Form::EventName,
        (Source::EventName, Node::Enum(symbols)) => Form::EventSymbol(event_symbols(symbols)?),
        (Source::SequenceNumber, Node::String) => Form::SequenceNumber,
        (Source::CreatedAt, Node::Long | Node::Timestamp { target: Unit::Microseconds, .. }) => Form::CreatedAtMicros,
        (Source::CreatedAt, Node::Timestamp { target: Unit::Milliseconds, .. }) => Form::CreatedAtMillis,
        (Source::CreatedAt, Node::String) => Form::CreatedAtText,
        (Source::StreamArn, Node::String) => Form::StreamArn,
        (Source::Name, Node::String) => Form::SourceName,
        (Source::Expired, Node::Boolean) => Form::Expired,
        _ => return None,
    })
}

fn event_symbols(symbols: &Enum) -> Option<[usize; 3]> {
    let position = |event: Event| symbols.position(event.stream_name());
    Some([position(Event::Insert)?, position(Event::Modify)?, position(Event::Remove)?])
}

fn symbol([insert, modify, remove]: [usize; 3], event: Event) -> usize {
    match event {
        Event::Insert => insert,
        Event::Modify => modify,
        Event::Remove | Event::Expire => remove,
    }
}

fn write_hex(out: &mut Vec<u8>, id: [u8; 16]) {
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    wire::count(out, 2 * id.len());
    let mut text = [[0; 2]; 16];
    text.iter_mut().zip(id).for_each(|(pair, byte)| *pair = [digit(byte >> 4), digit(byte & 15)]);
    out.extend_from_slice(text.as_flattened());
}
