//! The value of a measure that isn't a sum, for tools that compute it again from records: the same value as a fold computes,
//! whatever the order of the records, so that even estimates must be equal.

use super::value::Value;
use crate::decimal::Decimal;
use crate::ledger::{Aggregate, Damaged, Reader, Writer};
use crate::pipeline::Quantile;
use crate::usage::Cell;

/// The value of one measure of a group in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recount(Value);

impl Recount {
    /// The value without any record.
    pub fn new(aggregate: Aggregate) -> Recount {
        Recount(Value::empty(aggregate))
    }

    /// A sum.
    pub fn sum(sum: Decimal) -> Recount {
        let mut value = Recount::new(Aggregate::Sum);
        value.insert(&Cell::Number(sum));
        value
    }

    pub(super) fn value(&self) -> &Value {
        &self.0
    }

    /// Adds what a record says.
    pub fn insert(&mut self, cell: &Cell) {
        self.0.insert(cell);
    }

    /// Adds the value of other records.
    pub fn merge(&mut self, other: &Recount) {
        self.0.merge(&other.0);
    }

    /// The attributes of a snapshot and their values, `None` for one that no record feeds; nothing if the value isn't known.
    pub fn attributes(&self, measure: &str, quantiles: &[Quantile]) -> Vec<(String, Option<String>)> {
        let attributes = self.0.attributes(measure, quantiles).into_iter();
        attributes.map(|(name, value)| (name, value.map(|value| value.to_string()))).collect()
    }

    /// The value as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.0.write(&mut writer);
        writer.written().to_vec()
    }

    /// Reads what [`Recount::bytes`] has written.
    ///
    /// # Errors
    /// If the bytes are damaged.
    pub fn read(aggregate: Aggregate, bytes: &[u8]) -> Result<Recount, Damaged> {
        let value = Value::read(aggregate, &mut Reader::new(bytes))?;
        Ok(Recount(value.unwrap_or_else(|| Value::empty(aggregate))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_was_written_in_between_is_the_same() {
        let number = |number: i64| Cell::Number(Decimal::from(number));
        for (aggregate, expected) in [(Aggregate::Max, "9"), (Aggregate::Min, "3"), (Aggregate::Quantile, "")] {
            let of = |numbers: &[i64]| {
                let mut recount = Recount::new(aggregate);
                numbers.iter().for_each(|one| recount.insert(&number(*one)));
                recount
            };
            let mut merged = Recount::read(aggregate, &of(&[7, 3]).bytes()).unwrap();
            merged.merge(&of(&[9]));
            assert_eq!(merged, of(&[9, 7, 3]));
            if !expected.is_empty() {
                assert_eq!(merged.attributes("n", &[]), [("n".to_owned(), Some(expected.to_owned()))]);
            }
            let nothing = Recount::new(aggregate).attributes("n", &Quantile::USUAL);
            assert!(nothing.iter().all(|(_, value)| value.is_none()), "{nothing:?}");
        }
        let distinct = Recount::new(Aggregate::Distinct { exact: 2 });
        assert_eq!(distinct.attributes("users", &[]), [("users".to_owned(), Some("0".to_owned()))]);
    }
}
