//! Measures of every kind: what the records of the ledger's tests say about them, and what a set of records gives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::pipeline::{Aggregate, DurationUnit, MeasureKind, Quantile};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{Addition, Cell, Moment, Order, Scalar};

use crate::place::{Item, MINUTE};

/// Two values are counted exactly, so that most histories cross the limit.
const DISTINCT: Aggregate = Aggregate::Distinct { exact: 2 };

/// Counts and other sums are the business of the other measures. A level adds differences, and a weighted measure adds
/// fractions of hours.
const KINDS: [(&str, Aggregate); 8] = [
    ("seats", Aggregate::Sum),
    ("seat_hours", Aggregate::Sum),
    ("most", Aggregate::Max),
    ("least", Aggregate::Min),
    ("opened", Aggregate::First),
    ("status", Aggregate::Latest),
    ("users", DISTINCT),
    ("duration", Aggregate::Quantile),
];

/// The kinds that aren't sums, as a pipeline has them.
pub fn kinds() -> BTreeMap<String, MeasureKind> {
    let quantiles = |aggregate| if aggregate == Aggregate::Quantile { Quantile::USUAL.to_vec() } else { Vec::new() };
    let kind = |(name, aggregate): (&str, Aggregate)| {
        (name.to_owned(), MeasureKind { aggregate, quantiles: quantiles(aggregate) })
    };
    KINDS.into_iter().filter(|(_, aggregate)| *aggregate != Aggregate::Sum).map(kind).collect()
}

/// What a record says. Many records have equal values, times and orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// The minute after [`MINUTE`].
    pub minute: i64,
    pub number: u64,
    pub generation: u64,
}

impl Said {
    fn amount(self) -> i64 {
        i64::try_from(self.number * 37 + self.generation * 101).unwrap() % 50 - 20
    }

    /// Five values times odd numbers of seconds, in hours.
    fn seat_hours(self) -> Decimal {
        DurationUnit::Hours
            .product(5.into(), 1_000_001 * i64::try_from(self.number + self.generation).unwrap())
            .unwrap()
    }

    fn sequence(self) -> u64 {
        self.number % 3 * 50
    }

    fn moment(self) -> Moment {
        let order = SequenceNumber::parse(self.sequence().to_string()).unwrap();
        let text = || Scalar::Text(format!("status {}", self.number % 4 + self.generation).into());
        Moment {
            at: Timestamp::from_seconds(MINUTE + 60 * self.minute + i64::try_from(self.number % 2).unwrap()).unwrap(),
            order: Order::of_sequence(&order, None),
            value: if self.number.is_multiple_of(2) { Scalar::Number(self.amount().into()) } else { text() },
        }
    }

    fn hash(self) -> u64 {
        let value = self.number % 4 * 10 + self.generation % 2;
        u64::from_be_bytes(*blake3::hash(&value.to_be_bytes()).as_bytes().first_chunk().unwrap())
    }

    /// As a plan has it.
    pub fn additions(self) -> impl Iterator<Item = Addition> {
        KINDS.into_iter().map(move |(name, aggregate)| {
            let cell = match aggregate {
                Aggregate::Sum if name == "seat_hours" => Cell::Number(self.seat_hours()),
                Aggregate::Sum | Aggregate::Max | Aggregate::Min | Aggregate::Quantile => {
                    Cell::Number(self.amount().into())
                }
                Aggregate::First | Aggregate::Latest => Cell::Moment(Arc::new(self.moment())),
                Aggregate::Distinct { .. } => Cell::Hash(self.hash()),
            };
            Addition { measure: name.into(), aggregate, cell }
        })
    }
}

/// Compares a snapshot with what exactly these records give.
pub fn check(item: &Item, records: &[Said]) {
    let scalar = |name: &str| {
        item.get(name).map(|value| match value {
            AttributeValue::N(digits) => Scalar::Number(Decimal::parse(digits).unwrap()),
            AttributeValue::S(text) => Scalar::Text(text.as_str().into()),
            other => panic!("{name} is {other:?}"),
        })
    };
    let sum = |add: fn(&Said) -> Decimal| {
        let sum = records.iter().map(add).fold(Decimal::ZERO, |sum, one| sum.checked_add(one).unwrap());
        Some(Scalar::Number(sum))
    };
    assert_eq!(scalar("seats"), sum(|said| said.amount().into()), "level of {records:?}");
    assert_eq!(scalar("seat_hours"), sum(|said| said.seat_hours()), "weighted of {records:?}");
    let number = |number: Option<i64>| number.map(|number| Scalar::Number(number.into()));
    let mut amounts: Vec<i64> = records.iter().map(|said| said.amount()).collect();
    amounts.sort_unstable();
    assert_eq!(scalar("most"), number(amounts.last().copied()), "most of {records:?}");
    assert_eq!(scalar("least"), number(amounts.first().copied()), "least of {records:?}");
    let moment = |said: &Said| (said.moment().at, said.sequence(), said.moment().value);
    let mut moments: Vec<(Timestamp, u64, Scalar)> = records.iter().map(moment).collect();
    moments.sort();
    let value = |moment: Option<&(Timestamp, u64, Scalar)>| moment.map(|(_, _, value)| value.clone());
    assert_eq!(scalar("opened"), value(moments.first()), "first of {records:?}");
    assert_eq!(scalar("status"), value(moments.last()), "latest of {records:?}");
    // Of so few values the estimate is exact, unless two share a register.
    let hashes: BTreeSet<u64> = records.iter().map(|said| said.hash()).collect();
    assert_eq!(scalar("users"), number(Some(hashes.len() as i64)), "distinct of {records:?}");
    for (attribute, percent) in [("duration_p50", 50), ("duration_p95", 95), ("duration_p99", 99)] {
        let rank = (amounts.len() * percent).div_ceil(100);
        let exact = rank.checked_sub(1).map(|index| amounts[index] as f64);
        let found = scalar(attribute).map(|value| match value {
            Scalar::Number(number) => number.to_f64(),
            Scalar::Text(text) => panic!("{attribute} is {text}"),
        });
        let is_right = match (found, exact) {
            (Some(found), Some(exact)) => (found - exact).abs() <= 0.01 * exact.abs(),
            (found, exact) => found.is_none() && exact.is_none(),
        };
        assert!(is_right, "{attribute} is {found:?} instead of {exact:?}");
    }
}
