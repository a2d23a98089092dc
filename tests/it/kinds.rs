//! Every kind of measure, through the real handler: numbers that were computed by hand, and the same ones after redelivery.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::prefix::event;
use crate::world::{StoredItem, World, at};

const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "total"]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window}#{window_key}" }
attributes = { window = "{window}", window_key = "{window_key}" }

[[record]]
type = "subscription"
match = { pk = "TENANT#{tenant}", sk = "SUBSCRIPTION#{subscription}" }
entity = "{tenant}"
resource = "subscriptions"

[[record.measure]]
name = "changes"
kind = "count"
[[record.measure]]
name = "written"
kind = "sum"
attribute = "price"
events = ["INSERT", "MODIFY"]
[[record.measure]]
name = "revenue"
kind = "delta"
attribute = "price"
where = { active = true }
[[record.measure]]
name = "seats"
kind = "level"
attribute = "seats"
where = { active = true }
[[record.measure]]
name = "seat_hours"
kind = "weighted"
attribute = "seats"
since = "updated_at"
where = { active = true }
[[record.measure]]
name = "highest"
kind = "max"
attribute = "price"
[[record.measure]]
name = "lowest"
kind = "min"
attribute = "price"
[[record.measure]]
name = "first_plan"
kind = "first"
attribute = "plan"
[[record.measure]]
name = "plan"
kind = "latest"
attribute = "plan"
[[record.measure]]
name = "users"
kind = "distinct"
attribute = "user"
[[record.measure]]
name = "price"
kind = "quantile"
attribute = "price"
quantiles = [0.5, 1]
"##;

/// A subscription, as an image has it: seats, price, user, plan, whether it is active, and the minute of its last update.
type State<'s> = (u32, &'s str, &'s str, &'s str, bool, i64);

/// A change: its minute, the name of the subscription, and its old and new state.
type Step<'s> = (i64, &'s str, Option<State<'s>>, Option<State<'s>>);

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400;
const NOW: &str = "2026-03-01T14:00:30Z";

const A: [State<'_>; 3] =
    [(5, "10", "ann", "free", true, 0), (8, "20", "bob", "team", true, 20), (8, "20", "bob", "team", false, 70)];
const B: State<'_> = (2, "5.5", "ann", "free", true, 30);
const C: State<'_> = (4, "7", "cho", "trial", true, 110);

/// Changes from noon on: the minute, the subscription, its old state and its new state.
const CHANGES: [(i64, &str, Option<State<'_>>, Option<State<'_>>); 7] = [
    (0, "a", None, Some(A[0])),
    (20, "a", Some(A[0]), Some(A[1])),
    (30, "b", None, Some(B)),
    (70, "a", Some(A[1]), Some(A[2])),
    (90, "b", Some(B), None),
    (100, "a", Some(A[2]), None),
    (110, "c", None, Some(C)),
];

fn records() -> Vec<Value> {
    let image = |key: &Value, (seats, price, user, plan, active, minute): State<'_>| {
        let mut image = key.clone();
        for (name, value) in [
            ("seats", json!({ "N": seats.to_string() })),
            ("price", json!({ "N": price })),
            ("user", json!({ "S": user })),
            ("plan", json!({ "S": plan })),
            ("active", json!({ "BOOL": active })),
            ("updated_at", json!({ "N": (NOON + 60 * minute).to_string() })),
        ] {
            image[name] = value;
        }
        image
    };
    let record = |(number, (minute, name, old, new)): (usize, &Step<'_>)| {
        let key = json!({ "pk": { "S": "TENANT#acme" }, "sk": { "S": format!("SUBSCRIPTION#{name}") } });
        let event_name = match (old, new) {
            (None, _) => "INSERT",
            (_, None) => "REMOVE",
            _ => "MODIFY",
        };
        let mut change = json!({
            "ApproximateCreationDateTime": NOON + 60 * minute, "Keys": key,
            "SequenceNumber": (800_000 + number).to_string(), "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        for (field, state) in [("OldImage", old), ("NewImage", new)] {
            if let Some(state) = state {
                change[field] = image(&key, *state);
            }
        }
        json!({
            "eventID": format!("{number:032x}"), "eventName": event_name, "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": "us-east-1", "dynamodb": change,
            "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/api/stream/2026-01-01T00:00:00.000",
        })
    };
    CHANGES.iter().enumerate().map(record).collect()
}

/// The measures by window, and apart from them the quantiles, which are within 1 %.
fn measures(items: &[StoredItem]) -> BTreeMap<String, (Value, [f64; 2])> {
    let measures = |item: &StoredItem| {
        let other = ["pk", "sk", "window", "window_key", "usage_version", "price_p50", "price_p100"];
        let value = |value: &AttributeValue| match value {
            AttributeValue::N(text) | AttributeValue::S(text) => Value::String(text.clone()),
            other => panic!("{other:?}"),
        };
        let all = item.iter().filter(|(name, _)| !other.contains(&name.as_str()));
        let quantile = |name: &str| item[name].as_n().unwrap().parse::<f64>().unwrap();
        let measures = all.map(|(name, found)| (name.clone(), value(found))).collect();
        let key = item["window_key"].as_s().unwrap().clone();
        (key, (Value::Object(measures), [quantile("price_p50"), quantile("price_p100")]))
    };
    items.iter().map(measures).collect()
}

fn check(items: &[StoredItem]) {
    let expected = [
        (
            "2026-03-01T12",
            json!({
                "changes": "3", "written": "35.5", "revenue": "25.5",
                // 5, then 3 more, then 2 of another subscription; 5 stood for 20 minutes.
                "seats": "10", "seat_hours": "1.666666667",
                "highest": "20", "lowest": "5.5", "first_plan": "free", "plan": "free", "users": "2",
            }),
            [10.0, 20.0],
        ),
        (
            "2026-03-01T13",
            json!({
                "changes": "4", "written": "27", "revenue": "-18.5",
                // 8 stood for 50 minutes until they were no longer active, and 2 for an hour; 4 are new.
                "seats": "-6", "seat_hours": "8.666666667",
                "highest": "20", "lowest": "7", "first_plan": "team", "plan": "trial", "users": "2",
            }),
            [7.0, 20.0],
        ),
        (
            "total",
            json!({
                "changes": "7", "written": "62.5", "revenue": "7",
                "seats": "4", "seat_hours": "10.333333334",
                "highest": "20", "lowest": "5.5", "first_plan": "free", "plan": "trial", "users": "3",
            }),
            [10.0, 20.0],
        ),
    ];
    let found = measures(items);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.each_ref().map(|(key, ..)| *key));
    for (key, measures, quantiles) in expected {
        assert_eq!(found[key].0, measures, "{key}");
        for (found, exact) in found[key].1.into_iter().zip(quantiles) {
            assert!((found - exact).abs() <= exact / 100.0, "{key}: {found} instead of {exact}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_the_numbers_that_a_person_computes_and_keeps_them_when_records_come_again() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pipeline.toml"), PIPELINE).unwrap();
    let world = World::of_folder("kinds", folder.path()).await;
    let records = records();
    let append = async |records: &[Value]| {
        let outcome = world.function().handler.append(&event(records), &at(NOW)).await.unwrap();
        assert!(outcome.rejected.is_empty() && outcome.durable == records.len(), "{:?}", outcome.rejected);
    };
    append(&records).await;
    world.fold_all(&at(NOW)).await;
    let before = world.items("usage").await;
    check(&before);

    append(&records).await;
    assert_eq!(world.fold_all(&at(NOW)).await.folded.snapshots, 0, "the same batch puts the same pages");
    assert_eq!(before, world.items("usage").await);

    // In other batches, some records twice, the last first.
    for batch in [&records[4..], &records[2..6], &records[..3]] {
        append(batch).await;
        world.fold_all(&at(NOW)).await;
        check(&world.items("usage").await);
    }
}
