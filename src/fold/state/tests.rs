//! States read back, and say no more and no less than they were given.

use proptest::prelude::*;

use super::*;
use crate::decimal::Decimal;
use crate::fold::value::{Sum, Value};
use crate::ledger::{Aggregate, GroupKey, Measure};
use crate::usage::{Cell, CounterKey};

fn measure(name: &str) -> Measure {
    Measure { name: name.into(), aggregate: Aggregate::Sum }
}

fn totals(groups: &[(String, Vec<(u8, i64)>)]) -> Totals {
    let mut totals = Totals::default();
    for (entity, values) in groups {
        let key = GroupKey::from(&CounterKey(vec![entity.clone(), "orders".to_owned()]));
        let measures: Vec<Measure> = values.iter().map(|(number, _)| measure(&format!("m{number}"))).collect();
        totals.update(&key, measures.iter(), |place, value: &mut Value| {
            value.insert(&Cell::Number(Decimal::from_parts(values[place].1.into(), -2).unwrap()));
        });
    }
    totals
}

proptest! {
    #[test]
    fn it_reads_back(
        groups in proptest::collection::vec(("[a-c]{0,3}", proptest::collection::vec((0..4_u8, -1_000..1_000_i64), 0..4)), 0..12),
        pages in proptest::collection::btree_set((0..20_u32, any::<u64>()), 0..20),
        versions in proptest::collection::btree_map(("[01]{0,3}", 0..60_i64), 1..1_u64 << 60, 0..20),
    ) {
        let totals = totals(&groups);
        let pages = pages.into_iter().map(|(bucket, name)| PageRef { bucket, name }).collect();
        let minute = |minute: i64| WindowKey::minute(crate::usage::Segment::at(1_795_856_220 + 60 * minute), Zone::UTC);
        let leaves = versions.into_iter().map(|((part, at), version)| (Leaf { window: minute(at), part }, version)).collect();
        for listed in [Listed::Pages(pages), Listed::Leaves(leaves)] {
            let state = State { version: 7, listed, totals: totals.clone(), watches: Watches::default() };
            let read = State::read(7, &state.frame(), Zone::UTC).unwrap();
            prop_assert_eq!(&read.listed, &state.listed);
            let values = |totals: &Totals| -> Vec<_> {
                totals.keys().map(|key| (key.clone(), totals.group(key).unwrap().map(|(measure, value)| (measure.clone(), value.clone())).collect::<Vec<_>>())).collect()
            };
            prop_assert_eq!(values(&read.totals), values(&state.totals));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        for format in [FORMAT, WITH_WATCHES] {
            let mut writer = Writer::default();
            writer.byte(format);
            writer.raw(&bytes);
            let _ = State::read(1, &writer.into_frame(), Zone::UTC);
        }
        let _ = State::read(1, &bytes, Zone::UTC);
    }

    #[test]
    fn the_halves_of_a_part_have_each_group_once(names in proptest::collection::btree_set("[a-z]{1,8}", 0..30)) {
        let groups: Vec<_> = names.iter().map(|name| (name.clone(), vec![(0, 1)])).collect();
        let whole = totals(&groups);
        let [first, second] = halves("").map(|part| whole.part(&part));
        prop_assert_eq!(first.len() + second.len(), whole.len());
        let mut merged = first;
        merged.merge(&second, |key| Some(std::borrow::Cow::Borrowed(key)));
        prop_assert!(merged.keys().eq(whole.keys()));
    }
}

#[test]
fn a_group_with_a_sequential_name_takes_a_few_bytes() {
    let groups: Vec<_> =
        (0..5_000).map(|number| (format!("customer-{number:06}"), vec![(0, i64::from(number) % 97)])).collect();
    let state = State { version: 1, totals: totals(&groups), ..State::default() };
    let bytes = state.frame().len();
    assert!(bytes < 6 * 5_000, "{bytes}");
}

#[test]
fn a_group_that_is_too_large_gives_up_its_largest_values() {
    let digits = |number: u8| {
        let hash = blake3::hash(&[number]);
        i64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap()) >> 6
    };
    let values = (0..200).map(|number| (number, if number < 100 { number.into() } else { digits(number) }));
    let state = State { version: 3, totals: totals(&[("a".to_owned(), values.collect())]), ..State::default() };
    let (all, bytes) = (state.frame(), state.frame().len());
    assert_eq!(state.clone().within(bytes), (state.clone(), all.clone()));
    let (smaller, data) = state.clone().within(bytes - 200);
    assert!(data.len() <= bytes - 200, "{} of {bytes}", data.len());
    assert_eq!(State::read(3, &data, Zone::UTC), Ok(smaller.clone()));
    let key = state.totals.keys().next().unwrap();
    let values = |state: &State| state.totals.group(key).unwrap().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let given_up = values(&smaller).iter().filter(|value| **value == Value::Overflow).count();
    assert!((10..60).contains(&given_up), "{given_up}");
    assert_eq!(values(&smaller)[..100], values(&state)[..100], "the small ones stay");
    assert!(matches!(values(&smaller)[0], Value::Sum(Sum(_))));
    // Nothing that could be given up makes it fit.
    assert_eq!(state.clone().within(10), (state, all));
}

/// The name of a measure that doesn't get smaller when it is compressed.
fn long_name(number: u64) -> String {
    blake3::hash(&number.to_be_bytes()).to_hex().to_string()
}

fn named(groups: &[(&str, std::ops::Range<u64>)]) -> Totals {
    let mut totals = Totals::default();
    for (entity, numbers) in groups {
        let key = GroupKey::from(&CounterKey(vec![(*entity).to_owned(), "orders".to_owned()]));
        let measures: Vec<Measure> = numbers.clone().map(|number| measure(&long_name(number))).collect();
        totals.update(&key, measures.iter(), |_, value: &mut Value| value.insert(&Cell::Number(Decimal::from(1))));
    }
    totals
}

#[test]
fn a_group_with_too_many_names_gives_up_the_names() {
    let state = State { version: 3, totals: named(&[("a", 0..500)]), ..State::default() };
    let (smaller, data) = state.clone().within(5_000);
    assert!(data.len() < 200 && state.frame().len() > 15_000);
    assert_eq!(State::read(3, &data, Zone::UTC), Ok(smaller.clone()));
    let key = state.totals.keys().next().unwrap();
    assert!(smaller.totals.is_given_up(key) && !state.totals.is_given_up(key));
    // Whatever else is known of the group, not everything is.
    for children in [[&smaller.totals, &state.totals], [&state.totals, &smaller.totals]] {
        let mut parent = Totals::default();
        children.into_iter().for_each(|child| parent.merge(child, |key| Some(std::borrow::Cow::Borrowed(key))));
        assert!(parent.is_given_up(key));
        assert_eq!(parent.group(key).unwrap().map(|(_, value)| value.clone()).collect::<Vec<_>>(), [Value::Overflow]);
    }
}

#[test]
fn a_part_has_the_names_of_its_own_groups() {
    let whole = named(&[("a", 0..300), ("b", 300..301), ("c", 299..301)]);
    for part in halves("").into_iter().flat_map(|half| halves(&half)).flat_map(|half| halves(&half)) {
        let part = whole.part(&part);
        let own: usize = part.keys().map(|key| part.group(key).unwrap().count()).sum();
        let bytes = State { version: 1, totals: part.clone(), ..State::default() }.frame().len();
        assert!(bytes < 60 + 80 * own, "{own} values in {bytes} bytes");
        for key in part.keys() {
            let values = |totals: &Totals| -> BTreeMap<Measure, Value> {
                totals.group(key).unwrap().map(|(measure, value)| (measure.clone(), value.clone())).collect()
            };
            assert_eq!(values(&part), values(&whole));
        }
    }
}

#[test]
fn many_groups_with_names_of_their_own_are_too_wide_for_one_part() {
    let names: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    let groups: Vec<_> = names.iter().zip(0..).map(|(name, number)| (name.as_str(), number..number + 1)).collect();
    let whole = named(&groups);
    assert!(whole.is_too_wide());
    assert!(halves("").iter().all(|half| !whole.part(half).is_too_wide()));
    assert!(!named(&[("a", 0..3_000)]).is_too_wide(), "a group can't be split");
}

#[test]
fn a_newer_format_is_refused() {
    let mut writer = Writer::default();
    writer.byte(WITH_WATCHES + 1);
    assert_eq!(
        State::read(1, &writer.into_frame(), Zone::UTC),
        Err(Damaged("a newer release wrote it: it has an unknown format"))
    );
}

#[test]
fn half_a_split_is_read_again() {
    let item = |part: &str, data: Option<Vec<u8>>| StateItem {
        window: WindowKey::parse("2026-11-28T08", Zone::UTC).unwrap(),
        part: part.to_owned(),
        version: 3,
        data,
    };
    let frame = State::default().frame();
    let of =
        |items: &[StateItem]| leaves(items, Mode::Usual).unwrap().map(|leaves| leaves.into_keys().collect::<Vec<_>>());
    assert_eq!(of(&[]), Some(vec![String::new()]), "no state yet");
    assert_eq!(of(&[item("", None), item("0", Some(frame.clone()))]), None);
    let whole = [item("", None), item("0", Some(frame.clone())), item("1", Some(frame))];
    assert_eq!(of(&whole), Some(vec!["0".to_owned(), "1".to_owned()]));
}
