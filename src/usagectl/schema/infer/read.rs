//! Finds the items in what a person has: an event, the output of the AWS CLI, or a file of a table export.

use serde::Deserialize;
use serde_json::value::RawValue;
use usage_aggregator::decode::{Event, attribute};
use usage_aggregator::record::{Change, Image, Item};

use super::super::draft::{Sample, Source};
use super::key;
use crate::shell::console::counted;

const ACCEPTED: &str = "use a Lambda event, the output of `aws dynamodb scan`, `query` or `get-item`, or a data file of a table \
                        export (DynamoDB JSON)";

/// What a file contains.
pub(in crate::schema) struct Input<'a> {
    /// Its items.
    pub samples: Vec<Sample<'a>>,
    /// Where they came from.
    pub source: Source,
    /// Notes for the person who reviews the draft.
    pub notes: Vec<String>,
}

/// One JSON document of the AWS CLI or of an export, whose files have one on each line.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(rename = "Records", borrow)]
    records: Option<&'a RawValue>,
    #[serde(rename = "Items", borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(rename = "Item", borrow)]
    item: Option<&'a RawValue>,
    #[serde(rename = "Keys", borrow)]
    keys: Option<&'a RawValue>,
    #[serde(rename = "NewImage", borrow)]
    new_image: Option<&'a RawValue>,
    #[serde(rename = "OldImage", borrow)]
    old_image: Option<&'a RawValue>,
}

/// Reads the items in `bytes`. `keys` are the key attributes of items that don't name them.
///
/// # Errors
/// If there are none, or if their key is unknown.
pub(in crate::schema) fn read<'a>(
    bytes: &'a [u8],
    scratch: &'a mut Vec<Vec<u8>>,
    keys: &[String],
) -> Result<Input<'a>, String> {
    let mut documents = Vec::new();
    for document in serde_json::Deserializer::from_slice(bytes).into_iter::<Document<'a>>() {
        match document {
            Ok(Document { records: Some(_), .. }) => return of_event(bytes, scratch),
            Ok(document) => documents.push(document),
            Err(error) => return Err(format!("{error}; {ACCEPTED}")),
        }
    }
    of_documents(&documents, keys)
}

/// What couldn't be read, with the first reason.
#[derive(Default)]
struct Unreadable {
    count: usize,
    first: Option<String>,
}

impl Unreadable {
    fn add(&mut self, reason: String) {
        self.count += 1;
        self.first.get_or_insert(reason);
    }

    /// Notes what is left out of `total`, or fails if that is everything.
    fn report(self, total: usize, what: &str, notes: &mut Vec<String>) -> Result<(), String> {
        let Some(first) = self.first else { return Ok(()) };
        if self.count == total {
            return Err(format!("none of the {} can be read: {first}; {ACCEPTED}", counted(total, what)));
        }
        notes.push(format!("{} of {} left out: {first}", self.count, counted(total, what)));
        Ok(())
    }
}

fn of_event<'a>(bytes: &'a [u8], scratch: &'a mut Vec<Vec<u8>>) -> Result<Input<'a>, String> {
    let event = Event::read(bytes).map_err(|error| format!("{error}; {ACCEPTED}"))?;
    let total = event.records().len();
    scratch.resize_with(total, Vec::new);
    let (mut unreadable, mut without_image) = (Unreadable::default(), 0);
    let mut input = Input { samples: Vec::new(), source: Source::default(), notes: Vec::new() };
    for (index, (raw, scratch)) in event.records().iter().zip(scratch.iter_mut()).enumerate() {
        let record = match raw.decode(scratch) {
            Ok(record) => record,
            Err(rejection) => {
                let fault = &rejection.fault;
                unreadable.add(format!("record {}: {}: {}", index + 1, fault.field, fault.message));
                continue;
            }
        };
        let keys: Vec<String> = record.keys.0.iter().map(|(name, _)| name.to_string()).collect();
        input.source.names.insert(record.source.name.to_string());
        input.source.is_plain_kinesis |= keys.is_empty();
        match record.change {
            Change::Insert { new: Image::Carried(item) }
            | Change::Modify { new: Image::Carried(item), .. }
            | Change::Remove { old: Image::Carried(item), .. } => input.samples.push(Sample { keys, item }),
            Change::Remove { .. } => input.source.removals_lack_images = true,
            Change::Insert { .. } | Change::Modify { .. } => without_image += 1,
        }
    }
    unreadable.report(total, "record", &mut input.notes)?;
    if input.samples.is_empty() {
        return Err(format!(
            "none of the {} has an item image: the view type of the stream must be NEW_AND_OLD_IMAGES or NEW_IMAGE",
            counted(total, "record")
        ));
    }
    if without_image > 0 {
        input.notes.push(format!("{} left out because they have no new image", counted(without_image, "record")));
    }
    if input.source.removals_lack_images {
        input.notes.push(
            "the stream has no old images, so the draft leaves REMOVE out; NEW_AND_OLD_IMAGES would include it"
                .to_owned(),
        );
    }
    Ok(input)
}

fn of_documents<'a>(documents: &[Document<'a>], given: &[String]) -> Result<Input<'a>, String> {
    let (mut unreadable, mut total, mut known) = (Unreadable::default(), 0, false);
    let (mut items, mut key_names): (Vec<Item<'a>>, Vec<String>) = (Vec::new(), given.to_vec());
    for document in documents {
        known |= document.items.is_some() || document.item.is_some() || document.keys.is_some();
        if let (Some(keys), true) = (document.keys, key_names.is_empty()) {
            let keys =
                attribute::item(keys.get()).map_err(|fault| format!("Keys: {}: {}", fault.field, fault.message))?;
            key_names = keys.0.iter().map(|(name, _)| name.to_string()).collect();
        }
        let images = [document.item, document.new_image.or(document.old_image)];
        for text in document.items.iter().flatten().copied().chain(images.into_iter().flatten()) {
            total += 1;
            match attribute::item(text.get()) {
                Ok(item) => items.push(item),
                Err(fault) => unreadable.add(format!("item {total}: {}: {}", fault.field, fault.message)),
            }
        }
    }
    let mut notes = Vec::new();
    unreadable.report(total, "item", &mut notes)?;
    if items.is_empty() {
        return Err(match known {
            true => "it has no items; scan a table that has some".to_owned(),
            false => format!("it has no items; {ACCEPTED}"),
        });
    }
    let keys = key::names(&items, &key_names, &mut notes)?;
    let samples = items.into_iter().map(|item| Sample { keys: keys.clone(), item }).collect();
    Ok(Input { samples, source: Source::default(), notes })
}

#[cfg(test)]
mod tests;
