//! The proof of an hour: it finds whatever someone changed in the ledger or in the snapshots, and nothing else.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::fold::{Proven, Wrong};
use usage_aggregator::ledger::{Aggregate, Level, PageKind, WindowKey, pages};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::{Addition, Cell, CounterKey, Effect, Group};
use usage_aggregator::window::Zone;

use crate::place::{MINUTE, Place, id, minute_of};

fn hour(text: &str) -> WindowKey {
    WindowKey::parse(text, Zone::UTC).unwrap()
}

async fn prove(place: &Place, hour: WindowKey, patience: Duration) -> Proven {
    let (snapshot, now) = (place.pipeline.snapshot.as_ref().unwrap(), Timestamp::from_seconds(MINUTE + 600).unwrap());
    place.folder.prove(snapshot, hour, now, patience, None).await.unwrap()
}

/// What differs in the hour of the records, and in the windows that end with the day.
async fn differences(place: &Place) -> Vec<(String, Wrong)> {
    let mut found = Vec::new();
    for text in ["2026-11-28T08", "2026-11-28T23"] {
        let proven = prove(place, hour(text), Duration::ZERO).await;
        found.extend(proven.differences.iter().map(|difference| (difference.window.text(), difference.what)));
    }
    found
}

/// Two records of "a" and one of "b", in two minutes, that were folded.
async fn folded() -> Place {
    let place = Place::new();
    let mut notices = place.append(&[(1, "a", 0, 100), (2, "a", 0, 250)], 1).await;
    notices.extend(place.append(&[(2, "a", 0, 250), (3, "b", 1, 5)], 1).await);
    assert_eq!(place.fold(&notices).await.settled, 3);
    place
}

/// Puts an item of a table back after a change.
async fn change(place: &Place, table: &str, key: &str, sort_key: &str, change: impl FnOnce(&mut crate::place::Item)) {
    let has = |item: &crate::place::Item| {
        item["pk"].as_s().unwrap().contains(key) && item["sk"].as_s().unwrap().contains(sort_key)
    };
    let mut item = place.items(table).into_iter().find(has).unwrap();
    change(&mut item);
    place.folder.usage.client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_proven_from_its_pages_and_the_windows_that_end_with_it_from_their_hours() {
    let place = folded().await;
    let own = prove(&place, hour("2026-11-28T08"), Duration::ZERO).await;
    assert_eq!((own.windows, own.pages, own.snapshots, own.differences.len()), (1, 3, 2, 0));
    let last = prove(&place, hour("2026-11-28T23"), Duration::ZERO).await;
    assert_eq!((last.windows, last.pages, last.snapshots, last.differences.len()), (2, 0, 2, 0), "the day, too");
    let last = prove(&place, hour("2026-11-30T23"), Duration::ZERO).await;
    assert_eq!((last.windows, last.snapshots, last.differences.len()), (3, 2, 0), "the month, too");
    let mut sum = own;
    sum.add(last);
    assert_eq!((sum.windows, sum.pages, sum.snapshots), (4, 3, 4));
}

#[test]
fn the_runbook_explains_everything_that_can_be_wrong() {
    let runbooks = include_str!("../../docs/operations.md");
    for wrong in [Wrong::PageNotFolded, Wrong::PageGone, Wrong::State, Wrong::Snapshot] {
        assert!(runbooks.contains(&format!(". `{}`", wrong.text())), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_someone_changed_or_deleted_is_found() {
    let place = folded().await;
    let wrong = AttributeValue::N("4".to_owned());
    change(&place, "usage", "#a", "day", |item| _ = item.insert("amount".to_owned(), wrong)).await;
    assert_eq!(differences(&place).await, [("2026-11-28".to_owned(), Wrong::Snapshot)]);
    let deleted = place.items("usage").into_iter().find(|item| item["sk"].as_s().unwrap().contains("hour")).unwrap();
    place.delete("usage", deleted["pk"].as_s().unwrap(), deleted["sk"].as_s().unwrap());
    let expected = ["2026-11-28T08", "2026-11-28"].map(|window| (window.to_owned(), Wrong::Snapshot));
    assert_eq!(differences(&place).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_isnt_what_its_pages_add_up_to_is_found() {
    let (place, other) = (folded().await, Place::new());
    let notices = other.append(&[(1, "a", 0, 100), (4, "a", 0, 7), (3, "b", 1, 5)], 1).await;
    other.fold(&notices).await;
    let data = |item: &str| {
        let has = |found: &crate::place::Item| found["sk"].as_s().unwrap() == item;
        other.items("ledger").into_iter().find(has).unwrap()["data"].clone()
    };
    // The hour of other records: its minutes and its day say something else.
    let wrong = data("2026-11-28T08/");
    change(&place, "ledger", "s#", "2026-11-28T08/", |item| _ = item.insert("data".to_owned(), wrong)).await;
    let hour = ("2026-11-28T08".to_owned(), Wrong::State);
    let day = ("2026-11-28".to_owned(), Wrong::State);
    let snapshot = ("2026-11-28T08".to_owned(), Wrong::Snapshot);
    assert_eq!(differences(&place).await, [hour, snapshot, day]);
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_gone_or_were_never_folded_are_found() {
    let place = folded().await;
    place.append(&[(5, "c", 2, 1)], 1).await;
    let page = place.items("ledger").into_iter().find(|item| item["pk"].as_s().unwrap().contains("08:58")).unwrap();
    place.delete("ledger", page["pk"].as_s().unwrap(), page["sk"].as_s().unwrap());
    let expected =
        [("2026-11-28T08:58".to_owned(), Wrong::PageGone), ("2026-11-28T08:59".to_owned(), Wrong::PageNotFolded)];
    assert_eq!(differences(&place).await, expected);
}

/// Each state has the greater limit of both, though the pages of one group have only the smaller one.
#[tokio::test(start_paused = true)]
async fn regression_two_limits_of_a_distinct_measure_are_no_difference() {
    let place = Place::new();
    let mut notices = Vec::new();
    // Both count four values: above the limit of the first generation, and below that of the second.
    for (generation, exact, entity) in [(1, 2, "a"), (2, 5, "b")] {
        let aggregate = Aggregate::Distinct { exact };
        let effect = |number: u64| Effect {
            record: 0,
            id: id(generation * 10 + number),
            amounts: vec![Addition { measure: "users".into(), aggregate, cell: Cell::Hash(number << 60) }],
        };
        let group = Group {
            key: CounterKey(vec![entity.to_owned(), "orders".to_owned()]),
            segment: minute_of(0),
            event_hour: None,
            effects: (1..=4).map(effect).collect(),
        };
        for page in pages(&[group], generation, 8) {
            notices.push(place.put(&page, &PageKind::Usage).await);
        }
    }
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    assert_eq!(differences(&place).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_folded_is_no_difference() {
    let place = folded().await;
    let notices = place.append(&[(5, "c", 2, 1)], 1).await;
    let fold = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        place.fold(&notices).await
    };
    let (proven, folded) = tokio::join!(prove(&place, hour("2026-11-28T08"), Duration::from_secs(60)), fold);
    assert_eq!((proven.differences.len(), proven.snapshots, folded.settled), (0, 3, 1));
    // What stays is one.
    place.append(&[(6, "c", 2, 1)], 1).await;
    let proven = prove(&place, hour("2026-11-28T08"), Duration::from_secs(60)).await;
    assert_eq!(proven.differences.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_published_is_a_difference_and_holds_up_no_proof() {
    let place = Place::new();
    let notices = place.append(&[(1, &"x".repeat(3_000), 0, 1), (2, "b", 0, 1)], 1).await;
    place.fold(&notices).await;
    let proven = prove(&place, hour("2026-11-28T08"), Duration::ZERO).await;
    assert_eq!((proven.snapshots, proven.differences.len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn near_the_deadline_a_proof_fails_instead_of_proving_less() {
    let place = folded().await;
    place.http.set_plan(laptop::emulators::FaultPlan::new(|_| laptop::emulators::Fault::Status503));
    let (snapshot, now) = (place.pipeline.snapshot.as_ref().unwrap(), Timestamp::from_seconds(MINUTE + 600).unwrap());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    let hour = WindowKey::containing(Level::Hour, now, Zone::UTC);
    let proven = place.folder.prove(snapshot, hour, now, Duration::ZERO, Some(deadline)).await;
    assert!(proven.is_err(), "{proven:?}");
}
