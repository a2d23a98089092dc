//! Which page counts a record, and what that adds up to.

use super::*;
use crate::decimal::Decimal;
use crate::fold::value::{Sum, Value};
use crate::ledger::{Aggregate, Measures, PageContent, PageRef};
use crate::usage::{Cell, CounterKey};

fn key(entity: &str) -> GroupKey {
    GroupKey::from(&CounterKey(vec![entity.to_owned()]))
}

/// A page of the records with these ids and amounts, by group.
fn page(name: u64, generation: u64, id_bytes: u8, groups: &[(&str, &[(u128, i64)])]) -> ReadPage {
    let mut measures = Measures::default();
    measures.number(&"amount".into(), Aggregate::Sum);
    let group = |(entity, records): &(&str, &[(u128, i64)])| PageGroup {
        key: key(entity),
        ids: records.iter().map(|(id, _)| *id).collect(),
        columns: vec![Column::new(
            records.iter().map(|(_, amount)| Some(Cell::Number(Decimal::from(*amount)))).collect(),
        )],
    };
    let content = PageContent { generation, id_bytes, measures, groups: groups.iter().map(group).collect() };
    ReadPage { reference: PageRef { bucket: 0, name }, kind: PageKind::Usage, content }
}

fn sum(minute: &Minute, entity: &str) -> Option<i64> {
    let totals = minute.totals();
    let value = totals.group(&key(entity))?.next().map(|(_, value)| value.clone())?;
    let Value::Sum(Sum(sum)) = value else { panic!("{value:?}") };
    i64::try_from(sum.units(0)?).ok()
}

#[test]
fn a_record_counts_once_by_the_highest_generation_and_the_lowest_name() {
    let pages = [
        page(5, 1, 8, &[("a", &[(1, 10), (2, 20)])]),
        page(3, 1, 8, &[("a", &[(2, 20), (3, 30)])]),
        page(9, 2, 8, &[("b", &[(1, 100)])]),
    ];
    let mut orders = vec![pages.to_vec()];
    orders.push(pages.iter().rev().cloned().collect());
    for pages in orders {
        let minute = Minute::new(pages);
        assert_eq!((sum(&minute, "a"), sum(&minute, "b")), (Some(50), Some(100)));
        assert_eq!(minute.conflicts(), 0);
    }
}

#[test]
fn ids_are_compared_by_as_many_bytes_as_every_page_has() {
    let long = 0x1122_3344_5566_7788_99AA_u128;
    let minute = Minute::new(vec![page(1, 1, 10, &[("a", &[(long, 1)])]), page(2, 1, 8, &[("a", &[(long >> 16, 1)])])]);
    assert_eq!(sum(&minute, "a"), Some(1));
}

#[test]
fn a_record_in_two_groups_of_one_page_counts_in_both() {
    let minute =
        Minute::new(vec![page(1, 1, 8, &[("a", &[(1, 1)]), ("b", &[(1, 2)])]), page(2, 1, 8, &[("a", &[(2, 4)])])]);
    assert_eq!((sum(&minute, "a"), sum(&minute, "b")), (Some(5), Some(2)));
}

#[test]
fn a_page_touches_every_group_that_its_records_were_ever_in() {
    let new = page(2, 2, 8, &[("b", &[(1, 1)])]);
    let minute = Minute::new(vec![page(1, 1, 8, &[("a", &[(1, 1)]), ("c", &[(3, 1)])]), new.clone()]);
    assert_eq!(minute.touched(&new).into_iter().collect::<Vec<_>>(), [key("a"), key("b")]);
}

#[test]
fn pages_of_one_generation_that_differ_about_a_record_are_a_conflict() {
    let minute = Minute::new(vec![page(1, 1, 8, &[("a", &[(1, 1)])]), page(2, 1, 8, &[("a", &[(1, 2)])])]);
    assert_eq!((minute.conflicts(), sum(&minute, "a")), (1, Some(1)));
    let minute = Minute::new(vec![page(1, 1, 8, &[("a", &[(1, 1)])]), page(2, 2, 8, &[("a", &[(1, 2)])])]);
    assert_eq!((minute.conflicts(), sum(&minute, "a")), (0, Some(2)));
}

#[test]
fn a_group_without_texts_counts_nowhere_and_hides_the_record() {
    let mut newer = page(1, 2, 8, &[("a", &[(1, 1)])]);
    newer.content.groups[0].key = GroupKey::default();
    let minute = Minute::new(vec![page(2, 1, 8, &[("a", &[(1, 5), (2, 7)])]), newer]);
    assert_eq!(sum(&minute, "a"), Some(7));
}
