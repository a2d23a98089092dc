//! Closed windows: a snapshot whose values change after its window was closed says when.

use std::collections::BTreeMap;

use usage_aggregator::fold::{Depth, Folded, Notice};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::place::{Place, minute_of};

/// Seconds after the minute 08:57 at which the hour, which ends at 09:00, is still open or already closed.
const OPEN: i64 = 60;
const CLOSED: i64 = 3_600;

async fn fold(place: &Place, notices: &[Notice], after: i64) -> Folded {
    let now = Timestamp::from_seconds(minute_of(0).start() + after).unwrap();
    place.folder.fold(place.pipeline.snapshot.as_ref().unwrap(), notices, now, None).await.unwrap()
}

/// The orders of each entity, and when its snapshot was restated.
fn restated(place: &Place) -> BTreeMap<String, (i64, Option<String>)> {
    let items = place.items("usage");
    let of = |item: &crate::place::Item| {
        let at = item.get("restated_at").map(|at| at.as_s().unwrap().clone());
        (item["entity"].as_s().unwrap().clone(), (crate::place::values(item).0, at))
    };
    items.iter().map(of).collect()
}

fn entity(name: &str, orders: i64, at: Option<&str>) -> (String, (i64, Option<String>)) {
    (name.to_owned(), (orders, at.map(str::to_owned)))
}

fn closing() -> Place {
    let mut place = Place::with_windows(&[Window::Hour]);
    place.close_after(1_800);
    place
}

#[tokio::test(start_paused = true)]
async fn a_closed_window_that_changes_says_when() {
    let place = closing();
    let first = place.append(&[(1, "a", 0, 100), (2, "b", 0, 1)], 1).await;
    assert_eq!(fold(&place, &first, OPEN).await.restated, 0);
    assert_eq!(restated(&place), BTreeMap::from([entity("a", 1, None), entity("b", 1, None)]));
    // A repetition beside a new record: of "b", only the version changes.
    let late = place.append(&[(2, "b", 0, 1), (3, "a", 0, 5), (4, "c", 0, 7)], 1).await;
    let folded = fold(&place, &late, CLOSED).await;
    assert_eq!((folded.settled, folded.snapshots, folded.restated), (1, 3, 2));
    let at = Some("2026-11-28T09:57:00Z");
    let expected = BTreeMap::from([entity("a", 2, at), entity("b", 1, None), entity("c", 1, at)]);
    assert_eq!(restated(&place), expected);
    // Folding again, or a version with the same values, changes no time.
    assert_eq!(fold(&place, &late, CLOSED + 60).await.snapshots, 0);
    let again = place.append(&[(3, "a", 0, 5)], 1).await;
    let folded = fold(&place, &again, CLOSED + 120).await;
    assert_eq!((folded.snapshots, folded.restated, restated(&place)), (1, 0, expected));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_accepts_a_restated_snapshot_and_restates_one_that_is_wrong() {
    let place = closing();
    fold(&place, &place.append(&[(1, "a", 0, 100)], 1).await, CLOSED).await;
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let sweep = async |after: i64| {
        let now = Timestamp::from_seconds(minute_of(0).start() + after).unwrap();
        place.folder.sweep(snapshot, minute_of(0), Depth::Minute, now, None).await.unwrap().repaired
    };
    assert_eq!(sweep(2 * CLOSED).await, 0);
    assert_eq!(restated(&place), BTreeMap::from([entity("a", 1, Some("2026-11-28T09:57:00Z"))]));
    let item = place.items("usage").remove(0);
    place.delete("usage", item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap());
    assert_eq!(sweep(2 * CLOSED).await, 1);
    assert_eq!(restated(&place), BTreeMap::from([entity("a", 1, Some("2026-11-28T10:57:00Z"))]));
}

#[tokio::test(start_paused = true)]
async fn a_closed_snapshot_of_many_measures_says_when_with_its_first_update() {
    let place = closing();
    let names: Vec<String> = (0..210).map(|number| format!("m{number}")).collect();
    let measures: Vec<(&str, i64)> =
        ["orders"].into_iter().chain(names.iter().map(String::as_str)).map(|name| (name, 1)).collect();
    fold(&place, &place.append_measures(1, 0, &measures).await, OPEN).await;
    let late = place.append_measures(2, 1, &measures).await;
    assert_eq!(fold(&place, &late, CLOSED).await.restated, 1);
    assert_eq!(restated(&place), BTreeMap::from([entity("a", 2, Some("2026-11-28T09:57:00Z"))]));
}

/// An invoice of the closed hour lacks what is there now, whether the record was late or the fold.
#[tokio::test(start_paused = true)]
async fn the_first_value_of_a_closed_window_is_restated() {
    let place = closing();
    let notices = place.append(&[(1, "a", 0, 100)], 1).await;
    assert_eq!(fold(&place, &notices, CLOSED).await.restated, 1);
    assert_eq!(restated(&place), BTreeMap::from([entity("a", 1, Some("2026-11-28T09:57:00Z"))]));
    // The window of another record is still open, and its first value is nothing special.
    let notices = place.append(&[(2, "b", 60, 100)], 1).await;
    assert_eq!(fold(&place, &notices, CLOSED).await.restated, 0);
    assert_eq!(restated(&place)["b"], (1, None));
}
