//! The load of the shipped pipelines' samples, checked against the items that it leaves behind.

use std::collections::BTreeMap;

use serde_json::Value;
use stream_types::Decimal;
use usage_aggregator::pipeline::{Pipeline, shipped};

use super::*;
use crate::proof::load::Add;

const SHAPE: Shape = Shape { entities: 5, skew: 0.0, seed: 1, poison_percent: 0.0 };

fn table(pipeline: &str, keys: &[&str], event: &str) -> anyhow::Result<Arc<OwnTable>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(event);
    let event: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let records = event["Records"].as_array().unwrap().iter();
    let images = records.filter_map(|record| record["dynamodb"].get("NewImage"));
    let samples = images.map(|image| serde_json::from_value(image.clone()).unwrap()).collect();
    let pipeline = Pipeline::parse(&shipped(pipeline).unwrap()).unwrap();
    OwnTable::new("mine", pipeline, keys.iter().map(|key| (*key).to_owned()).collect(), samples).map(Arc::new)
}

fn load(pipeline: &str, keys: &[&str], event: &str) -> Own {
    Own::new(table(pipeline, keys, event).unwrap(), &SHAPE, Rng::with_seed(SHAPE.seed))
}

#[test]
fn the_sums_of_orders_are_those_of_the_items_at_the_end() {
    let mut own = load("orders", &["pk", "sk"], "batch-1000.json");
    let mut sums: BTreeMap<(String, String), Decimal> = BTreeMap::new();
    let mut add = |customer: &str, measure: &str, amount: Decimal| {
        let sum = sums.entry((customer.to_owned(), measure.to_owned())).or_default();
        *sum = sum.checked_add(amount).unwrap();
    };
    let mut kinds = BTreeMap::new();
    for number in 1..=600 {
        let change = own.next(number).unwrap();
        *kinds.entry(matches!(change.write, Write::Put { .. })).or_insert(0) += 1;
        for Add { group, measure, amount } in change.meaning.adds {
            add(&group["entity"], &measure, Decimal::parse(&amount).unwrap());
        }
    }
    assert!(kinds[&true] > 400 && kinds[&false] > 30, "{kinds:?}");
    for item in &own.items {
        let text = |name: &str| item.get(name).and_then(Attribute::as_text);
        let (Some(pk), Some(sk)) = (text("pk"), text("sk")) else { panic!("{item:?}") };
        let (Some(status), Some(total)) = (text("status"), text("total")) else { continue };
        if sk.starts_with("ORDER#") && status != "CANCELLED" {
            let customer = pk.trim_start_matches("CUSTOMER#");
            add(customer, "orders", Decimal::parse("-1").unwrap());
            add(customer, "amount", Decimal::parse(&format!("-{total}")).unwrap());
        }
    }
    sums.retain(|(_, measure), sum| ["orders", "amount"].contains(&measure.as_str()) && !sum.is_zero());
    assert_eq!(sums, BTreeMap::new());
}

#[test]
fn the_load_of_every_pipeline_with_samples_is_accepted() {
    let loads: [(&str, &[&str], &str); 4] = [
        ("orders", &["pk", "sk"], "mixed.json"),
        ("findings", &["pk", "sk"], "findings.json"),
        ("demand", &["demand_id"], "demand.json"),
        ("zae-limiter", &["PK", "SK"], "zae-limiter.json"),
    ];
    for (pipeline, keys, event) in loads {
        let mut own = load(pipeline, keys, event);
        let changes: Vec<Change> = (1..=200).map(|number| own.next(number).unwrap()).collect();
        assert!(changes.iter().all(|change| !change.meaning.record_type.is_empty()), "{pipeline}");
        assert!(own.items.len() > 20, "{pipeline}: {}", own.items.len());
    }
}

#[test]
fn another_run_continues_with_the_items_that_the_first_one_left() {
    let (mut first, mut second) =
        (load("orders", &["pk", "sk"], "mixed.json"), load("orders", &["pk", "sk"], "mixed.json"));
    for number in 1..=100 {
        second.resume(&first.next(number).unwrap().write);
    }
    assert_eq!(first.items, second.items);
    assert_eq!(first.places, second.places);
}

#[test]
fn what_no_load_can_be_made_of_is_refused_with_the_reason() {
    let refused = |pipeline, event| table(pipeline, &["pk", "sk"], event).unwrap_err().to_string();
    assert!(refused("alleycat", "mixed.json").contains("Kinesis"));
    assert!(refused("api-usage", "api-usage.json").contains("window_time"));
    assert!(refused("findings", "mixed.json").contains("none of its items has a record type of the pipeline findings"));
    let keys = table("orders", &["pk", "missing"], "mixed.json").unwrap_err().to_string();
    assert!(keys.contains("(pk, missing)"), "{keys}");
}
