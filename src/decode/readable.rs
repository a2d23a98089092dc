//! Reads the items of records as far as they can be read, for whoever asks whose a record is that can't be decoded. One value that is
//! invalid doesn't hide the others.

use super::fields::Fields;
use super::kinesis::{Message, json_of};
use super::{RawRecord, Service, attribute};
use crate::record::{Image, ImageOf, Item};

/// Reads the items of records of one event.
#[derive(Debug, Default)]
pub struct ItemReader<'a> {
    /// The JSON and the fields of the last record. The user records of an aggregated Kinesis record share them.
    last: Option<(&'a str, Fields<'a>)>,
    /// Decoded base64.
    bytes: Vec<u8>,
}

impl<'a> ItemReader<'a> {
    /// The keys and the newest image of `raw`, without the attributes that can't be read. `None` if there is nothing to read.
    pub fn read<'b>(&'b mut self, raw: &RawRecord<'a>) -> Option<(Item<'b>, Image<'b>)>
    where
        'a: 'b,
    {
        if !self.last.as_ref().is_some_and(|(json, _)| std::ptr::eq(*json, raw.json)) {
            self.last = Some((raw.json, Fields::of_whole(raw.json, &mut Vec::new()).ok()?));
        }
        let (_, fields) = self.last.as_ref()?;
        match raw.service {
            Service::DynamoDb => fields.dynamodb.as_ref().map(|record| record.readable()),
            Service::Kinesis => of_message(raw, fields, &mut self.bytes),
        }
    }
}

/// The keys and the newest image of a message, which may be a change of a table.
fn of_message<'b>(raw: &RawRecord<'_>, outer: &Fields<'b>, bytes: &'b mut Vec<u8>) -> Option<(Item<'b>, Image<'b>)> {
    let message = Message::read(outer, None).ok()?;
    let json = json_of(message.decode(raw.user_record.as_ref(), bytes).ok()?).ok()?;
    let fields = Fields::of_whole(json, &mut Vec::new()).ok()?;
    match &fields.dynamodb {
        Some(record) if fields.is_table_change() => Some(record.readable()),
        _ => Some((Item::default(), ImageOf::Carried(attribute::readable_plain_item(json)))),
    }
}
