//! Every aggregate: what it says, and that children merge to what records give.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::record::SequenceNumber;
use crate::time::Timestamp;
use crate::usage::{Moment, Order};

const ALL: [Aggregate; 7] = [
    Aggregate::Sum,
    Aggregate::Max,
    Aggregate::Min,
    Aggregate::First,
    Aggregate::Latest,
    Aggregate::Distinct { exact: 4 },
    Aggregate::Quantile,
];

/// What a record says about a measure with this aggregate.
fn cell(aggregate: Aggregate, second: i64, number: i64) -> Cell {
    match aggregate {
        Aggregate::Sum | Aggregate::Max | Aggregate::Min | Aggregate::Quantile => Cell::Number(number.into()),
        Aggregate::Distinct { .. } => Cell::Hash(number.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        Aggregate::First | Aggregate::Latest => {
            let sequence = SequenceNumber::parse((number.unsigned_abs() % 3).to_string()).unwrap();
            Cell::Moment(Arc::new(Moment {
                at: Timestamp::from_seconds(1_795_856_220 + second).unwrap(),
                order: Order::of_sequence(&sequence, None),
                value: if number % 2 == 0 {
                    Scalar::Number(number.into())
                } else {
                    Scalar::Text(number.to_string().into())
                },
            }))
        }
    }
}

fn of(aggregate: Aggregate, records: &[(i64, i64)]) -> Value {
    let mut value = Value::empty(aggregate);
    records.iter().for_each(|(second, number)| value.insert(&cell(aggregate, *second, *number)));
    value
}

fn read_back(aggregate: Aggregate, value: &Value) -> Option<Value> {
    let mut writer = Writer::default();
    value.write(&mut writer);
    assert_eq!(value.bytes(), writer.written().len());
    let mut reader = Reader::new(writer.written());
    let read = Value::read(aggregate, &mut reader).unwrap();
    assert!(reader.is_at_end());
    read
}

proptest! {
    #[test]
    fn children_merge_to_what_records_give_in_any_order(
        parts in proptest::collection::vec(proptest::collection::vec((0..4_i64, -20..20_i64), 0..8), 1..5), order: u64,
    ) {
        for aggregate in ALL {
            let whole = of(aggregate, &parts.concat());
            let mut children: Vec<Value> = parts.iter().map(|part| of(aggregate, part)).collect();
            fastrand::Rng::with_seed(order).shuffle(&mut children);
            let mut merged = Value::empty(aggregate);
            children.iter().for_each(|child| merged.merge(child));
            prop_assert_eq!(&merged, &whole);
            prop_assert_eq!(read_back(aggregate, &merged), Some(merged));
        }
    }
}

#[test]
fn each_aggregate_says_what_its_records_give() {
    let records = [(1, -5), (3, 2), (3, 8), (2, 7), (1, 8)];
    let quantiles = ["0.5", "1"].map(|text| Quantile::of(Decimal::parse(text).unwrap()).unwrap());
    let said = ALL.map(|aggregate| {
        let attributes = of(aggregate, &records).attributes("m", &quantiles);
        attributes
            .iter()
            .map(|(name, value)| format!("{name} {}", value.as_ref().unwrap()))
            .collect::<Vec<_>>()
            .join(", ")
    });
    // The sequence numbers of records of one second are equal here, so the values decide.
    assert_eq!(said, ["m 20", "m 8", "m -5", "m 8", "m 8", "m 4", "m_p50 6.9527, m_p100 8.0786"]);
}

#[test]
fn without_records_only_sums_and_counts_have_a_value() {
    let has_value = ALL.map(|aggregate| {
        let empty = Value::empty(aggregate);
        assert_eq!(read_back(aggregate, &empty), Some(empty.clone()));
        empty.attributes("m", &Quantile::USUAL).iter().map(|(_, value)| value.is_some()).collect::<Vec<_>>()
    });
    assert_eq!(has_value, [vec![true], vec![false], vec![false], vec![false], vec![false], vec![true], vec![false; 3]]);
}

#[test]
fn an_overflow_stays_and_reads_back() {
    let sum_of = |amounts: &[&str]| {
        let mut value = Value::empty(Aggregate::Sum);
        amounts.iter().for_each(|amount| value.insert(&Cell::Number(Decimal::parse(amount).unwrap())));
        value
    };
    let overflow = sum_of(&["9.9E37", "0.1"]);
    assert_eq!(overflow, Value::Overflow);
    assert_eq!(sum_of(&["9.9E37", "0.1", "-9.9E37"]), Value::Overflow);
    let known = sum_of(&["9.9E37"]);
    let pairs = [(&known, &overflow), (&overflow, &known), (&overflow, &overflow), (&known, &sum_of(&["0.1"]))];
    for (one, other) in pairs {
        let mut one = one.clone();
        one.merge(other);
        assert_eq!(one, Value::Overflow);
    }
    for aggregate in ALL {
        assert_eq!(read_back(aggregate, &Value::Overflow), Some(Value::Overflow));
        let mut value = of(aggregate, &[(1, 1)]);
        value.merge(&Value::Overflow);
        assert_eq!(value, Value::Overflow);
    }
}

/// Written by the release before the other aggregates.
#[test]
fn a_sum_has_the_bytes_that_it_always_had() {
    let mut writer = Writer::default();
    of(Aggregate::Sum, &[(1, 12_990)]).write(&mut writer);
    Value::empty(Aggregate::Sum).write(&mut writer);
    assert_eq!(writer.written(), [1, 2, 0xA6, 0x14, 1, 0, 0]);
}
