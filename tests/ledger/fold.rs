//! What a fold does, step by step.

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Fault, FaultPlan};
use usage_aggregator::error::ErrorKind;
use usage_aggregator::fold::{Depth, Mode, Swept};
use usage_aggregator::ledger::PageRef;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::place::{Counted, MINUTE, Place, groups, id, lowered, minute_of};

#[tokio::test(start_paused = true)]
async fn a_minute_counts_each_record_once() {
    let place = Place::new();
    let mut notices = place.append(&[(1, "a", 0, 100), (2, "a", 0, 250), (3, "b", 0, 5)], 1).await;
    // The same records in another cut, and one more of another minute of the same hour.
    notices.extend(place.append(&[(2, "a", 0, 250), (3, "b", 0, 5), (4, "b", 1, 10)], 1).await);
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.error.map(|error| error.message)), (3, None));
    for window in ["hour", "day", "month"] {
        let values = |entity: &str| place.snapshots()[&(entity.to_owned(), window.to_owned())];
        assert_eq!((values("a").0, values("a").1, values("b").0, values("b").1), (2, 350, 2, 15), "{window}");
    }
    // Again: nothing changes, not even a version.
    let (states, snapshots) = (place.states(), place.snapshots());
    assert_eq!(place.fold(&notices).await.settled, 3);
    assert_eq!((place.states(), place.snapshots()), (states, snapshots));
}

#[tokio::test(start_paused = true)]
async fn a_fold_takes_eight_round_trips_and_the_snapshots() {
    let place = Place::new();
    // Two queries and a write for each of four levels. The first fold of a month looks for hours on its other days, from November 3 on:
    // those of earlier days have expired.
    for (number, minute, queries) in [(1, 0, 8 + 27), (2, -24 * 60, 8), (3, -24 * 60, 8)] {
        let notices = place.append(&[(number, "a", minute, 100)], 1).await;
        place.http.set_plan(FaultPlan::none());
        place.fold(&notices).await;
        let operations: Vec<String> = place.http.calls().iter().map(|(call, _)| call.operation.clone()).collect();
        let count = |name: &str| operations.iter().filter(|operation| *operation == name).count();
        let counted = (count("Query"), count("PutItem"), count("UpdateItem"));
        assert_eq!(counted, (queries, 4, 3), "{operations:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_state_lists_must_be_read() {
    let place = Place::new();
    let first = place.append(&[(1, "a", 0, 100)], 1).await;
    place.fold(&first).await;
    let page = place.items("ledger").into_iter().find(|item| item["pk"].as_s().unwrap().starts_with("p#")).unwrap();
    let text = |name: &str| page[name].as_s().unwrap().clone();
    place.delete("ledger", &text("pk"), &text("sk"));
    let second = place.append(&[(2, "a", 0, 50)], 1).await;
    let before = place.snapshots();
    let folded = place.fold(&second).await;
    assert_eq!(folded.settled, 0);
    assert!(folded.error.unwrap().message.contains("is missing"));
    assert_eq!(place.snapshots(), before, "a lost page is an error, not a smaller number");
    // Other minutes are not affected.
    let both: Vec<_> = place.append(&[(3, "a", 1, 7)], 1).await.into_iter().chain(second).collect();
    assert_eq!(place.fold(&both).await.settled, 1);
    assert_eq!(place.month("a"), (2, 107));
}

#[tokio::test(start_paused = true)]
async fn a_noticed_page_must_be_read() {
    let place = Place::new();
    let notices = place.append(&[(1, "a", 0, 100)], 1).await;
    let mut missing = notices[0];
    missing.page.name ^= 1;
    let folded = place.fold(&[missing]).await;
    assert_eq!((folded.settled, place.snapshots().len(), place.states().len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_new_still_publishes() {
    let place = Place::new();
    let notices = place.append(&[(1, "a", 0, 100)], 1).await;
    // The states are written, the snapshots are not.
    place.http.set_plan(FaultPlan::always("UpdateItem", Fault::Status503));
    assert_eq!(place.fold(&notices).await.settled, 0);
    assert!(place.snapshots().is_empty() && place.states().len() == 4);
    place.http.set_plan(FaultPlan::none());
    assert_eq!(place.fold(&notices).await.settled, 1);
    assert_eq!((place.month("a"), place.snapshots().len()), ((1, 100), 3));
}

#[tokio::test(start_paused = true)]
async fn a_record_leaves_its_old_group_with_a_new_generation() {
    let place = Place::new();
    let old = place.append(&[(1, "a", 0, 100), (2, "a", 0, 1)], 1).await;
    place.fold(&old).await;
    let new = place.append(&[(1, "b", 0, 200)], 2).await;
    assert_eq!(place.fold(&new).await.settled, 1);
    assert_eq!((place.month("a"), place.month("b")), ((1, 1), (1, 200)));
    // In any order: the old page again changes nothing.
    place.fold(&old).await;
    assert_eq!((place.month("a"), place.month("b")), ((1, 1), (1, 200)));
}

#[tokio::test(start_paused = true)]
async fn a_record_counts_once_in_each_group_that_it_feeds() {
    let place = Place::new();
    // As two counters of a record type have it: record 1 counts for its tenant and for its plan.
    let both = [(1, "tenant", 0, 100), (1, "plan", 0, 100), (2, "tenant", 0, 5)];
    let mut notices = place.append(&both, 1).await;
    assert_eq!(notices.len(), 1, "one page has all of them");
    notices.extend(place.append(&both[..2], 1).await);
    place.fold(&notices).await;
    assert_eq!((place.month("tenant"), place.month("plan")), ((2, 105), (1, 100)));
    // A new generation without the plan's counter.
    let new = place.append(&[(1, "tenant", 0, 100)], 2).await;
    place.fold(&new).await;
    place.fold(&notices).await;
    assert_eq!((place.month("tenant"), place.month("plan")), ((2, 105), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_voided_record_counts_nowhere() {
    let place = Place::new();
    let notices = place.append(&[(1, "a", 0, 100), (2, "a", 0, 1)], 1).await;
    place.fold(&notices).await;
    let back = place.take_back(&groups(&[(1, "a", 0, 100)])).await;
    assert_eq!(place.fold(&back).await.settled, 1);
    assert_eq!(place.month("a"), (1, 1));
    assert_ne!(id(1), id(2));
}

#[tokio::test(start_paused = true)]
async fn a_group_without_records_stays_at_zero() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    place.fold(&place.append(&[(1, "b", 0, 100)], 2).await).await;
    assert_eq!(place.snapshots()[&("a".to_owned(), "month".to_owned())].0, 0, "named, so published");
    assert_eq!(place.month("a"), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn buckets_change_at_any_time() {
    let mut place = Place::new();
    let one = place.append(&[(1, "a", 0, 1)], 1).await;
    place.folder.ledger.buckets = 16;
    let many: Vec<_> = {
        let mut notices = one.clone();
        for number in 2..30 {
            notices.extend(place.append(&[(number, "a", 0, 1)], 1).await);
        }
        notices
    };
    assert!(many.iter().any(|notice| notice.page.bucket > 0));
    place.fold(&many[..10]).await;
    place.folder.ledger.buckets = 1;
    // Neither the configuration nor this notice knows the buckets that the state lists.
    place.fold(&one).await;
    assert_eq!(place.fold(&many).await.settled, many.len());
    assert_eq!(place.month("a"), (29, 29));
}

#[tokio::test(start_paused = true)]
async fn the_answer_names_the_first_unpublished_notice() {
    let mut place = Place::new();
    place.folder.concurrency = 1;
    let mut notices = place.append(&[(1, "a", 0, 1)], 1).await;
    notices.extend(place.append(&[(2, "b", 0, 1)], 1).await);
    notices.extend(place.append(&[(3, "c", 0, 1)], 1).await);
    let mut updates = 0;
    place.http.set_plan(FaultPlan::new(move |call| {
        updates += usize::from(call.operation == "UpdateItem");
        if updates > 3 { Fault::Status503 } else { Fault::None }
    }));
    assert_eq!(place.fold(&notices).await.settled, 1);
    assert_eq!((place.month("a"), place.month("b")), ((1, 1), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_epoch_outruns_restored_snapshots() {
    let mut place = Place::new();
    let first = place.append(&[(1, "a", 0, 1)], 1).await;
    place.fold(&first).await;
    let states: Vec<_> = place.states().into_keys().collect();
    let second = place.append(&[(2, "a", 0, 1)], 1).await;
    place.fold(&second).await;
    // The ledger is restored to before the first fold: its states are gone, its pages came back.
    states.iter().for_each(|(key, sort_key)| place.delete("ledger", key, sort_key));
    let error = place.try_fold(&first).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.message.contains("snapshots are ahead of the ledger"), "{error}");
    place.folder.epoch = 1;
    assert_eq!(place.fold(&first).await.settled, 1);
    assert_eq!(place.month("a"), (2, 2));
    assert!(place.states().values().all(|version| *version >= 1 << 48));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_cannot_be_published_holds_up_nobody() {
    let place = Place::new();
    let long = "x".repeat(3_000);
    let notices = place.append(&[(1, &long, 0, 1), (2, "b", 0, 1)], 1).await;
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.unpublished.len(), folded.snapshots), (1, 3, 3));
    assert_eq!(place.month("b"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_names_the_snapshots_that_dynamodb_refuses() {
    let place = Place::new();
    let long = "x".repeat(3_000);
    place.append(&[(1, &long, 0, 1), (2, "b", 0, 1)], 1).await;
    let (snapshot, now) = (place.pipeline.snapshot.as_ref().unwrap(), Timestamp::from_seconds(MINUTE + 600).unwrap());
    for _ in 0..2 {
        let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Minute, now, None).await.unwrap();
        let keys: Vec<&str> = swept.refused.keys().map(|item| item.key[0].1.as_str()).collect();
        assert!(keys.len() == 3 && keys.iter().all(|key| key.contains(&long)), "{swept:?}");
        assert!(swept.refused.values().all(|reason| reason.contains("dynamodb:")), "{swept:?}");
    }
    assert_eq!(place.month("b"), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_split_keeps_versions_rising_and_fits_from_nothing() {
    let place = Place::with_windows(&[Window::Month]);
    // Random names don't compress, so 9,000 groups are far more than a part holds.
    let names: Vec<String> =
        (0..9_000_u64).map(|number| blake3::hash(&number.to_be_bytes()).to_hex()[..60].to_owned()).collect();
    let records: Vec<_> = names.iter().enumerate().map(|(number, name)| (number as u64, name.as_str(), 0, 1)).collect();
    let mut notices = Vec::new();
    for batch in records.chunks(1_000) {
        notices.extend(place.append(batch, 1).await);
    }
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.snapshots), (notices.len(), 9_000), "{:?}", folded.error);
    let states = place.states();
    assert!(states.len() > 8, "{states:?}");
    let before = place.snapshots();
    let more = place.append(&[(100_000, &names[17], 0, 5)], 1).await;
    assert_eq!(place.fold(&more).await.settled, 1);
    assert_eq!(place.month(&names[17]), (2, 6));
    for (key, (_, _, version)) in place.snapshots() {
        assert!(version >= before[&key].2, "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn halves_continue_the_versions_of_what_was_split() {
    let mut place = Place::new();
    let append = async |place: &Place, number| place.append(&[(number, "a", 0, 1), (100 + number, "b", 0, 1)], 1).await;
    for number in 0..5 {
        place.fold(&append(&place, number).await).await;
    }
    place.folder.max_state_bytes = 60;
    assert_eq!(place.fold(&append(&place, 5).await).await.settled, 1);
    assert!(place.states().into_keys().any(|(_, sort_key)| sort_key.ends_with("/0")), "nothing was split");
    assert_eq!((place.month("a"), place.month("b")), ((6, 6), (6, 6)));
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_call_leaves_the_fold_exact() {
    for fault in Fault::ALL {
        for call in 1..=15 {
            let place = Place::new();
            let notices = place.append(&[(1, "a", 0, 100), (2, "b", 0, 7)], 1).await;
            place.http.set_plan(FaultPlan::at(call, fault));
            tokio::select! {
                _ = place.try_fold(&notices) => {}
                () = place.http.crashed() => {}
            }
            place.http.revive();
            place.http.set_plan(FaultPlan::none());
            assert_eq!(place.fold(&notices).await.settled, 1, "{fault:?} at {call}");
            assert_eq!((place.month("a"), place.month("b")), ((1, 100), (1, 7)), "{fault:?} at {call}");
        }
    }
}

/// Sweeps of all minutes around the records, with all their windows.
async fn sweep(place: &Place, depth: Depth) -> usize {
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let mut swept = Swept::default();
    for minute in 0..4 {
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        swept.add(place.folder.sweep(snapshot, minute_of(minute), depth, now, None).await.unwrap());
    }
    swept.repaired
}

#[test]
fn sweeps_add_up() {
    let mut swept = Swept { pages: 2, repaired: 3, ..Swept::default() };
    swept.add(Swept { pages: 5, repaired: 7, ..Swept::default() });
    assert_eq!(swept, Swept { pages: 7, repaired: 10, ..Swept::default() });
}

#[tokio::test(start_paused = true)]
async fn a_lost_notice_is_healed() {
    let place = Place::new();
    let first = place.append(&[(1, "a", 0, 100)], 1).await;
    place.fold(&first).await;
    place.append(&[(2, "a", 0, 5), (3, "b", 1, 7)], 1).await;
    assert_eq!(sweep(&place, Depth::Differences).await, 6);
    assert_eq!((place.month("a"), place.month("b")), ((2, 105), (1, 7)));
    // It finds nothing wrong, but stamps what has an earlier version. The next one changes nothing at all.
    assert_eq!(sweep(&place, Depth::Windows).await, 0);
    let (states, snapshots) = (place.states(), place.snapshots());
    assert_eq!(sweep(&place, Depth::Windows).await, 0);
    assert_eq!((place.states(), place.snapshots()), (states, snapshots));
}

#[tokio::test(start_paused = true)]
async fn regression_a_range_of_minutes_compares_each_window_once() {
    let place = Place::new();
    let names: Vec<String> = (0..20).map(|entity| format!("customer-{entity}")).collect();
    let records: Vec<Counted<'_>> =
        names.iter().zip(0..).map(|(name, number)| (number, name.as_str(), (number % 4) as i64, 5)).collect();
    place.fold(&place.append(&records, 1).await).await;
    place.http.set_plan(FaultPlan::none());
    let reads = || place.http.calls().iter().filter(|(call, _)| call.operation == "GetItem").count();
    assert_eq!(sweep(&place, Depth::Ending { last: minute_of(3) }).await, 0);
    // 08:57 to 08:59 are in the hour before 09:00: 15 groups in it, 5 in that of 09:00, and 20 in the day and the month.
    assert_eq!(reads(), 15 + 5 + 20 + 20);
    for item in place.items("usage") {
        place.delete("usage", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
    }
    assert_eq!(sweep(&place, Depth::Ending { last: minute_of(3) }).await, 60);
}

#[tokio::test(start_paused = true)]
async fn a_fold_that_died_after_the_minute_is_healed() {
    for (writes, depth) in (1..7).flat_map(|writes| [(writes, Depth::Minute), (writes, Depth::Windows)]) {
        let place = Place::new();
        place.append(&[(1, "a", 0, 100)], 1).await;
        let notices = place.append(&[(1, "a", 0, 100), (2, "a", 0, 5)], 1).await;
        let mut done = 0;
        place.http.set_plan(FaultPlan::new(move |call| {
            done += usize::from(matches!(call.operation.as_str(), "PutItem" | "UpdateItem"));
            if done > writes { Fault::CrashBefore } else { Fault::None }
        }));
        tokio::select! {
            _ = place.try_fold(&notices) => panic!("it should have crashed after {writes} writes"),
            () = place.http.crashed() => {}
        }
        place.http.revive();
        place.http.set_plan(FaultPlan::none());
        sweep(&place, depth).await;
        for window in ["hour", "day", "month"] {
            let values = place.snapshots()[&("a".to_owned(), window.to_owned())];
            assert_eq!((values.0, values.1), (2, 105), "{window} after {writes} writes, {depth:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_usage_table_that_was_lost_or_changed_by_hand_is_written_again() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100), (2, "b", 1, 7)], 1).await).await;
    let before = place.snapshots();
    for item in place.items("usage") {
        place.delete("usage", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
    }
    assert_eq!(sweep(&place, Depth::Windows).await, 6);
    assert_eq!(place.snapshots(), before);
    let item = &place.items("usage")[0];
    let request = serde_json::json!({
        "TableName": "usage", "Key": { "pk": { "S": item["pk"].as_s().unwrap() }, "sk": { "S": item["sk"].as_s().unwrap() } },
        "UpdateExpression": "SET amount = :wrong", "ExpressionAttributeValues": { ":wrong": { "N": "999" } },
    });
    place.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
    assert_ne!(place.snapshots(), before);
    assert_eq!(sweep(&place, Depth::Windows).await, 1);
    assert_eq!(place.snapshots(), before);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_was_spoiled_by_hand_is_rebuilt() {
    for damage in ["B", "version only"] {
        let place = Place::new();
        place.fold(&place.append(&[(1, "a", 0, 100), (2, "b", 0, 7)], 1).await).await;
        let before = place.snapshots();
        // The hour's state: unreadable, or one that says nothing but lists what the real one lists.
        let request = serde_json::json!({
            "TableName": "ledger",
            "Key": { "pk": { "S": "s#orders#2026-11-28" }, "sk": { "S": "2026-11-28T08/" } },
            "UpdateExpression": "SET #data = :wrong",
            "ExpressionAttributeNames": { "#data": "data" },
            "ExpressionAttributeValues": { ":wrong": { "B": if damage == "B" { "AAAA" } else { "KLUv/SAAAQAA" } } },
        });
        place.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
        let more = place.append(&[(3, "a", 0, 1)], 1).await;
        let error = place.try_fold(&more).await.unwrap_err();
        assert!(error.message.contains("is damaged"), "{error}");
        let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now, None).await.unwrap();
        assert_eq!((place.month("a"), place.month("b")), ((2, 101), (1, 7)));
        assert_eq!(place.fold(&more).await.settled, 1);
        for (key, (_, _, version)) in place.snapshots() {
            assert!(version > before[&key].2, "{key:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_that_are_lost_for_good_can_be_forgotten() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    let page = place.items("ledger").into_iter().find(|item| item["pk"].as_s().unwrap().starts_with("p#")).unwrap();
    place.delete("ledger", page["pk"].as_s().unwrap(), page["sk"].as_s().unwrap());
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let swept = place.folder.sweep(snapshot, minute_of(0), Depth::Differences, now, None).await;
    assert!(swept.unwrap_err().message.contains("is missing"));
    let more = place.append(&[(2, "a", 0, 5)], 1).await;
    assert_eq!(place.fold(&more).await.settled, 0);
    let missing = place.folder.missing(snapshot, minute_of(0), None).await.unwrap();
    let name = page["sk"].as_s().unwrap();
    assert_eq!(missing, [format!("the page 0/{name} of 2026-11-28T08:57")]);
    let rebuilt = place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now, None).await;
    assert!(rebuilt.unwrap_err().message.contains("is missing"));
    place.folder.rebuild(snapshot, minute_of(0), Mode::Forget, now, None).await.unwrap();
    assert_eq!((place.month("a"), place.fold(&more).await.settled), ((1, 5), 1));
    place.delete("ledger", "s#orders#2026-11-28T08", "2026-11-28T08:57/");
    let missing = place.folder.missing(snapshot, minute_of(0), None).await.unwrap();
    assert!(
        matches!(missing.as_slice(), [one] if one.ends_with("of the state 2026-11-28T08:57/, which 2026-11-28T08 lists")),
        "{missing:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_page_that_is_gone_is_forgotten_however_many_buckets_are_configured() {
    let (place, notices) = lowered().await;
    let PageRef { bucket, name } = notices.iter().map(|notice| notice.page).find(|page| page.bucket > 16).unwrap();
    place.delete("ledger", &format!("p#orders#2026-11-28T08:57#{bucket}"), &format!("{name:016x}"));
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let missing = place.folder.missing(snapshot, minute_of(0), None).await.unwrap();
    assert_eq!(missing, [format!("the page {bucket}/{name:016x} of 2026-11-28T08:57")]);
    let rebuilt = place.folder.rebuild(snapshot, minute_of(0), Mode::Forget, now, None).await.unwrap();
    assert_eq!((rebuilt.pages, place.month("a")), (79, (79, 79)));
    assert!(place.folder.missing(snapshot, minute_of(0), None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_state_that_does_not_bind_is_written_again_from_all_buckets() {
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    // The state of the minute is damaged, so that nobody knows the buckets that it listed.
    let (place, _) = lowered().await;
    let mut state = place.state("2026-11-28T08:57");
    state.insert("data".to_owned(), AttributeValue::B(vec![0, 0, 0].into()));
    place.folder.ledger.client.put_item().table_name("ledger").set_item(Some(state)).send().await.unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let rebuilt = place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now, None).await.unwrap();
    assert_eq!((rebuilt.pages, place.month("a")), (80, (80, 80)));

    // The ledger was restored, and what its states list may be missing.
    let (mut place, notices) = lowered().await;
    place.folder.epoch = 1;
    let first: Vec<_> = notices.into_iter().filter(|notice| notice.page.bucket == 0).take(1).collect();
    assert_eq!((place.fold(&first).await.settled, place.month("a")), (1, (80, 80)));
    place.folder.epoch = 2;
    let swept = place.folder.sweep(place.pipeline.snapshot.as_ref().unwrap(), minute_of(0), Depth::Minute, now, None);
    assert_eq!((swept.await.unwrap().pages, place.month("a")), (80, (80, 80)));
}
