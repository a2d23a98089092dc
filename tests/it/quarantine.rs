//! Rejected records are quarantined in the failure bucket, and don't block other records.

use std::collections::BTreeMap;
use std::time::Duration;

use laptop::emulators::{self, Fault, FaultPlan};
use laptop::proof::load::aggregated;
use serde_json::{Value, json};
use tokio::time::Instant;
use usage_aggregator::handler::Invocation;

use crate::prefix::{NOW, event, message_of, order, order_of, orders};
use crate::simulation::bench::{Bench, Lease, Release};
use crate::world::{World, appended, at, services};

async fn world(name: &str, pipeline: &str) -> World {
    let bucket: &'static str = Box::leak(format!("{name}-failures").into_boxed_str());
    emulators::ensure_bucket(&services().s3_client(&emulators::sdk_config(None)), bucket).await.unwrap();
    World::new(name, pipeline).await.with("REJECTED_RECORDS", "quarantine").with("FAILURE_BUCKET", bucket)
}

/// The documents in the failure bucket by their keys.
async fn documents(world: &World) -> BTreeMap<String, Value> {
    let bucket = format!("{}-failures", world.name);
    let mut documents = BTreeMap::new();
    for object in world.s3.list_objects_v2().bucket(&bucket).send().await.unwrap().contents() {
        let key = object.key().unwrap().to_owned();
        let body = world.s3.get_object().bucket(&bucket).key(&key).send().await.unwrap().body.collect().await.unwrap();
        documents.insert(key, serde_json::from_slice(&body.to_vec()).unwrap());
    }
    documents
}

/// The sequence numbers of the records that the documents hold.
async fn quarantined_numbers(world: &World) -> Vec<String> {
    let documents = documents(world).await;
    let mut numbers: Vec<_> = documents
        .values()
        .map(|document| document["rejection"]["sequenceNumber"].as_str().unwrap().to_owned())
        .collect();
    numbers.sort();
    numbers
}

/// `count` orders of which those at `bad` have a total that is no number.
fn orders_with(count: usize, bad: &[usize]) -> Vec<Value> {
    let mut records = orders(count);
    bad.iter().for_each(|position| records[*position] = order(*position, &json!({ "S": "much" })));
    records
}

fn number(record: &Value) -> String {
    record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_records_behind_a_bad_one_are_counted_in_the_same_batch() {
    let world = world("quarantine", "orders").await;
    let records = orders_with(100, &[0, 50, 99]);
    let outcome = world.function().handler.append(&event(&records), &at(NOW)).await.unwrap();
    assert_eq!((outcome.durable, outcome.rejected.len(), outcome.quarantined.len()), (100, 0, 3));
    assert!(outcome.response().batch_item_failures.is_empty());
    assert_eq!((world.appended().await.len(), world.rows().await.len()), (97, 97));
    assert_eq!(quarantined_numbers(&world).await, [0, 50, 99].map(|position| number(&records[position])));

    // Again and cut otherwise: no further document, and nothing counted twice.
    let before = documents(&world).await;
    for batch in records.chunks(33) {
        let outcome = world.function().handler.append(&event(batch), &at(NOW)).await.unwrap();
        assert_eq!(outcome.durable, batch.len());
    }
    assert_eq!((documents(&world).await, world.appended().await.len()), (before, 97));
}

/// The document has the whole Kinesis record, whose other messages were counted when it was quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_an_aggregated_record_counts_its_other_messages_once() {
    let world = world("quarantine-aggregated", "alleycat").await;
    let message = |distance: &str| format!(r#"{{"racerId":7,"competitionId":1,"distance":{distance}}}"#);
    let messages = ["1.5", "1.5", r#""far""#, "null", "2"].map(message);
    let aggregate = aggregated(&messages.each_ref().map(|message| ("7", message.as_str())));
    let mut records = [0, 1, 2].map(|number| message_of(number, 7, "4"));
    records[1]["kinesis"]["data"] = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, aggregate).into();
    let outcome = world.function().handler.append(&event(&records), &at(NOW)).await.unwrap();
    assert_eq!((outcome.records, outcome.durable, outcome.quarantined.len()), (7, 7, 2));
    let counted = (world.appended().await.len(), world.rows().await.len());
    assert_eq!(counted, (5, 5));

    let documents = documents(&world).await;
    let document = documents.values().next().unwrap();
    assert_eq!((documents.len(), &document["rejection"]["userRecord"]), (1, &json!(2)));
    let replay = document["payload"].as_str().unwrap().replacen('{', r#"{"rejectedRecords":"fail","#, 1);
    let outcome = world.function().handler.append(replay.as_bytes(), &at(NOW)).await.unwrap();
    let named = outcome.response().batch_item_failures[0].item_identifier.clone().unwrap();
    assert_eq!((outcome.durable, named), (2, format!("{:056}", 2)));
    assert_eq!(world.appended().await.len(), 5, "nothing is counted twice");
}

/// The document is an effect like any other: nothing is acknowledged before it is durable. In virtual time.
#[tokio::test(start_paused = true)]
async fn a_record_whose_document_is_not_durable_is_delivered_again() {
    let bench = Bench::new();
    let lease = bench.sandbox(Release::Quarantining);
    let (handler, http) = (&lease.sandbox.handler, &lease.sandbox.http);
    let records = orders_with(30, &[10]);
    http.set_plan(FaultPlan::new(|call| match call.path.contains("/quarantine/") {
        true => Fault::LoseRequest,
        false => Fault::None,
    }));
    let invocation = Invocation { deadline: Some(Instant::now() + Duration::from_secs(60)), ..at(NOW) };
    let outcome = handler.append(&event(&records), &invocation).await.unwrap();
    let named = outcome.response().batch_item_failures[0].item_identifier.clone().unwrap();
    assert_eq!((outcome.durable, named, outcome.quarantined.len()), (10, number(&records[10]), 0));
    assert!(bench.stored().documents.is_empty());

    http.set_plan(FaultPlan::none());
    let outcome = handler.append(&event(&records[10..]), &at(NOW)).await.unwrap();
    assert_eq!((outcome.durable, outcome.quarantined.len()), (20, 1));
    assert_eq!((appended(&bench.stored().ledger).len(), bench.stored().documents.len()), (29, 1));
}

/// Each fault at each call, then a delivery without faults: every good record once, every bad one in one document.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_each_bad_record_is_in_one_document() {
    for fault in Fault::ALL {
        for call in 1..=4 {
            let name = format!("quarantine-{fault:?}-{call}").to_lowercase();
            let world = world(&name, "orders").await;
            let records = orders_with(5, &[2]);
            let function = world.function();
            function.http.set_plan(FaultPlan::at(call, fault));
            let (bytes, invocation) = (event(&records), at(NOW));
            tokio::select! {
                _ = function.handler.append(&bytes, &invocation) => {}
                () = function.http.crashed() => {}
            }
            let outcome = world.function().handler.append(&bytes, &invocation).await.unwrap();
            assert_eq!((outcome.durable, outcome.quarantined.len()), (5, 1), "{name}");
            assert_eq!((world.appended().await.len(), quarantined_numbers(&world).await.len()), (4, 1), "{name}");
        }
    }
}

/// A broken release must not move the whole stream into the bucket.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_mostly_rejected_changes_nothing() {
    let world = world("quarantine-limit", "orders").await;
    let function = world.function();
    let bad: Vec<usize> = (0..11).collect();
    let records = orders_with(20, &bad);
    let outcome = function.handler.append(&event(&records), &at(NOW)).await.unwrap();
    let named = outcome.response().batch_item_failures[0].item_identifier.clone().unwrap();
    assert_eq!((outcome.durable, named), (0, number(&records[0])));
    assert!(outcome.rejected[0].fault.message.starts_with("11 of 20 are rejected"), "{:?}", outcome.rejected);
    assert!(
        documents(&world).await.is_empty() && world.items("ledger").await.is_empty() && world.rows().await.is_empty()
    );
    let outcome = function.handler.append(&event(&orders_with(20, &bad[..10])), &at(NOW)).await.unwrap();
    assert_eq!((outcome.durable, outcome.quarantined.len()), (20, 10));
}

/// Redrive deletes a document once its record is durable.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_redrive_reports_what_is_rejected_again() {
    let world = world("quarantine-redrive", "orders").await;
    let records = orders_with(3, &[1]);
    let mut event: Value = serde_json::from_slice(&event(&records)).unwrap();
    event["rejectedRecords"] = "fail".into();
    let outcome = world.function().handler.append(event.to_string().as_bytes(), &at(NOW)).await.unwrap();
    let named = outcome.response().batch_item_failures[0].item_identifier.clone().unwrap();
    assert_eq!((outcome.durable, named), (1, number(&records[1])));
    assert!(documents(&world).await.is_empty());
}

/// The clocks of two invocations may differ, so that one rejects what the other counts.
#[tokio::test(start_paused = true)]
async fn a_record_from_the_future_counts_once_when_its_time_has_come() {
    let bench = Bench::new();
    let lease = bench.sandbox(Release::Quarantining);
    // It was created at 12:00:00.
    let batch = event(&orders(1));
    let rounds = [("11:54:59", 1, 0), ("11:55:00", 0, 1), ("11:54:59", 1, 1), ("12:00:30", 0, 1)];
    for (time, quarantined, counted) in rounds {
        let now = at(&format!("2026-03-01T{time}Z"));
        let outcome = lease.sandbox.handler.append(&batch, &now).await.unwrap();
        let codes: Vec<&str> = outcome.quarantined.iter().map(|rejection| rejection.fault.code.name()).collect();
        assert_eq!((outcome.durable, codes), (1, vec!["too_new"; quarantined]), "{time}");
        let stored = bench.stored();
        assert_eq!((appended(&stored.ledger).len(), stored.documents.len()), (counted, 1), "{time}");
    }
}

/// A bad order of one customer, who fills the shard with them.
fn attack(number: usize) -> Value {
    order_of("attacker", number, &json!({ "S": "much" }))
}

/// A good order of one of twenty other customers.
fn other(number: usize) -> Value {
    order_of(&format!("other-{}", number % 20), number, &json!({ "N": "1" }))
}

/// The profile of a customer, of another record type.
fn profile(number: usize) -> Value {
    let mut record = other(number);
    for items in ["Keys", "NewImage"] {
        record["dynamodb"][items]["sk"] = json!({ "S": "PROFILE" });
    }
    record["dynamodb"]["NewImage"]["name"] = json!({ "S": "a" });
    record
}

/// What a function does with a batch: how many of its records are durable, and how many of these are quarantined.
async fn handled(lease: &Lease, records: &[Value]) -> (usize, usize) {
    // Later than all of them.
    let outcome = lease.sandbox.handler.append(&event(records), &at("2026-03-01T13:00:00Z")).await.unwrap();
    (outcome.durable, outcome.quarantined.len())
}

/// One customer among others no longer stops them. In virtual time.
#[tokio::test(start_paused = true)]
async fn bad_records_of_one_customer_are_quarantined_however_many_they_are() {
    let bench = Bench::with_limit("50");
    let lease = bench.sandbox(Release::Quarantining);
    let mixture: Vec<Value> =
        (0..100).map(|number| if number % 10 == 0 { other(number / 10) } else { attack(number) }).collect();
    assert_eq!(handled(&lease, &mixture).await, (100, 90));
    assert_eq!((appended(&bench.stored().ledger).len(), bench.stored().documents.len()), (10, 90));

    // Then nothing but theirs: the function has seen that it accepts those of others.
    for batch in 1..=5 {
        let records: Vec<Value> = (0..100).map(|number| attack(batch * 100 + number)).collect();
        assert_eq!(handled(&lease, &records).await, (100, 100));
    }
    // They don't count against others either, whose records are too few to be judged alone and are of another type.
    let mut nameless = profile(1_000);
    nameless["dynamodb"]["NewImage"]["name"] = json!({ "N": "1" });
    assert_eq!(handled(&lease, &[profile(1_001), nameless]).await, (2, 1));
    // A producer that makes bad records of everybody stops the shard as a broken release does.
    let everybody: Vec<Value> = (2_000..2_100)
        .map(|number| order_of(&format!("other-{}", number % 20), number, &json!({ "S": "much" })))
        .collect();
    assert_eq!(handled(&lease, &everybody).await, (0, 0));
}

/// A function that has just started can't tell one bad customer from a broken release, so the batch is delivered again. Once the
/// function has seen others, it can. In virtual time.
#[tokio::test(start_paused = true)]
async fn a_function_that_has_seen_nobody_else_rejects_the_whole_batch() {
    let bench = Bench::with_limit("50");
    let lease = bench.sandbox(Release::Quarantining);
    let bad: Vec<Value> = (100..200).map(attack).collect();
    assert_eq!(handled(&lease, &bad).await, (0, 0));
    assert!(bench.stored().documents.is_empty());
    // Batches of other shards. Those of another record type show nothing about this one.
    for number in 0..10 {
        assert_eq!(handled(&lease, &[profile(number)]).await, (1, 0));
    }
    assert_eq!(handled(&lease, &bad).await, (0, 0));
    for number in 10..12 {
        assert_eq!(handled(&lease, &[other(number)]).await, (1, 0));
    }
    assert_eq!(handled(&lease, &bad).await, (100, 100));
}

/// The same for a broken release, which no batch shows to accept anything. In virtual time.
#[tokio::test(start_paused = true)]
async fn a_broken_release_rejects_every_batch_of_twenty_as_a_whole() {
    let bench = Bench::with_limit("50");
    let lease = bench.sandbox(Release::Quarantining);
    let bad = |from: usize, count: usize, customers: usize| -> Vec<Value> {
        let number = from..from + count;
        number.map(|number| order_of(&format!("{}", number % customers), number, &json!({ "S": "much" }))).collect()
    };
    for customers in [1, 2, 3, 20, 100] {
        assert_eq!(handled(&lease, &bad(0, 100, customers)).await, (0, 0), "{customers} customers");
    }
    // 19 records are too few to tell. Then the parts of a batch are judged together.
    assert_eq!(handled(&lease, &bad(0, 19, 20)).await, (19, 19));
    for from in (19..100).step_by(10) {
        assert_eq!(handled(&lease, &bad(from, 10, 20)).await, (0, 0));
    }
}
