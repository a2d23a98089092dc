//! What indicators cost: the capacity that DynamoDB reports for 1,000 changes in one batch, beside a recomputation per record. The
//! table in docs/indicators.md has the results. `make cost-table` measures all of it, and this test the cheapest rows.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::Client;
use dynoxide::Database;
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{ConsumedUnits, Units};
use serde_json::{Value, json};
use usage_aggregator::indicator::{Recomputed, Recomputer, SourceTable, TargetKey};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::{PlanContext, plan_event};

use super::place::{Images, Item, batch, finding, pipeline, text};

/// How many records a batch has.
const CHANGES: usize = 1_000;
const ITEM_BYTES: usize = 500;
/// How many items are in memory at once. More targets than have so many are recomputed one part after the other.
const ITEMS_AT_ONCE: usize = 50_000;
const DOCUMENT: &str = include_str!("../../../docs/indicators.md");

fn group_of(number: usize) -> String {
    format!("GROUP#{number:06}")
}

/// A finding of 500 bytes.
fn item(group: usize, number: usize, status: &str) -> Item {
    let mut item = finding(number, status, 5);
    item.insert("pk".to_owned(), text(&group_of(group)));
    item.insert("sk".to_owned(), text(&format!("FINDING#{number:06}")));
    // The names, the keys, the status, and the number with its two bytes.
    let others = "pkskstatusscoretext".len() + 12 + 14 + status.len() + 2;
    item.insert("text".to_owned(), text(&"x".repeat(ITEM_BYTES - others)));
    item
}

/// The event of changes that are spread evenly over the groups: each closes a finding.
fn event(groups: usize, items: usize) -> String {
    let change = |number: usize| -> Images {
        let (group, number) = (number % groups, number / groups % items);
        (Some(item(group, number, "open")), Some(item(group, number, "shut")))
    };
    batch(&(0..CHANGES).map(change).collect::<Vec<_>>())
}

/// A table with these targets and so many findings of each.
fn table(targets: &BTreeSet<&TargetKey>, items: usize) -> Database {
    let database = Database::memory().unwrap();
    let keys = [("pk", "HASH"), ("sk", "RANGE")];
    let request = json!({
        "TableName": "source",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": keys.map(|(name, _)| json!({ "AttributeName": name, "AttributeType": "S" })),
        "KeySchema": keys.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind })),
    });
    database.create_table(serde_json::from_value(request).unwrap()).unwrap();
    let put = |item: Value| {
        let request = json!({ "TableName": "source", "Item": item });
        database.put_item(serde_json::from_value(request).unwrap()).unwrap();
    };
    for target in targets {
        let [(_, group), (_, sort_key)] = target.as_slice() else { panic!("{target:?}") };
        put(json!({ "pk": { "S": group }, "sk": { "S": sort_key } }));
        let number = group.trim_start_matches("GROUP#").parse().unwrap();
        let text = |item: &Item, name: &str| json!({ "S": item[name].as_s().unwrap() });
        for item in (0..items).map(|at| item(number, at, "shut")) {
            let texts = ["pk", "sk", "status", "text"].map(|name| (name.to_owned(), text(&item, name)));
            let score = ("score".to_owned(), json!({ "N": item["score"].as_n().unwrap() }));
            put(Value::Object(texts.into_iter().chain([score]).collect()));
        }
    }
    database
}

/// The units of recomputing these targets, of which each has so many items.
async fn units(pipeline: &Pipeline, targets: &[&TargetKey], items: usize) -> Units {
    let mut sum = Units::default();
    let mut recomputed = Recomputed::default();
    let known: Vec<_> = targets.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    for part in known.chunks((ITEMS_AT_ONCE / items).max(1)) {
        let part: BTreeSet<&TargetKey> = part.iter().copied().collect();
        let consumed = ConsumedUnits::default();
        let client = in_process::clients(in_process::client(table(&part, items), Objects::default())).dynamodb;
        let client = Client::from_conf(client.config().to_builder().interceptor(consumed.clone()).build());
        let table = SourceTable { client: &client, name: "source", deadline: None };
        let recomputer = Recomputer { pipeline, table, concurrency: 1 };
        let asked = targets.iter().filter(|target| part.contains(*target));
        let asked: Vec<_> = asked.map(|target| ("source", 0, *target)).collect();
        for (written, done) in recomputer.all(&asked).await {
            written.unwrap();
            recomputed.add(done);
        }
        let Units { read, write } = consumed.take();
        sum = Units { read: sum.read + read, write: sum.write + write };
    }
    assert_eq!((recomputed.changed + recomputed.equal, recomputed.missing), (targets.len(), 0));
    sum
}

/// 12345.0 -> `12,345`
fn with_commas(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    groups.join(",")
}

fn described(Units { read, write }: Units) -> String {
    format!("{} + {}", with_commas(read), with_commas(write))
}

/// The rows of the table in the document: the number of items, and a text for each number of targets and for one per record.
fn documented(items: usize) -> Vec<String> {
    let start = format!("| {} |", with_commas(items as f64));
    let section = DOCUMENT.split("| items per target | 1 target").nth(1).expect("docs/indicators.md has the table");
    let row = section.lines().find(|line| line.starts_with(&start)).expect("docs/indicators.md has the row");
    row.split('|').skip(2).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_costs_as_many_recomputations_as_it_has_targets() {
    let is_whole = std::env::var("COST").is_ok();
    let pipeline = pipeline(false);
    let numbers: &[usize] = if is_whole { &[1, 10, 100, 1_000] } else { &[1, 10] };
    println!("Read + write units per 1,000 changes:");
    println!("| items per target | 1 target | 10 targets | 100 targets | 1,000 targets | per record |");
    for &items in numbers {
        let expected = documented(items);
        let mut row = Vec::new();
        for &groups in numbers {
            let event = event(groups, items);
            let (_, plan) = plan_event(event.as_bytes(), &pipeline, &PlanContext::default()).unwrap();
            let targets: Vec<&TargetKey> = plan.targets.iter().map(|target| &target.key).collect();
            assert_eq!((plan.rejected, targets.len()), (None, groups));
            row.push(described(units(&pipeline, &targets, items).await));
            if is_whole && groups == 1 {
                // Every record asks for the only target.
                row.push(described(units(&pipeline, &vec![targets[0]; CHANGES], items).await));
            }
        }
        if is_whole {
            let per_record = row.remove(1);
            row.push(per_record);
        }
        println!("| {} | {} |", with_commas(items as f64), row.join(" | "));
        assert!(expected.starts_with(&row), "{items} items: docs/indicators.md has {expected:?}");
    }
}
