//! Pages: the same records make the same page, and everything reads back.

use proptest::prelude::*;

use super::*;
use crate::decimal::Decimal;
use crate::record::SequenceNumber;
use crate::usage::{Addition, Aggregate, CounterKey, Moment, Order, Scalar};

fn id(number: u64) -> RecordId {
    let hash = blake3::hash(&number.to_be_bytes());
    RecordId(hash.as_bytes().first_chunk().copied().unwrap())
}

fn minute(minute: i64) -> Segment {
    Segment::containing(crate::time::Timestamp::from_seconds(1_795_230_300 + 60 * minute).unwrap())
}

fn effect(record: usize, number: u64, amounts: &[(&str, Decimal)]) -> Effect {
    let amounts = amounts.iter().map(|(name, amount)| Addition::sum(*name, *amount)).collect();
    Effect { record, id: id(number), amounts }
}

fn group(entity: &str, at: i64, effects: Vec<Effect>) -> Group {
    Group {
        key: CounterKey(vec![entity.to_owned(), "orders".to_owned()]),
        segment: minute(at),
        event_hour: None,
        effects,
    }
}

fn one() -> Decimal {
    Decimal::from(1)
}

fn content(page: &Page) -> PageContent {
    PageContent::read(&page.data, &PageKind::Usage, page.name).unwrap()
}

#[test]
fn the_same_records_make_the_same_page() {
    let effects: Vec<Effect> = (0..50)
        .map(|number| {
            let amount = Decimal::from_parts(number.into(), -2).unwrap();
            effect(usize::try_from(number).unwrap(), number, &[("orders", one()), ("amount", amount)])
        })
        .collect();
    let (a, b) = (group("a", 0, effects[..20].to_vec()), group("b", 0, effects[20..].to_vec()));
    let expected = pages(&[a.clone(), b.clone()], 1, 8);
    assert_eq!(expected.len(), 1);
    let mut reversed = [b, a];
    reversed.iter_mut().for_each(|group| group.effects.reverse());
    // The positions in the batch don't matter either.
    reversed.iter_mut().flat_map(|group| &mut group.effects).for_each(|effect| effect.record += 7);
    let again = pages(&reversed, 1, 8);
    assert_eq!((again[0].name, &again[0].data), (expected[0].name, &expected[0].data));
    assert_ne!(pages(&reversed, 2, 8)[0].name, expected[0].name, "another generation");
}

#[test]
fn a_batch_over_two_minutes_makes_two() {
    let groups = [
        group("a", 0, vec![effect(0, 0, &[("orders", one())])]),
        group("a", 1, vec![effect(1, 1, &[("orders", one())])]),
    ];
    let pages = pages(&groups, 1, 8);
    assert_eq!(
        pages.iter().map(|page| (page.minute, page.records.clone())).collect::<Vec<_>>(),
        [(minute(0), vec![0]), (minute(1), vec![1])]
    );
}

#[test]
fn a_large_page_is_cut_by_ids() {
    // Random digits don't compress, so 60,000 records are far above the limit.
    let effects: Vec<Effect> = (0..60_000_usize)
        .map(|number: usize| {
            let mantissa =
                i128::from(u64::from_be_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap()));
            effect(number, u64::try_from(number).unwrap(), &[("amount", Decimal::from_parts(mantissa, -2).unwrap())])
        })
        .collect();
    let (even, odd): (Vec<Effect>, Vec<Effect>) = effects.into_iter().partition(|effect| effect.record % 2 == 0);
    // One record feeds both groups: it is in both within one page.
    let shared = Effect { id: even[0].id, ..odd[0].clone() };
    let odd = odd.into_iter().skip(1).chain([shared]).collect();
    let pages = pages(&[group("even", 0, even), group("odd", 0, odd)], 1, 8);
    assert!(pages.len() > 1 && pages.iter().all(|page| page.data.len() <= MAX_BYTES), "{}", pages.len());
    let contents: Vec<PageContent> = pages.iter().map(content).collect();
    let ids: Vec<u128> =
        contents.iter().flat_map(|content| &content.groups).flat_map(|group| group.ids.clone()).collect();
    assert_eq!(ids.len(), 60_000);
    let distinct: std::collections::BTreeSet<u128> = ids.into_iter().collect();
    assert_eq!(distinct.len(), 59_999);
    let homes =
        |id: u128| contents.iter().filter(|content| content.groups.iter().any(|group| group.ids.contains(&id))).count();
    assert_eq!(homes(first_bytes(id(0), 8)), 1, "a record is in one page");
}

/// How many cells the groups of a page take, each of which has at least a column for each measure of the page.
fn cells(page: &Page) -> usize {
    let content = content(page);
    let rows = |group: &PageGroup| {
        group.columns.iter().filter(|column| !column.is_empty()).count() * group.ids.len().saturating_sub(1)
    };
    content.groups.len() * content.measures.len() + content.groups.iter().map(rows).sum::<usize>()
}

/// A record with these names of measures, each of which says 1.
fn with_names(record: usize, names: std::ops::Range<usize>) -> Effect {
    let names: Vec<String> = names.map(|number| format!("{number:04}")).collect();
    let amounts: Vec<(&str, Decimal)> = names.iter().map(|name| (name.as_str(), one())).collect();
    effect(record, u64::try_from(record).unwrap(), &amounts)
}

#[test]
fn regression_a_page_with_many_names_of_measures_is_cut_before_it_takes_much_memory() {
    let lone = |record: usize| with_names(record, record * 100..record * 100 + 100);
    let cases = [
        // One record among many has as many names as a record may have.
        (0..1_000).map(|record| (record, with_names(record, 0..if record == 500 { 5_600 } else { 2 }))).collect(),
        // Each of many groups, or each of many records of one group, has names that no other has.
        (0..300).map(|record| (record, lone(record))).collect(),
        (0..300).map(|record| (0, lone(record))).collect::<Vec<_>>(),
    ];
    for (number, records) in cases.into_iter().enumerate() {
        let mut groups = BTreeMap::<usize, Group>::new();
        for (entity, effect) in &records {
            let group = groups.entry(*entity).or_insert_with(|| group(&format!("{entity:04}"), 0, Vec::new()));
            group.effects.push(effect.clone());
        }
        let groups: Vec<Group> = groups.into_values().collect();
        let cut = pages(&groups, 1, 8);
        let most = cut.iter().map(cells).max().unwrap();
        assert!(cut.len() > 1 && most <= 2 * MAX_CELLS, "case {number}: {} pages, {most} cells", cut.len());
        let values = |page: &Page| -> usize {
            let content = content(page);
            let rows = |group: &PageGroup| {
                let values = group
                    .columns
                    .iter()
                    .map(|column| (0..group.ids.len()).filter(|row| column.value(*row).is_some()).count());
                values.sum::<usize>()
            };
            content.groups.iter().map(rows).sum()
        };
        let all: usize = records.iter().map(|(_, effect)| effect.amounts.len()).sum();
        assert_eq!(cut.iter().map(values).sum::<usize>(), all, "case {number}: every value is in one page");
        let mut reversed = groups;
        reversed.reverse();
        reversed.iter_mut().for_each(|group| group.effects.reverse());
        assert_eq!(pages(&reversed, 1, 8), cut, "case {number}: the same records make the same pages");
    }
}

#[test]
fn regression_a_single_record_with_many_names_is_one_page() {
    let of = |entity| group(entity, 0, vec![with_names(0, 0..150_000)]);
    let [page] = pages(&[of("a"), of("b")], 1, 8).try_into().unwrap();
    assert_eq!((content(&page).groups.len(), content(&page).measures.len()), (2, 150_000));
}

#[test]
fn a_group_that_counts_in_another_hour_needs_another_format_and_reads_back() {
    let hour = Segment::parse("2026-11-28T06:00").unwrap();
    let plain = group("a", 0, vec![effect(0, 0, &[("orders", one())])]);
    let late = Group { event_hour: Some(hour), ..group("a", 0, vec![effect(1, 1, &[("orders", one())])]) };
    let [page] = pages(&[late, plain.clone()], 1, 8).try_into().unwrap();
    let content = PageContent::read(&page.data, &PageKind::Usage, page.name).unwrap();
    let hours: Vec<_> = content.groups.iter().map(|group| group.key.event_hour()).collect();
    assert_eq!((hours, page.minute), (vec![None, Some(hour)], plain.segment));
    let format = |page: &Page| content_of(&page.data).unwrap()[0];
    assert_eq!((format(&page), format(&pages(&[plain], 1, 8)[0])), (2, 1));
}

#[test]
fn what_a_newer_release_wrote_is_refused_and_so_is_damage() {
    let page = &pages(&[group("a", 0, vec![effect(0, 0, &[("orders", one())])])], 1, 8)[0];
    let read = |data: &[u8], name: u64| PageContent::read(data, &PageKind::Usage, name).map(|_| ());
    assert_eq!(read(&page.data, page.name), Ok(()));
    assert_eq!(read(&page.data, page.name + 1), Err(Damaged("its content doesn't match its name")));
    let mut newer = content_of(&page.data).unwrap();
    newer[0] = 3;
    let mut writer = Writer::default();
    writer.raw(&newer);
    let name = name_of(&newer, &PageKind::Usage);
    assert_eq!(read(&writer.into_frame(), name), Err(Damaged("a newer release wrote it: it has an unknown format")));
    for length in 0..page.data.len() {
        assert!(read(&page.data[..length], page.name).is_err());
    }
}

#[test]
fn a_page_has_eleven_bytes_a_record_and_thirty_a_group() {
    let size = |groups: i64, records: i64| {
        let group = |number: i64| {
            let effects = (0..records).map(|record| {
                effect(
                    0,
                    u64::try_from(number * records + record).unwrap(),
                    &[("orders", one()), ("amount", Decimal::from_parts((record * 7_919 % 9_973).into(), -2).unwrap())],
                )
            });
            group(&format!("customer-{number:05}"), 0, effects.collect())
        };
        content(&pages(&(0..groups).map(group).collect::<Vec<_>>(), 1, 8)[0]).bytes().written().len()
    };
    assert!(size(1, 1_000) < 11 * 1_000, "{}", size(1, 1_000));
    assert!(size(100, 1) < 41 * 100, "{}", size(100, 1));
}

fn decimals() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        (0..3_i64).prop_map(Decimal::from),
        (-10_i128.pow(37)..10_i128.pow(37), -100..80_i32)
            .prop_map(|(mantissa, exponent)| Decimal::from_parts(mantissa, exponent).unwrap()),
    ]
}

/// What a record says about a measure with this aggregate.
fn cell(aggregate: Aggregate, number: Decimal, second: i64, text: &str) -> Cell {
    match aggregate {
        Aggregate::Sum | Aggregate::Max | Aggregate::Min | Aggregate::Quantile => Cell::Number(number),
        Aggregate::Distinct { .. } => Cell::Hash(second.unsigned_abs() % 3),
        Aggregate::First | Aggregate::Latest => Cell::Moment(std::sync::Arc::new(Moment {
            at: crate::time::Timestamp::from_seconds(1_795_230_300 + second).unwrap(),
            order: Order::of_sequence(&SequenceNumber::parse(second.to_string()).unwrap(), None),
            value: if second % 2 == 0 { Scalar::Number(number) } else { Scalar::Text(text.into()) },
        })),
    }
}

const AGGREGATES: [Aggregate; 7] = [
    Aggregate::Sum,
    Aggregate::Max,
    Aggregate::Min,
    Aggregate::First,
    Aggregate::Latest,
    Aggregate::Distinct { exact: 1_000 },
    Aggregate::Quantile,
];

#[test]
fn a_page_of_sums_has_the_bytes_that_it_always_had() {
    let page = &pages(&[group("a", 0, vec![effect(0, 0, &[("orders", one())])])], 1, 8)[0];
    let key = GroupKey::from(&CounterKey(vec!["a".to_owned(), "orders".to_owned()]));
    let length = u8::try_from(key.bytes().len()).unwrap();
    let parts: [&[u8]; 6] =
        [&[1, 1, 8, 1, 1, 6], b"orders", &[1, length], key.bytes(), &[&[1], &id(0).0[..8]].concat(), &[1, 0, 2]];
    assert_eq!(content_of(&page.data).unwrap(), parts.concat());
}

#[test]
fn measures_of_every_aggregate_read_back_and_an_unknown_one_is_refused() {
    let mut measures = Measures::default();
    for aggregate in AGGREGATES {
        measures.number(&aggregate.name().into(), aggregate);
    }
    // Of two limits the greater one holds.
    let distinct = measures.number(&"distinct".into(), Aggregate::Distinct { exact: 256 });
    assert_eq!(measures.get(distinct).unwrap().aggregate, Aggregate::Distinct { exact: 1_000 });
    let mut writer = Writer::default();
    measures.write(&mut writer);
    assert_eq!(Measures::read(&mut Reader::new(writer.written())), Ok(measures));
    let newer = Err(Damaged("a newer release wrote it: it has an unknown aggregate"));
    assert_eq!(Measures::read(&mut Reader::new(&[1, 8, 1, b'm'])), newer);
}

proptest! {
    #[test]
    fn columns_read_back(
        rows in proptest::collection::vec(proptest::option::of((decimals(), 0..60_i64, "[a-z]{0,9}")), 0..40), same: bool,
    ) {
        for aggregate in AGGREGATES {
            let cell = |(number, second, text): &(Decimal, i64, String)| cell(aggregate, *number, *second, text);
            let mut cells: Vec<Option<Cell>> = rows.iter().map(|row| row.as_ref().map(cell)).collect();
            if same && let Some(first) = cells.first().cloned() {
                cells.fill(first);
            }
            let column = Column::new(cells.clone());
            let mut writer = Writer::default();
            column.write(&mut writer, cells.len());
            let mut reader = Reader::new(writer.written());
            prop_assert_eq!(Column::read(aggregate, &mut reader, cells.len()), Ok(column.clone()));
            prop_assert!(reader.is_at_end());
            prop_assert_eq!((0..cells.len()).map(|row| column.value(row).cloned()).collect::<Vec<_>>(), cells);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let mut writer = Writer::default();
        writer.byte(FORMAT);
        writer.raw(&bytes);
        let name = name_of(writer.written(), &PageKind::Usage);
        let _ = PageContent::read(&writer.into_frame(), &PageKind::Usage, name);
    }
}

#[test]
fn a_page_holds_as_many_bytes_of_an_id_as_it_should() {
    let groups = [group("a", 0, vec![effect(0, 7, &[("orders", one())])])];
    let of = |id_bytes| {
        let content = content(&pages(&groups, 1, id_bytes)[0]);
        (content.id_bytes, content.groups[0].ids[0])
    };
    let whole = u128::from_be_bytes(id(7).0);
    assert_eq!([8, 10, 16].map(of), [(8, whole >> 64), (10, whole >> 48), (16, whole)]);
}
