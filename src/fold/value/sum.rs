//! Sums and counts.

use crate::decimal::Decimal;
use crate::ledger::{Damaged, Reader, Writer};

/// An exact sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fold) enum Sum {
    /// The sum.
    Exact(Decimal),
    /// The sum needs more than 38 digits. It stays so, because what was added isn't known any more.
    Overflow,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum::Exact(Decimal::ZERO)
    }
}

impl Sum {
    pub(super) fn insert(&mut self, amount: Decimal) {
        if let Sum::Exact(sum) = *self {
            *self = sum.checked_add(amount).map_or(Sum::Overflow, Sum::Exact);
        }
    }

    pub(super) fn merge(&mut self, other: &Sum) {
        match other {
            Sum::Exact(amount) => self.insert(*amount),
            Sum::Overflow => *self = Sum::Overflow,
        }
    }

    /// An overflow is an exponent that no number has. Most sums have two to six bytes.
    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Sum::Overflow => writer.int(NO_EXPONENT),
            Sum::Exact(sum) => writer.decimal(*sum),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Sum, Damaged> {
        let mut ahead = reader.clone();
        if ahead.int()? == NO_EXPONENT {
            *reader = ahead;
            return Ok(Sum::Overflow);
        }
        reader.decimal().map(Sum::Exact)
    }
}

/// No DynamoDB number has this exponent.
const NO_EXPONENT: i128 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimals() -> impl Strategy<Value = Decimal> {
        (-10_i64.pow(15)..10_i64.pow(15), -6..6_i32)
            .prop_map(|(mantissa, exponent)| Decimal::from_parts(mantissa.into(), exponent).unwrap())
    }

    fn sum_of(amounts: &[Decimal]) -> Sum {
        amounts.iter().fold(Sum::default(), |mut sum, amount| {
            sum.insert(*amount);
            sum
        })
    }

    proptest! {
        #[test]
        fn children_merge_to_what_records_give(amounts in proptest::collection::vec(decimals(), 0..20), cut in 0..20_usize) {
            let (first, second) = amounts.split_at(cut.min(amounts.len()));
            let mut merged = sum_of(second);
            merged.merge(&sum_of(first));
            prop_assert_eq!(merged, sum_of(&amounts));
        }
    }

    #[test]
    fn an_overflow_stays_and_reads_back() {
        let large = Decimal::parse("9.9E37").unwrap();
        let mut sum = sum_of(&[large, Decimal::parse("0.1").unwrap()]);
        assert_eq!(sum, Sum::Overflow);
        sum.insert(-large);
        assert_eq!(sum, Sum::Overflow);
        let mut other = sum_of(&[large]);
        other.merge(&sum);
        assert_eq!(other, Sum::Overflow);
        for value in [sum, sum_of(&[large]), Sum::default()] {
            let mut writer = Writer::default();
            value.write(&mut writer);
            let mut reader = Reader::new(writer.written());
            assert_eq!((Sum::read(&mut reader), reader.is_at_end()), (Ok(value), true));
        }
    }
}
