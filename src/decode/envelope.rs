//! Reads the envelope of an event in one pass and hands on each record.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fields::Fields;
use super::json::{JsonError, Reader};
use super::{Decoded, Event, RawRecord, Scratch, Service, dynamodb, kinesis};
use crate::outline::{Node, Outline};
use crate::record::{Fault, Origin, SequenceNumber};

/// The field of an event by which redrive asks the function to report rejected records instead of quarantining them. No
/// event source mapping sends it.
const REJECTED_RECORDS: &str = "rejectedRecords";

/// No record of a stream is shorter than this.
const SHORTEST_RECORD_BYTES: usize = 400;

/// Reads the event in `text` and calls `each` with every record. The error says what was found instead of
/// an event.
pub(super) fn read(text: &str, each: impl FnMut(Decoded<'_>) -> ControlFlow<()>) -> Result<Event<'_>, String> {
    if text.starts_with('\u{feff}') {
        return Err("it starts with a byte order mark; save it as UTF-8 without one".to_owned());
    }
    let mut reader = Reader::new(text);
    if reader.peek() != Some(b'{') {
        return Err(format!("it is {}, not an object with `Records`", kind_of_json(reader.peek())));
    }
    let mut names = Vec::new();
    let mut rejected_records = None;
    let mut records = Records::new(text, each);
    let read = reader.object(|reader, name| {
        if name == "Records" && reader.peek() == Some(b'[') {
            records.lists += 1;
            reader.array(|reader| records.next(reader))?;
        } else if name == REJECTED_RECORDS {
            rejected_records = Some(reader.raw()?);
        } else {
            reader.raw()?;
        }
        names.push(name);
        Ok::<_, JsonError>(())
    });
    read.and_then(|()| reader.end()).map_err(|error| match error.at >= text.len() {
        true => format!("its JSON ends in the middle of a value, after {} bytes", text.len()),
        false => format!("its JSON is invalid: {error}"),
    })?;
    if names.iter().any(|name| name == "window") {
        let remedy = "set TumblingWindowInSeconds to 0; usage windows don't need it";
        return Err(format!("it belongs to a tumbling window, whose state the function doesn't return; {remedy}"));
    }
    if rejected_records.is_some_and(|value| value != r#""fail""#) {
        return Err(format!("its `{REJECTED_RECORDS}` isn't \"fail\""));
    }
    match (records.lists, records.unusable) {
        (0, _) => Err(describe_fields(&names)),
        (1, None) => Ok(Event { records: records.read, fails_on_rejection: rejected_records.is_some() }),
        (1, Some(found)) => Err(found),
        _ => Err("it has `Records` more than once".to_owned()),
    }
}

/// The state of reading the records.
struct Records<'a, F> {
    text: &'a str,
    each: F,
    /// Whether `each` wants more records.
    flow: ControlFlow<()>,
    /// The number of `Records` arrays so far.
    lists: usize,
    /// The number of elements of `Records` so far. An aggregated Kinesis record is one element, but several records.
    elements: usize,
    read: Vec<RawRecord<'a>>,
    first: Option<FirstRecord<'a>>,
    /// Why the function can't respond to this event. Later records are still read, to find broken JSON, but not handed
    /// on.
    unusable: Option<String>,
    /// The nodes of one record's images and keys.
    nodes: Vec<Node>,
    scratch: Scratch,
}

/// Where the first record comes from. All other records must come from the same stream.
struct FirstRecord<'a> {
    service: Service,
    arn: Option<&'a str>,
    source: Option<Origin<'a>>,
}

impl<'a, F: FnMut(Decoded<'_>) -> ControlFlow<()>> Records<'a, F> {
    fn new(text: &'a str, each: F) -> Self {
        Records {
            text,
            each,
            flow: ControlFlow::Continue(()),
            lists: 0,
            elements: 0,
            read: Vec::new(),
            first: None,
            unusable: None,
            nodes: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Reads the next record. If the fast path fails, the record is skipped as a whole and then read by itself, so that
    /// an error inside it concerns only this record and not the envelope.
    fn next(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        reader.peek();
        let (start, mut attempt) = (reader.position(), reader.clone());
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
        let json = self.text.get(start..reader.position()).unwrap_or_default();
        if self.read.is_empty() {
            // Assumes that all records are as long as the first.
            self.read.reserve(self.text.len() / json.len().max(SHORTEST_RECORD_BYTES));
        }
        if self.unusable.is_none() {
            let accepted =
                fields.map_err(|error| format!("can't be read: {error}")).and_then(|fields| self.accept(&fields, json));
            self.unusable = accepted.err().map(|found| format!("Records[{}] {found}", self.elements));
        }
        self.elements += 1;
        Ok(())
    }

    /// Hands a record on. An error message reads after `Records[0]`.
    fn accept(&mut self, fields: &Fields<'a>, json: &'a str) -> Result<(), String> {
        let first = self.first.as_ref();
        let event_source = fields.event_source.and_then(|text| Reader::new(text).string().ok());
        let service = service(event_source.as_deref(), fields, first.is_some())?;
        let known_source = matches!(event_source.as_deref(), Some("aws:dynamodb" | "aws:kinesis"));
        let from_first_stream =
            |first: &FirstRecord<'_>| first.service == service && first.arn == fields.event_source_arn;
        let same_stream = known_source && first.is_none_or(from_first_stream);
        let raw = RawRecord { sequence: sequence(service, fields)?, json, service, same_stream, user_record: None };
        self.first.get_or_insert_with(|| FirstRecord {
            service,
            arn: fields.event_source_arn,
            source: match service {
                Service::DynamoDb => dynamodb::source(fields).ok(),
                Service::Kinesis => kinesis::source(fields).ok(),
            },
        });
        let is_kinesis = service == Service::Kinesis && same_stream;
        match is_kinesis.then(|| kinesis::user_records(fields, &mut self.scratch.aggregate)).flatten() {
            None => self.hand_on(fields, raw),
            Some(user_records) => user_records.into_iter().for_each(|user_record| {
                self.hand_on(fields, RawRecord { user_record: Some(user_record), ..raw.clone() })
            }),
        }
        Ok(())
    }

    /// Decodes a record and hands it on, unless `each` wants no more.
    fn hand_on(&mut self, fields: &Fields<'a>, raw: RawRecord<'a>) {
        if self.flow.is_continue() {
            let outlines = Outline::new(self.text, &self.nodes);
            let source = self.first.as_ref().and_then(|first| first.source.as_ref());
            let (raw, scratch) = (&raw, &mut self.scratch);
            let decode = move || {
                // Moved into the closure, since the record borrows from it.
                let scratch = scratch;
                raw.outline(fields, source, outlines, scratch)
            };
            let decoded = catch_unwind(AssertUnwindSafe(decode));
            self.flow = (self.each)(decoded.unwrap_or_else(|_| Err(raw.rejected(Fault::panicked()))));
        }
        self.read.push(raw);
    }
}

/// The service that a record comes from, according to its `eventSource`. A record that `follows` another one is
/// attributed by its fields if it has an unknown `eventSource`: it is rejected by itself and doesn't fail the batch.
fn service(event_source: Option<&str>, fields: &Fields<'_>, follows: bool) -> Result<Service, String> {
    match event_source {
        Some("aws:dynamodb") => Ok(Service::DynamoDb),
        Some("aws:kinesis") => Ok(Service::Kinesis),
        _ if follows && fields.kinesis.is_some() => Ok(Service::Kinesis),
        _ if follows && fields.dynamodb.is_some() => Ok(Service::DynamoDb),
        Some(other) => {
            let other: String = other.escape_default().take(40).collect();
            Err(format!("comes from `{other}`, not from aws:dynamodb or aws:kinesis"))
        }
        None => Err("has no eventSource".to_owned()),
    }
}

/// The sequence number, by which the response would name a record.
fn sequence<'a>(service: Service, fields: &Fields<'a>) -> Result<SequenceNumber<'a>, String> {
    let (number, field) = match service {
        Service::DynamoDb => (fields.dynamodb.as_ref().and_then(|object| object.sequence), "dynamodb.SequenceNumber"),
        Service::Kinesis => (fields.kinesis.as_ref().and_then(|object| object.sequence), "kinesis.sequenceNumber"),
    };
    let number = number.and_then(|number| SequenceNumber::parse(Reader::new(number).string().ok()?));
    number.ok_or_else(|| format!("has no valid {field}, so the response can't name it"))
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
        return "its `Records` is not an array".to_owned();
    }
    if let Some(name) = names.iter().find(|name| name.eq_ignore_ascii_case("records")) {
        return format!("it has `{name}` instead of `Records`; names are case-sensitive");
    }
    // Five names of at most forty characters are enough to recognize where the event comes from.
    let shown: Vec<String> =
        names.iter().take(5).map(|name| name.escape_default().take(40).collect::<String>()).collect();
    match shown.as_slice() {
        [] => "it is an empty object, not one with `Records`".to_owned(),
        shown => format!("it isn't a DynamoDB Streams or Kinesis event: it has no `Records`, but {}", shown.join(", ")),
    }
}
