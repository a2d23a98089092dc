//! Kinesis records: either a change of a table from Kinesis Data Streams for DynamoDB, or a plain JSON message, which
//! is treated as the insertion of an item without keys. A user record of an aggregated record is read in the same way.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::aggregate::{self, MAGIC, MAGIC_JSON, UserRecord};
use super::dynamodb::{StreamRecord, remover, time, value};
use super::fields::{Fields, RawItem};
use super::identity::{self, Canonical};
use super::json::{JsonError, Reader, raw_fields};
use super::{Buffers, RawRecord, attribute, scan, text};
use crate::outline::Outline;
use crate::record::{ChangeOf, ChangeRecord, Code, Fault, ImageOf, Origin, RecordOf};
use crate::time::Unit;

/// The user records of an aggregated record, whose data is decoded into `bytes`. `None` if the record isn't aggregated.
pub(super) fn user_records(fields: &Fields<'_>, bytes: &mut Vec<u8>) -> Option<Vec<UserRecord>> {
    let kinesis = fields.kinesis.as_ref().filter(|kinesis| kinesis.broken.is_none())?;
    let data = kinesis.data.filter(|data| data.starts_with(MAGIC_JSON))?;
    let data = Reader::new(data).string().ok()?;
    bytes.clear();
    base64_simd::STANDARD.decode_append(data.as_bytes(), bytes).ok()?;
    aggregate::user_records(bytes)
}

/// The JSON of a Kinesis record that has only `user_record` of the aggregated record in `json`.
pub(super) fn alone(json: &str, user_record: &UserRecord) -> Option<String> {
    let fields = Fields::of_whole(json, &mut Vec::new()).ok()?;
    let aggregate = fields.kinesis.as_ref()?.data?;
    let start = aggregate.as_ptr().addr().checked_sub(json.as_ptr().addr())?;
    let (before, after) = (json.get(..start)?, json.get(start + aggregate.len()..)?);
    let mut bytes = Vec::new();
    let data = user_record.decode(&text(Some(aggregate), "kinesis.data").ok()?, &mut bytes)?;
    Some(format!(r#"{before}"{}"{after}"#, BASE64.encode(data)))
}

/// Decodes the record, with its items as values. `data` is that of a user record, if it is known.
pub(super) fn decode<'b>(
    raw: &RawRecord<'b>,
    outer: &Fields<'b>,
    data: Option<&'b [u8]>,
    bytes: &'b mut Vec<u8>,
) -> Result<ChangeRecord<'b>, Fault> {
    let message = Message::read(outer, None)?;
    let json = json_of(match data {
        Some(data) => data,
        None => message.decode(raw.user_record.as_ref(), bytes)?,
    })?;
    let fields = Fields::of_whole(json, &mut Vec::new()).map_err(|error| Fault::from(error).within("kinesis.data"))?;
    if fields.is_table_change() {
        table_change(raw, &fields, message.stream_arn, &mut Vec::new(), value)
            .map_err(|fault| fault.within("kinesis.data"))
    } else {
        let item = || attribute::plain_item(json).map_err(|fault| fault.within("kinesis.data"));
        plain_message(raw, outer, json, &message, item)
    }
}

/// Decodes the record, with its items as outlines. `source` is the record's source, if it is already known. An error
/// means that [`decode`] must read the record, which reports the actual fault. `data` is that of a user record.
pub(super) fn outline<'b>(
    raw: &RawRecord<'b>,
    outer: &Fields<'b>,
    source: Option<&'b Origin<'_>>,
    data: Option<&'b [u8]>,
    buffers: &'b mut Buffers,
) -> Result<RecordOf<'b, Outline<'b>>, Fault> {
    let Buffers { bytes, nodes, canonical } = buffers;
    let message = Message::read(outer, source)?;
    let json = json_of(match data {
        Some(data) => data,
        None => message.decode_quickly(bytes)?,
    })?;
    nodes.clear();
    let fields = Fields::of_whole(json, nodes)?;
    if fields.is_table_change() {
        let all = Outline::new(json, nodes);
        return table_change(raw, &fields, message.stream_arn, canonical, |item| item.outline(all));
    }
    nodes.clear();
    let end = scan::plain_image(json, nodes);
    let nodes = nodes.as_slice();
    plain_message(raw, outer, json, &message, || match end {
        Some(end) if Reader::at(json, end).end().is_ok() => Ok(Outline::new(json, nodes)),
        _ => Err(fault("kinesis.data", "can't be outlined")),
    })
}

/// The stream that the record's ARN names.
pub(super) fn source<'a>(fields: &Fields<'a>) -> Result<Origin<'a>, Fault> {
    let stream_arn = stream_of(text(fields.event_source_arn, "eventSourceARN")?);
    let name = Cow::Owned(name_of(&stream_arn));
    Ok(Origin { stream_arn, name })
}

/// The fields of a `kinesis` object, each as JSON text.
#[derive(Debug, Default)]
pub(super) struct KinesisFields<'a> {
    pub sequence: Option<&'a str>,
    data: Option<&'a str>,
    arrived_at: Option<&'a str>,
    /// The error that ended reading early.
    broken: Option<JsonError>,
}

impl<'a> KinesisFields<'a> {
    /// Reads the object on the fast path. An error means that the fallback must read it.
    pub(super) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), JsonError> {
        reader.object(|reader, name| {
            self.set(&name, reader.raw()?);
            Ok(())
        })
    }

    /// Reads an object that may be broken. The fields before the break are kept.
    pub(super) fn of(json: &'a str) -> Self {
        let mut fields = KinesisFields::default();
        fields.broken = raw_fields(json, |name, value| fields.set(name, value)).err();
        fields
    }

    fn set(&mut self, name: &str, value: &'a str) {
        match name {
            "sequenceNumber" => self.sequence = Some(value),
            "data" => self.data = Some(value),
            "approximateArrivalTimestamp" => self.arrived_at = Some(value),
            _ => {}
        }
    }
}

/// The data of a record with the fields around it.
pub(super) struct Message<'a> {
    stream_arn: Cow<'a, str>,
    /// The base64 as JSON text. That of an aggregated record isn't read again for each user record.
    data: Option<&'a str>,
    arrived_at: Option<&'a str>,
}

impl<'a> Message<'a> {
    pub(super) fn read(record: &Fields<'a>, source: Option<&'a Origin<'_>>) -> Result<Self, Fault> {
        let fields = record.kinesis.as_ref().ok_or_else(|| fault("kinesis", "is missing"))?;
        if let Some(error) = fields.broken {
            return Err(Fault::from(error).within("kinesis"));
        }
        Ok(Message {
            stream_arn: match source {
                Some(source) => Cow::Borrowed(&*source.stream_arn),
                None => stream_of(text(record.event_source_arn, "eventSourceARN")?),
            },
            data: fields.data,
            arrived_at: fields.arrived_at,
        })
    }

    /// Decodes the data, or the part of it that is a user record, into `bytes`.
    pub(super) fn decode<'b>(
        &self,
        user_record: Option<&UserRecord>,
        bytes: &'b mut Vec<u8>,
    ) -> Result<&'b [u8], Fault> {
        let data = text(self.data, "kinesis.data")?;
        let invalid = || fault("kinesis.data", "isn't valid base64");
        if let Some(user_record) = user_record {
            return user_record.decode(&data, bytes).ok_or_else(invalid);
        }
        bytes.clear();
        BASE64.decode_vec(data.as_bytes(), bytes).map_err(|_| invalid())?;
        Ok(bytes)
    }

    /// Decodes the data with SIMD, for the fast path.
    fn decode_quickly<'b>(&self, bytes: &'b mut Vec<u8>) -> Result<&'b [u8], Fault> {
        let data = text(self.data, "kinesis.data")?;
        bytes.clear();
        let decoded = base64_simd::STANDARD.decode_append(data.as_bytes(), bytes);
        decoded.map_err(|_| fault("kinesis.data", "isn't valid base64"))?;
        Ok(bytes)
    }
}

pub(super) fn json_of(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| match bytes.starts_with(&MAGIC) {
        true => fault("kinesis.data", "starts like an aggregated record, but has the wrong MD5 or an invalid protobuf"),
        false => fault("kinesis.data", "isn't valid UTF-8"),
    })
}

impl Fields<'_> {
    pub(super) fn is_table_change(&self) -> bool {
        self.dynamodb.is_some() && self.event_name.is_some()
    }
}

fn table_change<'b, I: Canonical>(
    raw: &RawRecord<'b>,
    fields: &Fields<'b>,
    stream_arn: Cow<'b, str>,
    canonical: &mut Vec<u8>,
    read: impl Fn(&RawItem<'b>) -> Result<I, Fault>,
) -> Result<RecordOf<'b, I>, Fault> {
    let record = StreamRecord::whole(&fields.dynamodb)?;
    let table = text(fields.table_name, "tableName")?;
    let keys = record.keys(&read)?;
    let (created_at, precision) = record.created_at()?;
    check_precision(record.precision, precision)?;
    let change = record.change(&text(fields.event_name, "eventName")?, remover(fields.user_identity)?, &read)?;
    let (old, new) = match &change {
        ChangeOf::Insert { new } => (None, new.item()),
        ChangeOf::Modify { old, new } => (old.item(), new.item()),
        ChangeOf::Remove { old, .. } => (old.item(), None),
    };
    let identity =
        identity::TableChange { table: &table, keys: &keys, event: change.event(), created_at, precision, old, new };
    Ok(RecordOf {
        id: identity::of_table_change(&identity, canonical),
        sequence: raw.sequence.clone(),
        event_id: text(fields.event_id, "eventID")?,
        created_at,
        user_record: raw.user_record(),
        source: Origin { stream_arn, name: table },
        keys,
        change,
    })
}

fn plain_message<'b, I: Default>(
    raw: &RawRecord<'b>,
    outer: &Fields<'b>,
    json: &'b str,
    message: &Message<'b>,
    item: impl FnOnce() -> Result<I, Fault>,
) -> Result<RecordOf<'b, I>, Fault> {
    let (created_at, _) = time(message.arrived_at, "kinesis.approximateArrivalTimestamp")?;
    let event_id = text(outer.event_id, "eventID")?;
    let shard = event_id.split(':').next().unwrap_or_default();
    let new = item()?;
    let stream_arn = message.stream_arn.clone();
    let name = name_of(&stream_arn);
    Ok(RecordOf {
        id: identity::of_message(&identity::Message {
            stream_arn: &stream_arn,
            shard,
            sequence: &raw.sequence,
            user_record: raw.user_record(),
            data: json.as_bytes(),
        }),
        sequence: raw.sequence.clone(),
        event_id,
        created_at,
        user_record: raw.user_record(),
        source: Origin { stream_arn, name: Cow::Owned(name) },
        keys: I::default(),
        change: ChangeOf::Insert { new: ImageOf::Carried(new) },
    })
}

/// Checks that the precision that a record states is the unit of its time.
fn check_precision(stated: Option<&str>, found: Unit) -> Result<(), Fault> {
    const FIELD: &str = "ApproximateCreationDateTimePrecision";
    let stated = match stated {
        None => return Ok(()),
        Some(_) => text(stated, FIELD)?,
    };
    match (&*stated, found) {
        ("MILLISECOND", Unit::Milliseconds) | ("MICROSECOND", Unit::Microseconds) => Ok(()),
        ("MILLISECOND" | "MICROSECOND", _) => {
            Err(Fault::new(Code::InvalidTime, FIELD, "doesn't match the value of ApproximateCreationDateTime"))
        }
        _ => Err(Fault::new(Code::InvalidTime, FIELD, "is not MILLISECOND or MICROSECOND")),
    }
}

/// The ARN of the stream. With enhanced fan-out, a record has the consumer's ARN, which starts with the stream's.
fn stream_of(arn: Cow<'_, str>) -> Cow<'_, str> {
    match arn.find("/consumer/") {
        None => arn,
        Some(end) => Cow::Owned(arn.get(..end).unwrap_or_default().to_owned()),
    }
}

/// The name of the stream with this ARN.
fn name_of(stream_arn: &str) -> String {
    stream_arn.rsplit('/').next().unwrap_or_default().to_owned()
}

fn fault(field: &str, message: &str) -> Fault {
    Fault::new(Code::Malformed, field, message)
}
