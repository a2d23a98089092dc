//! The sweep schedules, through the handler, while the mapping of the ledger is off: no notice is ever delivered.

use laptop::emulators::in_process;
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::fold::Proven;
use usage_aggregator::handler::{Handler, Invocation, Outcome};
use usage_aggregator::time::Timestamp;

use crate::place::Place;

const HOUR: i64 = 3_600;
/// 2026-11-28T08:00:00Z.
const START: i64 = 1_795_852_800;

pub fn handler(place: &Place) -> Handler {
    let variables = [
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("LEDGER_TABLE", "ledger"),
        ("ARCHIVE_BUCKET", "archive"),
        ("METRICS_SINK", "none"),
    ];
    let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
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
