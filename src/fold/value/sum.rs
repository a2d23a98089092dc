//! Sums and counts.

use crate::decimal::Decimal;
use crate::ledger::{Damaged, Reader, Writer};

/// An exact sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fold) struct Sum(pub Decimal);

impl Default for Sum {
    fn default() -> Sum {
        Sum(Decimal::ZERO)
    }
}

impl Sum {
    /// Adds an amount. Returns false if the sum would need more than 38 digits.
    pub(super) fn insert(&mut self, amount: Decimal) -> bool {
        let sum = self.0.checked_add(amount);
        self.0 = sum.unwrap_or(self.0);
        sum.is_ok()
    }

    /// Adds the sum of other amounts. Returns false if the sum would need more than 38 digits.
    pub(super) fn merge(&mut self, other: &Sum) -> bool {
        self.insert(other.0)
    }

    /// Most sums have two to six bytes.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.decimal(self.0);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Sum, Damaged> {
        reader.decimal().map(Sum)
    }
}

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
            assert!(sum.insert(*amount));
            sum
        })
    }

    proptest! {
        #[test]
        fn children_merge_to_what_records_give(amounts in proptest::collection::vec(decimals(), 0..20), cut in 0..20_usize) {
            let (first, second) = amounts.split_at(cut.min(amounts.len()));
            let mut merged = sum_of(second);
            prop_assert!(merged.merge(&sum_of(first)));
            prop_assert_eq!(merged, sum_of(&amounts));
        }
    }

    #[test]
    fn a_sum_of_more_than_38_digits_is_refused() {
        let large = Decimal::parse("9.9E37").unwrap();
        let mut sum = sum_of(&[large]);
        assert!(!sum.insert(Decimal::parse("0.1").unwrap()));
        assert!(!sum.merge(&sum_of(&[Decimal::parse("0.1").unwrap()])));
        assert_eq!(sum, sum_of(&[large]));
    }
}
