//! How the values of records become the value of a measure, and which quantiles are published.

use std::fmt;

use crate::decimal::Decimal;

/// How the values of records are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aggregate {
    /// They are added up. A count is a sum of ones.
    Sum,
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// The value of the record that was created first.
    First,
    /// The value of the record that was created last.
    Latest,
    /// How many different ones there are.
    Distinct {
        /// Up to this many are counted exactly, more are estimated.
        exact: u16,
    },
    /// Their distribution, from which quantiles are estimated.
    Quantile,
}

impl Aggregate {
    /// The kind of measure in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Aggregate::Sum => "sum",
            Aggregate::Max => "max",
            Aggregate::Min => "min",
            Aggregate::First => "first",
            Aggregate::Latest => "latest",
            Aggregate::Distinct { .. } => "distinct",
            Aggregate::Quantile => "quantile",
        }
    }

    /// Whether both combine values in the same way, except for how many are counted exactly.
    pub fn is_like(self, other: Aggregate) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// A quantile that is published, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile(u32);

impl Quantile {
    const MILLION: u32 = 1_000_000;

    /// The median, 95 % and 99 %.
    pub const USUAL: [Quantile; 3] = [Quantile(500_000), Quantile(950_000), Quantile(990_000)];

    /// The quantile of a number from 0 to 1 with at most six fraction digits.
    pub fn of(number: Decimal) -> Option<Quantile> {
        let millionths = u32::try_from(number.units(6)?).ok()?;
        (millionths <= Quantile::MILLION).then_some(Quantile(millionths))
    }

    /// The rank of this quantile among `count` values in ascending order: at least this share of them is not above the
    /// value with this rank. From 1; 0 if there are no values.
    pub fn rank(self, count: u64) -> u64 {
        let share = u128::from(self.0) * u128::from(count);
        let rank = share.div_ceil(Quantile::MILLION.into()).max(1).min(count.into());
        u64::try_from(rank).unwrap_or(count)
    }

    /// The attribute of a measure with this name that has the quantile: `latency_p50`, `latency_p99_9`.
    pub fn attribute(self, measure: &str) -> String {
        format!("{measure}_{self}")
    }
}

/// In percent, with an underscore as the decimal point: `p50`, `p99_9`.
impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = Decimal::from_parts(self.0.into(), -4).unwrap_or_default().to_string();
        write!(f, "p{}", percent.replace('.', "_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_named_in_percent() {
        let name =
            |text: &str| Quantile::of(Decimal::parse(text).unwrap()).map(|quantile| quantile.attribute("latency"));
        let names = ["0", "0.5", "0.95", "0.999", "0.999999", "1"].map(|text| name(text).unwrap());
        let expected = ["p0", "p50", "p95", "p99_9", "p99_9999", "p100"].map(|text| format!("latency_{text}"));
        assert_eq!(names, expected);
        assert_eq!(["1.1", "-0.1", "0.1234567"].map(name), [None, None, None]);
    }

    #[test]
    fn the_rank_of_a_quantile_is_the_nearest_one() {
        let rank = |text: &str, count| Quantile::of(Decimal::parse(text).unwrap()).unwrap().rank(count);
        assert_eq!([rank("0.5", 1), rank("0.5", 2), rank("0.5", 3), rank("0.5", 4)], [1, 1, 2, 2]);
        assert_eq!([rank("0.99", 10), rank("0.99", 100), rank("0.99", 101)], [10, 99, 100]);
        assert_eq!([rank("0", 5), rank("1", 5), rank("0.5", 0)], [1, 5, 0]);
    }
}
