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
    /// It isn't known: a sum needed more than 38 digits, or the group has more bytes than an item. It stays so, because
    /// what was added isn't known any more.
    Overflow,
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
        let is_known = match self {
            Value::Sum(sum) => sum.insert(amount),
            Value::Overflow => false,
        };
        if !is_known {
            *self = Value::Overflow;
        }
    }

    /// Adds the value of other records.
    pub(super) fn merge(&mut self, other: &Value) {
        let is_known = match (&mut *self, other) {
            (Value::Sum(sum), Value::Sum(other)) => sum.merge(other),
            (Value::Overflow, _) | (_, Value::Overflow) => false,
        };
        if !is_known {
            *self = Value::Overflow;
        }
    }

    /// Writes the value after a mark that says whether it is known.
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Value::Sum(sum) => {
                writer.byte(KNOWN);
                sum.write(writer);
            }
            Value::Overflow => writer.byte(OVERFLOW),
        }
    }

    /// Reads a value after its mark, or none.
    pub(super) fn read(aggregate: Aggregate, reader: &mut Reader<'_>) -> Result<Option<Value>, Damaged> {
        match (reader.byte()?, aggregate) {
            (NONE, _) => Ok(None),
            (KNOWN, Aggregate::Sum) => Sum::read(reader).map(Value::Sum).map(Some),
            (OVERFLOW, _) => Ok(Some(Value::Overflow)),
            _ => Err(Damaged("a group has an unknown mark")),
        }
    }

    /// How many bytes it takes before compression.
    pub(super) fn bytes(&self) -> usize {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.written().len()
    }
}

/// The mark of a measure that no page names for the group.
pub(super) const NONE: u8 = 0;
const KNOWN: u8 = 1;
const OVERFLOW: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_stays_and_reads_back() {
        let sum_of = |amounts: &[&str]| {
            let mut value = Value::empty(Aggregate::Sum);
            amounts.iter().for_each(|amount| value.insert(Decimal::parse(amount).unwrap()));
            value
        };
        let overflow = sum_of(&["9.9E37", "0.1"]);
        assert_eq!(overflow, Value::Overflow);
        assert_eq!(sum_of(&["9.9E37", "0.1", "-9.9E37"]), Value::Overflow);
        let known = sum_of(&["9.9E37"]);
        for (mut one, other) in [(known, overflow), (overflow, known), (overflow, overflow), (known, sum_of(&["0.1"]))]
        {
            one.merge(&other);
            assert_eq!(one, Value::Overflow);
        }
        for value in [overflow, known, Value::empty(Aggregate::Sum)] {
            let mut writer = Writer::default();
            value.write(&mut writer);
            assert_eq!(value.bytes(), writer.written().len());
            let mut reader = Reader::new(writer.written());
            assert_eq!((Value::read(Aggregate::Sum, &mut reader), reader.is_at_end()), (Ok(Some(value)), true));
        }
    }
}
