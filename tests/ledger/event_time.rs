//! Event time: records that count in another hour than that of their minute.

use std::collections::BTreeMap;

use usage_aggregator::fold::{Depth, Mode, Pages, Swept};
use usage_aggregator::ledger::{Level, WindowKey};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::CounterKey;
use usage_aggregator::window::{Window, Zone};

use crate::place::{MINUTE, Place, minute_of};

/// Of the same hour: 08:57 and 08:59, the last minute of the hour.
const LAST: i64 = 2;
/// 06:10 of the same day, 23:40 of the day before, and 2026-11-20T12:00.
const EARLIER: i64 = -167;
const YESTERDAY: i64 = -557;
const LAST_WEEK: i64 = -11_337;

fn now() -> Timestamp {
    Timestamp::from_seconds(MINUTE + 600).unwrap()
}

/// The orders and cents of "a" in each window, by its start.
fn counted(place: &Place, window: &str) -> BTreeMap<String, (i64, i64)> {
    let items = place.items("usage");
    let text = |item: &crate::place::Item, name: &str| item[name].as_s().unwrap().clone();
    let of_a = items.iter().filter(|item| text(item, "entity") == "a" && text(item, "window") == window);
    of_a.map(|item| {
        let (orders, cents, _) = crate::place::values(item);
        (text(item, "window_start"), (orders, cents))
    })
    .collect()
}

fn expected(values: &[(&str, (i64, i64))]) -> BTreeMap<String, (i64, i64)> {
    values.iter().map(|(start, values)| ((*start).to_owned(), *values)).collect()
}

async fn sweep(place: &Place, minute: i64, depth: Depth) -> Swept {
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    place.folder.sweep(snapshot, minute_of(minute), depth, now(), None).await.unwrap()
}

fn late(windows: &[Window]) -> Place {
    let mut place = Place::with_windows(windows);
    place.folder.ledger.late_days = 8;
    place
}

#[tokio::test(start_paused = true)]
async fn a_record_counts_in_the_windows_of_its_event_and_has_its_page_in_its_minute() {
    let place = late(&Window::ALL);
    let records = [
        ((1, "a", 0, 1), 0),
        ((2, "a", 0, 20), EARLIER),
        ((3, "a", LAST, 300), YESTERDAY),
        ((4, "a", LAST, 4_000), LAST_WEEK),
        ((5, "a", 10, 50_000), EARLIER),
    ];
    let notices = place.append_late(&records, 1).await;
    assert_eq!(notices.iter().map(|notice| notice.minute).collect::<Vec<_>>(), [0, LAST, 10].map(minute_of));
    assert_eq!(place.fold(&notices).await.settled, notices.len());
    let hours = [
        ("2026-11-20T12:00:00Z", (1, 4_000)),
        ("2026-11-27T23:00:00Z", (1, 300)),
        ("2026-11-28T06:00:00Z", (2, 50_020)),
        ("2026-11-28T08:00:00Z", (1, 1)),
    ];
    assert_eq!(counted(&place, "hour"), expected(&hours));
    let days = [
        ("2026-11-20T00:00:00Z", (1, 4_000)),
        ("2026-11-27T00:00:00Z", (1, 300)),
        ("2026-11-28T00:00:00Z", (3, 50_021)),
    ];
    assert_eq!(counted(&place, "day"), expected(&days));
    let weeks = [("2026-11-16T00:00:00Z", (1, 4_000)), ("2026-11-23T00:00:00Z", (4, 50_321))];
    assert_eq!(counted(&place, "week"), expected(&weeks));
    assert_eq!(counted(&place, "month"), expected(&[("2026-11-01T00:00:00Z", (5, 54_321))]));
    assert_eq!(counted(&place, "total"), expected(&[("2000-01-01T00:00:00Z", (5, 54_321))]));
    for (key, sort_key) in [
        ("s#orders#2026-11-28T08", "2026-11-28T08:57/"),
        ("s#orders#2026-11-28T06", "2026-11-28T06@2026-11-28T08/"),
        ("s#orders#2026-11-28T06", "2026-11-28T06@2026-11-28T09/"),
        ("s#orders#2026-11-20T12", "2026-11-20T12@2026-11-28T08/"),
        ("s#orders#2026-11-28", "2026-11-28T06/"),
    ] {
        assert_eq!(place.states().get(&(key.to_owned(), sort_key.to_owned())), Some(&1), "{key} {sort_key}");
    }
    // Folding again changes nothing.
    let (states, items) = (place.states(), place.items("usage").len());
    assert_eq!(place.fold(&notices).await.snapshots, 0);
    assert_eq!((place.states(), place.items("usage").len()), (states, items));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_without_late_records_has_no_pieces() {
    let (with, without) = (late(&Window::DEFAULT), Place::new());
    let records = [(1, "a", 0, 1), (2, "a", 10, 20)];
    with.fold(&with.append_late(&records.map(|record| (record, record.2 - 20 * (record.0 as i64 % 2))), 1).await).await;
    without.fold(&without.append(&records, 1).await).await;
    assert_eq!((with.states(), with.items("usage").len()), (without.states(), without.items("usage").len()));
}

#[tokio::test(start_paused = true)]
async fn states_live_longer_by_the_lateness() {
    let place = late(&[Window::Hour]);
    place.fold(&place.append_late(&[((1, "a", 0, 1), EARLIER)], 1).await).await;
    let items = place.items("ledger");
    let expiry = |sort_key: &str| {
        let item = items.iter().find(|item| item["sk"].as_s().unwrap() == sort_key).unwrap();
        item["expires_at"].as_n().unwrap().parse::<i64>().unwrap()
    };
    let kept = |text: &str| Timestamp::parse(text).unwrap().seconds() + (18 + 7 + 8) * 86_400;
    assert_eq!(expiry("2026-11-28T06@2026-11-28T08/"), kept("2026-11-28T09:00:00Z"));
    assert_eq!(expiry("2026-11-28T06/"), kept("2026-11-29T00:00:00Z"));
}

#[tokio::test(start_paused = true)]
async fn hours_days_and_half_hours_of_a_time_zone_have_pieces() {
    for (zone, hour, day) in [
        ("Europe/Berlin", "2026-11-28T00:00:00+01:00", "2026-11-28T00:00:00+01:00"),
        ("Asia/Kolkata", "2026-11-28T05:00:00+05:30", "2026-11-28T00:00:00+05:30"),
    ] {
        let mut place = late(&[Window::Hour, Window::Day]);
        place.set_zone(Zone::named(zone).unwrap());
        let notices = place.append_late(&[((1, "a", 0, 1), YESTERDAY), ((2, "a", LAST, 20), YESTERDAY)], 1).await;
        assert_eq!(place.fold(&notices).await.settled, notices.len());
        assert_eq!(counted(&place, "hour"), expected(&[(hour, (2, 21))]), "{zone}");
        assert_eq!(counted(&place, "day"), expected(&[(day, (2, 21))]), "{zone}");
    }
}

#[tokio::test(start_paused = true)]
async fn record_types_with_and_without_event_time_share_a_pipeline() {
    let place = late(&Window::DEFAULT);
    // The same hour has records of its own, of the first kind, and late ones, of the second.
    let own = place.append(&[(1, "a", -160, 1)], 1).await;
    let late = place.append_late(&[((2, "a", 0, 20), EARLIER)], 1).await;
    place.fold(&late).await;
    assert_eq!(counted(&place, "hour"), expected(&[("2026-11-28T06:00:00Z", (1, 20))]));
    place.fold(&own).await;
    assert_eq!(counted(&place, "hour"), expected(&[("2026-11-28T06:00:00Z", (2, 21))]));
    assert_eq!(place.month("a"), (2, 21));
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_moves_a_record_to_another_hour() {
    let place = late(&[Window::Hour, Window::Day]);
    let old = place.append(&[(1, "a", 0, 100)], 1).await;
    place.fold(&old).await;
    let new = place.append_late(&[((1, "a", 0, 100), YESTERDAY)], 2).await;
    place.fold(&new).await;
    let (hours, days) = (counted(&place, "hour"), counted(&place, "day"));
    assert_eq!(hours, expected(&[("2026-11-27T23:00:00Z", (1, 100)), ("2026-11-28T08:00:00Z", (0, 0))]));
    assert_eq!(days, expected(&[("2026-11-27T00:00:00Z", (1, 100)), ("2026-11-28T00:00:00Z", (0, 0))]));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_late_records_whose_notice_was_lost() {
    let place = late(&Window::DEFAULT);
    place.append_late(&[((1, "a", 0, 100), EARLIER)], 1).await;
    assert_eq!(sweep(&place, 0, Depth::Differences).await, Swept { pages: 1, repaired: 3, ..Swept::default() });
    assert_eq!(counted(&place, "hour"), expected(&[("2026-11-28T06:00:00Z", (1, 100))]));
    assert_eq!(sweep(&place, 0, Depth::Differences).await.repaired, 0);
    // Another minute changes neither the piece nor what is above it.
    place.fold(&place.append_late(&[((2, "a", 1, 5), YESTERDAY)], 1).await).await;
    let states = place.states();
    assert_eq!(states[&("s#orders#2026-11-28T06".to_owned(), "2026-11-28T06@2026-11-28T08/".to_owned())], 1);
    assert_eq!(sweep(&place, 0, Depth::Differences).await.repaired, 0);
    assert_eq!(place.states(), states);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_the_last_minute_of_an_hour_compares_what_it_says_about_other_hours() {
    let place = late(&Window::DEFAULT);
    place.fold(&place.append_late(&[((1, "a", 0, 100), EARLIER), ((2, "b", 0, 5), 0)], 1).await).await;
    let before = counted(&place, "hour");
    let lose = || {
        for item in place.items("usage").iter().filter(|item| item["entity"].as_s().unwrap() == "a") {
            place.delete("usage", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
        }
    };
    lose();
    assert_eq!(sweep(&place, 1, Depth::Differences).await.repaired, 0);
    assert_eq!(sweep(&place, LAST, Depth::Differences).await.repaired, 3);
    assert_eq!(counted(&place, "hour"), before);
    lose();
    assert_eq!(sweep(&place, 0, Depth::Minute).await.repaired, 3);
    assert_eq!(counted(&place, "hour"), before);
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_writes_pieces_again() {
    let place = late(&Window::DEFAULT);
    place.fold(&place.append_late(&[((1, "a", 0, 100), EARLIER), ((2, "a", 0, 5), 0)], 1).await).await;
    let before = (counted(&place, "hour"), counted(&place, "month"));
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    place.folder.rebuild(snapshot, minute_of(0), Mode::Rebuild, now(), None).await.unwrap();
    assert!(place.states().values().all(|version| *version == 2), "{:?}", place.states());
    assert_eq!((counted(&place, "hour"), counted(&place, "month")), before);
    assert!(place.folder.missing(snapshot, minute_of(0), None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_hour_opens_into_its_pieces_and_these_into_minutes_and_records() {
    let place = late(&Window::DEFAULT);
    let records = [((1, "a", 0, 100), EARLIER), ((2, "a", LAST, 5), EARLIER), ((3, "a", -165, 7), -165)];
    place.fold(&place.append_late(&records, 1).await).await;
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let key = CounterKey(vec!["a".to_owned(), "orders".to_owned()]);
    let hour = WindowKey::parse("2026-11-28T06", Zone::UTC).unwrap();
    let below = place.folder.below(snapshot, hour, &key, None).await.unwrap();
    let names: Vec<String> = below.children.iter().map(|(window, _)| window.text()).collect();
    assert_eq!(names, ["2026-11-28T06:12", "2026-11-28T06@2026-11-28T08"]);
    let piece = below.children[1].0;
    assert_eq!(piece.level, Level::Piece);
    let below = place.folder.below(snapshot, piece, &key, None).await.unwrap();
    let names: Vec<String> = below.children.iter().map(|(window, _)| window.text()).collect();
    assert_eq!(names, ["2026-11-28T08:57", "2026-11-28T08:59"]);
    assert!(below.newer.is_empty() && below.gone.is_empty());
    let hour = Some(minute_of(-177));
    let found = place.folder.records(minute_of(0), Pages::FoldedOf(&key, hour), None).await.unwrap();
    assert_eq!(found.records.iter().map(|record| record.event_hour).collect::<Vec<_>>(), [hour]);
    let none = place.folder.records(minute_of(0), Pages::FoldedOf(&key, None), None).await.unwrap();
    assert!(none.records.is_empty());
}
