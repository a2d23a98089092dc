//! Windows beside hours, days and months of UTC: weeks, the total, and those of a time zone.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Fault, FaultPlan};
use usage_aggregator::fold::{Depth, Mode, Notice, Swept};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

use crate::place::{MINUTE, Place, minute_of};

/// 2026-12-03, of another month than the minute 0.
const DECEMBER: i64 = 5 * DAY;
const DAY: i64 = 24 * 60;

/// The orders and cents of "a" in each window, by its start.
fn counted(place: &Place) -> BTreeMap<(String, String), (i64, i64)> {
    let items = place.items("usage");
    let items = items.iter().filter(|item| item["entity"].as_s().unwrap() == "a");
    let text = |item: &crate::place::Item, name: &str| item[name].as_s().unwrap().clone();
    items
        .map(|item| {
            let (orders, cents, _) = crate::place::values(item);
            ((text(item, "window"), text(item, "window_start")), (orders, cents))
        })
        .collect()
}

fn key(window: &str, start: &str) -> (String, String) {
    (window.to_owned(), start.to_owned())
}

/// When the state with this sort key expires.
fn expiry(place: &Place, sort_key: &str) -> Option<String> {
    let items = place.items("ledger");
    let item = items.iter().find(|item| item["sk"].as_s().unwrap() == sort_key).unwrap();
    item.get("expires_at").map(|at| at.as_n().unwrap().clone())
}

async fn sweep(place: &Place, minute: i64, depth: Depth) -> Swept {
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    place.folder.sweep(snapshot, minute_of(minute), depth, now, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_total_sums_all_months_and_never_expires() {
    let place = Place::with_windows(&[Window::Month, Window::Total]);
    let notices = place.append(&[(1, "a", 0, 100), (2, "a", DECEMBER, 20), (3, "b", 0, 5)], 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    let expected = [
        (key("month", "2026-11-01T00:00:00Z"), (1, 100)),
        (key("month", "2026-12-01T00:00:00Z"), (1, 20)),
        (key("total", "2000-01-01T00:00:00Z"), (2, 120)),
    ];
    assert_eq!(counted(&place), BTreeMap::from(expected));
    let states = place.states();
    for (key, sort_key) in [("s#orders#", "2026-11/"), ("s#orders#", "2026-12/"), ("s#orders#total", "total/")] {
        assert_eq!(states.get(&(key.to_owned(), sort_key.to_owned())), Some(&1), "{key} {sort_key}");
        assert_eq!(expiry(&place, sort_key), None, "{sort_key}");
    }
    assert!(expiry(&place, "2026-11-28/").is_some());
    let items = place.items("usage");
    let total = items.iter().find(|item| item["window"].as_s().unwrap() == "total").unwrap();
    assert!(!total.contains_key("expires_at"), "{total:?}");
}

#[tokio::test(start_paused = true)]
async fn a_total_that_is_added_later_keeps_the_months_that_it_sums() {
    let mut place = Place::with_windows(&[Window::Month]);
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    // As a release did in which months expired without a total.
    let mut november = place.state("2026-11");
    november.insert("expires_at".to_owned(), AttributeValue::N((MINUTE + 28 * 86_400).to_string()));
    place.folder.usage.client.put_item().table_name("ledger").set_item(Some(november)).send().await.unwrap();
    assert!(expiry(&place, "2026-11/").is_some());
    place.count(&[Window::Month, Window::Total]);
    // Only December is folded, but the total has both months.
    place.fold(&place.append(&[(2, "a", DECEMBER, 20)], 1).await).await;
    assert_eq!(counted(&place)[&key("total", "2000-01-01T00:00:00Z")], (2, 120));
    assert_eq!((expiry(&place, "2026-11/"), expiry(&place, "2026-12/")), (None, None));
    assert_eq!(place.states()[&("s#orders#".to_owned(), "2026-11/".to_owned())], 1, "it is the same version");
}

/// The total lists every month that it was summed from. While it isn't counted, nothing extends them.
#[tokio::test(start_paused = true)]
async fn regression_a_total_that_is_removed_and_added_again_has_the_months_in_between() {
    let both = [Window::Month, Window::Total];
    let mut place = Place::with_windows(&both);
    let total = key("total", "2000-01-01T00:00:00Z");
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    assert_eq!(counted(&place)[&total], (1, 100));
    place.count(&[Window::Month]);
    place.fold(&place.append(&[(2, "a", 1, 20)], 1).await).await;
    place.expire(3 * 365 * DAY);
    place.count(&both);
    let notices = place.append(&[(3, "a", DECEMBER, 3)], 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    assert_eq!(counted(&place)[&total], (3, 123));
}

#[tokio::test(start_paused = true)]
async fn the_snapshots_of_a_total_are_compared_at_the_end_of_each_day() {
    let place = Place::with_windows(&[Window::Total]);
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    let before = counted(&place);
    let total = place.items("usage").remove(0);
    place.delete("usage", total["pk"].as_s().unwrap(), total["sk"].as_s().unwrap());
    // 08:57 and 23:59.
    assert_eq!(sweep(&place, 0, Depth::Differences).await.repaired, 0);
    assert_eq!(sweep(&place, 15 * 60 + 2, Depth::Differences).await.repaired, 1);
    assert_eq!(counted(&place), before);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_a_total_that_lacks_a_month() {
    let mut place = Place::with_windows(&[Window::Month]);
    place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
    place.count(&[Window::Month, Window::Total]);
    assert_eq!(sweep(&place, 0, Depth::Differences).await.repaired, 1);
    assert_eq!(counted(&place)[&key("total", "2000-01-01T00:00:00Z")], (1, 100));
    assert_eq!(sweep(&place, 0, Depth::Windows).await.repaired, 0);
}

#[tokio::test(start_paused = true)]
async fn a_week_sums_the_days_of_two_months() {
    let place = Place::with_windows(&[Window::Week, Window::Month]);
    // Sunday 2026-11-29, Monday and Tuesday, and Monday a week later.
    let records = [(1, "a", DAY, 1), (2, "a", 2 * DAY, 20), (3, "a", 3 * DAY, 300), (4, "a", 9 * DAY, 4_000)];
    let notices = place.append(&records, 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    let expected = [
        (key("month", "2026-11-01T00:00:00Z"), (2, 21)),
        (key("month", "2026-12-01T00:00:00Z"), (2, 4_300)),
        (key("week", "2026-11-23T00:00:00Z"), (1, 1)),
        (key("week", "2026-11-30T00:00:00Z"), (2, 320)),
        (key("week", "2026-12-07T00:00:00Z"), (1, 4_000)),
    ];
    assert_eq!(counted(&place), BTreeMap::from(expected));
    for (key, sort_key) in [("s#orders#week", "2026-W49/"), ("s#orders#2026-11", "2026-11-30/")] {
        assert!(place.states().contains_key(&(key.to_owned(), sort_key.to_owned())), "{key} {sort_key}");
    }
    // 2026-11-30 is needed until its week ends, on 2026-12-07; its month ends before that.
    let kept = |date: &str| Some((Timestamp::parse(date).unwrap().seconds() + 25 * 86_400).to_string());
    let expiries = ["2026-11-29/", "2026-11-30/", "2026-12-01/", "2026-W49/"].map(|sort_key| expiry(&place, sort_key));
    assert_eq!(expiries, ["2026-12-01", "2026-12-07", "2027-01-01", "2026-12-07"].map(kept));
}

#[tokio::test(start_paused = true)]
async fn a_week_that_is_added_later_keeps_its_days() {
    let mut place = Place::with_windows(&[Window::Month]);
    place.fold(&place.append(&[(1, "a", 2 * DAY, 1)], 1).await).await;
    place.count(&[Window::Month, Window::Week]);
    place.fold(&place.append(&[(2, "a", 3 * DAY, 20)], 1).await).await;
    assert_eq!(counted(&place)[&key("week", "2026-11-30T00:00:00Z")], (2, 21));
    let week_end = Timestamp::parse("2026-12-07").unwrap().seconds();
    assert_eq!(expiry(&place, "2026-11-30/"), Some((week_end + 25 * 86_400).to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_and_a_rebuild_write_a_week_again() {
    let place = Place::with_windows(&[Window::Week]);
    place.fold(&place.append(&[(1, "a", 2 * DAY, 1), (2, "a", 3 * DAY, 20)], 1).await).await;
    let before = counted(&place);
    place.delete("ledger", "s#orders#week", "2026-W49/");
    let week = place.items("usage").remove(0);
    place.delete("usage", week["pk"].as_s().unwrap(), week["sk"].as_s().unwrap());
    assert_eq!(sweep(&place, 2 * DAY, Depth::Differences).await.repaired, 1, "the week lacks a day");
    assert_eq!(counted(&place), before);
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let now = Timestamp::from_seconds(MINUTE + 600).unwrap();
    place.folder.rebuild(snapshot, minute_of(3 * DAY), Mode::Rebuild, now, None).await.unwrap();
    assert_eq!(counted(&place), before);
    assert_eq!(place.states()[&("s#orders#week".to_owned(), "2026-W49/".to_owned())], 2);
    // The last minute of the week.
    let week = place.items("usage").remove(0);
    place.delete("usage", week["pk"].as_s().unwrap(), week["sk"].as_s().unwrap());
    assert_eq!(sweep(&place, 8 * DAY + 15 * 60 + 2, Depth::Differences).await.repaired, 1);
    assert_eq!(counted(&place), before);
}

/// A place that has counted four records by these windows, and counts all windows from now on. A fifth one isn't folded yet.
async fn widened(before: &[Window]) -> (Place, Vec<Notice>) {
    let mut place = Place::with_windows(before);
    place.folder.ledger.keep_days = 40;
    // Saturday 2026-10-31, and Tuesday the 10th, Wednesday the 25th, and Saturday the 28th of November.
    let records = [(1, "a", -28 * DAY, 1), (2, "a", -18 * DAY, 20), (3, "a", -3 * DAY, 300), (4, "a", 0, 4_000)];
    place.fold(&place.append(&records, 1).await).await;
    place.count(&Window::ALL);
    let notices = place.append(&[(5, "a", 1, 50_000)], 1).await;
    (place, notices)
}

/// Before, nothing needed the states of days, or those of months. A fold that dies while it writes them is continued by the next one.
#[tokio::test(start_paused = true)]
async fn regression_windows_that_are_added_have_what_was_counted_before_in_hours_or_days() {
    for before in [&[Window::Hour][..], &[Window::Hour, Window::Day], &[Window::Day, Window::Week]] {
        let (mut write, mut is_done) = (0, false);
        while !is_done {
            write += 1;
            let (place, notices) = widened(before).await;
            let mut writes = 0;
            place.http.set_plan(FaultPlan::new(move |call| {
                writes += usize::from(call.operation == "PutItem");
                if writes == write { Fault::CrashBefore } else { Fault::None }
            }));
            is_done = tokio::select! {
                _ = place.try_fold(&notices) => true,
                () = place.http.crashed() => false,
            };
            place.http.revive();
            place.http.set_plan(FaultPlan::none());
            let folded = place.fold(&notices).await;
            assert_eq!((folded.settled, folded.error.map(|error| error.message)), (1, None), "{before:?} {write}");
            let counted = counted(&place);
            assert_eq!(counted[&key("day", "2026-11-28T00:00:00Z")], (2, 54_000), "{before:?} {write}");
            assert_eq!(counted[&key("week", "2026-11-23T00:00:00Z")], (3, 54_300), "{before:?} {write}");
            assert_eq!(counted[&key("month", "2026-11-01T00:00:00Z")], (4, 54_320), "{before:?} {write}");
            assert_eq!(counted[&key("total", "2000-01-01T00:00:00Z")], (5, 54_321), "{before:?} {write}");
            assert_eq!(sweep(&place, 0, Depth::Differences).await.repaired, 0, "{before:?} {write}");
        }
        assert!(write > 5, "{before:?} {write}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_on_which_the_clocks_go_back_has_an_hour_twice() {
    let mut place = Place::with_windows(&[Window::Hour, Window::Day]);
    place.set_zone(Zone::named("Europe/Berlin").unwrap());
    // 2026-10-25: 02:59 in summer time, 02:01 in winter time; and 00:01 of the next day, 23:01 in UTC.
    let records = [(1, "a", -49_438, 1), (2, "a", -49_436, 20), (3, "a", -48_116, 300)];
    let notices = place.append(&records, 1).await;
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    let expected = [
        (key("hour", "2026-10-25T02:00:00+02:00"), (1, 1)),
        (key("hour", "2026-10-25T02:00:00+01:00"), (1, 20)),
        (key("hour", "2026-10-26T00:00:00+01:00"), (1, 300)),
        (key("day", "2026-10-25T00:00:00+02:00"), (2, 21)),
        (key("day", "2026-10-26T00:00:00+01:00"), (1, 300)),
    ];
    assert_eq!(counted(&place), BTreeMap::from(expected));
    for (key, sort_key) in [
        ("s#orders#Europe/Berlin#2026-10-25T02+02:00", "2026-10-25T00:59/"),
        ("s#orders#Europe/Berlin#2026-10-25", "2026-10-25T02+01:00/"),
        ("s#orders#Europe/Berlin#2026-10", "2026-10-25/"),
    ] {
        assert!(place.states().contains_key(&(key.to_owned(), sort_key.to_owned())), "{key} {sort_key}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_time_zone_begins_with_states_of_its_own() {
    let mut place = Place::with_windows(&[Window::Day]);
    // 2026-11-28T23:30 in UTC is 00:30 of the next day in Berlin.
    let first = place.append(&[(1, "a", 0, 1), (2, "a", 14 * 60 + 33, 20)], 1).await;
    place.fold(&first).await;
    place.set_zone(Zone::named("Europe/Berlin").unwrap());
    // The sort keys of this pipeline have the start with its offset, so they differ in another time zone.
    place.folder.epoch = 1;
    for notice in &first {
        let minute = notice.minute.start() - minute_of(0).start();
        assert_eq!(sweep(&place, minute / 60, Depth::Minute).await.repaired, 1);
    }
    let expected = [
        (key("day", "2026-11-28T00:00:00Z"), (2, 21)),
        (key("day", "2026-11-28T00:00:00+01:00"), (1, 1)),
        (key("day", "2026-11-29T00:00:00+01:00"), (1, 20)),
    ];
    assert_eq!(counted(&place), BTreeMap::from(expected));
}
