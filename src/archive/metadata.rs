//! Fields that are filled with metadata of the change record (its id, event, time), as `"source"` in the schema says.
//! Whether a source fits the type of its field is checked when the schema is parsed, so writing can't fail.

use super::schema::{Enum, TypeNode};
use super::wire;
use crate::record::{Event, RecordOf};
use crate::time::Unit;

/// The metadata that a field can be filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetadataSource {
    RecordId,
    EventId,
    EventName,
    SequenceNumber,
    CreatedAt,
    StreamArn,
    Name,
    Expired,
}

impl MetadataSource {
    /// Every source, in the order of the documentation.
    pub(super) const ALL: [MetadataSource; 8] = [
        MetadataSource::RecordId,
        MetadataSource::EventId,
        MetadataSource::EventName,
        MetadataSource::SequenceNumber,
        MetadataSource::CreatedAt,
        MetadataSource::StreamArn,
        MetadataSource::Name,
        MetadataSource::Expired,
    ];

    /// The name in schemas.
    pub(super) fn name(self) -> &'static str {
        match self {
            MetadataSource::RecordId => "record_id",
            MetadataSource::EventId => "event_id",
            MetadataSource::EventName => "event_name",
            MetadataSource::SequenceNumber => "sequence_number",
            MetadataSource::CreatedAt => "created_at",
            MetadataSource::StreamArn => "stream_arn",
            MetadataSource::Name => "source_name",
            MetadataSource::Expired => "expired",
        }
    }

    /// The types that the source fits, for error messages.
    pub(super) fn types(self) -> &'static str {
        match self {
            MetadataSource::RecordId => "string, bytes or a fixed of size 16",
            MetadataSource::EventName => "string or an enum with the symbols INSERT, MODIFY and REMOVE",
            MetadataSource::CreatedAt => "timestamp-micros, timestamp-millis, long or string",
            MetadataSource::Expired => "boolean",
            MetadataSource::EventId
            | MetadataSource::SequenceNumber
            | MetadataSource::StreamArn
            | MetadataSource::Name => "string",
        }
    }
}

/// A source, and the form in which its field stores it.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The branch, if the field is a union.
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
    /// The positions of the symbols INSERT, MODIFY and REMOVE.
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
    /// How a field of type `node` stores `source`, directly or as a branch of a union. `None` if it can't.
    pub(super) fn new(source: MetadataSource, node: &TypeNode) -> Option<Metadata> {
        let TypeNode::Union(branches) = node else {
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

fn form(source: MetadataSource, node: &TypeNode) -> Option<Form> {
    Some(match (source, node) {
        (MetadataSource::RecordId, TypeNode::String) => Form::RecordIdHex,
        (MetadataSource::RecordId, TypeNode::Bytes) => Form::RecordIdBytes,
        (MetadataSource::RecordId, TypeNode::Fixed(16)) => Form::RecordIdFixed,
        (MetadataSource::EventId, TypeNode::String) => Form::EventId,
        (MetadataSource::EventName, TypeNode::String) => Form::EventName,
        (MetadataSource::EventName, TypeNode::Enum(symbols)) => Form::EventSymbol(event_symbols(symbols)?),
        (MetadataSource::SequenceNumber, TypeNode::String) => Form::SequenceNumber,
        (MetadataSource::CreatedAt, TypeNode::Long | TypeNode::Timestamp { target: Unit::Microseconds, .. }) => {
            Form::CreatedAtMicros
        }
        (MetadataSource::CreatedAt, TypeNode::Timestamp { target: Unit::Milliseconds, .. }) => Form::CreatedAtMillis,
        (MetadataSource::CreatedAt, TypeNode::String) => Form::CreatedAtText,
        (MetadataSource::StreamArn, TypeNode::String) => Form::StreamArn,
        (MetadataSource::Name, TypeNode::String) => Form::SourceName,
        (MetadataSource::Expired, TypeNode::Boolean) => Form::Expired,
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
