//! Counters that must be whole numbers because their readers accept nothing else. The counter holds the nearest whole
//! number, and the remainder to the exact value, at most one half, is stored as text in a second attribute.
//!
//! Whole amounts are added as usual. Only an amount with a fraction needs the previous remainder: it is read first, and
//! the transaction has the condition that the remainder hasn't changed since.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::group::{Sums, Totals};
use super::read::read_items;
use super::snapshot::SnapshotItem;
use super::table::UsageTables;
use crate::decimal::Decimal;
use crate::error::Error;
use crate::pipeline::Snapshot;
use crate::pipeline::template::Template;

type StoredItem = HashMap<String, AttributeValue>;

/// The changes to one snapshot item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Addition {
    pub item: SnapshotItem,
    /// What is added to the counters.
    pub sums: Sums,
    pub fractions: Vec<Fraction>,
}

/// The change of a counter's remainder: its attribute, the text that must still be stored, and the text that replaces
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fraction {
    pub attribute: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl UsageTables {
    /// What to add to which items for these totals. Reads the remainders of counters whose amount has a fraction.
    ///
    /// # Errors
    /// If a remainder can't be read, if it isn't one that this function wrote, or if a sum needs more than 38 digits.
    pub(super) async fn additions(&self, snapshot: &Snapshot, totals: Totals) -> Result<Vec<Addition>, Error> {
        let addition = |((key, span), sums)| Addition {
            item: SnapshotItem::new(snapshot, &key, span),
            sums,
            fractions: Vec::new(),
        };
        let mut additions: Vec<Addition> = totals.into_iter().map(addition).collect();
        let Some(template) = &snapshot.fraction else { return Ok(additions) };
        let fractional: Vec<&mut Addition> =
            additions.iter_mut().filter(|addition| has_fraction(&addition.sums)).collect();
        let keys = fractional.iter().map(|addition| key(&addition.item)).collect();
        let stored = read_items(&self.client, &self.usage_table, keys).await?;
        for addition in fractional {
            let wanted = key(&addition.item);
            let nothing = StoredItem::new();
            let found = stored.iter().find(|item| wanted.iter().all(|(name, value)| item.get(name) == Some(value)));
            addition.round(template, found.unwrap_or(&nothing))?;
        }
        Ok(additions)
    }
}

impl Addition {
    /// Rounds every sum to a whole number, given the stored item, and notes the remainders.
    fn round(&mut self, template: &Template, stored: &StoredItem) -> Result<(), Error> {
        for (measure, sum) in self.sums.iter_mut().filter(|(_, sum)| sum.scale() > 0) {
            let attribute = template.render(|_| measure.as_str());
            let before = text(stored, &attribute)?;
            let left = before.as_deref().map_or(Ok(Decimal::ZERO), Decimal::parse);
            let exact = left.and_then(|left| left.checked_add(*sum));
            let exact =
                exact.map_err(|error| Error::poison(format!("add to `{attribute}` of a snapshot item: it {error}")))?;
            let (whole, left) = exact.nearest_whole();
            *sum = whole;
            self.fractions.push(Fraction { attribute, before, after: (!left.is_zero()).then(|| left.to_string()) });
        }
        Ok(())
    }
}

fn has_fraction(sums: &Sums) -> bool {
    sums.values().any(|sum| sum.scale() > 0)
}

fn key(item: &SnapshotItem) -> StoredItem {
    item.key.iter().map(|(name, text)| (name.clone(), AttributeValue::S(text.clone()))).collect()
}

fn text(item: &StoredItem, attribute: &str) -> Result<Option<String>, Error> {
    match item.get(attribute) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::poison(format!(
            "add to `{attribute}` of a snapshot item: it is not of type S; another writer must have changed it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::template::ParsedText;

    fn round(sum: &str, before: Option<AttributeValue>) -> Result<(String, Vec<Fraction>), Error> {
        let template = Template::new(&ParsedText::parse("{measure}#fraction").unwrap(), |_| Some(0)).unwrap();
        let item = SnapshotItem { key: Vec::new(), attributes: Vec::new(), expires_at: None };
        let sums = Sums::from([("rpm".to_owned(), Decimal::parse(sum).unwrap())]);
        let mut addition = Addition { item, sums, fractions: Vec::new() };
        addition.round(&template, &before.map(|before| ("rpm#fraction".to_owned(), before)).into_iter().collect())?;
        Ok((addition.sums["rpm"].to_string(), addition.fractions))
    }

    #[test]
    fn a_counter_is_the_nearest_whole_number_and_the_remainder_is_stored() {
        let cases = [
            ("7", None, "7", None),
            ("0.4", None, "0", Some("0.4")),
            ("0.5", None, "1", Some("-0.5")),
            ("0.2", Some("0.4"), "1", Some("-0.4")),
            ("0.5", Some("-0.5"), "0", None),
            ("-0.6", Some("0.1"), "0", Some("-0.5")),
            ("2.25", Some("0.25"), "3", Some("-0.5")),
        ];
        for (sum, before, added, after) in cases {
            let (whole, fractions) = round(sum, before.map(|before| AttributeValue::S(before.to_owned()))).unwrap();
            assert_eq!(whole, added, "{sum} after {before:?}");
            let expected = (sum != "7").then(|| Fraction {
                attribute: "rpm#fraction".to_owned(),
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
            });
            assert_eq!(fractions, expected.into_iter().collect::<Vec<_>>(), "{sum} after {before:?}");
        }
    }

    #[test]
    fn a_value_of_another_writer_is_never_replaced() {
        for before in [AttributeValue::N("1".to_owned()), AttributeValue::S("half".to_owned())] {
            assert_eq!(round("0.5", Some(before)).unwrap_err().kind, crate::error::ErrorKind::Poison);
        }
    }
}
