//! Both mappings of `usagectl local`: that of the source appends pages, that of the ledger folds them into snapshots.

use std::process::Stdio;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::sdk_config;
use serde_json::{Value, json};

use super::Background;
use crate::fixture::{Fixture, KilledOnDrop, Run};
use crate::world::StoredItem;

/// The faults that both mappings and their functions can meet. `slow` is of S3, which only the append calls.
const FAULTS: [&str; 11] =
    ["503", "conflict", "crash", "iterator", "lose", "redeliver", "refuse", "restart", "split", "throttle", "twins"];

/// The default, which is set here because the tests are about it.
const STREAM: [(&str, &str); 1] = [("FRESHNESS", "stream")];

fn write_orders(fixture: &Fixture, arguments: &[&str]) {
    let written = fixture.run(&[&["simulate", "orders", "--rate", "0", "--records"], arguments].concat());
    assert_eq!(written.code, Some(0), "{written:?}");
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Whether a mapping has met every fault.
fn has_every_fault(injected: &Value) -> bool {
    FAULTS.iter().all(|fault| number(&injected[fault]) > 0)
}

#[test]
fn every_fault_on_both_mappings_leaves_exact_counts() {
    let fixture = Fixture::new();
    let often = "all,redeliver=20,refuse=10,iterator=20,split=1s,restart=2s";
    let mut local = Background::start(&fixture, &["--fold-window", "0", "--maximum-backoff", "200", "--faults", often]);
    loop {
        write_orders(&fixture, &["10", "--entities", "5", "--poison", "2"]);
        let line = local.latest();
        if [&line["injected"], &line["fold"]["injected"]].into_iter().all(has_every_fault) {
            break;
        }
    }
    assert_eq!(fixture.run(&["faults", "none"]).code, Some(0));
    let reconcile = fixture.run(&["reconcile", "--wait", "120s", "--json"]);
    let proof: Value = serde_json::from_str(&reconcile.stdout).unwrap();
    assert_eq!((reconcile.code, &proof["agrees"]), (Some(0), &json!(true)), "{proof:#}");
    assert_eq!(proof["counted"]["records"], proof["counted"]["agreeing_records"]);
    assert!(number(&proof["counted"]["records"]) > 0, "{proof:#}");
    local.stop();
}

/// A run that has appended 60 orders and not folded them yet.
fn run_with_pages_that_wait(fixture: &Fixture) -> Background {
    let mut local = Background::start_with(fixture, &["--fold-window", "300"], &STREAM);
    write_orders(fixture, &["60"]);
    local.wait_for(|line| {
        number(&line["mapping"]["distinct_processed"]) >= 60 && number(&line["fold"]["waiting"]["records"]) > 0
    });
    local
}

#[test]
fn snapshots_come_from_the_ledgers_mapping_alone_and_become_exact() {
    let fixture = Fixture::new();
    let ended = &run_with_pages_that_wait(&fixture).stop()["ended"];
    assert!(ended["function"]["PagesWritten"].as_f64() > Some(0.0), "{ended:#}");
    assert_eq!(ended["function"]["NoticesFolded"], Value::Null, "{ended:#}");
    assert_eq!(fixture.run(&["snapshots", "--json"]).stdout, "", "pages alone make no snapshot");

    let mut local = Background::start_with(&fixture, &["--fold-window", "0"], &STREAM);
    local.wait_for(|line| line["function"]["SnapshotsUpdated"].as_f64() > Some(0.0));
    write_orders(&fixture, &["60"]);
    let exact = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    let ended = &local.stop()["ended"];
    assert_eq!(ended["fold"]["waiting"]["records"], json!(0), "{ended:#}");
    assert!(number(&ended["fold"]["mapping"]["distinct_processed"]) > 1, "{ended:#}");
}

#[test]
fn regression_a_run_of_another_pipeline_leaves_pages_that_wait_to_be_folded() {
    let fixture = Fixture::new();
    run_with_pages_that_wait(&fixture).stop();

    let mut alleycat = Background::start_with(&fixture, &["--pipeline", "alleycat", "--fold-window", "0"], &STREAM);
    alleycat.wait_for(|line| number(&line["fold"]["mapping"]["filtered_out_event_count"]) > 0);
    alleycat.stop();

    let orders = Background::start_with(&fixture, &["--pipeline", "orders", "--fold-window", "0"], &STREAM);
    let exact = fixture.run(&["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    orders.stop();
}

#[tokio::test]
async fn reconcile_waits_for_a_fold_that_fails_instead_of_listing_differences() {
    let fixture = Fixture::new();
    let mut local = Background::start(&fixture, &["--fold-window", "0", "--maximum-backoff", "200"]);
    let one_customer = ["20", "--entities", "1"];
    write_orders(&fixture, &one_customer);
    assert_eq!(fixture.run(&["reconcile", "--wait", "60s"]).code, Some(0));

    let snapshots = Snapshots::of(&local);
    let original = snapshots.read().await;
    snapshots.write(original.iter().map(ahead_of_the_ledger)).await;
    write_orders(&fixture, &one_customer);
    local.wait_for(|line| {
        let blocked = &line["fold"]["waiting"]["blocked"][0]["cause"];
        blocked.to_string().contains("snapshots are ahead of the ledger")
    });
    let mut patient = fixture.command(&["reconcile", "--wait", "120s"]);
    let patient = patient.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut patient = KilledOnDrop(patient);
    let reported = fixture.run(&["reconcile"]);
    assert_eq!(reported.code, Some(1), "{reported:?}");
    assert!(reported.stdout.contains("to be folded"), "{reported:?}");
    assert!(!reported.stdout.contains('┌'), "counters that wait are no differences: {reported:?}");
    assert_eq!(patient.0.try_wait().unwrap(), None, "it waits until every notice is settled");

    snapshots.write(original.into_iter()).await;
    patient.0.wait().unwrap();
    let exact = Run::of(&mut patient.0);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    assert!(!exact.stdout.contains('┌'), "{exact:?}");
    local.stop();
}

/// The snapshots of a run, for a test that spoils them.
struct Snapshots {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Snapshots {
    fn of(local: &Background) -> Snapshots {
        let variable = |name: &str| local.started["environment"][name].as_str().unwrap().to_owned();
        let config = aws_sdk_dynamodb::config::Builder::from(&sdk_config(None));
        let config = config.endpoint_url(variable("AWS_ENDPOINT_URL_DYNAMODB")).build();
        Snapshots { client: aws_sdk_dynamodb::Client::from_conf(config), table: variable("USAGE_TABLE") }
    }

    async fn read(&self) -> Vec<StoredItem> {
        let items = self.client.scan().table_name(&self.table).into_paginator().items().send();
        let items: Vec<StoredItem> = items.collect::<Result<_, _>>().await.unwrap();
        assert!(!items.is_empty());
        items
    }

    async fn write(&self, items: impl Iterator<Item = StoredItem>) {
        for item in items {
            self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
        }
    }
}

/// The snapshot as if a later ledger had published it.
fn ahead_of_the_ledger(item: &StoredItem) -> StoredItem {
    let mut item = item.clone();
    item.insert("usage_version".to_owned(), AttributeValue::B(Blob::new([0x7f; 8])));
    item
}
