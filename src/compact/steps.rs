//! Steps of items' histories: what a row of the archive says about its item, and what the pipeline counts for it. The scheduled proof
//! and `usagectl reconcile` and `prove` share this.

mod fields;
mod image;
pub mod provable;

use std::collections::BTreeMap;

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::{Pipeline, Route, Routed};
use usage_aggregator::plan::backfill;
use usage_aggregator::record::{Change, ChangeRecord, Image, Item, Origin, RecordId, Remover, SequenceNumber};
use usage_aggregator::usage::{CounterAdditions, additions, openings};

pub use fields::{RowFields, item_text};
pub use image::{attributes, image};

/// A row of a history. That of a backfill has no digits, so that it comes first, and the event ID as its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The key of the item.
    pub item: String,
    /// The digits of the sequence number, by which it is ordered first.
    pub digits: i64,
    /// The sequence number.
    pub sequence: String,
    /// The id of the record.
    pub id: String,
    /// The record type.
    pub record_type: String,
    /// The name of the event.
    pub event: String,
    /// When the record was created, in microseconds since the epoch.
    pub created_at: i64,
    /// The row, as JSON.
    pub image: String,
}

impl Step {
    /// The step that a row is in the history of its item, whose key attributes `route` names.
    ///
    /// # Errors
    /// If the row lacks what every row needs.
    pub fn of(route: &Route, row: &Value, fields: &RowFields) -> anyhow::Result<Step> {
        let text = |source: &str| fields.source(source).and_then(|field| row.get(field)).and_then(Value::as_str);
        let (sequence, event) = (text("sequence_number"), text("event_name"));
        let sequence = sequence.context("find the row's sequence number")?.trim_start_matches('0');
        let created_at = created_at(row, fields).context("find the row's time")?;
        // Only backfilled rows have an event ID that begins like this; DynamoDB's are hexadecimal digits.
        let backfilled = text("event_id").filter(|id| [backfill::WHOLE, backfill::ARCHIVED].contains(id));
        let field = |name: &'_ str| Some(row.get(fields.attribute(name)?.0)?.clone());
        let key: BTreeMap<&str, Value> =
            route.matched_attributes().filter_map(|name| Some((name, field(name)?))).collect();
        let key = serde_json::to_string(&key)?;
        // Items of several tables may have the same key.
        let table = text("stream_arn").map(|arn| arn.split_once("/stream/").map_or(arn, |(table, _)| table));
        Ok(Step {
            item: table.map_or_else(|| key.clone(), |table| format!("{key} of {table}")),
            digits: if backfilled.is_some() { 0 } else { i64::try_from(sequence.len())? },
            sequence: sequence.to_owned(),
            id: text("record_id").map(hex).unwrap_or_default(),
            record_type: route.record_type.clone(),
            event: backfilled.or(event).context("find the row's event")?.to_owned(),
            created_at: created_at.micros(),
            image: row.to_string(),
        })
    }

    /// When its record was created.
    ///
    /// # Errors
    /// If it isn't a time.
    pub fn at(&self) -> anyhow::Result<Timestamp> {
        Timestamp::from_micros(self.created_at).context("read the row's time")
    }

    /// What orders the steps of an item.
    pub fn order(&self) -> (i64, &str) {
        (self.digits, &self.sequence)
    }

    /// The change that a step is after this image of its item, removed by whoever.
    ///
    /// # Errors
    /// With what is wrong, if the image before it isn't known or can't be right.
    pub fn change(
        &self,
        old: Option<Item<'static>>,
        new: &Item<'static>,
        by: Remover,
        needs_old: bool,
    ) -> Result<Change<'static>, Unlinked> {
        let carried = |item: &Item<'static>| Image::Carried(item.clone());
        match (self.event.as_str(), old) {
            (backfill::WHOLE, _) | ("INSERT", None) => Ok(Change::Insert { new: carried(new) }),
            ("INSERT", Some(_)) if !needs_old => Ok(Change::Insert { new: carried(new) }),
            ("MODIFY", Some(old)) => Ok(Change::Modify { old: Image::Carried(old), new: carried(new) }),
            ("MODIFY", None) if !needs_old => Ok(Change::Modify { old: Image::NotCarried, new: carried(new) }),
            ("REMOVE", Some(old)) if old == *new => Ok(Change::Remove { old: carried(&old), by }),
            ("REMOVE", _) if !needs_old => Ok(Change::Remove { old: carried(new), by }),
            ("INSERT", Some(_)) => Err(Unlinked::SecondInsertion),
            (_, None) => Err(Unlinked::NoInsertion),
            (_, Some(_)) => Err(Unlinked::OtherItem),
        }
    }

    /// What the pipeline counts for this step from `count_from` on; only measures with a baseline for one of a backfill.
    ///
    /// # Errors
    /// If the record can't be counted.
    pub fn additions(
        &self,
        (pipeline, count_from): (&Pipeline, Option<Timestamp>),
        change: Change<'static>,
        image: &Item<'static>,
    ) -> anyhow::Result<Vec<CounterAdditions>> {
        let record = ChangeRecord {
            // Rows are already distinct, and counting doesn't use it.
            id: RecordId([0; 16]),
            sequence: SequenceNumber::parse(self.sequence.clone()).context("read the row's sequence number")?,
            event_id: "".into(),
            user_record: None,
            created_at: self.at()?,
            source: Origin { stream_arn: "".into(), name: "".into() },
            // Everything that a match uses is in the image too.
            keys: Item::default(),
            change,
        };
        let image = Image::Carried(image.clone());
        let Routed::To(route, bindings) = pipeline.route(&record.keys, &image) else { return Ok(Vec::new()) };
        if !route.events.contains(&record.change.event()) {
            return Ok(Vec::new());
        }
        Ok(match self.event.as_str() {
            backfill::WHOLE | backfill::COUNTED => openings(pipeline, &record, route, &bindings)?,
            _ => additions(pipeline, &record, (route, &bindings), count_from)?,
        })
    }
}

/// Why a step doesn't follow from the step before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlinked {
    /// The item existed, but its image isn't known.
    NoInsertion,
    /// The item is inserted, but wasn't removed.
    SecondInsertion,
    /// What is removed isn't what the item was.
    OtherItem,
}

impl Unlinked {
    /// What is wrong.
    pub fn text(self) -> &'static str {
        match self {
            Unlinked::NoInsertion => "no insertion before it",
            Unlinked::SecondInsertion => "a second insertion",
            Unlinked::OtherItem => "the removed item isn't the item that was inserted",
        }
    }
}

/// Amounts by group and measure.
pub type Amounts = BTreeMap<(Vec<String>, String), Decimal>;

/// What a record adds to sums.
///
/// # Errors
/// If a sum has too many digits.
pub fn sums<'a>(additions: impl IntoIterator<Item = &'a CounterAdditions>) -> anyhow::Result<Amounts> {
    let mut sums = Amounts::new();
    for CounterAdditions { key, amounts, .. } in additions {
        for (measure, amount) in amounts.iter().filter_map(|one| Some((&one.measure, one.amount()?))) {
            let sum = sums.entry((key.0.clone(), measure.to_string())).or_default();
            *sum = sum.checked_add(amount)?;
        }
    }
    Ok(sums)
}

/// When the record of a row was written.
pub fn created_at(row: &Value, fields: &RowFields) -> Option<Timestamp> {
    fields.source("created_at").and_then(|field| row.get(field)).and_then(instant)
}

/// The time of a row: RFC 3339 text, or a number of microseconds.
fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::parse(text),
        value => Timestamp::from_micros(value.as_i64()?),
    }
}

/// The hex digits of an id, which a row may have as bytes: 24 characters of base64.
pub(crate) fn hex(id: &str) -> String {
    let bytes = (id.len() == 24).then(|| BASE64_STANDARD.decode(id).ok()).flatten();
    let number = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(u128::from_be_bytes);
    number.map_or_else(|| id.to_owned(), |number| format!("{number:032x}"))
}

/// The first 8 bytes of an id in hex digits, which name a record in the ledger.
pub fn first_bytes(record_id: &str) -> Option<u64> {
    record_id.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_hex_digits_whether_the_row_has_it_as_text_or_as_bytes() {
        let text = "0382dbc43a052f7a0000000000000001";
        let bytes = u128::from_str_radix(text, 16).unwrap().to_be_bytes();
        assert_eq!([hex(text), hex(&BASE64_STANDARD.encode(bytes))], [text, text]);
        assert_eq!(first_bytes(&hex(text)), Some(0x0382_dbc4_3a05_2f7a));
        assert_eq!(hex("not an id"), "not an id");
    }
}
