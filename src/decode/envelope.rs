//! The envelope of an event, read in one pass that hands on each record.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::fields::Fields;
use super::json::{JsonError, Reader};
use super::{Decoded, RawRecord, Scratch, Service, dynamodb, kinesis};
use crate::outline::{Node, Outline};
use crate::record::{SequenceNumber, Source};

/// What no record of a stream is shorter than, in bytes.
const LEAST_RECORD: usize = 400;

/// The records of the event that `text` is. `each` gets them as they are passed. The error says what was found instead.
pub fn read(text: &str, each: impl FnMut(Decoded<'_>) -> ControlFlow<()>) -> Result<Vec<RawRecord<'_>>, String> {
    if text.starts_with('\u{feff}') {
        return Err("it starts with a byte order mark; save it as plain UTF-8".to_owned());
    }
    let mut reader = Reader::new(text);
    if reader.peek() != Some(b'{') {
        return Err(format!("it is {}, not an object with `Records`", kind_of_json(reader.peek())));
    }
    let mut names = Vec::new();
    let mut records = Records::new(text, each);
    let read = reader.object(|reader, name| {
        if name == "Records" && reader.peek() == Some(b'[') {
            records.lists += 1;
            reader.array(|reader| records.next(reader))?;
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
    match (records.lists, records.refused) {
        (0, _) => Err(describe_fields(&names)),
        (1, None) => Ok(records.passed),
        (1, Some(found)) => Err(found),
        _ => Err("it has `Records` more than once".to_owned()),
    }
}

/// The records while they are read.
struct Records<'a, F> {
    text: &'a str,
    each: F,
    /// Whether `each` wants more records.
    flow: ControlFlow<()>,
    /// How many arrays of records there were.
    lists: usize,
    passed: Vec<RawRecord<'a>>,
    first: Option<First<'a>>,
    /// Why the event can't be answered. What comes after is read, in case there is worse, and not handed on.
    refused: Option<String>,
    /// Of the images and keys of one record.
    nodes: Vec<Node>,
    scratch: Scratch,
}

/// Where the first record is from, with which all others belong together.
struct First<'a> {
    service: Service,
    arn: Option<&'a str>,
    source: Option<Source<'a>>,
}

impl<'a, F: FnMut(Decoded<'_>) -> ControlFlow<()>> Records<'a, F> {
    fn new(text: &'a str, each: F) -> Self {
        Records {
            text,
            each,
            flow: ControlFlow::Continue(()),
            lists: 0,
            passed: Vec::new(),
            first: None,
            refused: None,
            nodes: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Passes the next record, in one go where nothing is wrong. Otherwise it is passed as a whole and then read by itself:
    /// what is broken within it is its own fault and not the envelope's.
    fn next(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        reader.peek();
        let (start, mut attempt) = (reader.place(), reader.clone());
        let mut fields = Fields::default();
        self.nodes.clear();
        let fields = match fields.read(&mut attempt, &mut self.nodes) {
            Ok(()) => {
                *reader = attempt;
                Ok(fields)
            }
            Err(_) => {
                self.nodes.clear();
                Fields::of(reader.raw()?)
            }
        };
        let json = self.text.get(start..reader.place()).unwrap_or_default();
        if self.passed.is_empty() {
            // As many as there will be if all are as long as the first.
            self.passed.reserve(self.text.len() / json.len().max(LEAST_RECORD));
        }
        if self.refused.is_none() {
            let taken =
                fields.map_err(|error| format!("can't be read: {error}")).and_then(|fields| self.take(&fields, json));
            self.refused = taken.err().map(|found| format!("Records[{}] {found}", self.passed.len()));
        }
        Ok(())
    }

    /// Hands a record on. The error reads after `Records[0]`.
    fn take(&mut self, fields: &Fields<'a>, json: &'a str) -> Result<(), String> {
        let first = self.first.as_ref();
        let written = fields.event_source.and_then(|text| Reader::new(text).string().ok());
        let service = service(written.as_deref(), fields, first.is_some())?;
        let known_source = matches!(written.as_deref(), Some("aws:dynamodb" | "aws:kinesis"));
        let same_stream = |first: &First<'_>| first.service == service && first.arn == fields.event_source_arn;
        let belongs = known_source && first.is_none_or(same_stream);
        let raw = RawRecord { sequence: sequence(service, fields)?, json, service, belongs };
        let first = self.first.get_or_insert_with(|| First {
            service,
            arn: fields.event_source_arn,
            source: match service {
                Service::DynamoDb => dynamodb::source(fields).ok(),
                Service::Kinesis => kinesis::source(fields).ok(),
            },
        });
        if self.flow.is_continue() {
            let outlines = Outline::new(self.text, &self.nodes);
            self.flow = (self.each)(raw.outline(fields, first.source.as_ref(), outlines, &mut self.scratch));
        }
        self.passed.push(raw);
        Ok(())
    }
}

/// The service that a record is of, by what is written as its `eventSource`.
fn service(written: Option<&str>, fields: &Fields<'_>, follows: bool) -> Result<Service, String> {
    match written {
        Some("aws:dynamodb") => Ok(Service::DynamoDb),
        Some("aws:kinesis") => Ok(Service::Kinesis),
        // A record of another service within a batch is rejected by itself, if only it can be named.
        _ if follows && fields.kinesis.is_some() => Ok(Service::Kinesis),
        _ if follows && fields.dynamodb.is_some() => Ok(Service::DynamoDb),
        Some(other) => {
            let other: String = other.escape_default().take(40).collect();
            Err(format!("is of `{other}`, not of aws:dynamodb or aws:kinesis"))
        }
        None => Err("has no eventSource".to_owned()),
    }
}

/// What an answer would call a record.
fn sequence<'a>(service: Service, fields: &Fields<'a>) -> Result<SequenceNumber<'a>, String> {
    let (number, place) = match service {
        Service::DynamoDb => (fields.dynamodb.as_ref().and_then(|of| of.sequence), "dynamodb.SequenceNumber"),
        Service::Kinesis => (fields.kinesis.as_ref().and_then(|of| of.sequence), "kinesis.sequenceNumber"),
    };
    let number = number.and_then(|number| SequenceNumber::parse(Reader::new(number).string().ok()?));
    number.ok_or_else(|| format!("has no usable {place}: an answer could not name it"))
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
