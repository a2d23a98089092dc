//! One Lambda event becomes records in stream order. First the envelope, in which every record must have the identifier
//! that an answer would name, and in the same pass the outlines of its images; then each record by itself, borrowing from
//! the event's bytes, so that one odd record never fails a batch.

pub mod attribute;
mod dynamodb;
mod identity;
pub mod json;
mod kinesis;
mod scan;
mod strings;

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Error;
use crate::outline::{Kept, Node, Outline};
use crate::record::{ChangeRecord, Code, Fault, RecordOf, Rejection, SequenceNumber, Source};
use dynamodb::StreamRecord;
use json::{JsonError, Reader, raw_fields};
use kinesis::KinesisFields;

/// A batch as Lambda delivers it: the envelope is read, the records are not yet.
#[derive(Debug)]
pub struct Event<'a> {
    text: &'a str,
    records: Vec<RawRecord<'a>>,
    /// What all records are from that belong to the stream of the first.
    source: Option<Source<'a>>,
    /// Of the images and keys of all records that are written as they should be.
    nodes: Vec<Node>,
}

/// What reading records takes besides the event; kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Decoded base64.
    bytes: Vec<u8>,
    /// The outlines of what `bytes` holds.
    nodes: Vec<Node>,
    /// The same for a record that is written oddly.
    odd: Vec<u8>,
    kept: Kept,
}

/// An image or the keys: JSON text, and where its outline is among the nodes made of the text that it is from. What can't
/// be outlined is read by [`attribute`], which tells what is wrong with it.
#[derive(Debug, Clone)]
struct RawItem<'a> {
    json: &'a str,
    nodes: Option<Range<usize>>,
}

/// One record of a batch: its identifier is known, its content not yet read.
#[derive(Debug)]
pub struct RawRecord<'a> {
    /// What the answer to Lambda calls this record.
    pub sequence: SequenceNumber<'a>,
    service: Service,
    fields: Fields<'a>,
    /// Whether the batch's first record is of the same stream.
    belongs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    DynamoDb,
    Kinesis,
}

/// The fields of a record that matter, as JSON text, and those of the object that carries the change or message.
#[derive(Debug, Default)]
struct Fields<'a> {
    event_id: Option<&'a str>,
    event_name: Option<&'a str>,
    event_source: Option<&'a str>,
    event_source_arn: Option<&'a str>,
    user_identity: Option<&'a str>,
    table_name: Option<&'a str>,
    dynamodb: Option<StreamRecord<'a>>,
    kinesis: Option<KinesisFields<'a>>,
}

impl<'a> Event<'a> {
    /// Reads the envelope of `bytes`.
    ///
    /// # Errors
    /// When this is no DynamoDB Streams or Kinesis event, or a record has no identifier that an answer could name: then
    /// the invocation must fail, since nothing can be reported. The message says what was found.
    pub fn read(bytes: &'a [u8]) -> Result<Event<'a>, Error> {
        let refused = |found: String| Error::config(format!("read the event: {found}"));
        let text = std::str::from_utf8(bytes)
            .map_err(|error| refused(format!("it isn't UTF-8 (byte {})", error.valid_up_to())))?;
        // What the attributes of a typical image take; more is made where they are shorter.
        const BYTES_PER_NODE: usize = 40;
        let mut nodes = Vec::with_capacity(text.len() / BYTES_PER_NODE);
        let envelope = envelope(text, &mut nodes).map_err(refused)?;
        let mut records: Vec<RawRecord<'a>> = Vec::with_capacity(envelope.len());
        for (index, fields) in envelope.into_iter().enumerate() {
            let record = fields
                .map_err(|error| format!("can't be read: {error}"))
                .and_then(|fields| raw_record(fields, records.first()));
            records.push(record.map_err(|found| refused(format!("Records[{index}] {found}")))?);
        }
        let source = records.first().and_then(|first| match first.service {
            Service::DynamoDb => dynamodb::source(first).ok(),
            Service::Kinesis => kinesis::source(first).ok(),
        });
        Ok(Event { text, records, source, nodes })
    }

    /// The records in stream order.
    pub fn records(&self) -> &[RawRecord<'a>] {
        &self.records
    }

    /// Reads a record of this event, its items as outlines.
    ///
    /// # Errors
    /// When the record can't be understood; the rejection names it and the field.
    pub fn outline<'b>(
        &'b self,
        raw: &'b RawRecord<'_>,
        scratch: &'b mut Scratch,
    ) -> Result<RecordOf<'b, Outline<'b>>, Rejection> {
        let Scratch { bytes, nodes, kept, odd } = scratch;
        let outlined = match raw.service {
            _ if !raw.belongs => None,
            Service::DynamoDb => dynamodb::outline(raw, self.source.as_ref(), self.text, &self.nodes).ok(),
            Service::Kinesis => kinesis::outline(raw, self.source.as_ref(), bytes, nodes).ok(),
        };
        match outlined {
            Some(record) => Ok(record),
            None => Ok(kept.record(raw.decode(odd)?)),
        }
    }
}

impl RawRecord<'_> {
    /// Decodes this record, its items as values. `scratch` holds what can't borrow from the event, such as decoded base64.
    ///
    /// # Errors
    /// When the record can't be understood; the rejection names it and the field.
    pub fn decode<'b>(&'b self, scratch: &'b mut Vec<u8>) -> Result<ChangeRecord<'b>, Rejection> {
        let decoded = match self.service {
            _ if !self.belongs => {
                Err(Fault::new(Code::MixedSources, "eventSourceARN", "isn't the stream of the batch's first record"))
            }
            Service::DynamoDb => dynamodb::decode(self),
            Service::Kinesis => kinesis::decode(self, scratch),
        };
        decoded.map_err(|fault| Rejection { sequence: self.sequence.clone().into_owned(), fault })
    }
}

/// The fields of a record, or what is wrong with its JSON.
type Read<'a> = Result<Fields<'a>, JsonError>;

/// What no record of a stream is shorter than, in bytes.
const LEAST_RECORD: usize = 400;

/// The envelope's records.
fn envelope<'a>(text: &'a str, nodes: &mut Vec<Node>) -> Result<Vec<Read<'a>>, String> {
    if text.starts_with('\u{feff}') {
        return Err("it starts with a byte order mark; save it as plain UTF-8".to_owned());
    }
    let mut reader = Reader::new(text);
    if reader.peek() != Some(b'{') {
        return Err(format!("it is {}, not an object with `Records`", kind_of_json(reader.peek())));
    }
    let mut names = Vec::new();
    let mut records: Option<Vec<Read<'a>>> = None;
    let read = reader.object(|reader, name| {
        if name == "Records" && reader.peek() == Some(b'[') {
            let mut list = Vec::new();
            reader.array(|reader| {
                let start = reader.place();
                list.push(next_record(reader, nodes)?);
                if list.len() == 1 {
                    // As many as there will be if all are as long as the first.
                    list.reserve(text.len() / (reader.place() - start).max(LEAST_RECORD));
                }
                Ok::<_, JsonError>(())
            })?;
            records = Some(list);
        } else {
            reader.raw()?;
        }
        names.push(name);
        Ok::<_, JsonError>(())
    });
    read.and_then(|()| reader.end()).map_err(|error| format!("its JSON is broken: {error}"))?;
    if names.iter().any(|name| name == "window") {
        let remedy = "set TumblingWindowInSeconds to 0, since usage windows don't need it";
        return Err(format!("it is a tumbling window's, which would need a state in the answer; {remedy}"));
    }
    records.ok_or_else(|| describe_fields(&names))
}

fn kind_of_json(first: Option<u8>) -> &'static str {
    match first {
        None => "empty",
        Some(b'[') => "a JSON array",
        Some(b'"') => "a JSON string",
        Some(b'0'..=b'9' | b'-') => "a JSON number",
        Some(b't' | b'f' | b'n') => "a JSON literal",
        Some(_) => "text that isn't JSON",
    }
}

fn describe_fields(names: &[Cow<'_, str>]) -> String {
    if names.iter().any(|name| name == "Records") {
        return "its `Records` is no array".to_owned();
    }
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case("records")) {
        return format!("it has `{name}` instead of `Records`; names are case-sensitive");
    }
    // Five names of forty characters tell a person which service it came from, whatever the event holds.
    let shown: Vec<String> =
        names.iter().take(5).map(|name| name.escape_default().take(40).collect::<String>()).collect();
    match shown.as_slice() {
        [] => "it is an empty object, not one with `Records`".to_owned(),
        shown => format!("it has no `Records` but {}: not a DynamoDB Streams or Kinesis event", shown.join(", ")),
    }
}

/// Reads the next record, in one pass where nothing is wrong. Otherwise it is passed as a whole and then read by itself:
/// what is broken within it is its own fault and not the envelope's.
fn next_record<'a>(reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Result<Read<'a>, JsonError> {
    let mut attempt = reader.clone();
    let before = nodes.len();
    if let Ok(fields) = Fields::read(&mut attempt, nodes) {
        *reader = attempt;
        return Ok(Ok(fields));
    }
    nodes.truncate(before);
    reader.raw().map(Fields::of)
}

impl<'a> Fields<'a> {
    /// Reads a record of which nothing is broken as far as it is looked at.
    fn read(reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Read<'a> {
        let mut fields = Fields::default();
        reader.object(|reader, name| {
            match &*name {
                "dynamodb" => fields.dynamodb = Some(StreamRecord::read(reader, nodes)?),
                "kinesis" => fields.kinesis = Some(KinesisFields::read(reader)?),
                name => fields.set(name, reader.raw()?),
            }
            Ok::<_, JsonError>(())
        })?;
        Ok(fields)
    }

    /// Reads a record whose inner objects may be broken.
    fn of(text: &'a str) -> Read<'a> {
        let mut fields = Fields::default();
        raw_fields(text, |name, value| match name {
            "dynamodb" => fields.dynamodb = Some(StreamRecord::of(value)),
            "kinesis" => fields.kinesis = Some(KinesisFields::of(value)),
            name => fields.set(name, value),
        })?;
        Ok(fields)
    }

    /// Reads a text that is a record and nothing else.
    fn of_whole(text: &'a str, nodes: &mut Vec<Node>) -> Read<'a> {
        let mut reader = Reader::new(text);
        match Fields::read(&mut reader, nodes).and_then(|fields| reader.end().map(|()| fields)) {
            Ok(fields) => Ok(fields),
            Err(_) => Fields::of(text),
        }
    }

    fn set(&mut self, name: &str, value: &'a str) {
        match name {
            "eventID" => self.event_id = Some(value),
            "eventName" => self.event_name = Some(value),
            "eventSource" => self.event_source = Some(value),
            "eventSourceARN" => self.event_source_arn = Some(value),
            "userIdentity" => self.user_identity = Some(value),
            "tableName" => self.table_name = Some(value),
            _ => {}
        }
    }
}

impl<'a> RawItem<'a> {
    /// Passes an image or the keys.
    fn read(reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Result<Self, JsonError> {
        reader.peek();
        let before = nodes.len();
        match scan::image(reader.text(), reader.place(), nodes) {
            Some(end) => Ok(RawItem { json: reader.pass_to(end)?, nodes: Some(before..nodes.len()) }),
            None => {
                nodes.truncate(before);
                Ok(RawItem { json: reader.raw()?, nodes: None })
            }
        }
    }

    /// The outline, where `nodes` are those of `text`.
    fn outline<'t>(&self, text: &'t str, nodes: &'t [Node]) -> Result<Outline<'t>, Fault> {
        let nodes = self.nodes.clone().and_then(|range| nodes.get(range));
        let odd = || Fault::new(Code::Malformed, "", "is written in an odd way");
        Ok(Outline::new(text, nodes.ok_or_else(odd)?))
    }
}

/// Finds a record's service and identifier. The error reads after `Records[0]`.
fn raw_record<'a>(fields: Fields<'a>, first: Option<&RawRecord<'a>>) -> Result<RawRecord<'a>, String> {
    let source = fields.event_source.and_then(|text| Reader::new(text).string().ok());
    let service = match source.as_deref() {
        Some("aws:dynamodb") => Service::DynamoDb,
        Some("aws:kinesis") => Service::Kinesis,
        // A record of another service within a batch is rejected by itself, if only it can be named.
        _ if first.is_some() && fields.kinesis.is_some() => Service::Kinesis,
        _ if first.is_some() && fields.dynamodb.is_some() => Service::DynamoDb,
        Some(other) => {
            let other: String = other.escape_default().take(40).collect();
            return Err(format!("is of `{other}`, not of aws:dynamodb or aws:kinesis"));
        }
        None => return Err("has no eventSource".to_owned()),
    };
    let known_source = matches!(source.as_deref(), Some("aws:dynamodb" | "aws:kinesis"));
    let same_stream =
        |first: &RawRecord<'_>| first.service == service && first.fields.event_source_arn == fields.event_source_arn;
    let belongs = known_source && first.is_none_or(same_stream);
    let (number, place) = match service {
        Service::DynamoDb => (fields.dynamodb.as_ref().and_then(|of| of.sequence), "dynamodb.SequenceNumber"),
        Service::Kinesis => (fields.kinesis.as_ref().and_then(|of| of.sequence), "kinesis.sequenceNumber"),
    };
    let number = number.and_then(|number| SequenceNumber::parse(Reader::new(number).string().ok()?));
    let sequence = number.ok_or_else(|| format!("has no usable {place}: an answer could not name it"))?;
    Ok(RawRecord { sequence, service, fields, belongs })
}

/// Reads a field that must be a string.
fn text<'a>(field: Option<&'a str>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let text = field.ok_or_else(|| Fault::new(Code::Malformed, name, "is missing"))?;
    Reader::new(text).string().map_err(|_| Fault::new(Code::Malformed, name, "is no string"))
}

#[cfg(test)]
mod tests;
