//! The cut between the items that existed and the changes that the stream counts. Pure.
//!
//! Each change has a record in the stream, and the function counts those from the cut on. So an item opens a measure with its
//! value at the cut, which is
//!
//! 1. the old image of its first record from the cut on, if it has one,
//! 2. or else the new image of its last record before the cut, if it has one,
//! 3. or else what the export or scan shows, because nothing has changed it between the two.
//!
//! No clock decides but the one by which the function itself decides what it counts. It doesn't matter which of the changes
//! in the second of an export the export includes, nor that a scan reads items one after another.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use stream_types::{SequenceNumber, Timestamp};

use super::item::ItemKey;
use event_source_mapping::SourceRecord;

/// What the stream says about items.
#[derive(Debug)]
pub(super) struct Changes {
    /// Records from here on are counted; without it, all are.
    cut: Option<Timestamp>,
    /// The attributes of the table's key.
    names: Vec<String>,
    items: BTreeMap<ItemKey, Touched>,
}

/// What the stream says about one item.
#[derive(Debug, Default)]
struct Touched {
    first_counted: Option<(SequenceNumber<'static>, Option<String>)>,
    last_before: Option<(SequenceNumber<'static>, Option<String>)>,
}

/// An item that the stream has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AtCut {
    /// What the item was at the cut, if it existed.
    pub(super) image: Option<String>,
    /// Whether the stream has a record of the item from before the cut, so that it is in the archive as it was at the cut.
    pub(super) is_archived: bool,
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    dynamodb: Change<'a>,
    #[serde(rename = "eventName")]
    event: String,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(rename = "Keys", borrow)]
    keys: &'a RawValue,
    #[serde(rename = "OldImage", borrow)]
    old: Option<&'a RawValue>,
    #[serde(rename = "NewImage", borrow)]
    new: Option<&'a RawValue>,
}

impl Changes {
    /// No changes yet of a table whose key has these attributes.
    pub(super) fn new(cut: Option<Timestamp>, names: &[String]) -> Changes {
        Changes { cut, names: names.to_vec(), items: BTreeMap::new() }
    }

    /// Takes a record, in any order.
    ///
    /// # Errors
    /// If the record can't be read, or lacks the image that decides.
    pub(super) fn take(&mut self, record: &SourceRecord) -> Result<(), String> {
        let Record { dynamodb: Change { keys, old, new }, event } = serde_json::from_str(&record.json)
            .map_err(|error| format!("the record {} of the stream can't be read: {error}", record.sequence))?;
        let key = ItemKey::of(keys.get(), &self.names)
            .map_err(|reason| format!("the record {} of the stream {reason}", record.sequence))?;
        let touched = self.items.entry(key).or_default();
        let is_counted = self.cut.is_none_or(|cut| record.created_at >= cut);
        let (image, expected, kept) = match is_counted {
            true => (old, event != "INSERT", &mut touched.first_counted),
            false => (new, event != "REMOVE", &mut touched.last_before),
        };
        if image.is_none() && expected {
            let needs = "needs NEW_AND_OLD_IMAGES as its view type";
            return Err(format!("the record {} of the stream has no image, and a baseline {needs}", record.sequence));
        }
        let decides = kept.as_ref().is_none_or(|(sequence, _)| match is_counted {
            true => record.sequence < *sequence,
            false => record.sequence > *sequence,
        });
        if decides {
            *kept = Some((record.sequence.clone(), image.map(|image| image.get().to_owned())));
        }
        Ok(())
    }

    /// The items that the stream has changed, as they were at the cut, or why one can't be told.
    pub(super) fn at_cut(self) -> impl Iterator<Item = (ItemKey, Result<AtCut, &'static str>)> {
        self.items.into_iter().map(|(key, touched)| (key, touched.at_cut()))
    }
}

impl Touched {
    fn at_cut(self) -> Result<AtCut, &'static str> {
        let is_archived = self.last_before.is_some();
        match (self.first_counted, self.last_before) {
            (Some((first, _)), Some((last, _))) if last > first => {
                Err("its changes around the cut aren't in the order of their times; correct its counters by hand")
            }
            (Some((_, image)), _) | (None, Some((_, image))) => Ok(AtCut { image, is_archived }),
            (None, None) => Ok(AtCut { image: None, is_archived }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: i64 = 1_795_856_220;

    /// A change of item `a` from one amount to another.
    fn record(sequence: u32, second: i64, from: Option<u32>, to: Option<u32>) -> SourceRecord {
        let image = |name: &str, amount: Option<u32>| {
            amount.map_or(String::new(), |n| format!(r#","{name}":{{"pk":{{"S":"a"}},"n":{{"N":"{n}"}}}}"#))
        };
        let event = match (from, to) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        let images = image("OldImage", from) + &image("NewImage", to);
        SourceRecord {
            sequence: SequenceNumber::parse(sequence.to_string()).unwrap(),
            item: 0,
            created_at: Timestamp::from_seconds(CUT + second).unwrap(),
            json: format!(r#"{{"eventName":"{event}","dynamodb":{{"Keys":{{"pk":{{"S":"a"}}}}{images}}}}}"#),
        }
    }

    fn at_cut(records: &[SourceRecord], cut: Option<i64>) -> Result<(Option<String>, bool), &'static str> {
        let mut changes = Changes::new(cut.and_then(Timestamp::from_seconds), &["pk".to_owned()]);
        records.iter().rev().for_each(|record| changes.take(record).unwrap());
        let (_, at_cut) = changes.at_cut().next().unwrap();
        at_cut.map(|at_cut| (at_cut.image, at_cut.is_archived))
    }

    fn amount(n: u32) -> Option<String> {
        Some(format!(r#"{{"pk":{{"S":"a"}},"n":{{"N":"{n}"}}}}"#))
    }

    #[test]
    fn an_item_is_what_its_first_counted_change_replaced() {
        let changes = [record(10, 0, Some(3), Some(4)), record(11, 0, Some(4), Some(5)), record(12, 9, Some(5), None)];
        assert_eq!(at_cut(&changes, Some(CUT)), Ok((amount(3), false)));
        assert_eq!(at_cut(&changes, None), Ok((amount(3), false)), "every record is counted");
        assert_eq!(at_cut(&[record(10, 0, None, Some(4))], Some(CUT)), Ok((None, false)), "it didn't exist");
    }

    #[test]
    fn an_item_that_changed_only_before_the_cut_is_what_that_left() {
        let before = [record(8, -2, Some(1), Some(2)), record(9, -1, Some(2), Some(3))];
        assert_eq!(at_cut(&before, Some(CUT)), Ok((amount(3), true)));
        let around = [&before[..], &[record(10, 0, Some(3), Some(4))]].concat();
        assert_eq!(at_cut(&around, Some(CUT)), Ok((amount(3), true)));
        assert_eq!(at_cut(&[record(9, -1, Some(2), None)], Some(CUT)), Ok((None, true)), "it was deleted");
    }

    #[test]
    fn changes_out_of_order_and_without_images_are_refused() {
        let swapped = [record(9, 0, Some(2), Some(3)), record(10, -1, Some(3), Some(4))];
        assert!(at_cut(&swapped, Some(CUT)).unwrap_err().starts_with("its changes around the cut aren't in the order"));
        let mut changes = Changes::new(None, &["pk".to_owned()]);
        let mut keys_only = record(1, 0, Some(1), Some(2));
        keys_only.json = keys_only.json.replace("OldImage", "Other");
        assert!(changes.take(&keys_only).unwrap_err().contains("needs NEW_AND_OLD_IMAGES"));
    }
}
