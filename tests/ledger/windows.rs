//! Windows beside hours, days and months: the total.

use std::collections::BTreeMap;

use usage_aggregator::fold::{Depth, Swept};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::place::{MINUTE, Place, minute_of};

/// 2026-12-03, of another month than the minute 0.
const DECEMBER: i64 = 5 * 24 * 60;

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
    assert!(expiry(&place, "2026-11/").is_some());
    place.count(&[Window::Month, Window::Total]);
    // Only December is folded, but the total has both months.
    place.fold(&place.append(&[(2, "a", DECEMBER, 20)], 1).await).await;
    assert_eq!(counted(&place)[&key("total", "2000-01-01T00:00:00Z")], (2, 120));
    assert_eq!((expiry(&place, "2026-11/"), expiry(&place, "2026-12/")), (None, None));
    assert_eq!(place.states()[&("s#orders#".to_owned(), "2026-11/".to_owned())], 1, "it is the same version");
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
