//! Targets that no retry can compute: their records count and are quarantined, and the records behind them go on. Through the
//! handler, with the pipeline `orders`.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Fault, FaultPlan, in_process};
use serde_json::{Value, json};
use usage_aggregator::config::Config;
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::time::Timestamp;

use crate::place::{MINUTE, Place};

/// What happens to rejected records.
pub const QUARANTINE: &str = "quarantine";
const FAIL: &str = "fail";

pub struct Shop {
    pub place: Place,
    client: Client,
}

impl Shop {
    /// A table with the profiles of the customers "a" and "b".
    pub async fn new() -> Shop {
        let place = Place::new();
        place.objects.create_bucket("failures");
        let client = in_process::clients(place.http.client()).dynamodb;
        let shop = Shop { place, client };
        for customer in ["a", "b"] {
            shop.put(&json!({ "pk": key(customer), "sk": { "S": "PROFILE" } })).await;
        }
        shop
    }

    async fn put(&self, image: &Value) {
        self.put_into("orders", image).await;
    }

    pub async fn put_into(&self, table: &str, image: &Value) {
        let item = image.as_object().unwrap().iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
        self.client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    }

    /// Puts new orders, and returns the records of that.
    async fn order(&self, orders: &[(&str, usize, &str)]) -> Vec<Value> {
        let mut records = Vec::new();
        for (customer, number, total) in orders {
            let image = image(customer, *number, total);
            self.put(&image).await;
            records.push(record(*number, &image));
        }
        records
    }

    /// A function that finds up to this many orders of a customer.
    pub fn function(&self, rejected: &str, max_items: usize) -> Handler {
        let mut config = config("orders", rejected);
        config.pipeline.indicators[0].max_items = max_items;
        self.function_with(config)
    }

    fn function_with(&self, config: Config) -> Handler {
        Handler::new(config, in_process::clients(self.place.http.client()))
    }

    /// What the profile of a customer shows.
    async fn shown(&self, customer: &str) -> Option<(String, String)> {
        self.shown_in("orders", customer).await
    }

    pub async fn shown_in(&self, table: &str, customer: &str) -> Option<(String, String)> {
        let get = self.client.get_item().table_name(table).key("pk", attribute(&key(customer)));
        let profile = get.key("sk", AttributeValue::S("PROFILE".to_owned())).send().await.unwrap().item.unwrap();
        let map = profile.get("indicators")?.as_m().unwrap();
        let number = |name: &str| map[name].as_n().unwrap().clone();
        Some((number("open_orders"), number("open_amount")))
    }

    /// The documents of quarantined records.
    pub fn documents(&self) -> Vec<Value> {
        let documents = self.place.objects.bucket("failures").into_iter();
        documents.map(|(_, body)| serde_json::from_slice(&body).unwrap()).collect()
    }
}

/// The configuration of a function with this pipeline.
pub fn config(pipeline: &str, rejected: &str) -> Config {
    let variable = |name: &str| match name {
        "PIPELINE" => Some(pipeline),
        "USAGE_TABLE" => Some("usage"),
        "LEDGER_TABLE" => Some("ledger"),
        "FRESHNESS" => Some("now"),
        "ARCHIVE_BUCKET" => Some("archive"),
        "FAILURE_BUCKET" => Some("failures"),
        "REJECTED_RECORDS" => Some(rejected),
        "METRICS_SINK" => Some("none"),
        _ => None,
    };
    Config::read(|name| variable(name).map(str::to_owned)).unwrap()
}

pub fn key(customer: &str) -> Value {
    json!({ "S": format!("CUSTOMER#{customer}") })
}

pub fn image(customer: &str, number: usize, total: &str) -> Value {
    json!({
        "pk": key(customer), "sk": { "S": format!("ORDER#{number}") }, "status": { "S": "NEW" }, "total": { "N": total },
    })
}

pub fn record(number: usize, image: &Value) -> Value {
    json!({
        "eventID": number.to_string(), "eventName": "INSERT", "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:1:table/orders/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": MINUTE, "SequenceNumber": (100 + number).to_string(),
            "Keys": { "pk": image["pk"], "sk": image["sk"] }, "NewImage": image, "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}

fn attribute(value: &Value) -> AttributeValue {
    match value.as_object().and_then(|value| value.iter().next()).unwrap() {
        (tag, Value::String(text)) if tag == "N" => AttributeValue::N(text.clone()),
        (_, text) => AttributeValue::S(text.as_str().unwrap().to_owned()),
    }
}

pub async fn deliver(function: &Handler, event: &Value) -> BatchOutcome {
    tried(function, event).await.unwrap()
}

async fn tried(function: &Handler, event: &Value) -> Result<BatchOutcome, Error> {
    let deadline = Some(tokio::time::Instant::now() + Duration::from_secs(20));
    let now = Timestamp::from_seconds(MINUTE + 10).unwrap();
    let invocation = Invocation { request_id: "test".to_owned(), now, deadline };
    function.append(event.to_string().as_bytes(), &invocation).await
}

/// The sequence number that the response names.
pub fn named(outcome: &BatchOutcome) -> Option<String> {
    outcome.response().batch_item_failures.first()?.item_identifier.clone()
}

pub fn codes(outcome: &BatchOutcome) -> Vec<(&str, &str)> {
    let code = |rejection: &'_ usage_aggregator::record::Rejection| rejection.fault.code.name();
    outcome.quarantined.iter().map(|rejection| (rejection.sequence.as_str(), code(rejection))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_target_with_too_many_items_is_quarantined_and_the_records_behind_it_go_on() {
    let shop = Shop::new().await;
    let records = shop.order(&[("a", 1, "5"), ("a", 2, "2.5"), ("a", 3, "1"), ("b", 4, "9.99")]).await;
    let event = json!({ "Records": records });
    let outcome = deliver(&shop.function(QUARANTINE, 2), &event).await;
    assert_eq!((named(&outcome), outcome.durable), (None, 4));
    assert_eq!(codes(&outcome), [("101", "too_many_items")], "one document per target and batch");
    assert_eq!((shop.place.month("a"), shop.place.month("b")), ((3, 850), (1, 999)), "its records count all the same");
    assert_eq!((shop.shown("a").await, shop.shown("b").await), (None, Some(("1".to_owned(), "9.99".to_owned()))));

    let documents = shop.documents();
    let reason = &documents[0]["rejection"];
    assert_eq!(
        (documents.len(), &reason["code"], &reason["field"]),
        (1, &json!("too_many_items"), &json!("indicator"))
    );
    let advice =
        "failed to compute the indicator \"customer\": its query finds more than max_items = 2 items; raise it";
    assert!(reason["reason"].as_str().unwrap().starts_with(advice), "{reason}");
    let payload: Value = serde_json::from_str(documents[0]["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["Records"][0], records[0]);

    // Delivered again, nothing is different.
    deliver(&shop.function(QUARANTINE, 2), &event).await;
    assert_eq!((shop.documents(), shop.place.month("a")), (documents, (3, 850)));

    // What redrive does, before and after the limit is raised.
    let replay = json!({ "rejectedRecords": "fail", "Records": payload["Records"] });
    let outcome = deliver(&shop.function(QUARANTINE, 2), &replay).await;
    assert_eq!((named(&outcome).as_deref(), outcome.durable), (Some("101"), 0), "its document stays");
    let outcome = deliver(&shop.function(QUARANTINE, 3), &replay).await;
    assert_eq!((named(&outcome), outcome.durable), (None, 1));
    assert_eq!(shop.shown("a").await, Some(("3".to_owned(), "8.5".to_owned())));
    assert_eq!(shop.place.month("a"), (3, 850), "nothing is counted twice");
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_more_than_38_digits_and_a_target_that_is_full_are_quarantined() {
    let shop = Shop::new().await;
    // Orders of before the stream.
    shop.order(&[("a", 1, &format!("1{}", "0".repeat(37)))]).await;
    let name = json!({ "S": "x".repeat(409_560) });
    shop.put(&json!({ "pk": key("b"), "sk": { "S": "PROFILE" }, "name": name })).await;
    let records = shop.order(&[("a", 2, "0.01"), ("b", 3, "1")]).await;
    let outcome = deliver(&shop.function(QUARANTINE, 9), &json!({ "Records": records })).await;
    assert_eq!(codes(&outcome), [("102", "invalid_number"), ("103", "refused")]);
    assert_eq!((named(&outcome), outcome.durable, shop.documents().len()), (None, 2, 2));
    assert_eq!((shop.place.month("a"), shop.place.month("b")), ((1, 1), (1, 100)));
}

#[tokio::test(start_paused = true)]
async fn without_a_quarantine_the_record_fails() {
    let shop = Shop::new().await;
    let records = shop.order(&[("b", 1, "1"), ("a", 2, "5"), ("a", 3, "2.5")]).await;
    let outcome = deliver(&shop.function(FAIL, 1), &json!({ "Records": records })).await;
    assert_eq!((named(&outcome).as_deref(), outcome.durable), (Some("102"), 1));
    assert_eq!((outcome.rejected[0].fault.code.name(), shop.documents().len()), ("too_many_items", 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_document_is_lost_is_delivered_again() {
    let shop = Shop::new().await;
    let event = json!({ "Records": shop.order(&[("b", 1, "1"), ("a", 2, "5"), ("a", 3, "2.5")]).await });
    let function = shop.function(QUARANTINE, 1);
    let is_document = |path: &str| path.contains("/quarantine/");
    shop.place.http.set_plan(FaultPlan::new(move |call| match is_document(&call.path) {
        true => Fault::LoseRequest,
        false => Fault::None,
    }));
    let outcome = deliver(&function, &event).await;
    assert_eq!((named(&outcome).as_deref(), outcome.durable, codes(&outcome)), (Some("102"), 1, Vec::new()));
    shop.place.http.set_plan(FaultPlan::none());
    let outcome = deliver(&function, &event).await;
    assert_eq!((named(&outcome), codes(&outcome)), (None, vec![("102", "too_many_items")]));
    assert_eq!(shop.documents().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_rejected_itself_has_one_document_and_its_target_is_computed() {
    for rejected in [QUARANTINE, FAIL] {
        let shop = Shop::new().await;
        // It counts as an open order without an amount.
        let mut odd = image("a", 2, "5");
        odd["total"] = json!({ "S": "free" });
        shop.put(&odd).await;
        let records = [shop.order(&[("a", 1, "5")]).await, vec![record(2, &odd)]].concat();
        let event = json!({ "Records": [records[1]] });
        let outcome = deliver(&shop.function(rejected, 9), &event).await;
        assert_eq!(outcome.recomputed.changed, 1, "{outcome:?}");
        assert_eq!(shop.shown("a").await, Some(("2".to_owned(), "5".to_owned())), "{rejected}");
        let outcome = deliver(&shop.function(rejected, 1), &event).await;
        let documents = shop.documents();
        match rejected {
            QUARANTINE => {
                assert_eq!(codes(&outcome), [("102", "invalid_value"), ("102", "too_many_items")]);
                assert_eq!((documents.len(), &documents[0]["rejection"]["code"]), (1, &json!("invalid_value")));
            }
            _ => assert_eq!((named(&outcome).as_deref(), documents.len()), (Some("102"), 0)),
        }
    }
}

/// A vulnerability of a finding and a group.
fn vulnerability(number: usize, finding: &str, group: &str, state: &str) -> Value {
    let at = json!({ "S": "2026-11-28T08:57:00Z" });
    json!({
        "pk": { "S": format!("FINDING#{finding}") }, "sk": { "S": format!("VULNERABILITY#{number}") },
        "group": { "S": group }, "state": { "S": state }, "severity": { "N": "5" }, "reported_at": at, "updated_at": at,
    })
}

/// What a function of the pipeline `findings` does with these vulnerabilities.
async fn reported(shop: &Shop, images: &[Value]) -> BatchOutcome {
    shop.put(&json!({ "pk": { "S": "GROUP#g" }, "sk": { "S": "FINDING#f" } })).await;
    for image in images {
        shop.put(image).await;
    }
    let records: Vec<Value> = images.iter().enumerate().map(|(number, image)| record(number, image)).collect();
    deliver(&shop.function_with(config("findings", QUARANTINE)), &json!({ "Records": records })).await
}

/// A group is an attribute, which may be long, and a finding is a part of a partition key, which may be longer than the sort key that its
/// name is a part of in the target. DynamoDB doesn't even read such a target.
#[tokio::test(start_paused = true)]
async fn regression_a_target_whose_key_would_be_too_long_is_quarantined_and_its_batch_succeeds() {
    let shop = Shop::new().await;
    let images = [
        vulnerability(0, "f", "g", "OPEN"),
        vulnerability(1, "f", &"g".repeat(3_000), "OPEN"),
        vulnerability(2, &"f".repeat(1_017), "g", "OPEN"),
        vulnerability(3, &"f".repeat(1_016), "g", "OPEN"),
        vulnerability(4, "f", "g", "OPEN"),
    ];
    let outcome = reported(&shop, &images).await;
    assert_eq!((named(&outcome), outcome.durable), (None, 5));
    let expected = [("101", "invalid_key"), ("101", "refused"), ("102", "refused")];
    assert_eq!((codes(&outcome), outcome.recomputed.changed), (expected.to_vec(), 1));
    let documents = shop.documents();
    let reasons: Vec<&str> = documents.iter().map(|one| one["rejection"]["reason"].as_str().unwrap()).collect();
    assert_eq!(documents.len(), 2, "{reasons:?}");
    let advice = "`sk` of the target of the indicator \"finding\" would have 1025 bytes; DynamoDB allows at most 1024";
    assert!(reasons.iter().any(|reason| reason.ends_with(advice)), "{reasons:?}");
}

/// The pipeline `orders`, whose customers are of a region: `P#a#b#c` is that of `a#b` and `c`, or of `a` and `b#c`.
fn of_regions(rejected: &str) -> Config {
    let mut folder = usage_aggregator::pipeline::shipped("orders").unwrap();
    let text = folder.files.get_mut("pipeline.toml").unwrap();
    let order = "match = { pk = \"CUSTOMER#{customer}\", sk = \"ORDER#{order}\" }";
    let target = "target = { pk = \"CUSTOMER#{customer}\", sk = \"PROFILE\" }";
    assert!(text.contains(order) && text.contains(target), "{text}");
    *text = text.replace(order, &format!("{order}\nbind = {{ region = \"region\", name = \"name\" }}"));
    *text =
        text.replace(target, "target = { pk = \"CUSTOMER#{region}#{name}\", sk = \"PROFILE\" }\nindex = \"by-region\"");
    let query = "query = { pk = \"CUSTOMER#{customer}\", sk = { prefix = \"ORDER#\" } }";
    assert!(text.contains(query), "{text}");
    *text = text.replace(query, "query = { region = \"{region}\" }");
    let pipeline = usage_aggregator::pipeline::Pipeline::parse(&folder);
    Config { pipeline: pipeline.unwrap_or_else(|mistakes| panic!("{mistakes}")), ..config("orders", rejected) }
}

/// Which target such an item is for can't be told, but what it counts for can.
#[tokio::test(start_paused = true)]
async fn regression_a_record_whose_captures_do_not_name_one_target_counts_and_is_quarantined_once() {
    let shop = Shop::new().await;
    let first_failed = named;
    let named = |number: usize, region: &str, name: &str| {
        let mut image = image("a", number, "5");
        image["region"] = json!({ "S": region });
        image["name"] = json!({ "S": name });
        image
    };
    let images = [named(1, "x#y", "z"), named(2, "x#y", "z"), named(3, "x#y", "w")];
    let mut removal = record(4, &images[0]);
    removal["eventName"] = json!("REMOVE");
    removal["dynamodb"]["OldImage"] = removal["dynamodb"]["NewImage"].take();
    removal["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let mut records: Vec<Value> = images.iter().enumerate().map(|(number, image)| record(number, image)).collect();
    let outcome = deliver(&shop.function_with(of_regions(QUARANTINE)), &json!({ "Records": records })).await;
    assert_eq!((first_failed(&outcome), outcome.durable), (None, 3));
    assert_eq!(codes(&outcome), [("100", "invalid_key"), ("102", "invalid_key")], "one document per target and batch");
    assert_eq!((shop.place.month("a"), outcome.files[0].rows), ((3, 1500), 3), "they count and are archived");
    let reasons: Vec<Value> = shop.documents().into_iter().map(|one| one["rejection"].clone()).collect();
    assert_eq!((reasons.len(), &reasons[0]["field"]), (2, &json!("indicator")));
    let advice = "failed to compute the indicator \"customer\": the captures of the item don't name one target";
    assert!(reasons.iter().all(|reason| reason["reason"].as_str().unwrap().starts_with(advice)), "{reasons:?}");
    // A removal asks for nothing, because the item was in no target.
    records.push(removal);
    let outcome = deliver(&shop.function_with(of_regions(QUARANTINE)), &json!({ "Records": records[3..] })).await;
    assert_eq!((first_failed(&outcome), codes(&outcome)), (None, Vec::new()));
    let outcome = deliver(&shop.function_with(of_regions(FAIL)), &json!({ "Records": records })).await;
    assert_eq!((first_failed(&outcome).as_deref(), outcome.durable), (Some("100"), 0));
}

/// With an index, only DynamoDB knows which attribute is the sort key.
#[tokio::test(start_paused = true)]
async fn regression_a_key_that_only_dynamodb_finds_too_long_is_quarantined_too() {
    let shop = Shop::new().await;
    let images = [vulnerability(0, &"f".repeat(1_017), "g", "OPEN")];
    let mut config = config("findings", QUARANTINE);
    config.pipeline.indicators[0].query.index = Some("by-finding".to_owned());
    let records = json!({ "Records": [record(0, &images[0])] });
    let outcome = deliver(&shop.function_with(config), &records).await;
    assert_eq!((codes(&outcome), outcome.durable), (vec![("100", "refused")], 1));
}

/// DynamoDB's message names the index. What it says of an item that is too large has the same words.
#[tokio::test(start_paused = true)]
async fn regression_an_index_that_the_table_lacks_is_a_mistake_in_the_pipeline_whatever_its_name() {
    for index in ["by-x", "by-size", "too large"] {
        let shop = Shop::new().await;
        shop.put(&json!({ "pk": { "S": "GROUP#g" }, "sk": { "S": "FINDING#f" } })).await;
        let mut config = config("findings", QUARANTINE);
        config.pipeline.indicators[0].query.index = Some(index.to_owned());
        let records = json!({ "Records": [record(0, &vulnerability(0, "f", "g", "OPEN"))] });
        let error = tried(&shop.function_with(config), &records).await.unwrap_err();
        assert_eq!((error.kind, shop.documents().len()), (ErrorKind::Config, 0), "{index}: {error}");
        assert!(error.message.contains("check `target`, `query`, and `index` of the indicator"), "{index}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn regression_a_count_by_with_a_name_that_dynamodb_does_not_allow_is_quarantined() {
    for (bytes, expected) in [(65_536, vec![("100", "invalid_value")]), (65_535, Vec::new())] {
        let shop = Shop::new().await;
        let outcome = reported(&shop, &[vulnerability(0, "f", "g", &"S".repeat(bytes))]).await;
        assert_eq!((codes(&outcome), outcome.durable), (expected, 1), "{bytes}");
    }
}
