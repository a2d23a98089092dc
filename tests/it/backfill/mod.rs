//! `usagectl backfill`: what existed and what changed add up to what the table has, whatever is written meanwhile and wherever
//! the command is killed.

mod again;
mod export;
mod formats;
mod kills;
mod proof;
mod stack;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run};
use crate::world::{page_keys, text};
use export::{full, picture, put_manifests};
use table::Table;

#[test]
fn backfill_has_help() {
    let run = Fixture::new().run(&["backfill", "--help"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    insta::assert_snapshot!("help_backfill", run.stdout);
}

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

/// Delivers what the stream has, and compares the counters with the table.
async fn agrees(table: &mut Table) {
    let records = table.deliver().await;
    let (counted, changes) = table.counted().await;
    assert_eq!(counted, table.present().await);
    assert_eq!(changes, u64::try_from(records).unwrap(), "only changes are counted as changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_and_changes_add_up_to_the_table_when_an_export_is_written_to() {
    let mut table = Table::new("bf-export", 60).await;
    table.attach_stream().await;
    table.change(40, 70).await;
    table.deliver().await;
    let export = full(&table, "01-full", &picture(&table).await);
    table.change(40, 80).await;
    let export = export.to_str().unwrap();

    let before = (table.world.items("ledger").await.len(), table.world.objects().await.len());
    let dry = report(&table.backfill(&[export, "--dry-run", "--json"]).await);
    assert_eq!((&dry["durable"], &dry["rejected"]), (&json!(0), &json!([])), "{dry}");
    assert!(dry["estimated_dollars"].as_f64().unwrap() > 0.0, "{dry}");
    assert_eq!(dry["rows"]["item"], json!(60), "every item that existed, and no other: {dry}");
    assert_eq!(dry["opening"]["items"], json!("60"), "{dry}");
    let after = (table.world.items("ledger").await.len(), table.world.objects().await.len());
    assert_eq!(after, before, "a dry run writes nothing");

    table.change(10, 80).await;
    let done = report(&table.backfill(&[export, "--json"]).await);
    assert_eq!((&done["durable"], &done["items"]), (&json!(60), &json!(60)), "{done}");
    agrees(&mut table).await;

    // An archive row for each item that existed, and one for each change.
    let rows = table.world.rows().await;
    let mut by_event = BTreeMap::new();
    let distinct: BTreeMap<String, String> =
        rows.iter().map(|row| (text(row, "record_id"), text(row, "event_id"))).collect();
    distinct.values().for_each(|event| *by_event.entry(event == "backfill").or_insert(0) += 1);
    assert_eq!(by_event[&true], 60);
    assert_eq!(by_event[&false], table.records().await.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn items_and_changes_add_up_to_the_table_when_a_scan_is_written_to() {
    let mut table = Table::new("bf-scan", 80).await;
    table.attach_stream().await;
    let mut command = table.command(&["--scan", "--rate", "400", "--json"]);
    let scan = tokio::task::spawn_blocking(move || command.output().unwrap());
    while !scan.is_finished() {
        table.change(5, 100).await;
    }
    let run = Run::from(scan.await.unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(report(&run)["opening"]["items"], json!("80"), "{run:?}");
    agrees(&mut table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_come_and_go_around_the_export_count_as_the_table_has_them() {
    let table = &mut Table::new("bf-come-and-go", 16).await;
    // No stream tells of these.
    table.delete(0).await;
    table.expire(1).await;
    table.expire(30).await;
    table.attach_stream().await;
    let come_and_go = async |table: &Table, first: u32| {
        // Of the items that existed, one is deleted, one expires, and one is deleted and comes back; three are new, and stay, go, or expire.
        table.delete(first).await;
        table.expire(first + 1).await;
        table.delete(first + 2).await;
        table.put(first + 2, "44").await;
        table.put(first + 20, "5").await;
        table.put(first + 21, "6").await;
        table.delete(first + 21).await;
        table.expire(first + 22).await;
    };
    come_and_go(table, 2).await;
    let export = full(table, "01-full", &picture(table).await);
    come_and_go(table, 6).await;
    let run = table.backfill(&[export.to_str().unwrap(), "--json"]).await;
    assert_eq!((run.code, &report(&run)["rows"]["item"]), (Some(0), &json!(14)), "{run:?}");
    come_and_go(table, 10).await;
    agrees(table).await;
    let rows = table.backfilled_rows().await;
    assert_eq!(rows.len(), 14, "one record of each item");
    let existed: BTreeSet<String> = rows.into_values().collect();
    assert_eq!(existed, (2..16).map(|item| format!("ITEM#{item}")).collect());
    let expired = table.records().await.iter().filter(|record| record.json.contains("userIdentity")).count();
    assert_eq!(expired, 6, "two of each round");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_backfill_makes_the_same_pages_and_files() {
    let mut table = Table::new("bf-twice", 40).await;
    table.attach_stream().await;
    let export = full(&table, "01-full", &picture(&table).await);
    let export = export.to_str().unwrap();
    assert_eq!(table.backfill(&[export]).await.code, Some(0));
    let (pages, files) = (page_keys(&table.world.items("ledger").await), table.world.objects().await);
    assert_eq!((pages.len(), files.len()), (3, 3), "a batch for each data file");
    let again = report(&table.backfill(&[export, "--json"]).await);
    assert_eq!((&again["finished_before"], &again["items"]), (&json!(4), &json!(0)), "{again}");
    // Also without the data folder, on another machine.
    let elsewhere = table.backfill(&[export, "--data", "elsewhere", "--json"]).await;
    assert_eq!(report(&elsewhere)["durable"], json!(40), "{elsewhere:?}");
    assert_eq!(page_keys(&table.world.items("ledger").await), pages);
    assert_eq!(table.world.objects().await, files);
    agrees(&mut table).await;

    // A stream that is attached anew has another cut, at which the same items would count again.
    let update = table.world.dynamodb.update_table().table_name(&table.name);
    let off = aws_sdk_dynamodb::types::StreamSpecification::builder().stream_enabled(false).build().unwrap();
    update.stream_specification(off).send().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    table.attach_stream().await;
    let later = full(&table, "02-full", &picture(&table).await);
    let refused = table.backfill(&[later.to_str().unwrap()]).await;
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("was backfilled with another cut"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_incomplete_export_is_refused_and_nothing_is_written() {
    let table = Table::new("bf-damaged", 12).await;
    table.attach_stream().await;
    let folder = full(&table, "01-full", &picture(&table).await);
    let refused = async |expected: &str| {
        let run = table.backfill(&[folder.to_str().unwrap()]).await;
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{run:?}");
        assert!(run.stderr.contains(expected), "expected {expected}: {run:?}");
    };
    let file = folder.join("data/01-full1.json.gz");
    let content = std::fs::read(&file).unwrap();
    let mut damaged = content.clone();
    damaged[20] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    refused("the data file AWSDynamoDB/01-full/data/01-full1.json.gz is damaged").await;
    std::fs::remove_file(&file).unwrap();
    refused("the data file AWSDynamoDB/01-full/data/01-full1.json.gz is missing").await;
    std::fs::write(&file, content).unwrap();

    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let (files, summary) = (read("manifest-files.json"), read("manifest-summary.json"));
    std::fs::write(folder.join("manifest-files.json"), files.replace("full1", "full2")).unwrap();
    refused("manifest-files.json is damaged").await;
    put_manifests(&folder, &files.replacen("\"itemCount\":4", "\"itemCount\":3", 1), &summary);
    refused("lists files with 11 items, and manifest-summary.json counts 12").await;
    let fewer = summary.replace("\"itemCount\":12", "\"itemCount\":11");
    put_manifests(&folder, &files.replacen("\"itemCount\":4", "\"itemCount\":3", 1), &fewer);
    refused("01-full0.json.gz has 4 items, and the manifest counts 3").await;
    put_manifests(&folder, &files, &summary.replace("DYNAMODB_JSON", "CSV"));
    refused("is of an export in CSV, which can't be read").await;
    std::fs::remove_file(folder.join("manifest-summary.md5")).unwrap();
    refused("manifest-summary.md5 doesn't exist, so this is not a complete export").await;
    assert_eq!((table.world.items("ledger").await.len(), table.world.objects().await.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_items_are_listed_and_sent_again() {
    let mut table = Table::new("bf-rejected", 9).await;
    table.put(3, "many").await;
    table.attach_stream().await;
    let export = full(&table, "01-full", &picture(&table).await);
    let run = table.backfill(&[export.to_str().unwrap(), "--json"]).await;
    assert_eq!(run.code, Some(1), "{run:?}");
    let rejected = report(&run)["rejected"].clone();
    assert_eq!(rejected[0]["item"], json!(r#"{"pk":{"S":"OWNER#3"},"sk":{"S":"ITEM#3"}}"#), "{rejected}");
    assert_eq!(rejected[0]["reason"], json!("invalid_value: NewImage.units expected N, found S"));
    assert_eq!((rejected.as_array().unwrap().len(), &report(&run)["durable"]), (1, &json!(8)));
    let text = table.backfill(&[export.to_str().unwrap()]).await;
    assert!(text.stdout.contains("rejected: {\"pk\":{\"S\":\"OWNER#3\"}"), "{text:?}");
    assert!(text.stdout.contains("3 files finished by an earlier run"), "{text:?}");

    // The pipeline is fixed: an item whose units aren't a number counts 0.
    let file = table.pipeline().join("pipeline.toml");
    let fixed = std::fs::read_to_string(&file).unwrap().replace(
        "match = { pk = \"OWNER#{owner}\", sk = \"ITEM#{item}\" }\n",
        "match = { pk = \"OWNER#{owner}\", sk = \"ITEM#{item}\" }\nwhere = { units = { not = [\"many\"] } }\n",
    );
    std::fs::write(&file, fixed).unwrap();
    let run = table.backfill(&[export.to_str().unwrap(), "--json"]).await;
    assert_eq!((run.code, &report(&run)["skipped"]), (Some(0), &json!(1)), "{run:?}");
    agrees(&mut table).await;
}
