//! The order of numbers.

use std::cmp::Ordering;

use super::Decimal;

impl Ord for Decimal {
    /// By value. Exact, also for numbers whose difference needs more than 38 digits.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.mantissa.signum().cmp(&other.mantissa.signum());
        if by_sign.is_ne() || self.mantissa == 0 {
            return by_sign;
        }
        let by_magnitude = self.magnitude().cmp(&other.magnitude());
        if by_magnitude.is_ne() {
            return if self.mantissa < 0 { by_magnitude.reverse() } else { by_magnitude };
        }
        // The leading digits are at the same place, so with a common exponent neither has more than 38 digits.
        let exponent = self.exponent.min(other.exponent);
        self.mantissa_at(exponent).cmp(&other.mantissa_at(exponent))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Decimal {
    /// The place of the leading digit. Not for zero.
    fn magnitude(self) -> i64 {
        i64::from(self.exponent) + i64::from(self.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_any_size_are_in_order() {
        let texts = [
            "-9.9E125",
            "-1E125",
            "-100",
            "-99.999999999999999999999999999999999999",
            "-99",
            "-1E-130",
            "0",
            "1E-130",
            "1E-100",
            "0.1",
            "0.11",
            "9",
            "10",
            "99999999999999999999999999999999999999",
            "1E38",
            "1E125",
            "9.9E125",
        ];
        let numbers = texts.map(|text| Decimal::parse(text).unwrap_or_else(|error| panic!("{text} {error}")));
        for (index, number) in numbers.iter().enumerate() {
            for (other_index, other) in numbers.iter().enumerate() {
                assert_eq!(number.cmp(other), index.cmp(&other_index), "{number} and {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_the_difference(
            a in -10_i64.pow(17)..10_i64.pow(17), b in -10_i64.pow(17)..10_i64.pow(17), shift in -6..6_i32, other in -6..6_i32,
        ) {
            let a = Decimal::from_parts(a.into(), shift).unwrap();
            let b = Decimal::from_parts(b.into(), other).unwrap();
            let difference = a.checked_sub(b).unwrap();
            prop_assert_eq!(a.cmp(&b), difference.parts().0.signum().cmp(&0));
        }
    }
}
