//! Reads the items of records as far as they can be read, for whoever asks whose a record is that can't be decoded. One value that is
//! invalid doesn't hide the others.

use super::fields::Fields;
use super::kinesis::{Message, json_of, user_records};
use super::{RawRecord, Service, attribute};
use crate::record::{Image, ImageOf, Item};

/// Reads the items of records of one event.
#[derive(Debug, Default)]
pub struct ItemReader<'a> {
    /// The JSON and the fields of the last record. The user records of an aggregated Kinesis record share them.
    last: Option<(&'a str, Fields<'a>)>,
    /// The data of the last record, if it is aggregated.
    aggregate: Vec<u8>,
    /// The data of the last record that isn't.
    data: Vec<u8>,
}

impl<'a> ItemReader<'a> {
    /// The keys and the newest image of `raw`, without the attributes that can't be read. `None` if there is nothing to read.
    pub fn read<'b>(&'b mut self, raw: &RawRecord<'a>) -> Option<(Item<'b>, Image<'b>)>
    where
        'a: 'b,
    {
        if !self.last.as_ref().is_some_and(|(json, _)| std::ptr::eq(*json, raw.json)) {
            let fields = Fields::of_whole(raw.json, &mut Vec::new()).ok()?;
            if raw.user_record.is_some() {
                user_records(&fields, &mut self.aggregate);
            }
            self.last = Some((raw.json, fields));
        }
        let (_, fields) = self.last.as_ref()?;
        match (raw.service, &raw.user_record) {
            (Service::DynamoDb, _) => fields.dynamodb.as_ref().map(|record| record.readable(fields.event_name)),
            (Service::Kinesis, Some(user_record)) => of_message(user_record.of(&self.aggregate)),
            (Service::Kinesis, None) => {
                of_message(Message::read(fields, None).ok()?.decode(None, &mut self.data).ok()?)
            }
        }
    }
}

/// The keys and the newest image of a message, which may be a change of a table.
fn of_message(data: &[u8]) -> Option<(Item<'_>, Image<'_>)> {
    let json = json_of(data).ok()?;
    let fields = Fields::of_whole(json, &mut Vec::new()).ok()?;
    match &fields.dynamodb {
        Some(record) if fields.is_table_change() => Some(record.readable(fields.event_name)),
        _ => Some((Item::default(), ImageOf::Carried(attribute::readable_plain_item(json)))),
    }
}
