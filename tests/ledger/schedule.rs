//! The sweep schedules, through the handler, while the mapping of the ledger is off: no notice is ever delivered.

use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan, in_process};
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::fold::{Depth, Proven, Swept};
use usage_aggregator::handler::{Handler, Invocation, Outcome};
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Window;

use crate::place::{MINUTE, Place, minute_of};

const HOUR: i64 = 3_600;
/// 2026-11-28T08:00:00Z.
const START: i64 = 1_795_852_800;

pub fn handler(place: &Place) -> Handler {
    handler_with(place, &[])
}

/// The same with more settings.
pub fn handler_with(place: &Place, more: &[(&str, &str)]) -> Handler {
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("LEDGER_TABLE", "ledger"),
        ("ARCHIVE_BUCKET", "archive"),
        ("METRICS_SINK", "none"),
    ];
    let all = || variables.iter().chain(more);
    let value = |name: &str| all().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Handler::new(Config::read(value).unwrap(), in_process::clients(place.http.client()))
}

pub fn at(second: i64) -> Invocation {
    let now = Timestamp::from_seconds(second).unwrap();
    Invocation { request_id: "test".to_owned(), now, deadline: None }
}

/// An event with one new order of 100 cents.
pub fn order(number: i64, second: i64) -> Vec<u8> {
    let image = json!({
        "pk": {"S": "CUSTOMER#a"}, "sk": {"S": format!("ORDER#{number}")}, "status": {"S": "NEW"}, "currency": {"S": "EUR"},
        "total": {"N": "1"}, "ordered_at": {"S": "2026-11-28T08:00:00Z"}, "ship_on": {"S": "2026-12-01"},
        "express": {"BOOL": false}, "address": {"M": {"street": {"S": "x"}, "city": {"S": "x"}, "country": {"S": "DE"}}},
        "labels": {"M": {}}, "lines": {"L": []},
    });
    let record = json!({
        "eventID": number.to_string(), "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": second, "SequenceNumber": (100 + number).to_string(),
            "Keys": {"pk": image["pk"], "sk": image["sk"]}, "NewImage": image, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    });
    json!({ "Records": [record] }).to_string().into_bytes()
}

/// What both schedules send at this second. Returns how many snapshots they repaired.
async fn tick(handler: &Handler, second: i64) -> usize {
    let mut repaired = 0;
    for minutes_ago in [90, 1_500] {
        let time = Timestamp::from_seconds(second).unwrap().to_string();
        let event: Value = json!({ "sweep": { "at": time, "minutes_ago": minutes_ago } });
        match handler.handle(event.to_string().as_bytes(), &at(second)).await.unwrap() {
            Outcome::Swept(outcome) => repaired += outcome.swept.repaired,
            other => panic!("{other:?}"),
        }
    }
    repaired
}

#[tokio::test(start_paused = true)]
async fn thirty_hours_without_the_mapping_are_counted_by_the_schedule() {
    let place = Place::new();
    let handler = handler(&place);
    let mut repaired = 0;
    for minute in 0..30 * 60 + 91 {
        let second = START + 60 * minute;
        // An order every hour for 30 hours.
        if minute % 60 == 0 && minute < 30 * 60 {
            let outcome = handler.handle(&order(minute, second), &at(second + 1)).await.unwrap();
            assert!(outcome.response().batch_item_failures.is_empty(), "{outcome:?}");
        }
        // The other events of the schedules name minutes without orders.
        if minute % 30 == 0 {
            repaired += tick(&handler, second).await;
        }
    }
    assert_eq!(place.month("a"), (30, 3_000));
    let hours = place.snapshots_of("hour");
    assert_eq!((hours.len(), hours.iter().all(|values| (values.0, values.1) == (1, 100))), (30, true));
    // Each order was found late once, in its hour, day, and month.
    assert_eq!(repaired, 3 * 30);
    // An order that is appended two hours after it was made: only the second schedule sees its page.
    let late = START + 31 * HOUR;
    handler.handle(&order(1, START + 29 * HOUR), &at(late)).await.unwrap();
    let mut found = 0;
    for hour in 0..25 {
        found += tick(&handler, late + HOUR * hour).await;
    }
    assert_eq!((found, place.month("a")), (3, (31, 3_100)));
    // The proof of each hour finds what the sweeps have written, and nothing else.
    let mut proven = Proven::default();
    for hour in 1..=48 {
        let now = START + HOUR * (hour + 26);
        let event = json!({ "prove": { "at": Timestamp::from_seconds(now).unwrap().to_string(), "hours_ago": 26 } });
        match handler.handle(event.to_string().as_bytes(), &at(now)).await.unwrap() {
            Outcome::Proven(outcome) => proven.add(outcome.proven),
            other => panic!("{other:?}"),
        }
    }
    // 48 hours, and two days that end with one of them.
    assert_eq!((proven.windows, proven.pages, proven.snapshots, proven.differences.len()), (50, 31, 32, 0));
}

/// Sweeps a minute after [`MINUTE`] as both schedules do.
async fn sweep(place: &Place, minute: i64, patience: Duration) -> Swept {
    let now = Timestamp::from_seconds(MINUTE + 60 * minute + 90 * 60).unwrap();
    let snapshot = place.pipeline.snapshot.as_ref().unwrap();
    let time = (patience, None);
    place.folder.sweep_patiently(snapshot, minute_of(minute), Depth::Differences, now, time).await.unwrap()
}

/// Runs something that crashes instead of its next write after so many.
async fn crash(place: &Place, writes: usize, work: impl Future) {
    let mut done = 0;
    place.http.set_plan(FaultPlan::new(move |call| {
        done += usize::from(matches!(call.operation.as_str(), "PutItem" | "UpdateItem"));
        if done > writes { Fault::CrashBefore } else { Fault::None }
    }));
    tokio::select! {
        _ = work => panic!("it should have crashed after {writes} writes"),
        () = place.http.crashed() => {}
    }
    place.http.revive();
    place.http.set_plan(FaultPlan::none());
}

/// 08:59 and 23:59, the last minutes of the hour and of the day. Neither the week nor the month ends with the day.
const LAST: [i64; 2] = [2, 15 * 60 + 2];

/// The states of six windows are written, and then five snapshots.
#[tokio::test(start_paused = true)]
async fn a_sweep_that_dies_half_way_is_completed_at_the_end_of_the_hour_and_of_the_day() {
    for writes in 0..11 {
        let place = Place::with_windows(&Window::ALL);
        place.append(&[(1, "a", 0, 100)], 1).await;
        crash(&place, writes, sweep(&place, 0, Duration::ZERO)).await;
        is_completed(&place, &format!("{writes} writes")).await;
    }
}

/// A fold dies after it has written the state of a minute, and that of another minute sums it up.
#[tokio::test(start_paused = true)]
async fn what_another_fold_sums_up_is_published_at_the_end_of_the_hour_and_of_the_day() {
    let place = Place::with_windows(&Window::ALL);
    let lost = place.append(&[(1, "a", 0, 100)], 1).await;
    crash(&place, 1, place.try_fold(&lost)).await;
    place.fold(&place.append(&[(2, "b", 1, 5)], 1).await).await;
    assert!(!place.snapshots().keys().any(|(entity, _)| entity == "a"));
    is_completed(&place, "another minute").await;
}

/// Lambda repeats the sweep, and then the hour and the day end.
async fn is_completed(place: &Place, case: &str) {
    sweep(place, 0, Duration::ZERO).await;
    for (last, windows) in LAST.into_iter().zip([vec!["hour"], vec!["hour", "day", "week", "month", "total"]]) {
        sweep(place, last, Duration::ZERO).await;
        for window in windows {
            let counted = place.snapshots().get(&("a".to_owned(), window.to_owned())).copied().unwrap_or_default();
            assert_eq!((counted.0, counted.1), (1, 100), "{window} after {case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_fold_is_about_to_publish_is_not_repaired() {
    for (is_stopped, expected) in [(false, 0), (true, 1)] {
        let place = Place::with_windows(&[Window::Total]);
        place.fold(&place.append(&[(1, "a", 0, 100)], 1).await).await;
        let notices = place.append(&[(2, "a", 0, 5)], 1).await;
        // It has written the states of minute, hour, day, month, and total.
        crash(&place, 5, place.try_fold(&notices)).await;
        assert_eq!(place.snapshots_of("total")[0].0, 1);
        let fold = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            if !is_stopped {
                place.fold(&notices).await;
                // The next version is on its way, too.
                let next = place.append(&[(3, "a", 0, 7)], 1).await;
                crash(&place, 5, place.try_fold(&next)).await;
            }
        };
        let (swept, ()) = tokio::join!(sweep(&place, LAST[1], Duration::from_mins(1)), fold);
        assert_eq!((swept.repaired, place.snapshots_of("total")[0].0), (expected, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_on_its_way_is_not_lost() {
    for (is_lost, expected) in [(false, 0), (true, 3)] {
        let place = Place::new();
        let handler = handler(&place);
        let notices = place.append(&[(1, "a", 0, 100)], 1).await;
        let now = MINUTE + 90 * 60;
        let time = Timestamp::from_seconds(now).unwrap().to_string();
        let event = json!({ "sweep": { "at": time, "minutes_ago": 90, "fold_window_seconds": 30 } }).to_string();
        let fold = async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            if !is_lost {
                place.fold(&notices).await;
                // Another page arrives after the first look. The next sweep is for it.
                place.append(&[(2, "a", 0, 5)], 1).await;
            }
        };
        let invocation = at(now);
        let (swept, ()) = tokio::join!(handler.handle(event.as_bytes(), &invocation), fold);
        let Outcome::Swept(outcome) = swept.unwrap() else { panic!("it is no sweep") };
        assert_eq!((outcome.swept.repaired, place.month("a")), (expected, (1, 100)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_sweep_reports_what_dynamodb_refuses() {
    let place = Place::new();
    let handler = handler(&place);
    place.append(&[(1, &"x".repeat(3_000), 0, 1), (2, "b", 0, 1)], 1).await;
    let now = MINUTE + 90 * 60;
    let time = Timestamp::from_seconds(now).unwrap().to_string();
    let event = json!({ "sweep": { "at": time, "minutes_ago": 90 } }).to_string();
    match handler.handle(event.as_bytes(), &at(now)).await.unwrap() {
        // Its hour, day, and month.
        Outcome::Swept(outcome) => assert_eq!((outcome.swept.refused.len(), outcome.swept.repaired), (3, 3)),
        other => panic!("{other:?}"),
    }
}
