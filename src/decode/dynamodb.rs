//! Records of DynamoDB Streams, and the `dynamodb` object that they share with Kinesis Data Streams for DynamoDB.

use std::borrow::Cow;

use super::fields::{Fields, RawItem};
use super::identity::{self, Canonical};
use super::json::{JsonError, Reader, raw_fields};
use super::{RawRecord, attribute, text};
use crate::decimal::Decimal;
use crate::outline::{Node, Outline};
use crate::record::{ChangeOf, ChangeRecord, Code, Fault, Image, ImageOf, Item, Origin, RecordOf, Remover};
use crate::time::{Timestamp, Unit};

/// The fields of a `dynamodb` object, each as JSON text.
#[derive(Debug, Default)]
pub(super) struct StreamRecord<'a> {
    pub sequence: Option<&'a str>,
    pub created_at: Option<&'a str>,
    pub precision: Option<&'a str>,
    keys: Option<RawItem<'a>>,
    new_image: Option<RawItem<'a>>,
    old_image: Option<RawItem<'a>>,
    view_type: Option<&'a str>,
    /// The error that ended reading early.
    broken: Option<JsonError>,
}

impl<'a> StreamRecord<'a> {
    /// Reads the object on the fast path. An error means that the fallback must read it.
    pub(super) fn read(&mut self, reader: &mut Reader<'a>, nodes: &mut Vec<Node>) -> Result<(), JsonError> {
        reader.object(|reader, name| {
            match self.item(&name) {
                Some(item) => *item = Some(RawItem::read(reader, nodes)?),
                None => self.set(&name, reader.raw()?),
            }
            Ok(())
        })
    }

    /// Reads an object that may be broken. The fields before the break are kept.
    pub(super) fn of(json: &'a str) -> Self {
        let mut record = StreamRecord::default();
        record.broken = raw_fields(json, |name, value| match record.item(name) {
            Some(item) => *item = Some(RawItem { json: value, nodes: None }),
            None => record.set(name, value),
        })
        .err();
        record
    }

    fn set(&mut self, name: &str, value: &'a str) {
        match name {
            "SequenceNumber" => self.sequence = Some(value),
            "ApproximateCreationDateTime" => self.created_at = Some(value),
            "ApproximateCreationDateTimePrecision" => self.precision = Some(value),
            "StreamViewType" => self.view_type = Some(value),
            _ => {}
        }
    }

    /// The field for the item called `name`.
    fn item(&mut self, name: &str) -> Option<&mut Option<RawItem<'a>>> {
        match name {
            "Keys" => Some(&mut self.keys),
            "NewImage" => Some(&mut self.new_image),
            "OldImage" => Some(&mut self.old_image),
            _ => None,
        }
    }

    /// The record, if there is one and it was read completely.
    pub(super) fn whole(record: &Option<Self>) -> Result<&Self, Fault> {
        let record = record.as_ref().ok_or_else(|| Fault::new(Code::Malformed, "dynamodb", "is missing"))?;
        match record.broken {
            Some(error) => Err(Fault::from(error).within("dynamodb")),
            None => Ok(record),
        }
    }

    /// The keys, converted by `read`.
    pub(super) fn keys<I: Canonical>(&self, read: impl Fn(&RawItem<'a>) -> Result<I, Fault>) -> Result<I, Fault> {
        let keys = self.keys.as_ref().ok_or_else(|| Fault::new(Code::Malformed, "Keys", "is missing"))?;
        let keys = read(keys).map_err(|fault| fault.within("Keys"))?;
        if keys.is_empty() {
            return Err(Fault::new(Code::Malformed, "Keys", "is empty"));
        }
        Ok(keys)
    }

    /// The keys and the newest image, without the attributes that can't be read.
    pub(super) fn readable(&self, event_name: Option<&str>) -> (Item<'a>, Image<'a>) {
        let read = |item: &RawItem<'a>| attribute::readable_item(item.json);
        let is_removal = text(event_name, "eventName").is_ok_and(|name| name == "REMOVE");
        let newest = if is_removal { &self.old_image } else { &self.new_image };
        let image = newest.as_ref().map_or(ImageOf::NotCarried, |image| ImageOf::Carried(read(image)));
        (self.keys.as_ref().map(read).unwrap_or_default(), image)
    }

    /// The time of the change, and the unit in which it was given.
    pub(super) fn created_at(&self) -> Result<(Timestamp, Unit), Fault> {
        time(self.created_at, "ApproximateCreationDateTime")
    }

    /// The change with its images, converted by `read`.
    pub(super) fn change<I>(
        &self,
        event_name: &str,
        by: Remover,
        read: impl Fn(&RawItem<'a>) -> Result<I, Fault>,
    ) -> Result<ChangeOf<I>, Fault> {
        let views = self.views()?;
        let new = |carries| image(self.new_image.as_ref(), "NewImage", carries, &read);
        let old = |carries| image(self.old_image.as_ref(), "OldImage", carries, &read);
        match event_name {
            "INSERT" => Ok(ChangeOf::Insert { new: new(views.new)? }),
            "MODIFY" => Ok(ChangeOf::Modify { old: old(views.old)?, new: new(views.new)? }),
            "REMOVE" => Ok(ChangeOf::Remove { old: old(views.old)?, by }),
            _ => Err(Fault::new(Code::UnknownEventName, "eventName", "is not one of INSERT, MODIFY, REMOVE")),
        }
    }

    fn views(&self) -> Result<Views, Fault> {
        if self.view_type.is_none() {
            return Ok(Views { new: false, old: false });
        }
        match &*text(self.view_type, "StreamViewType")? {
            "KEYS_ONLY" => Ok(Views { new: false, old: false }),
            "NEW_IMAGE" => Ok(Views { new: true, old: false }),
            "OLD_IMAGE" => Ok(Views { new: false, old: true }),
            "NEW_AND_OLD_IMAGES" => Ok(Views { new: true, old: true }),
            _ => {
                let known = "is not one of KEYS_ONLY, NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES";
                Err(Fault::new(Code::UnknownViewType, "StreamViewType", known))
            }
        }
    }
}

/// Which images the stream's view type includes.
struct Views {
    new: bool,
    old: bool,
}

/// Decodes the record, with its items as values.
pub(super) fn decode<'b>(raw: &RawRecord<'b>, fields: &Fields<'b>) -> Result<ChangeRecord<'b>, Fault> {
    record(raw, fields, None, &mut Vec::new(), value)
}

/// Decodes the record, with its items as outlines, which are parts of `all`. `source` is the record's source, if it is
/// already known.
pub(super) fn outline<'b>(
    raw: &RawRecord<'b>,
    fields: &Fields<'b>,
    source: Option<&'b Origin<'_>>,
    all: Outline<'b>,
    canonical: &mut Vec<u8>,
) -> Result<RecordOf<'b, Outline<'b>>, Fault> {
    record(raw, fields, source, canonical, |item| item.outline(all))
}

/// Decodes an item to values.
pub(super) fn value<'a>(item: &RawItem<'a>) -> Result<Item<'a>, Fault> {
    attribute::item(item.json)
}

fn record<'b, I: Canonical>(
    raw: &RawRecord<'b>,
    fields: &Fields<'b>,
    source: Option<&'b Origin<'_>>,
    canonical: &mut Vec<u8>,
    read: impl Fn(&RawItem<'b>) -> Result<I, Fault>,
) -> Result<RecordOf<'b, I>, Fault> {
    let record = StreamRecord::whole(&fields.dynamodb)?;
    let stream_arn = match source {
        Some(source) => Cow::Borrowed(&*source.stream_arn),
        None => text(fields.event_source_arn, "eventSourceARN")?,
    };
    let keys = record.keys(&read)?;
    let (created_at, _) = record.created_at()?;
    let event_name = text(fields.event_name, "eventName")?;
    let change = record.change(&event_name, remover(fields.user_identity)?, &read)?;
    Ok(RecordOf {
        id: identity::of_stream_record(&stream_arn, &keys, &raw.sequence, canonical),
        sequence: raw.sequence.clone(),
        event_id: text(fields.event_id, "eventID")?,
        user_record: None,
        created_at,
        source: match source {
            Some(source) => Origin { name: Cow::Borrowed(&*source.name), stream_arn },
            None => Origin { name: table_of(&stream_arn)?, stream_arn },
        },
        keys,
        change,
    })
}

/// The stream that the record's ARN names, and the stream's table.
pub(super) fn source<'a>(fields: &Fields<'a>) -> Result<Origin<'a>, Fault> {
    let stream_arn = text(fields.event_source_arn, "eventSourceARN")?;
    Ok(Origin { name: table_of(&stream_arn)?, stream_arn })
}

/// Who removed an item. DynamoDB names itself as the user of Time to Live deletions.
pub(super) fn remover(user_identity: Option<&str>) -> Result<Remover, Fault> {
    let Some(json) = user_identity.filter(|json| *json != "null") else {
        return Ok(Remover::Caller);
    };
    let mut principal = None;
    // Lambda writes `principalId`, the DynamoDB Streams API `PrincipalId`.
    let read = raw_fields(json, |name, value| {
        if name.eq_ignore_ascii_case("principalId") {
            principal = Reader::new(value).string().ok();
        }
    });
    read.map_err(|error| Fault::from(error).within("userIdentity"))?;
    Ok(if principal.as_deref() == Some("dynamodb.amazonaws.com") { Remover::TimeToLive } else { Remover::Caller })
}

/// Reads a number that represents a time.
pub(super) fn time(json: Option<&str>, field: &str) -> Result<(Timestamp, Unit), Fault> {
    let json = json.ok_or_else(|| Fault::new(Code::InvalidTime, field, "is missing"))?;
    let mut reader = Reader::new(json);
    let text = reader.number().ok().filter(|_| reader.peek().is_none());
    let number = text.and_then(|text| Decimal::parse(text).ok());
    let number = number.ok_or_else(|| Fault::new(Code::InvalidTime, field, "is not a number"))?;
    Timestamp::recognize(number).ok_or_else(|| {
        let message = "is not a time from 2000 to 2099 in seconds, milliseconds or microseconds since 1970";
        Fault::new(Code::InvalidTime, field, message)
    })
}

fn image<'a, I>(
    item: Option<&RawItem<'a>>,
    name: &str,
    included: bool,
    read: impl Fn(&RawItem<'a>) -> Result<I, Fault>,
) -> Result<ImageOf<I>, Fault> {
    match item {
        Some(item) => Ok(ImageOf::Carried(read(item).map_err(|fault| fault.within(name))?)),
        None if included => Err(Fault::new(Code::Malformed, name, "is missing, although the view type includes it")),
        None => Ok(ImageOf::NotCarried),
    }
}

/// `arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL` -> NAME
fn table_of<'a>(stream_arn: &Cow<'a, str>) -> Result<Cow<'a, str>, Fault> {
    let name = |arn: &str| -> Option<std::ops::Range<usize>> {
        let start = arn.find(":table/")? + ":table/".len();
        let length = arn.get(start..)?.find('/')?;
        Some(start..start + length)
    };
    let range = name(stream_arn)
        .ok_or_else(|| Fault::new(Code::Malformed, "eventSourceARN", "is not the ARN of a DynamoDB stream"))?;
    Ok(match stream_arn {
        Cow::Borrowed(arn) => Cow::Borrowed(arn.get(range).unwrap_or_default()),
        Cow::Owned(arn) => Cow::Owned(arn.get(range).unwrap_or_default().to_owned()),
    })
}
