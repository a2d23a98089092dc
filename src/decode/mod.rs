//! One Lambda event becomes records in stream order. First the envelope, in which every record must have the identifier
//! that an answer would name, and in the same pass the outlines of its images; each record is handed on as it is passed,
//! borrowing from the event's bytes, so that one odd record never fails a batch.

pub mod attribute;
mod dynamodb;
mod envelope;
mod fields;
mod identity;
pub mod json;
mod kinesis;
mod scan;
mod strings;

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::error::Error;
use crate::outline::{Node, Outline, OutlinedRecord, WrittenItems};
use crate::record::{ChangeRecord, Code, Fault, Rejection, SequenceNumber, Source};
use fields::Fields;
use json::Reader;

/// A batch as Lambda delivers it: the envelope is read, the records needn't be.
#[derive(Debug)]
pub struct Event<'a> {
    records: Vec<RawRecord<'a>>,
}

/// A record as [`Event::read_each`] hands it on.
pub type Decoded<'r> = Result<OutlinedRecord<'r>, Rejection>;

/// One record of a batch: its identifier is known.
#[derive(Debug)]
pub struct RawRecord<'a> {
    /// What the answer to Lambda calls this record.
    pub sequence: SequenceNumber<'a>,
    json: &'a str,
    service: Service,
    /// Whether the batch's first record is of the same stream.
    belongs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    DynamoDb,
    Kinesis,
}

/// What reading records takes besides the event; kept from one to the next.
#[derive(Debug, Default)]
struct Scratch {
    buffers: Buffers,
    /// The same for a record that is written oddly.
    odd: Vec<u8>,
    written: WrittenItems,
}

/// What a record is read into.
#[derive(Debug, Default)]
struct Buffers {
    /// Decoded base64.
    bytes: Vec<u8>,
    /// The outlines of what `bytes` holds.
    nodes: Vec<Node>,
    /// What a record's id is the hash of.
    canonical: Vec<u8>,
}

impl<'a> Event<'a> {
    /// Reads the envelope of `bytes`.
    ///
    /// # Errors
    /// When this is no DynamoDB Streams or Kinesis event, or a record has no identifier that an answer could name: then
    /// the invocation must fail, since nothing can be reported. The message says what was found.
    pub fn read(bytes: &'a [u8]) -> Result<Event<'a>, Error> {
        Event::read_each(bytes, |_| ControlFlow::Break(()))
    }

    /// Reads the envelope and calls `each` with every record in stream order, decoded or rejected, until it breaks: the rest of
    /// the envelope is then read without decoding. After an error, discard whatever `each` has made of the records.
    ///
    /// # Errors
    /// As for [`Event::read`].
    pub fn read_each(bytes: &'a [u8], each: impl FnMut(Decoded<'_>) -> ControlFlow<()>) -> Result<Event<'a>, Error> {
        let refused = |found: String| Error::config(format!("read the event: {found}"));
        let text = std::str::from_utf8(bytes)
            .map_err(|error| refused(format!("it isn't UTF-8 (byte {})", error.valid_up_to())))?;
        Ok(Event { records: envelope::read(text, each).map_err(refused)? })
    }

    /// The records in stream order.
    pub fn records(&self) -> &[RawRecord<'a>] {
        &self.records
    }
}

impl<'a> RawRecord<'a> {
    /// Decodes this record, its items as values. `scratch` holds what can't borrow from the event, such as decoded base64.
    ///
    /// # Errors
    /// When the record can't be understood; the rejection names it and the field.
    pub fn decode<'b>(&self, scratch: &'b mut Vec<u8>) -> Result<ChangeRecord<'b>, Rejection>
    where
        'a: 'b,
    {
        let fields = Fields::of_whole(self.json, &mut Vec::new()).map_err(|error| self.rejected(error.into()))?;
        self.decode_fields(&fields, scratch)
    }

    /// Decodes the record, its items as outlines; those of its fields are in `all`.
    ///
    /// # Errors
    /// When the record can't be understood; the rejection names it and the field.
    fn outline<'b>(
        &self,
        fields: &Fields<'b>,
        source: Option<&'b Source<'_>>,
        all: Outline<'b>,
        scratch: &'b mut Scratch,
    ) -> Decoded<'b>
    where
        'a: 'b,
    {
        let Scratch { buffers, odd, written } = scratch;
        match self.in_one_pass(fields, source, all, buffers) {
            Some(record) => Ok(record),
            None => Ok(written.record(self.decode_fields(fields, odd)?)),
        }
    }

    /// The record with its items as outlines, those of its fields being in `all`. None means that it is written oddly or is
    /// faulty, which [`RawRecord::decode`] tells.
    fn in_one_pass<'b>(
        &self,
        fields: &Fields<'b>,
        source: Option<&'b Source<'_>>,
        all: Outline<'b>,
        buffers: &'b mut Buffers,
    ) -> Option<OutlinedRecord<'b>>
    where
        'a: 'b,
    {
        match self.service {
            _ if !self.belongs => None,
            Service::DynamoDb => dynamodb::outline(self, fields, source, all, &mut buffers.canonical).ok(),
            Service::Kinesis => kinesis::outline(self, fields, source, buffers).ok(),
        }
    }

    fn decode_fields<'b>(&self, fields: &Fields<'b>, scratch: &'b mut Vec<u8>) -> Result<ChangeRecord<'b>, Rejection>
    where
        'a: 'b,
    {
        let decoded = match self.service {
            _ if !self.belongs => {
                Err(Fault::new(Code::MixedSources, "eventSourceARN", "isn't the stream of the batch's first record"))
            }
            Service::DynamoDb => dynamodb::decode(self, fields),
            Service::Kinesis => kinesis::decode(self, fields, scratch),
        };
        decoded.map_err(|fault| self.rejected(fault))
    }

    fn rejected(&self, fault: Fault) -> Rejection {
        Rejection { sequence: self.sequence.clone().into_owned(), fault }
    }
}

/// Reads a field that must be a string.
fn text<'a>(field: Option<&'a str>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let text = field.ok_or_else(|| Fault::new(Code::Malformed, name, "is missing"))?;
    Reader::new(text).string().map_err(|_| Fault::new(Code::Malformed, name, "is no string"))
}

#[cfg(test)]
mod tests;
