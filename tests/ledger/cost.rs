//! What counting costs: the capacity that DynamoDB reports for append and fold, beside the two usual ways to count, which
//! are not exact. `make cost-table` prints all of it.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{ConsumedUnits, Units};

use crate::place::{Counted, Place};

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
