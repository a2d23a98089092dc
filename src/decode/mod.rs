//! Decodes a Lambda event into records, in stream order.
//!
//! [`Event::read_each`] makes a single pass over the event's JSON. As soon as it has read one record, it hands that
//! record to a callback, which plans it; the record borrows from the event's bytes. Along the way, `scan` outlines the
//! record's images: it notes where each attribute is (see [`crate::outline`]) instead of building values that are
//! mostly never used.
//!
//! The fast path is strict and gives up on anything unusual, valid or not: escapes in attribute names, an unknown type
//! tag, a broken number. Such a record is then decoded a second time by the fallback ([`attribute`] and [`json`]),
//! which builds values, accepts every valid spelling, and says exactly what is wrong with an invalid one. Only the
//! fallback reports faults of records, so there is one set of messages. Tests compare the two decoders.
//!
//! A Kinesis record that the Kinesis Producer Library has aggregated is taken apart (`aggregate`): each user record in it
//! is a record of the event. They share the sequence number, by which the response to Lambda names them together.
//!
//! Errors have two levels. A record that can't be decoded becomes a [`Rejection`] with its sequence number, and the
//! other records still decode. If the envelope is broken, or a record has no sequence number that the response
//! to Lambda could name, the invocation as a whole fails.

mod aggregate;
pub mod attribute;
mod dynamodb;
mod envelope;
mod fields;
mod identity;
pub mod json;
mod kinesis;
mod readable;
mod scan;
mod strings;

use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::error::Error;
use crate::outline::{Node, Outline, OutlinedRecord, WrittenItems};
use crate::record::{ChangeRecord, Code, Fault, Item, Origin, RecordId, Rejection, SequenceNumber};
use aggregate::UserRecord;
use fields::Fields;
use json::Reader;
pub use readable::ItemReader;

/// A batch as Lambda delivers it. Its envelope has been read; its records are decoded when asked for.
#[derive(Debug)]
pub struct Event<'a> {
    records: Vec<RawRecord<'a>>,
    fails_on_rejection: bool,
}

/// What [`Event::read_each`] makes of one record.
pub type Decoded<'r> = Result<OutlinedRecord<'r>, Rejection>;

/// One record of a batch, not yet decoded. The user records of an aggregated Kinesis record are records of their own.
#[derive(Debug, Clone)]
pub struct RawRecord<'a> {
    /// The sequence number, by which the response to Lambda names this record.
    pub sequence: SequenceNumber<'a>,
    json: &'a str,
    service: Service,
    /// Whether the record comes from the same stream as the first record of the batch.
    same_stream: bool,
    /// Which part of an aggregated Kinesis record this is, if it is one.
    user_record: Option<UserRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    DynamoDb,
    Kinesis,
}

/// Buffers for decoding records, reused from one record to the next.
#[derive(Debug, Default)]
struct Scratch {
    buffers: Buffers,
    /// Decoded base64, for the fallback decoder.
    fallback_bytes: Vec<u8>,
    /// The items that the fallback decoder read, as outlines.
    written: WrittenItems,
    /// The data of an aggregated Kinesis record.
    aggregate: Vec<u8>,
}

/// Buffers of the fast path.
#[derive(Debug, Default)]
struct Buffers {
    /// The decoded base64 of a Kinesis record.
    bytes: Vec<u8>,
    /// The outlines of the items in `bytes`.
    nodes: Vec<Node>,
    /// The bytes of which a record's id is the hash.
    canonical: Vec<u8>,
}

impl<'a> Event<'a> {
    /// Reads the envelope of `bytes`.
    ///
    /// # Errors
    /// If this isn't a DynamoDB Streams or Kinesis event, or if a record has no sequence number that the response could
    /// name. The invocation must then fail as a whole. The message says what was found.
    pub fn read(bytes: &'a [u8]) -> Result<Event<'a>, Error> {
        Event::read_each(bytes, |_| ControlFlow::Break(()))
    }

    /// Reads the envelope and calls `each` with every record in stream order, decoded or rejected. Once `each` breaks,
    /// the rest of the envelope is read without decoding records. After an error, discard what `each` made of the
    /// records.
    ///
    /// # Errors
    /// As for [`Event::read`].
    pub fn read_each(bytes: &'a [u8], each: impl FnMut(Decoded<'_>) -> ControlFlow<()>) -> Result<Event<'a>, Error> {
        let unusable = |found: String| Error::config(format!("read the event: {found}"));
        let text = std::str::from_utf8(bytes)
            .map_err(|error| unusable(format!("it isn't UTF-8 (byte {})", error.valid_up_to())))?;
        envelope::read(text, each).map_err(unusable)
    }

    /// The records in stream order. Each user record of an aggregated Kinesis record is one.
    pub fn records(&self) -> &[RawRecord<'a>] {
        &self.records
    }

    /// Whether the event has `"rejectedRecords": "fail"`: the response must then name a rejected record, even if the
    /// function otherwise quarantines them. Redrive sends this, because it deletes a document once its record is durable.
    pub fn fails_on_rejection(&self) -> bool {
        self.fails_on_rejection
    }
}

impl<'a> RawRecord<'a> {
    /// Decodes this record, with its items as values. `scratch` holds what can't borrow from the event: decoded base64.
    ///
    /// # Errors
    /// If the record is invalid. The rejection names the record and the field.
    pub fn decode<'b>(&self, scratch: &'b mut Vec<u8>) -> Result<ChangeRecord<'b>, Rejection>
    where
        'a: 'b,
    {
        let fields = Fields::of_whole(self.json, &mut Vec::new()).map_err(|error| self.rejected(error.into()))?;
        self.decode_fields(&fields, None, scratch)
    }

    /// Decodes the record, with its items as outlines. `all` has the outlines that were made while its fields were
    /// read.
    ///
    /// # Errors
    /// If the record is invalid. The rejection names the record and the field.
    fn outline<'b>(
        &self,
        fields: &Fields<'b>,
        source: Option<&'b Origin<'_>>,
        all: Outline<'b>,
        scratch: &'b mut Scratch,
    ) -> Decoded<'b>
    where
        'a: 'b,
    {
        let Scratch { buffers, fallback_bytes, written, aggregate } = scratch;
        let data = self.user_record.as_ref().map(|user_record| user_record.of(aggregate));
        match self.in_one_pass(fields, source, all, data, buffers) {
            Some(record) => Ok(record),
            None => Ok(written.record(self.decode_fields(fields, data, fallback_bytes)?)),
        }
    }

    /// The fast path: the record with its items as outlines. `None` means that the record is spelled in an unusual way
    /// or is invalid; the fallback decoder finds out which. `data` is that of a user record.
    fn in_one_pass<'b>(
        &self,
        fields: &Fields<'b>,
        source: Option<&'b Origin<'_>>,
        all: Outline<'b>,
        data: Option<&'b [u8]>,
        buffers: &'b mut Buffers,
    ) -> Option<OutlinedRecord<'b>>
    where
        'a: 'b,
    {
        match self.service {
            _ if !self.same_stream => None,
            Service::DynamoDb => dynamodb::outline(self, fields, source, all, &mut buffers.canonical).ok(),
            Service::Kinesis => kinesis::outline(self, fields, source, data, buffers).ok(),
        }
    }

    /// Decodes the record with the fallback. `data` is that of a user record, if it is known.
    fn decode_fields<'b>(
        &self,
        fields: &Fields<'b>,
        data: Option<&'b [u8]>,
        scratch: &'b mut Vec<u8>,
    ) -> Result<ChangeRecord<'b>, Rejection>
    where
        'a: 'b,
    {
        let decoded = match self.service {
            _ if !self.same_stream => Err(Fault::new(
                Code::MixedSources,
                "eventSourceARN",
                "differs from the stream of the first record in the batch",
            )),
            Service::DynamoDb => dynamodb::decode(self, fields),
            Service::Kinesis => kinesis::decode(self, fields, data, scratch),
        };
        decoded.map_err(|fault| self.rejected(fault))
    }

    /// The JSON of the record, as the event contains it. The user records of an aggregated Kinesis record share it.
    pub fn json(&self) -> &'a str {
        self.json
    }

    /// The JSON of the record without the other user records of an aggregated Kinesis record. A user record alone has
    /// another id.
    pub fn json_alone(&self) -> Cow<'a, str> {
        match &self.user_record {
            None => Cow::Borrowed(self.json),
            Some(user_record) => kinesis::alone(self.json, user_record).map_or(Cow::Borrowed(self.json), Cow::Owned),
        }
    }

    /// The position of this user record in its aggregated Kinesis record, if it is one.
    pub fn user_record(&self) -> Option<usize> {
        self.user_record.as_ref().map(|user_record| user_record.index)
    }

    /// Whether the record comes from Kinesis rather than from a DynamoDB stream.
    pub fn is_from_kinesis(&self) -> bool {
        self.service == Service::Kinesis
    }

    fn rejected(&self, fault: Fault) -> Rejection {
        let (sequence, user_record) = (self.sequence.clone().into_owned(), self.user_record());
        Rejection { sequence, user_record, route: None, fault }
    }
}

/// Reads the string in `field`.
fn text<'a>(field: Option<&'a str>, name: &str) -> Result<Cow<'a, str>, Fault> {
    let text = field.ok_or_else(|| Fault::new(Code::Malformed, name, "is missing"))?;
    Reader::new(text).string().map_err(|_| Fault::new(Code::Malformed, name, "is not a string"))
}

/// The id that a record of this DynamoDB stream has if these are all keys of its item.
pub fn stream_record_id(stream_arn: &str, keys: &Item<'_>, sequence: &SequenceNumber<'_>) -> RecordId {
    identity::of_stream_record(stream_arn, keys, sequence, &mut Vec::new())
}

#[cfg(test)]
pub(crate) mod tests;
