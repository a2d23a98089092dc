//! The distribution of numbers: a DDSketch with 1 % relative error, from which any quantile can be estimated.
//!
//! Written here because it must give the same bytes on every machine and for every order of merging. The index of a number
//! is made of multiplications and additions only (the quadratically interpolated mapping of DDSketch), which IEEE 754
//! rounds in one way, unlike logarithms; and where buckets are too many, those that are collapsed depend on the greatest
//! index only, not on what came first. See Masson, Rim and Lee, "DDSketch" (VLDB 2019).

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::ledger::{Damaged, Reader, Writer};
use crate::pipeline::Quantile;

/// The distribution of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::fold) struct Distribution {
    zeros: u64,
    positive: Buckets,
    /// By the absolute value.
    negative: Buckets,
}

/// How many numbers are in each bucket, by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Buckets(BTreeMap<i32, u64>);

/// 38 buckets between a number and its double. In terms of the natural logarithm, the interpolation is at least 4/3 as steep
/// as the binary logarithm is on average, so no bucket is wider than e^(1 / (38 · 4/3)), and the error is at most
/// tanh(1 / (2 · 38 · 4/3)) = 0.987 %. Rounding to five digits adds 0.005 %.
const PER_OCTAVE: i32 = 38;
/// 2,048: from the bucket of the greatest absolute value down. They reach over 16 decades; what is smaller is counted in
/// the lowest of them.
const MAX_BUCKETS: i32 = 2048;
/// 32,768: twice the index of 9.99E+125, the greatest number, as of 1E-130.
const MAX_INDEX: i32 = 1 << 15;
/// 2^46 numbers: with more in each bucket, the sum of all buckets could exceed 64 bits.
const MAX_COUNT: u64 = 1 << 46;

impl Distribution {
    pub(super) fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many numbers there are.
    pub(in crate::fold) fn count(&self) -> u64 {
        self.zeros + self.positive.count() + self.negative.count()
    }

    pub(super) fn insert(&mut self, number: Decimal) {
        let of = number.to_f64();
        if of > 0.0 {
            self.positive.add(index(of), 1);
        } else if of < 0.0 {
            self.negative.add(index(-of), 1);
        } else {
            self.zeros += 1;
        }
    }

    pub(super) fn merge(&mut self, other: &Distribution) {
        self.zeros += other.zeros;
        other.positive.0.iter().for_each(|(index, count)| self.positive.add(*index, *count));
        other.negative.0.iter().for_each(|(index, count)| self.negative.add(*index, *count));
    }

    /// An estimate of a quantile, to five digits; none without numbers.
    pub(in crate::fold) fn quantile(&self, quantile: Quantile) -> Option<Decimal> {
        let rank = quantile.rank(self.count());
        let negative = self.negative.0.iter().rev().map(|(index, count)| (-center(*index), *count));
        let positive = self.positive.0.iter().map(|(index, count)| (center(*index), *count));
        let ascending = negative.chain([(0.0, self.zeros)]).chain(positive);
        let mut below = 0;
        let reaches = |(_, count): &(f64, u64)| {
            below += count;
            rank > 0 && below >= rank
        };
        let (estimate, _) = { ascending }.find(reaches)?;
        Decimal::parse(&format!("{estimate:.4e}")).ok()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.uint(self.zeros);
        self.positive.write(writer);
        self.negative.write(writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Distribution, Damaged> {
        Ok(Distribution {
            zeros: read_count(reader)?,
            positive: Buckets::read(reader)?,
            negative: Buckets::read(reader)?,
        })
    }
}

impl Buckets {
    fn count(&self) -> u64 {
        self.0.values().sum()
    }

    fn add(&mut self, index: i32, count: u64) {
        let greatest = self.0.last_key_value().map_or(index, |(greatest, _)| index.max(*greatest));
        let lowest = greatest - (MAX_BUCKETS - 1);
        *self.0.entry(index.max(lowest)).or_default() += count;
        while let Some(first) = self.0.first_entry().filter(|first| *first.key() < lowest) {
            let collapsed = first.remove();
            *self.0.entry(lowest).or_default() += collapsed;
        }
    }

    /// Two to three bytes a bucket.
    fn write(&self, writer: &mut Writer) {
        writer.size(self.0.len());
        let mut before = 0;
        for (index, count) in &self.0 {
            writer.int((index - before).into());
            writer.uint(*count);
            before = *index;
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Buckets, Damaged> {
        let count = reader.count()?;
        let mut index = 0_i32;
        let mut buckets = BTreeMap::new();
        for _ in 0..count {
            let step = i32::try_from(reader.int()?).ok();
            index = step
                .and_then(|step| index.checked_add(step))
                .filter(|index| (-MAX_INDEX..=MAX_INDEX).contains(index))
                .ok_or(Damaged("a bucket is out of range"))?;
            buckets.insert(index, read_count(reader)?);
        }
        Ok(Buckets(buckets))
    }
}

fn read_count(reader: &mut Reader<'_>) -> Result<u64, Damaged> {
    reader
        .uint()
        .and_then(|count| if count <= MAX_COUNT { Ok(count) } else { Err(Damaged("a bucket has too many numbers")) })
}

const FRACTION_BITS: u32 = 52;
const EXPONENT_BIAS: i32 = 1023;

/// The bucket of a positive number: its binary exponent and the interpolated logarithm of the rest.
fn index(number: f64) -> i32 {
    let bits = number.to_bits();
    let exponent = i32::try_from(bits >> FRACTION_BITS).unwrap_or_default() - EXPONENT_BIAS;
    let one = 1.0_f64.to_bits();
    let fraction = f64::from_bits(bits & ((1 << FRACTION_BITS) - 1) | one) - 1.0;
    let interpolated = fraction * (4.0 - fraction) / 3.0;
    #[expect(clippy::as_conversions, reason = "a whole number from 0 to 38")]
    let within = (f64::from(PER_OCTAVE) * interpolated).floor() as i32;
    exponent * PER_OCTAVE + within
}

/// The lower bound of a bucket.
fn bound(index: i32) -> f64 {
    let exponent = u64::try_from(index.div_euclid(PER_OCTAVE) + EXPONENT_BIAS).unwrap_or_default();
    let interpolated = f64::from(index.rem_euclid(PER_OCTAVE)) / f64::from(PER_OCTAVE);
    let fraction = 2.0 - (4.0 - 3.0 * interpolated).sqrt();
    f64::from_bits(exponent << FRACTION_BITS) * (1.0 + fraction)
}

/// The number that has the same relative distance from both bounds of a bucket.
fn center(index: i32) -> f64 {
    let (lower, upper) = (bound(index), bound(index + 1));
    2.0 * lower * (upper / (lower + upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(numbers: &[Decimal]) -> Distribution {
        let mut distribution = Distribution::default();
        numbers.iter().for_each(|number| distribution.insert(*number));
        distribution
    }

    /// Also so far apart that buckets are collapsed.
    fn numbers() -> impl Strategy<Value = Decimal> {
        let near = (-1_000_000..1_000_000_i64).prop_map(|mantissa| Decimal::from_parts(mantissa.into(), -3).unwrap());
        let far = (-1_000..1_000_i64, -20..20_i32)
            .prop_map(|(mantissa, exponent)| Decimal::from_parts(mantissa.into(), exponent).unwrap());
        prop_oneof![near, far]
    }

    proptest! {
        #[test]
        fn children_merge_to_what_records_give_in_any_order(
            parts in proptest::collection::vec(proptest::collection::vec(numbers(), 0..20), 1..5), order: u64,
        ) {
            let whole = of(&parts.concat());
            let mut children: Vec<Distribution> = parts.iter().map(|part| of(part)).collect();
            fastrand::Rng::with_seed(order).shuffle(&mut children);
            let mut merged = Distribution::default();
            children.iter().for_each(|child| merged.merge(child));
            prop_assert_eq!(&merged, &whole);
            let mut writer = Writer::default();
            merged.write(&mut writer);
            let mut reader = Reader::new(writer.written());
            prop_assert_eq!((Distribution::read(&mut reader), reader.is_at_end()), (Ok(merged), true));
        }

        #[test]
        fn a_quantile_is_within_one_percent(
            numbers in proptest::collection::vec(-1_000_000..1_000_000_i64, 1..200), millionths in 0..=1_000_000_i64,
        ) {
            let mut numbers: Vec<Decimal> = numbers.into_iter().map(|mantissa| Decimal::from_parts(mantissa.into(), -3).unwrap()).collect();
            let quantile = Quantile::of(Decimal::from_parts(millionths.into(), -6).unwrap()).unwrap();
            let found = of(&numbers).quantile(quantile).unwrap().to_f64();
            numbers.sort_unstable();
            let rank = quantile.rank(u64::try_from(numbers.len()).unwrap());
            let exact = numbers[usize::try_from(rank).unwrap() - 1].to_f64();
            prop_assert!((found - exact).abs() <= 0.01 * exact.abs(), "{} instead of {}", found, exact);
        }

        #[test]
        fn one_number_is_within_one_percent(mantissa in 1..=999_999_999_i64, exponent in -130..100_i32) {
            let number = Decimal::from_parts(mantissa.into(), exponent).unwrap();
            let found = of(&[number]).quantile(Quantile::USUAL[0]).unwrap().to_f64();
            prop_assert!((found / number.to_f64() - 1.0).abs() <= 0.01);
        }
    }

    #[test]
    fn the_bounds_of_buckets_meet_the_index() {
        for bucket in -5_000..5_000 {
            let middle = center(bucket);
            assert!(bound(bucket) < middle && middle < bound(bucket + 1));
            assert_eq!(index(middle), bucket);
        }
    }

    #[test]
    fn regression_buckets_that_no_number_has_are_refused() {
        let read = |indexes: &[i64], count: u64| {
            let mut writer = Writer::default();
            writer.uint(0);
            writer.size(indexes.len());
            for index in indexes {
                writer.int((*index).into());
                writer.uint(count);
            }
            writer.size(0);
            Distribution::read(&mut Reader::new(writer.written())).map(|distribution| distribution.count())
        };
        assert_eq!(read(&[16_000, -32_000], 7), Ok(14));
        // Their difference exceeds 32 bits.
        assert_eq!(read(&[i64::from(i32::MAX), i64::from(i32::MIN)], 1), Err(Damaged("a bucket is out of range")));
        assert_eq!(read(&[0, 1], u64::MAX), Err(Damaged("a bucket has too many numbers")));
    }

    #[test]
    fn at_most_2048_buckets_are_kept() {
        let numbers: Vec<Decimal> = (-60..60)
            .flat_map(|exponent| (10..100).map(move |mantissa| Decimal::from_parts(mantissa, exponent).unwrap()))
            .collect();
        let distribution = of(&numbers);
        assert!(distribution.positive.0.len() <= 2048);
        let mut all = Buckets::default();
        (-5_000..5_000).for_each(|bucket| all.add(bucket, 1));
        assert_eq!((all.0.len(), all.0.first_key_value(), all.count()), (2048, Some((&2_952, &7_953)), 10_000));
        assert_eq!(Distribution::default().quantile(Quantile::USUAL[0]), None);
        assert_eq!(distribution.count(), u64::try_from(numbers.len()).unwrap());
        let greatest = distribution.quantile(Quantile::of(Decimal::from(1)).unwrap()).unwrap().to_f64();
        assert!((greatest / 9.9e60 - 1.0).abs() <= 0.01);
    }
}
