//! What a state holds for one group and measure. Each aggregate has a file of its own; children hold disjoint records, so
//! merging their values is right for each of them.

mod sum;

use crate::decimal::Decimal;
use crate::ledger::{Aggregate, Damaged, Reader, Writer};
pub(super) use sum::Sum;

/// The value of a group for one measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// The sum of the amounts.
    Sum(Sum),
}

impl Value {
    /// The value without any record.
    pub(super) fn empty(aggregate: Aggregate) -> Value {
        match aggregate {
            Aggregate::Sum => Value::Sum(Sum::default()),
        }
    }

    /// Adds the value of one record.
    pub(super) fn insert(&mut self, amount: Decimal) {
        match self {
            Value::Sum(sum) => sum.insert(amount),
        }
    }

    /// Adds the value of other records.
    pub(super) fn merge(&mut self, other: &Value) {
        match (self, other) {
            (Value::Sum(sum), Value::Sum(other)) => sum.merge(other),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Value::Sum(sum) => sum.write(writer),
        }
    }

    pub(super) fn read(aggregate: Aggregate, reader: &mut Reader<'_>) -> Result<Value, Damaged> {
        match aggregate {
            Aggregate::Sum => Sum::read(reader).map(Value::Sum),
        }
    }
}
