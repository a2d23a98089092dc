//! The response names the first record that failed. All records before it are durable, and no later record has an
//! effect.

use std::collections::BTreeSet;
use std::time::Duration;

use laptop::emulators::{Fault, FaultPlan, TableSpec};
use serde_json::{Value, json};
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::fold::Notice;

use crate::world::{World, at, notices, text};

pub const NOW: &str = "2026-03-01T12:00:30Z";

/// The insertion of an order, one per second. `number` is its position.
pub fn order(number: usize, total: &Value) -> Value {
    order_of(&(number % 3).to_string(), number, total)
}

/// The same, by this customer.
pub fn order_of(customer: &str, number: usize, total: &Value) -> Value {
    json!({
        "eventID": format!("{number:032}"), "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_366_400 + number,
            "Keys": { "pk": { "S": format!("CUSTOMER#{customer}") }, "sk": { "S": format!("ORDER#{number}") } },
            "NewImage": {
                "pk": { "S": format!("CUSTOMER#{customer}") }, "sk": { "S": format!("ORDER#{number}") },
                "status": { "S": "OPEN" }, "total": total,
            },
            "SequenceNumber": format!("{}", 100_000_000_000_000_000_000_u128 + number as u128),
            "SizeBytes": 80, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    })
}

pub fn orders(count: usize) -> Vec<Value> {
    (0..count).map(|number| order(number, &json!({ "N": number.to_string() }))).collect()
}

pub fn event(records: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}

/// A message of a racer, one hundred per second.
fn message(number: usize, racer: usize) -> Value {
    message_of(number, racer, "0.5")
}

pub fn message_of(number: usize, racer: usize, distance: &str) -> Value {
    let data = format!(r#"{{"racerId":{racer},"competitionId":1,"distance":{distance},"n":{number}}}"#);
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "7", "sequenceNumber": format!("{:056}", number + 1),
            "data": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data),
            "approximateArrivalTimestamp": 1_772_366_400.0 + number as f64 / 100.0,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "eventID": format!("shardId-000000000000:{:056}", number + 1), "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/alleycat",
    })
}

/// The orders with rows in the archive.
async fn archived(world: &World) -> BTreeSet<String> {
    world.rows().await.iter().map(|row| text(row, "order_key")).collect()
}

fn keys(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|number| format!("ORDER#{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_ends_the_prefix_at_any_position() {
    for position in [0, 1, 5, 9] {
        let world = World::new(&format!("poison-{position}"), "orders").await;
        let function = world.function();
        let mut records = orders(10);
        records[position] = order(position, &json!({ "S": "SECRET" }));

        let outcome = function.handler.append(&event(&records), &at(NOW)).await.unwrap();
        let answer = serde_json::to_value(outcome.response()).unwrap();
        let sequence = records[position]["dynamodb"]["SequenceNumber"].clone();
        assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": sequence }] }));
        let rejection = outcome.rejected[0].to_string();
        assert!(rejection.contains("invalid_value: NewImage.total: expected N, found S"), "{rejection}");
        assert!(!rejection.contains("SECRET"));
        assert_eq!((outcome.durable, world.appended().await.len()), (position, position));
        assert_eq!(archived(&world).await, keys(0..position));

        // Lambda delivers the rest again, with a valid record this time.
        let valid = orders(10);
        let outcome = function.handler.append(&event(&valid[position..]), &at(NOW)).await.unwrap();
        assert!(outcome.response().batch_item_failures.is_empty());
        assert_eq!((outcome.durable, world.appended().await.len()), (10 - position, 10));
        assert_eq!(archived(&world).await, keys(0..10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_records_twice_change_nothing_the_second_time() {
    let world = World::new("twice", "orders").await;
    let event = std::fs::read(crate::repository().join("events/batch-1000.json")).unwrap();
    let function = world.function();
    let first = function.handler.append(&event, &at("2026-11-21T00:00:00Z")).await.unwrap();
    world.fold_all(&at("2026-11-21T00:00:00Z")).await;
    let before = (world.items("usage").await, world.objects().await, world.items("ledger").await);
    let second = world.function().handler.append(&event, &at("2026-11-22T00:00:00Z")).await.unwrap();
    assert_eq!((first.durable, second.durable), (1000, 1000));
    assert_eq!(first.pages, second.pages);
    let folded = world.fold_all(&at("2026-11-22T00:00:00Z")).await;
    assert_eq!(folded.folded.snapshots, 0);
    assert_eq!(before, (world.items("usage").await, world.objects().await, world.items("ledger").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_older_than_the_horizon_is_rejected_and_changes_nothing() {
    let world = World::new("old", "orders").await;
    let outcome = world.function().handler.append(&event(&orders(3)), &at("2026-03-19T12:00:05Z")).await.unwrap();
    assert_eq!(outcome.rejected[0].fault.code.name(), "too_old");
    assert_eq!((world.appended().await.len(), world.rows().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_minute_counts_each_record_once_however_its_batches_are_cut() {
    let world = World::new("pages", "alleycat").await;
    let function = world.function();
    // 3,300 messages of one racer within a minute, in batches of 700 and then in batches of another size.
    let messages: Vec<Value> = (0..3_300).map(|number| message(number, 7)).collect();
    let mut pages = 0;
    for batch in messages.chunks(700).chain(messages.chunks(900)) {
        let outcome = function.handler.append(&event(batch), &at(NOW)).await.unwrap();
        assert_eq!((outcome.durable, outcome.pages.len()), (batch.len(), 1));
        pages += 1;
    }
    assert_eq!((world.items("ledger").await.len(), world.appended().await.len()), (pages, 3_300));
    assert_eq!(world.fold_all(&at(NOW)).await.folded.pages, pages);
    let hour = world.items("usage").await.into_iter().find(|item| item["window"].as_s().unwrap() == "hour").unwrap();
    assert_eq!((hour["messages"].as_n().unwrap().as_str(), hour["metres"].as_n().unwrap().as_str()), ("3300", "1650"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_resource_fails_the_invocation_and_names_the_remedy() {
    let cases = [
        (
            "USAGE_TABLE",
            "no-such-table",
            "create the table or event bus, or fix USAGE_TABLE, LEDGER_TABLE, and ALERT_BUS",
        ),
        (
            "LEDGER_TABLE",
            "no-such-table",
            "create the table or event bus, or fix USAGE_TABLE, LEDGER_TABLE, and ALERT_BUS",
        ),
        ("ARCHIVE_BUCKET", "no-such-bucket", "create the bucket or fix ARCHIVE_BUCKET"),
    ];
    for (variable, value, remedy) in cases {
        let world = World::new(&format!("config-{}", variable.to_lowercase().replace('_', "-")), "orders")
            .await
            .with(variable, value);
        let error = append_and_fold(&world, &orders(2)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Config);
        assert!(error.message.contains(value) && error.message.contains(remedy), "{error}");
    }
}

/// Appends these records, folds them, and returns the first error.
async fn append_and_fold(world: &World, records: &[Value]) -> Result<(), Error> {
    let function = world.function();
    let pages = function.handler.append(&event(records), &at(NOW)).await?.pages;
    let keys: Vec<_> = pages
        .iter()
        .map(|Notice { minute, page }| {
            (format!("p#orders#{}#{}", minute.text(), page.bucket), format!("{:016x}", page.name))
        })
        .collect();
    function.handler.fold(&notices(&world.variable("LEDGER_TABLE"), &keys), &at(NOW)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_of_a_snapshot_loses_what_it_wrote() {
    let world = World::new("other-writer", "orders").await;
    let function = world.function();
    // Another writer has replaced customer 1's counter with a string.
    let item = [("pk", "CUSTOMER#1"), ("sk", "USAGE#orders#month#2026-03-01T00:00:00Z"), ("amount", "text")];
    let put =
        item.into_iter().fold(world.dynamodb.put_item().table_name("other-writer-usage"), |put, (name, value)| {
            put.item(name, aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned()))
        });
    put.send().await.unwrap();
    let records: Vec<Value> = (1..7).map(|number| order(number, &json!({ "N": "1.00" }))).collect();
    assert_eq!(function.handler.append(&event(&records), &at(NOW)).await.unwrap().durable, 6);
    world.fold_all(&at(NOW)).await;
    // Two orders of each customer.
    let amounts: BTreeSet<_> =
        world.items("usage").await.iter().map(|item| item["amount"].as_n().unwrap().clone()).collect();
    assert_eq!(amounts, BTreeSet::from(["2".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_more_than_38_digits_is_not_published_and_holds_up_nothing() {
    let world = World::new("overflow", "alleycat").await;
    // With the fourth distance, the sum needs 39 digits. The number of messages is still known.
    let distances = ["1.50", "2.50", "0.25", "1E37", "0.01"];
    let messages = distances.iter().enumerate().map(|(number, distance)| message_of(number, 7, distance));
    let records: Vec<Value> = messages.collect();
    let outcome = world.function().handler.append(&event(&records), &at(NOW)).await.unwrap();
    assert_eq!((outcome.durable, outcome.rejected.len()), (5, 0));
    let folded = world.fold_all(&at(NOW)).await.folded;
    assert_eq!((folded.settled, folded.overflows), (1, 2));
    for item in world.items("usage").await {
        assert_eq!((item["messages"].as_n().unwrap().as_str(), item.get("metres")), ("5", None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_makes_no_calls() {
    let world = World::new("nothing", "orders").await;
    let function = world.function();
    let outcome = function.handler.append(br#"{"Records":[]}"#, &at(NOW)).await.unwrap();
    assert_eq!((outcome.records, outcome.response().batch_item_failures.len(), function.http.calls().len()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_one_minute_and_type_takes_a_page_and_a_file() {
    let world = World::new("two-calls", "orders").await;
    let function = world.function();
    let outcome = function.handler.append(&event(&orders(50)), &at(NOW)).await.unwrap();
    assert_eq!(outcome.durable, 50);
    let mut operations: Vec<String> = function.http.calls().into_iter().map(|(call, _)| call.operation).collect();
    operations.sort();
    assert_eq!(operations, ["PutItem", "PutObject"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_are_one_batch() {
    let world = World::new("ten-thousand", "alleycat").await;
    let messages: Vec<Value> = (0..10_000).map(|number| message(number, number % 200)).collect();
    let event = event(&messages);
    let outcome = world.function().handler.append(&event, &at(NOW)).await.unwrap();
    assert_eq!((outcome.durable, outcome.files.len()), (10_000, 1));
    assert_eq!((world.appended().await.len(), world.rows().await.len()), (10_000, 10_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_with_different_keys_fails_the_invocation() {
    let keys =
        |name, partition_key| TableSpec { name, partition_key, sort_key: None, ttl_attribute: None, stream: None };
    for (variable, table) in [("USAGE_TABLE", "other-keys-usage"), ("LEDGER_TABLE", "other-keys-ledger")] {
        let world = World::new(table, "orders").await.with(variable, table);
        laptop::emulators::ensure_tables(&world.dynamodb, &[keys(table, "id")]).await.unwrap();
        let error = append_and_fold(&world, &orders(2)).await.unwrap_err();
        assert!(error.kind == ErrorKind::Config && error.message.contains("the table has different keys"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_arrive_at_cloudwatch_and_losing_them_affects_nothing() {
    let world = World::new("metrics", "orders")
        .await
        .with("METRICS_SINK", "cloudwatch")
        .with("METRICS_NAMESPACE", "metrics-test");
    let function = world.function();
    function.handler.append(&event(&orders(4)), &at(NOW)).await.unwrap();
    let value = |name: &str| {
        let points = crate::world::services().metrics().points();
        let point =
            points.iter().find(|point| point.namespace == "metrics-test" && point.name == name).expect("a metric");
        assert_eq!(point.dimensions["Pipeline"], "orders");
        point.values[0]
    };
    assert_eq!(
        (value("RecordsProcessed"), value("InsertCount"), value("FilesWritten"), value("ProcessingErrors")),
        (4.0, 4.0, 1.0, 0.0)
    );
    for (count, fault) in [(5, Fault::Status503), (6, Fault::Delay(Duration::from_secs(600)))] {
        function.http.set_plan(FaultPlan::always("PutMetricData", fault));
        let event = event(&orders(count));
        let invocation = at(NOW);
        let outcome = function.handler.append(&event, &invocation).await.unwrap();
        assert_eq!((outcome.durable, outcome.rejected.len()), (count, 0));
    }
}
