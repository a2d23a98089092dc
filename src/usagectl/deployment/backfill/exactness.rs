//! Every short history of an item, with the exports, the stream, and the cut in every order, counts and archives what it must: what
//! the exports and the stream say of the item at the cut, and the changes from the cut on, add up to what the table has.

use event_source_mapping::SourceRecord;
use stream_types::{SequenceNumber, Timestamp};

use super::changes::Replaced;
use super::cut::Changes;
use super::item::ItemKey;
use super::record::{Entry, Purpose};

/// What happens once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// A full export shows the table.
    Full,
    /// The stream is attached.
    Attached,
    /// Counting begins. Without it, it begins with the stream.
    Cut,
    /// An incremental export shows what has changed since the full one.
    Incremental,
}

use Event::{Attached, Cut, Full, Incremental};

/// The orders that a backfill takes: the last export is from after the stream was attached, and counting begins after that.
const ORDERS: [&[Event]; 10] = [
    &[Attached, Full],
    &[Attached, Cut, Full],
    &[Attached, Full, Cut],
    &[Full, Attached, Incremental],
    &[Attached, Full, Incremental],
    &[Full, Attached, Cut, Incremental],
    &[Full, Attached, Incremental, Cut],
    &[Attached, Full, Cut, Incremental],
    &[Attached, Cut, Full, Incremental],
    &[Attached, Full, Incremental, Cut],
];

/// A write of the item: an amount that it never had, or none because it is deleted, by a person or by time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Put,
    Delete,
}

/// What may happen to the item between two events.
const WRITES: [&[Write]; 5] =
    [&[], &[Write::Put], &[Write::Delete], &[Write::Put, Write::Delete], &[Write::Delete, Write::Put]];

const EPOCH: i64 = 1_795_856_220;

fn names() -> [String; 1] {
    ["pk".to_owned()]
}

fn image(amount: i64) -> String {
    format!(r#"{{"pk":{{"S":"a"}},"n":{{"N":"{amount}"}}}}"#)
}

fn amount(image: &str) -> i64 {
    let image: serde_json::Value = serde_json::from_str(image).unwrap();
    image["n"]["N"].as_str().unwrap().parse().unwrap()
}

/// What a table, its stream, and its exports have of the item.
#[derive(Debug, Default)]
struct Seen {
    item: Option<i64>,
    writes: i64,
    second: i64,
    /// Whether the stream was attached, and its records.
    stream: Option<Vec<SourceRecord>>,
    cut: Option<Timestamp>,
    /// What the item was when counting began, and how many records the stream had.
    at_cut: Option<(Option<i64>, usize)>,
    full: Option<i64>,
    incremental: Option<String>,
}

impl Seen {
    fn at(&self) -> Timestamp {
        Timestamp::from_seconds(EPOCH + self.second).unwrap()
    }

    fn write(&mut self, write: Write) {
        self.writes += 1;
        let new = (write == Write::Put).then_some(self.writes);
        let old = std::mem::replace(&mut self.item, new);
        let name = match (old, new) {
            // A write that changes nothing has no record.
            (None, None) => return,
            (None, Some(_)) => "INSERT",
            (Some(_), None) => "REMOVE",
            (Some(_), Some(_)) => "MODIFY",
        };
        let (at, sequence) = (self.at(), SequenceNumber::parse(self.writes.to_string()).unwrap());
        let images = [("OldImage", old), ("NewImage", new)]
            .map(|(name, amount)| amount.map_or(String::new(), |amount| format!(r#","{name}":{}"#, image(amount))));
        let json = format!(r#"{{"eventName":"{name}","dynamodb":{{"Keys":{{"pk":{{"S":"a"}}}}{}}}}}"#, images.concat());
        if let Some(records) = &mut self.stream {
            records.push(SourceRecord { sequence, item: 0, created_at: at, json });
        }
    }

    fn happens(&mut self, event: Event) {
        self.second += 1;
        match event {
            Full => self.full = self.item,
            Attached => {
                self.stream = Some(Vec::new());
                self.at_cut = Some((self.item, 0));
            }
            Cut => {
                self.cut = Some(self.at());
                self.at_cut = Some((self.item, self.stream.as_ref().unwrap().len()));
            }
            Incremental if self.item == self.full => {}
            Incremental => {
                let new = self.item.map_or(String::new(), |amount| format!(r#","NewImage":{}"#, image(amount)));
                self.incremental = Some(format!(r#"{{"Keys":{{"pk":{{"S":"a"}}}}{new}}}"#));
            }
        }
    }

    /// What a backfill makes of it.
    fn entries(&self) -> Vec<Entry> {
        let mut replaced = Replaced::default();
        if let Some(line) = &self.incremental {
            replaced.take_line(line, &names(), Purpose::Whole).unwrap();
        }
        let mut changes = Changes::new(self.cut, &names());
        self.stream.iter().flatten().rev().for_each(|record| changes.take(record).unwrap());
        changes.at_cut().for_each(|(key, at_cut)| replaced.take(key, at_cut));
        let shown = self.full.map(|amount| (ItemKey::of(&image(amount), &names()).unwrap(), image(amount)));
        let shown = shown.filter(|(key, _)| !replaced.contains(key));
        let shown = shown.map(|(key, image)| Entry::Item { key, image, purpose: Purpose::Whole });
        replaced.entries().chain(shown).collect()
    }

    fn check(&self) {
        let (existed, before) = self.at_cut.unwrap();
        let entries = self.entries();
        let found: Vec<(i64, Purpose)> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Item { image, purpose, .. } => (amount(image), *purpose),
                Entry::Refused { reason, .. } => panic!("{reason}: {self:?}"),
            })
            .collect();
        // The stream archives an item that it has changed before the cut.
        let purpose = if before > 0 { Purpose::Counted } else { Purpose::Whole };
        let expected: Vec<(i64, Purpose)> = existed.map(|amount| (amount, purpose)).into_iter().collect();
        assert_eq!(found, expected, "{self:?}");

        let counted = self.stream.iter().flatten().filter(|record| self.cut.is_none_or(|cut| record.created_at >= cut));
        let deltas = counted.map(|record| {
            let record: serde_json::Value = serde_json::from_str(&record.json).unwrap();
            let [old, new] = ["OldImage", "NewImage"].map(|name| match &record["dynamodb"][name] {
                serde_json::Value::Null => 0,
                image => amount(&image.to_string()),
            });
            new - old
        });
        let opening: i64 = found.iter().map(|(amount, _)| amount).sum();
        assert_eq!(opening + deltas.sum::<i64>(), self.item.unwrap_or(0), "{self:?}");
    }
}

#[test]
fn every_history_of_an_item_around_the_exports_and_the_cut_adds_up() {
    let mut histories = 0;
    for order in ORDERS {
        let slots = u32::try_from(order.len() + 1).unwrap();
        for number in 0..WRITES.len().pow(slots) {
            let mut seen = Seen::default();
            let writes = |slot: usize| WRITES[number / WRITES.len().pow(u32::try_from(slot).unwrap()) % WRITES.len()];
            for (slot, event) in order.iter().enumerate() {
                writes(slot).iter().for_each(|write| seen.write(*write));
                seen.happens(*event);
            }
            writes(order.len()).iter().for_each(|write| seen.write(*write));
            seen.check();
            histories += 1;
        }
    }
    assert_eq!(histories, 125 + 4 * 625 + 5 * 3_125);
}
