//! Closed windows: a snapshot whose values change after its window was closed says when.

use std::collections::BTreeMap;

use laptop::emulators::{Metrics, in_process};
use serde_json::{Value, json};
use usage_aggregator::config::Sink;
use usage_aggregator::fold::{Depth, Folded, Notice};
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::place::{Place, minute_of};
use crate::refused_targets::{QUARANTINE, config, image, record};

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

/// A function that folds before it answers, and sends its metrics to a CloudWatch.
fn function(place: &Place, metrics: &Metrics) -> Handler {
    let mut config = config("orders", QUARANTINE);
    config.metrics.sink = Sink::CloudWatch;
    let (snapshot, of_place) = (config.pipeline.snapshot.as_mut().unwrap(), place.pipeline.snapshot.as_ref().unwrap());
    snapshot.windows.clone_from(&of_place.windows);
    snapshot.closing = of_place.closing;
    let (database, objects) = (place.database.clone(), place.objects.clone());
    Handler::new(config, in_process::clients(in_process::client_with_metrics(database, objects, metrics.clone())))
}

/// The event of the ledger's stream with the notices of all pages.
fn notices(place: &Place) -> Value {
    let keys = |item: &crate::place::Item| {
        let [key, sort_key] = ["pk", "sk"].map(|name| json!({ "S": item[name].as_s().unwrap() }));
        json!({ "eventName": "INSERT", "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/ledger/stream/1",
                "dynamodb": { "SequenceNumber": "1", "Keys": { "pk": key, "sk": sort_key } } })
    };
    let items = place.items("ledger");
    let pages = items.iter().filter(|item| item["pk"].as_s().unwrap().starts_with("p#"));
    json!({ "Records": pages.map(keys).collect::<Vec<_>>() })
}

/// The fold of the ledger's stream finds these snapshots as they should be, so nobody reported that they had changed.
#[tokio::test(start_paused = true)]
async fn regression_snapshots_that_are_restated_before_a_batch_is_answered_are_reported() {
    let (place, metrics) = (closing(), Metrics::default());
    place.objects.create_bucket("failures");
    let function = function(&place, &metrics);
    let sum = |name: &str| {
        let points = metrics.points().into_iter().filter(|point| point.name == name);
        points.flat_map(|point| point.values).sum::<f64>()
    };
    for (number, after, expected) in [(1, OPEN, [0.0, 1.0]), (2, CLOSED, [1.0, 2.0])] {
        let now = Timestamp::from_seconds(minute_of(0).start() + after).unwrap();
        let invocation = Invocation { request_id: "test".to_owned(), now, deadline: None };
        let event = json!({ "Records": [record(number, &image("a", number, "1.00"))] }).to_string();
        assert_eq!(function.append(event.as_bytes(), &invocation).await.unwrap().durable, 1);
        assert_eq!([sum("SnapshotsRestated"), sum("SnapshotsUpdated")], expected);
        let folded = function.fold(notices(&place).to_string().as_bytes(), &invocation).await.unwrap();
        assert_eq!((folded.folded.settled, folded.folded.error.is_none()), (number, true));
        assert_eq!([sum("SnapshotsRestated"), sum("SnapshotsUpdated")], expected);
    }
}
