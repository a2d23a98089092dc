//! What counting costs: the capacity that DynamoDB reports for append and fold, beside the two usual ways to count, which
//! are not exact. `make cost-table` prints all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{ConsumedUnits, Units};
use usage_aggregator::decimal::Decimal;
use usage_aggregator::ledger::{PageKind, pages};
use usage_aggregator::pipeline::DurationUnit;
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{Addition, Aggregate, Cell, CounterKey, Effect, Group, Moment, Order, Scalar};

use crate::place::{Counted, Place, id, minute_of};

/// Write units plus a fifth of the read units, which cost a fifth.
fn weighted(Units { write, read }: Units) -> f64 {
    write + read / 5.0
}

/// 1,000 records per second in one batch.
const BATCH: u64 = 1_000;
const WINDOWS: f64 = 3.0;

/// The units of 1,000 records with `entities` entities that are folded every `seconds` seconds, in a month whose states know
/// every entity.
async fn ledger_units(entities: u64, seconds: u64) -> f64 {
    let units = ConsumedUnits::default();
    let mut place = Place::new();
    let client = |client: &Client| Client::from_conf(client.config().to_builder().interceptor(units.clone()).build());
    place.folder.ledger.client = client(&place.folder.ledger.client);
    place.folder.usage.client = client(&place.folder.usage.client);
    let names: Vec<String> = (0..entities).map(|entity| format!("customer-{entity:06}")).collect();
    // Every entity has been seen in this month and day, but in an earlier hour.
    let known: Vec<Counted<'_>> =
        names.iter().zip(1_000_000..).map(|(name, number)| (number, name.as_str(), -70, 100)).collect();
    let mut notices = Vec::new();
    for batch in known.chunks(1_000) {
        notices.extend(place.append(batch, 1).await);
    }
    place.fold(&notices).await;
    units.take();
    // From the middle of an hour on, half a minute and a whole minute: folds at each place within a minute.
    let mut random = fastrand::Rng::with_seed(1);
    let (mut number, mut second, folds) = (0, 0, (60 / seconds).max(1) * 2);
    for _ in 0..folds {
        let mut notices = Vec::new();
        for _ in 0..seconds.max(1) {
            let records: Vec<Counted<'_>> = (0..BATCH)
                .map(|_| {
                    number += 1;
                    let name = &names[random.usize(0..names.len())];
                    (number, name.as_str(), second / 60, random.i64(1..10_000))
                })
                .collect();
            notices.extend(place.append(&records, 1).await);
            second += 1;
        }
        assert_eq!(place.fold(&notices).await.settled, notices.len());
    }
    weighted(units.take()) / second as f64
}

/// The two usual ways to count, which are not exact.
struct Inexact {
    /// The units of an update for each record.
    by_record: f64,
    /// The units of summing up a batch and adding each sum.
    by_sum: f64,
}

async fn inexact_units(entities: u64) -> Inexact {
    let (units, place) = (ConsumedUnits::default(), Place::new());
    let client = Client::from_conf(place.folder.usage.client.config().to_builder().interceptor(units.clone()).build());
    let mut random = fastrand::Rng::with_seed(1);
    let records: Vec<u64> = (0..BATCH).map(|_| random.u64(0..entities)).collect();
    for entity in &records {
        add(&client, *entity).await;
    }
    let by_record = weighted(units.take()) * WINDOWS;
    for entity in records.iter().collect::<BTreeSet<_>>() {
        add(&client, *entity).await;
    }
    Inexact { by_record, by_sum: weighted(units.take()) * WINDOWS }
}

async fn add(client: &Client, entity: u64) {
    let update = client.update_item().table_name("usage");
    let update = update
        .key("pk", AttributeValue::S(format!("CUSTOMER#{entity}")))
        .key("sk", AttributeValue::S("USAGE".to_owned()));
    let update = update
        .update_expression("ADD orders :one")
        .expression_attribute_values(":one", AttributeValue::N("1".to_owned()));
    update.send().await.unwrap();
}

/// Groups of so many records, each with one measure of this kind. `None` for counts only.
fn groups_of(aggregate: Option<Aggregate>, groups: i64, records: usize) -> Vec<Group> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut number = 0;
    let mut effect = |record: usize| {
        number += 1;
        let duration = Decimal::from_parts(((random.f64() * 9.0).exp() * 100.0) as i128, -2).unwrap();
        let sequence =
            SequenceNumber::parse((44_215_845_000_000_000_000_000_u128 + u128::from(number) * 7_919).to_string());
        let mut cell = |aggregate| match aggregate {
            Aggregate::Distinct { .. } => Cell::Hash(random.u64(..)),
            Aggregate::First | Aggregate::Latest => Cell::Moment(Arc::new(Moment {
                at: Timestamp::from_seconds(minute_of(0).start() + random.i64(0..60)).unwrap(),
                order: Order::of_sequence(&sequence.clone().unwrap(), None),
                value: Scalar::Number(duration),
            })),
            _ => Cell::Number(duration),
        };
        let measured =
            aggregate.map(|aggregate| Addition { measure: "duration".into(), aggregate, cell: cell(aggregate) });
        let amounts = [Addition::sum("requests", Decimal::from(1))].into_iter().chain(measured).collect();
        Effect { record, id: id(number), amounts }
    };
    let group = |entity: i64| Group {
        key: CounterKey(vec![format!("customer-{entity:06}"), "requests".to_owned()]),
        segment: minute_of(0),
        event_hour: None,
        effects: (0..records).map(&mut effect).collect(),
    };
    (0..groups).map(group).collect()
}

/// The bytes of the pages of these groups, and of the state of their hour.
async fn bytes_of(groups: &[Group]) -> (f64, f64) {
    let place = Place::new();
    let mut notices = Vec::new();
    for page in pages(groups, 1, 8) {
        notices.push(place.put(&page, &PageKind::Usage).await);
    }
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    let bytes = |prefix: &str| {
        let items = place.items("ledger");
        let of_kind = items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with(prefix));
        of_kind.map(|item| item["data"].as_b().unwrap().as_ref().len() as f64).sum()
    };
    (bytes("p#"), bytes("s#orders#2026-11-28T08"))
}

const LEVEL: &str = "level";
const WEIGHTED: &str = "weighted";

/// Makes the last amount of a record, a duration of 1 to 8,100, one that this kind has: a few seats more or fewer, or five
/// seats for so many seconds.
fn as_kind(name: &str, amounts: &mut [Addition]) {
    let Some(Addition { cell: Cell::Number(number), .. }) = amounts.last_mut() else { return };
    let micros = i64::try_from(number.units(6).unwrap()).unwrap();
    match name {
        LEVEL => *number = (micros % 21 - 10).into(),
        WEIGHTED => *number = DurationUnit::Hours.product(5.into(), micros).unwrap(),
        _ => {}
    }
}

/// What a measure of each kind adds to a page and to a state; docs/cost.md has the table.
#[tokio::test(start_paused = true)]
async fn a_measure_of_each_kind_takes_few_bytes() {
    let kinds = [
        ("count alone", None, 0.0, 0.0),
        ("sum, delta", Some(Aggregate::Sum), 4.0, 5.0),
        (LEVEL, Some(Aggregate::Sum), 1.5, 3.0),
        (WEIGHTED, Some(Aggregate::Sum), 7.0, 8.0),
        ("max, min", Some(Aggregate::Max), 4.0, 5.0),
        ("first, latest", Some(Aggregate::Latest), 14.0, 30.0),
        ("distinct", Some(Aggregate::Distinct { exact: 256 }), 8.5, 86.0),
        ("quantile", Some(Aggregate::Quantile), 4.0, 30.0),
    ];
    let mut without = (0.0, 0.0);
    println!("| kind | bytes per record in a page | bytes per group in a state |");
    for (name, aggregate, most_in_page, most_in_state) in kinds {
        let mut groups = groups_of(aggregate, 100, 10);
        groups.iter_mut().flat_map(|group| &mut group.effects).for_each(|effect| as_kind(name, &mut effect.amounts));
        let (page, state) = bytes_of(&groups).await;
        let (page, state) = (page / 1_000.0, state / 100.0);
        println!("| {name} | {:.1} | {:.1} |", page - without.0, state - without.1);
        if aggregate.is_none() {
            without = (page, state);
        } else {
            assert!(page - without.0 <= most_in_page && state - without.1 <= most_in_state, "{name}");
        }
    }
    println!("| kind | values of one group | bytes of its state |");
    for (aggregate, most) in [(Aggregate::Distinct { exact: 256 }, 2_200.0), (Aggregate::Quantile, 1_500.0)] {
        for records in [10, 256, 257, 10_000] {
            let (_, state) = bytes_of(&groups_of(Some(aggregate), 1, records)).await;
            println!("| {} | {records} | {state:.0} |", aggregate.name());
            assert!(state <= most, "{} of {records}", aggregate.name());
        }
    }
}

/// From ten entities on, the exact way costs less than the usual one. `COST=1` prints the whole table.
#[tokio::test(start_paused = true)]
async fn exact_counting_costs_less_than_adding_sums() {
    let is_whole = std::env::var("COST").is_ok();
    let entities: &[u64] = if is_whole { &[1, 10, 50, 500, 5_000] } else { &[10, 50] };
    println!("| entities | an update per record | added sums | W = 10 s | W = 30 s | W = 60 s |");
    for &entities in entities {
        let Inexact { by_record, by_sum } = inexact_units(entities).await;
        let windows: &[u64] = if is_whole { &[10, 30, 60] } else { &[30] };
        let mut exact = Vec::new();
        for &seconds in windows {
            exact.push(ledger_units(entities, seconds).await);
        }
        let cells: Vec<String> = exact.iter().map(|units| format!("{units:.1}")).collect();
        println!("| {entities} | {by_record:.1} | {by_sum:.1} | {} |", cells.join(" | "));
        assert!(
            entities < 10 || exact.iter().all(|units| *units < by_sum),
            "{exact:?} for {entities} entities, added sums {by_sum}"
        );
    }
}

/// A number of KiB in this process's status.
fn resident_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap()
}

/// What one fold takes of 60 pages of 1,000 records each, of 5,000 entities. `COST=1` runs it.
#[tokio::test(start_paused = true)]
async fn a_fold_of_sixty_thousand_records_takes_little_memory() {
    if std::env::var("COST").is_err() {
        return;
    }
    let (place, mut notices, mut random) = (Place::new(), Vec::new(), fastrand::Rng::with_seed(1));
    let names: Vec<String> = (0..5_000).map(|entity| format!("customer-{entity:06}")).collect();
    for page in 0..60 {
        let records: Vec<Counted<'_>> = (page * BATCH..(page + 1) * BATCH)
            .map(|number| (number, names[random.usize(0..names.len())].as_str(), 0, random.i64(1..10_000)))
            .collect();
        notices.extend(place.append(&records, 1).await);
    }
    let mut mebibytes = Vec::new();
    for _ in 0..2 {
        // The peak begins anew.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = resident_kib("VmRSS");
        let folded = place.fold(&notices).await;
        assert_eq!((folded.settled, folded.error.map(|error| error.message)), (notices.len(), None));
        mebibytes.push((resident_kib("VmHWM") - before) / 1024);
    }
    println!(
        "A fold of 60,000 records of 5,000 entities: {} MiB with the 15,000 snapshots that the embedded",
        mebibytes[0]
    );
    println!("DynamoDB keeps; the same again, with nothing to write: {} MiB.", mebibytes[1]);
    assert!(mebibytes[0] <= 192 && mebibytes[1] <= 128, "{mebibytes:?}");
}
