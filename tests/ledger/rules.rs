//! Rules of the protocol that a single fold doesn't show: what a second fold, a crash or a restored ledger must find.

use laptop::emulators::{Fault, FaultPlan};
use usage_aggregator::fold::{Depth, Mode};
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::window::{Window, Zone};

use crate::place::{MINUTE, Place, minute_of};

const DAY: i64 = 86_400;

/// Changes an attribute of a snapshot.
fn set(place: &Place, window: &str, name: &str, value: &serde_json::Value) {
    let item = place.items("usage").into_iter().find(|item| item["window"].as_s().unwrap() == window).unwrap();
    let text = |name: &str| item[name].as_s().unwrap();
    let request = serde_json::json!({
        "TableName": "usage",
        "Key": { "pk": { "S": text("pk") }, "sk": { "S": text("sk") } },
        "UpdateExpression": "SET #name = :value",
        "ExpressionAttributeNames": { "#name": name },
        "ExpressionAttributeValues": { ":value": value },
    });
    place.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
}

fn number(place: &Place, window: &str, name: &str) -> Option<String> {
    let item = place.items("usage").into_iter().find(|item| item["window"].as_s().unwrap() == window)?;
    item.get(name).map(|value| value.as_n().unwrap().clone())
}

#[tokio::test(start_paused = true)]
async fn the_same_batch_again_makes_no_new_page() {
    let place = Place::new();
    let first = place.append(&[(1, "a", 0, 100), (2, "b", 1, 5)], 1).await;
    assert_eq!(place.append(&[(1, "a", 0, 100), (2, "b", 1, 5)], 1).await, first);
    assert_eq!(place.items("ledger").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_state_expires_with_what_may_be_summed_from_it() {
    let place = Place::new();
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    // 2026-11-28T08:57, kept for 18 days and 7 more.
    let ends = [
        ("2026-11-28T08:57/", MINUTE + 180),
        ("2026-11-28T08/", WindowKey::parse("2026-11-28", Zone::UTC).unwrap().end()),
        ("2026-11-28/", WindowKey::parse("2026-11", Zone::UTC).unwrap().end()),
    ];
    let items = place.items("ledger");
    for (sort_key, end) in ends {
        let item = items.iter().find(|item| item["sk"].as_s().unwrap() == sort_key).unwrap();
        assert_eq!(item["expires_at"].as_n().unwrap(), &(end + 25 * DAY).to_string(), "{sort_key}");
    }
    let month = items.iter().find(|item| item["sk"].as_s().unwrap() == "2026-11/").unwrap();
    assert!(!month.contains_key("expires_at"), "a total may be added: {month:?}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_the_measures_of_every_minute() {
    let place = Place::new();
    let first = place.append_measures(1, 0, &[("orders", 1)]).await;
    // The states are written, the snapshots are not.
    place.http.set_plan(FaultPlan::always("UpdateItem", Fault::Status503));
    assert_eq!(place.fold(&first).await.settled, 0);
    place.http.set_plan(FaultPlan::none());
    // This minute's page doesn't name the measure of the first one, but the version that it publishes stands for both.
    let second = place.append_measures(2, 1, &[("changes", 7)]).await;
    assert_eq!(place.fold(&second).await.settled, 1);
    assert_eq!(place.fold(&first).await.settled, 1);
    for window in ["hour", "day", "month"] {
        let values = ["orders", "changes"].map(|name| number(&place, window, name));
        assert_eq!(values, [Some("1".to_owned()), Some("7".to_owned())], "{window}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_waits_for_every_level_below_its_windows() {
    for windows in
        [&[Window::Month][..], &[Window::Hour, Window::Month], &[Window::Day], &[Window::Week], &[Window::Total]]
    {
        let place = Place::with_windows(windows);
        place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
        let before = place.snapshots();
        // The hour lists a minute that is lost, so it can't be folded. The day could be, but wouldn't have the page.
        place.delete("ledger", "s#orders#2026-11-28T08", "2026-11-28T08:57/");
        let second = place.append(&[(2, "a", 1, 5)], 1).await;
        let folded = place.fold(&second).await;
        assert_eq!(folded.settled, 0, "{windows:?}");
        assert!(folded.error.unwrap().message.contains("2026-11-28T08:57/ is missing"), "{windows:?}");
        assert_eq!(place.snapshots(), before, "{windows:?}");
        // An hour of the same day doesn't hide it.
        let both: Vec<_> = place.append(&[(3, "a", 5, 1)], 1).await.into_iter().chain(second).collect();
        assert_eq!(place.fold(&both).await.settled, 1, "{windows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_may_stop_at_any_call() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::LoseRequest, Fault::LoseResponse] {
        for call in 1..=15 {
            let mut place = Place::with_windows(&[Window::Hour]);
            let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1), (3, "c", 0, 2)], 1).await;
            place.fold(&first).await;
            place.folder.max_state_bytes = 60;
            let second = place.append(&[(4, "d", 0, 5)], 1).await;
            place.http.set_plan(FaultPlan::at(call, fault));
            tokio::select! {
                _ = place.try_fold(&second) => {}
                () = place.http.crashed() => {}
            }
            place.http.revive();
            place.http.set_plan(FaultPlan::none());
            let folded = place.fold(&second).await;
            assert_eq!(folded.settled, 1, "{fault:?} at {call}: {:?}", folded.error);
            assert!(place.states().into_keys().any(|(_, sort_key)| sort_key.ends_with("/0")), "nothing was split");
            let cents = ["a", "b", "c", "d"].map(|entity| place.snapshots()[&(entity.to_owned(), "hour".to_owned())].1);
            assert_eq!(cents, [100, 1, 2, 5], "{fault:?} at {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_split_exceeds_the_versions_that_a_split_without_a_mark_has_left() {
    let place = place_that_splits().await;
    let key = ("s#orders#2026-11-28T08".to_owned(), "2026-11-28T08:57/0".to_owned());
    let half = serde_json::json!({
        "pk": { "S": key.0 }, "sk": { "S": key.1 }, "version": { "N": "9" }, "data": { "B": "AAAA" },
    });
    let request = serde_json::json!({ "TableName": "ledger", "Item": half });
    place.database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    assert_eq!(place.fold(&place.append(&[(4, "a", 0, 5)], 1).await).await.settled, 1);
    assert_eq!(day_of_a(&place), 105);
    assert!(place.states()[&key] > 9, "{:?}", place.states());
}

/// The cents of "a" in the snapshot of the day.
fn day_of_a(place: &Place) -> i64 {
    place.snapshots()[&("a".to_owned(), "day".to_owned())].1
}

/// A place with a state of three groups for a minute, its hour and its day; states of two groups are split from now on.
async fn place_that_splits() -> Place {
    let mut place = Place::with_windows(&[Window::Hour, Window::Day]);
    let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1), (3, "c", 0, 2)], 1).await;
    place.fold(&first).await;
    place.folder.max_state_bytes = 60;
    place
}

/// Dies before the nth write to the ledger.
fn before_write(nth: usize) -> FaultPlan {
    let mut writes = 0;
    FaultPlan::new(move |call| {
        writes += usize::from(matches!(call.operation.as_str(), "PutItem" | "TransactWriteItems"));
        if writes == nth { Fault::CrashBefore } else { Fault::None }
    })
}

#[tokio::test(start_paused = true)]
async fn regression_a_state_of_an_earlier_epoch_keeps_its_values_until_it_is_split() {
    let (mut write, mut is_done) = (0, false);
    while !is_done {
        write += 1;
        let mut place = place_that_splits().await;
        place.folder.epoch = 1;
        let first = place.append(&[(4, "d", 0, 5)], 1).await;
        place.http.set_plan(before_write(write));
        is_done = tokio::select! {
            _ = place.try_fold(&first) => true,
            () = place.http.crashed() => false,
        };
        place.http.revive();
        place.http.set_plan(FaultPlan::none());
        // A fold of a minute of another hour doesn't need the rest of the first one.
        let other = place.append(&[(5, "a", 8, 7)], 1).await;
        let folded = place.fold(&other).await;
        assert_eq!((folded.settled, day_of_a(&place)), (1, 107), "before write {write}: {:?}", folded.error);
        assert_eq!(place.fold(&first).await.settled, 1);
        let cents = ["b", "c", "d"].map(|entity| place.snapshots()[&(entity.to_owned(), "day".to_owned())].1);
        assert_eq!((day_of_a(&place), cents[2]), (107, 5), "before write {write}");
        assert!(place.states().into_keys().any(|(_, sort_key)| sort_key.ends_with("/0")), "nothing was split");
    }
    assert!(write > 9, "{write}");
}

#[tokio::test(start_paused = true)]
async fn what_a_half_lists_whose_split_has_no_mark_yet_must_be_read() {
    let mut place = place_that_splits().await;
    place.folder.epoch = 1;
    let first = place.append(&[(4, "d", 0, 5)], 1).await;
    place.http.set_plan(before_write(2));
    tokio::select! {
        _ = place.try_fold(&first) => panic!("it should have crashed"),
        () = place.http.crashed() => {}
    }
    place.http.revive();
    place.http.set_plan(FaultPlan::none());
    let is_part = |(_, sort_key): &&(String, String)| sort_key.starts_with("2026-11-28T08:57/0");
    assert_eq!(place.states().keys().filter(is_part).count(), 1, "{:?}", place.states());
    place.delete("ledger", "p#orders#2026-11-28T08:57#0", &format!("{:016x}", first[0].page.name));
    let second = place.append(&[(5, "b", 0, 3)], 1).await;
    let folded = place.fold(&second).await;
    assert_eq!((folded.settled, folded.error.map(|error| error.message.contains("is missing"))), (0, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn regression_a_damaged_state_stays_damaged_until_a_rebuild_has_split_it() {
    // Each with a minute of the same window above, and another one.
    let minute = ("2026-11-28T08:57", "s#orders#2026-11-28T08", 1);
    let hour = ("2026-11-28T08", "s#orders#2026-11-28", 8);
    for (window, key, other) in [minute, hour] {
        let (mut write, mut is_done) = (0, false);
        while !is_done {
            write += 1;
            let place = place_that_splits().await;
            let request = serde_json::json!({
                "TableName": "ledger",
                "Key": { "pk": { "S": key }, "sk": { "S": format!("{window}/") } },
                "UpdateExpression": "SET #data = :wrong",
                "ExpressionAttributeNames": { "#data": "data" },
                "ExpressionAttributeValues": { ":wrong": { "B": "AAAA" } },
            });
            place.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
            let snapshot = place.pipeline.snapshot.as_ref().unwrap();
            let rebuild = || place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now(), None);
            place.http.set_plan(before_write(write));
            is_done = tokio::select! {
                rebuilt = rebuild() => rebuilt.map(|_| true).unwrap(),
                () = place.http.crashed() => false,
            };
            place.http.revive();
            place.http.set_plan(FaultPlan::none());
            // A fold of another minute fails, or is right.
            let other = place.append(&[(4, "a", other, 7)], 1).await;
            let settled = match place.try_fold(&other).await {
                Ok(folded) => folded.settled as i64,
                Err(error) if error.message.contains("is damaged") => 0,
                Err(error) => panic!("{window} before write {write}: {error}"),
            };
            assert_eq!(day_of_a(&place), 100 + 7 * settled, "{window} before write {write}");
            rebuild().await.unwrap();
            assert_eq!((place.fold(&other).await.settled, day_of_a(&place)), (1, 107), "{window} before write {write}");
        }
        assert!(write > 9, "{write}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restored_cut_heals() {
    let mut place = Place::new();
    place.folder.max_state_bytes = 60;
    let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1), (3, "c", 0, 2)], 1).await;
    place.fold(&first).await;
    let states: Vec<_> = place.states().into_keys().collect();
    let halves: Vec<_> = states.iter().filter(|(_, sort_key)| sort_key.ends_with('0')).collect();
    assert!(halves.len() > 1, "{states:?}");
    // A restore may lack parts of transactions, and pages that states list.
    halves.iter().for_each(|(key, sort_key)| place.delete("ledger", key, sort_key));
    place.append(&[(4, "b", 0, 10)], 1).await;
    let page = first[0].page;
    place.delete("ledger", "p#orders#2026-11-28T08:57#0", &format!("{:016x}", page.name));
    let again = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1)], 1).await;
    let folded = place.fold(&again).await;
    assert_eq!((folded.settled, folded.error.map(|error| error.message.contains("missing"))), (0, Some(true)));
    place.folder.epoch = 1;
    place.folder.max_state_bytes = usage_aggregator::fold::MAX_STATE_BYTES;
    assert_eq!(place.fold(&again).await.settled, 1);
    assert_eq!((place.month("a"), place.month("b"), place.month("c")), ((1, 100), (2, 11), (1, 2)));
    // The record of "c" comes back from the source.
    let rest = place.append(&[(3, "c", 0, 2)], 1).await;
    assert_eq!(place.fold(&rest).await.settled, 1);
    assert_eq!((place.month("a"), place.month("b"), place.month("c")), ((1, 100), (2, 11), (1, 2)));
    let versions: Vec<u64> = place.snapshots().values().map(|(_, _, version)| *version).collect();
    assert!(versions.iter().filter(|version| **version >= 1 << 48).count() >= 6, "{versions:?}");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_too_large_holds_up_nobody() {
    let mut place = Place::with_windows(&[Window::Hour]);
    // 190 bytes for a part with one group.
    place.folder.max_state_bytes = 100;
    let large: Vec<(String, i64)> = (0..40).map(|number| (format!("m{number}"), i64::MAX / (number + 3))).collect();
    let large: Vec<(&str, i64)> = large.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
    let mut notices = place.append_measures(1, 0, &large).await;
    notices.extend(place.append_measures(2, 0, &[("orders", 1)]).await);
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.error.map(|error| error.message)), (notices.len(), None));
    assert!(folded.overflows > 20, "{}", folded.overflows);
    assert_eq!(number(&place, "hour", "orders"), Some("1".to_owned()), "the smallest measure is published");
    // What a minute doesn't know, no window above it knows.
    place.folder.max_state_bytes = usage_aggregator::fold::MAX_STATE_BYTES;
    place.folder.fold(place.pipeline.snapshot.as_ref().unwrap(), &notices, now(), None).await.unwrap();
    assert_eq!(number(&place, "hour", "m0"), None);
}

#[tokio::test(start_paused = true)]
async fn a_group_with_too_many_names_holds_up_nobody() {
    let mut place = Place::with_windows(&[Window::Hour]);
    place.folder.max_state_bytes = 2_000;
    let mut notices = place.append(&[(100, "b", 0, 100), (101, "c", 1, 7)], 1).await;
    for record in 0..20_u64 {
        let name = |number: u64| blake3::hash(&(record << 32 | number).to_be_bytes()).to_hex().to_string();
        let names: Vec<String> = (0..10).map(name).collect();
        let measures: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        notices.extend(place.append_measures(record, 0, &measures).await);
    }
    // In another minute, the group has few names.
    notices.extend(place.append_measures(200, 1, &[("orders", 1)]).await);
    let folded = place.fold(&notices).await;
    assert_eq!((folded.settled, folded.error.map(|error| error.message)), (notices.len(), None));
    assert!(folded.overflows > 0);
    let snapshots = place.snapshots();
    let orders =
        |entity: &str| snapshots.get(&(entity.to_owned(), "hour".to_owned())).map(|values| (values.0, values.1));
    // Of the group, a minute isn't known, so its orders of the other minute aren't published either.
    assert_eq!(["a", "b", "c"].map(orders), [Some((0, 0)), Some((1, 100)), Some((1, 7))]);
    // The names that only one group has are in no other group's part.
    let hour = WindowKey::parse("2026-11-28T08", Zone::UTC).unwrap();
    let shown = place.folder.show(place.pipeline.snapshot.as_ref(), hour, None).await.unwrap();
    assert!(shown.states.iter().all(|state| state.bytes <= 3_800), "{shown:?}");
    let groups: Vec<_> = shown.states.iter().flat_map(|state| &state.groups).collect();
    assert_eq!(groups.len(), 3);
    let values = &groups.iter().find(|group| group.key.entity() == "a").unwrap().values;
    assert_eq!(*values, [("all measures".to_owned(), None::<String>)]);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_someone_changed_is_an_error() {
    for value in [serde_json::json!({ "N": "7" }), serde_json::json!({ "B": "/////w==" })] {
        let place = Place::new();
        place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
        set(&place, "month", "usage_version", &value);
        let error = place.try_fold(&place.append(&[(2, "a", 0, 5)], 1).await).await.unwrap_err();
        assert!(error.message.contains("snapshots are ahead of the ledger"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn foreign_attributes_stay_and_an_older_version_changes_nothing() {
    let place = Place::new();
    let first = place.append(&[(1, "a", 0, 100)], 1).await;
    place.fold(&first).await;
    set(&place, "month", "note", &serde_json::json!({ "N": "5" }));
    let old = place.items("usage").into_iter().find(|item| item["window"].as_s().unwrap() == "month").unwrap();
    place.fold(&place.append(&[(2, "a", 0, 5)], 1).await).await;
    assert_eq!((number(&place, "month", "note"), place.month("a")), (Some("5".to_owned()), (2, 105)));
    let version = place.snapshots()[&("a".to_owned(), "month".to_owned())].2;
    let earlier = u64::from_be_bytes(old["usage_version"].as_b().unwrap().as_ref().try_into().unwrap());
    assert!(earlier < version);
    // A fold of the first notice publishes nothing older.
    place.fold(&first).await;
    assert_eq!((place.month("a"), number(&place, "month", "note")), ((2, 105), Some("5".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_many_measures_is_repaired_as_a_whole() {
    let place = Place::new();
    let many: Vec<(String, i64)> = (0..450).map(|number| (format!("m{number:03}"), number)).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
    assert_eq!(place.fold(&place.append_measures(1, 0, &many).await).await.settled, 1);
    assert_eq!(number(&place, "month", "m449"), Some("449".to_owned()));
    for name in ["m001", "m250", "m449"] {
        set(&place, "month", name, &serde_json::json!({ "N": "-1" }));
    }
    let sweep = async || {
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        place.folder.sweep(snapshot, minute_of(0), Depth::Windows, now(), None).await.unwrap().repaired
    };
    assert_eq!((sweep().await, sweep().await), (1, 0));
    let values = ["m001", "m250", "m449"].map(|name| number(&place, "month", name).unwrap());
    assert_eq!(values, ["1", "250", "449"]);
}

#[tokio::test(start_paused = true)]
async fn regression_a_minute_that_has_lost_its_pages_and_its_state_can_be_forgotten() {
    // Its hour lists the minute, or has no state either, and the day lists the hour. The other minute is of the same hour or day.
    for (hours, other) in [(&[][..], 1), (&["2026-11-28T08/"][..], 8 * 60)] {
        let place = Place::new();
        let first = place.append(&[(1, "a", 0, 100)], 1).await;
        place.fold(&first).await;
        place.delete("ledger", "p#orders#2026-11-28T08:57#0", &format!("{:016x}", first[0].page.name));
        place.delete("ledger", "s#orders#2026-11-28T08", "2026-11-28T08:57/");
        hours.iter().for_each(|hour| place.delete("ledger", "s#orders#2026-11-28", hour));
        let second = place.append(&[(2, "a", other, 5)], 1).await;
        assert_eq!(place.fold(&second).await.settled, 0);
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        let rebuild = |minute, mode| place.folder.rebuild(snapshot, minute_of(minute), mode, now(), None);
        assert!(rebuild(0, Mode::Rebuild).await.unwrap_err().message.contains("is missing"));
        // Nothing lists these minutes.
        let before = place.states();
        for unused in [other + 1, 4 * 60, 24 * 60] {
            assert_eq!((rebuild(unused, Mode::Forget).await.unwrap().repaired, place.states()), (0, before.clone()));
        }
        rebuild(0, Mode::Forget).await.unwrap();
        assert_eq!((place.fold(&second).await.settled, place.month("a")), (1, (1, 5)));
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_half_of_a_split_state_that_is_lost_can_be_forgotten() {
    let windows = [("s#orders#2026-11-28T08", "2026-11-28T08:57/0"), ("s#orders#2026-11-28", "2026-11-28T08/0")];
    for (key, half) in windows.into_iter().chain([("s#orders#2026-11", "2026-11-28/0")]) {
        let place = place_that_splits().await;
        assert_eq!(place.fold(&place.append(&[(4, "d", 0, 5)], 1).await).await.settled, 1);
        assert!(place.states().contains_key(&(key.to_owned(), half.to_owned())), "{:?}", place.states());
        let before = place.snapshots();
        place.delete("ledger", key, half);
        let other = place.append(&[(5, "a", 1, 7)], 1).await;
        assert_eq!(place.fold(&other).await.settled, 0, "{half}");
        let snapshot = place.pipeline.snapshot.as_ref().unwrap();
        let missing = place.folder.missing(snapshot, minute_of(0), None).await.unwrap();
        assert_eq!(missing[0], format!("the half {half} of a split state"), "{missing:?}");
        let rebuild = |mode| place.folder.rebuild(snapshot, minute_of(0), mode, now(), None);
        assert!(rebuild(Mode::Rebuild).await.unwrap_err().message.contains("is missing"), "{half}");
        rebuild(Mode::Forget).await.unwrap();
        assert_eq!((place.fold(&other).await.settled, day_of_a(&place)), (1, 107), "{half}");
        for (group, (orders, cents, version)) in before {
            let after = place.snapshots()[&group];
            let expected = if group.0 == "a" { (orders + 1, cents + 7) } else { (orders, cents) };
            assert!((after.0, after.1) == expected && after.2 >= version, "{half} {group:?}: {after:?}");
        }
    }
}

fn now() -> usage_aggregator::time::Timestamp {
    usage_aggregator::time::Timestamp::from_seconds(MINUTE + 600).unwrap()
}
