//! Profiles, checked against the items that they leave behind; ledgers, after every kind of interruption; writers, with
//! lost calls.

mod stream;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::pending;
use std::io::Write as _;
use std::path::PathBuf;

use aws_sdk_dynamodb::types::AttributeValue;
use tempfile::TempDir;

use super::*;
use crate::emulators::{Fault, FaultPlan, FaultyHttp, Services, TableSpec, ensure_tables, http_client, sdk_config};
use stream_types::{Decimal, Timestamp};

/// What a run needs: services, a table, and a folder for the ledger.
struct Fixture {
    services: Services,
    folder: TempDir,
    http: FaultyHttp,
}

impl Fixture {
    async fn new(profile: ProfileName) -> Fixture {
        let services = Services::start(None).unwrap();
        let spec = profile.table(profile.target()).unwrap();
        ensure_tables(&services.dynamodb_client(&sdk_config(None)), &[spec]).await.unwrap();
        let http = FaultyHttp::new(http_client(), FaultPlan::none());
        Fixture { services, folder: tempfile::tempdir().unwrap(), http }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("simulated/ledger.jsonl")
    }

    fn target(&self, table: &str) -> Target {
        let client = self.services.dynamodb_client(&sdk_config(Some(self.http.client())));
        Target::Table { client, name: table.to_owned() }
    }

    async fn run(&self, simulation: &Simulation) -> anyhow::Result<Written> {
        simulation.run(&self.target(simulation.load.target()), &self.ledger(), &|_| {}, pending()).await
    }

    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        let each = |entry| {
            entries.push(entry);
            Ok(())
        };
        read_entries(&self.ledger(), each).unwrap();
        entries
    }

    async fn items(&self, table: &str) -> Vec<HashItem> {
        let client = self.services.dynamodb_client(&sdk_config(None));
        client.scan().table_name(table).into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
    }
}

type HashItem = std::collections::HashMap<String, AttributeValue>;
type Sums = BTreeMap<(String, String), Decimal>;

/// A time of day early enough that late requests are of the day before.
fn now() -> Timestamp {
    Timestamp::parse("2026-11-21T03:30:00Z").unwrap()
}

fn fast(profile: ProfileName, records: u64) -> Simulation {
    let mut simulation = Simulation::new(Load::Shipped(profile));
    simulation.shape.entities = 5;
    Simulation { rate_per_second: 0, amount: Amount::Records(records), ..simulation }
}

fn add(sums: &mut Sums, entity: &str, measure: &str, amount: &str) {
    let sum = sums.entry((entity.to_owned(), measure.to_owned())).or_default();
    *sum = sum.checked_add(Decimal::parse(amount).unwrap()).unwrap();
}

/// The ledger's sums by entity and measure, without those that are zero.
fn sums(entries: &[Entry], measures: &[&str]) -> Sums {
    let mut sums = Sums::new();
    for Add { group, measure, amount } in entries.iter().flat_map(|entry| &entry.meaning.adds) {
        if measures.contains(&&**measure) {
            add(&mut sums, &group["entity"], measure, amount);
        }
    }
    sums.retain(|_, sum| !sum.is_zero());
    sums
}

/// The sums of the orders that are in the table at the end.
fn sums_of_orders(items: &[HashItem]) -> Sums {
    let text = |item: &HashItem, name: &str| item[name].as_s().unwrap().clone();
    let mut sums = Sums::new();
    for item in items.iter().filter(|item| text(item, "sk").starts_with("ORDER#")) {
        let (pk, status) = (text(item, "pk"), text(item, "status"));
        let (customer, Ok(total)) = (pk.trim_start_matches("CUSTOMER#"), item["total"].as_n()) else { continue };
        if status != "CANCELLED" {
            add(&mut sums, customer, "orders", "1");
            add(&mut sums, customer, "amount", total);
        }
    }
    sums
}

#[test]
fn a_seed_gives_the_same_changes_again() {
    let mut text = String::new();
    for name in ProfileName::ALL {
        let shape =
            Shape { entities: 3, skew: 1.0, seed: 7, poison_percent: if name.has_poison() { 20.0 } else { 0.0 } };
        let changes = |seed| {
            let mut profile = Profile::new(&Load::Shipped(name), &Shape { seed, ..shape });
            (1..=6).map(|number| profile.next(number, now()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(changes(7), changes(7));
        assert_ne!(changes(7), changes(8));
        for Change { number, write, meaning } in changes(7) {
            let (write, meaning) = (serde_json::to_string(&write).unwrap(), serde_json::to_string(&meaning).unwrap());
            writeln!(text, "{number} {write}\n  {meaning}").unwrap();
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn racers_take_turns_unless_some_are_faster() {
    let racers = |skew| {
        let mut profile = Profile::new(
            &Load::Shipped(ProfileName::Alleycat),
            &Shape { entities: 4, skew, seed: 1, poison_percent: 0.0 },
        );
        (1..=12).map(|number| profile.next(number, now()).unwrap().meaning.key["racerId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(racers(0.0), ["1", "2", "3", "4"].repeat(3));
    assert_ne!(racers(2.0), racers(0.0));
}

#[tokio::test]
async fn a_ledger_has_the_sums_of_the_items_left_behind() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let mut simulation = fast(ProfileName::Orders, 400);
    simulation.shape.poison_percent = 5.0;
    let written = fixture.run(&simulation).await.unwrap();
    assert_eq!((written.records, written.retries, written.finished_for_earlier_run), (400, 0, 0));
    assert!(written.poison > 0);
    let entries = fixture.entries();
    assert_eq!(entries.iter().filter(|entry| entry.meaning.poison).count(), usize::try_from(written.poison).unwrap());
    assert_eq!(sums(&entries, &["orders", "amount"]), sums_of_orders(&fixture.items("orders").await));
    assert!(entries.iter().any(|entry| entry.meaning.archived.as_deref() == Some("customer")));
}

#[tokio::test]
async fn a_ledger_has_the_active_seats_that_are_left_behind_and_their_hours_until_then() {
    let fixture = Fixture::new(ProfileName::ApiUsage).await;
    fixture.run(&fast(ProfileName::ApiUsage, 600)).await.unwrap();
    let (entries, mut found) = (fixture.entries(), Sums::new());
    let items = fixture.items("api-usage").await;
    let subscriptions = || items.iter().filter(|item| item["sk"].as_s().unwrap().starts_with("SUBSCRIPTION#"));
    for item in subscriptions().filter(|item| *item["active"].as_bool().unwrap()) {
        let (tenant, plan) = (item["pk"].as_s().unwrap(), item["plan"].as_s().unwrap());
        for entity in [tenant.trim_start_matches("TENANT#"), &format!("plan:{plan}")] {
            add(&mut found, entity, "seats", item["seats"].as_n().unwrap());
        }
    }
    assert_eq!(sums(&entries, &["seats"]), found);
    let hours = sums(&entries, &["seat_hours"]);
    assert!(hours.keys().any(|(entity, _)| entity.starts_with("plan:")), "{hours:?}");
    assert!(entries.iter().any(|entry| entry.meaning.adds.is_empty()), "something canceled was removed");
}

#[tokio::test]
async fn a_ledger_has_the_open_vulnerabilities_that_are_left_behind() {
    let fixture = Fixture::new(ProfileName::Findings).await;
    for _ in 0..2 {
        fixture.run(&fast(ProfileName::Findings, 300)).await.unwrap();
    }
    let (mut found, items) = (Sums::new(), fixture.items("findings").await);
    for item in items.iter().filter(|item| item.get("state").is_some_and(|state| state.as_s().unwrap() == "OPEN")) {
        add(&mut found, item["group"].as_s().unwrap(), "open", "1");
    }
    assert_eq!(sums(&fixture.entries(), &["open"]), found);
    let entries = fixture.entries();
    let findings = entries.iter().filter(|entry| entry.meaning.record_type == "finding");
    let written: std::collections::BTreeSet<_> = findings.map(|entry| &entry.meaning.key).collect();
    let left = items.iter().filter(|item| item.contains_key("title")).count();
    assert!(left < written.len(), "some findings are deleted, and not all of them created again");
}

#[tokio::test]
async fn buckets_continue_where_an_earlier_run_stopped() {
    let fixture = Fixture::new(ProfileName::Bucket).await;
    for _ in 0..2 {
        assert_eq!(fixture.run(&fast(ProfileName::Bucket, 120)).await.unwrap().records, 120);
    }
    let mut found = Sums::new();
    for item in fixture.items("rate-limits").await {
        for limit in ["rpm", "tpm"] {
            let consumed = item[&format!("b_{limit}_tc")].as_n().unwrap();
            // The ledger has tokens; the item has thousandths, whole tokens all of them.
            let tokens = consumed.strip_suffix("000").unwrap_or_else(|| consumed.strip_prefix("0").unwrap());
            add(&mut found, item["entity_id"].as_s().unwrap(), limit, if tokens.is_empty() { "0" } else { tokens });
        }
    }
    assert_eq!(sums(&fixture.entries(), &["rpm", "tpm"]), found);
}

#[tokio::test]
async fn lost_requests_and_responses_change_nothing() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let faults =
        [Fault::LoseRequest, Fault::LoseResponse, Fault::Status503, Fault::Throttle, Fault::TransactionConflict];
    fixture.http.set_plan(FaultPlan::seeded(5, 15, &faults));
    let written = fixture.run(&fast(ProfileName::Orders, 150)).await.unwrap();
    assert!(written.retries > 0);
    assert_eq!(written.records, 150);
    assert_eq!(sums(&fixture.entries(), &["orders", "amount"]), sums_of_orders(&fixture.items("orders").await));
}

#[tokio::test]
async fn an_interrupted_run_is_finished_by_the_next() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let simulation = fast(ProfileName::Orders, 10_000);
    // Dropped in the middle of its writes, as a process that is killed.
    let enough = tokio::sync::Notify::new();
    let watch = |written: &Written| {
        if written.records == 60 {
            enough.notify_one()
        }
    };
    let (target, ledger) = (fixture.target("orders"), fixture.ledger());
    tokio::select! {
        biased;
        () = enough.notified() => {}
        done = simulation.run(&target, &ledger, &watch, pending()) => panic!("{done:?}"),
    }
    let error = read_entries(&fixture.ledger(), |_| Ok(())).unwrap_err();
    assert!(error.to_string().contains("started but not finished: to finish "), "{error:#}");
    assert!(error.to_string().contains("`usagectl simulate orders --records 0 --ledger "), "{error:#}");
    // And a line that was never whole, so that what it announces was never sent.
    let mut file = std::fs::OpenOptions::new().append(true).open(fixture.ledger()).unwrap();
    file.write_all(br#"{"begun":{"change":99"#).unwrap();

    let written = fixture.run(&fast(ProfileName::Orders, 40)).await.unwrap();
    assert!(written.finished_for_earlier_run > 0, "{written:?}");
    assert_eq!(written.records, 40 + written.finished_for_earlier_run);
    let entries = fixture.entries();
    assert_eq!(sums(&entries, &["orders", "amount"]), sums_of_orders(&fixture.items("orders").await));
    let numbers: std::collections::BTreeSet<u64> = entries.iter().map(|entry| entry.change).collect();
    assert_eq!(numbers.len(), entries.len(), "a change is in the ledger twice");
}

#[tokio::test]
async fn a_write_whose_last_line_was_torn_off_is_not_repeated() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    fixture.run(&fast(ProfileName::Orders, 30)).await.unwrap();
    let (before, length) = (fixture.entries(), std::fs::metadata(fixture.ledger()).unwrap().len());
    std::fs::OpenOptions::new().write(true).open(fixture.ledger()).unwrap().set_len(length - 7).unwrap();
    let items = fixture.items("orders").await;
    let written = fixture.run(&fast(ProfileName::Orders, 0)).await.unwrap();
    assert_eq!((written.records, written.finished_for_earlier_run), (1, 1));
    assert_eq!(fixture.items("orders").await, items);
    assert_eq!(fixture.entries().len(), before.len());
}

#[tokio::test]
async fn a_stopped_run_finishes_what_it_started() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let enough = tokio::sync::Notify::new();
    let watch = |written: &Written| {
        if written.records == 10 {
            enough.notify_one()
        }
    };
    let simulation = fast(ProfileName::Orders, 100_000);
    let target = fixture.target("orders");
    let written = simulation.run(&target, &fixture.ledger(), &watch, enough.notified()).await.unwrap();
    assert!((10..100_000).contains(&written.records), "{written:?}");
    assert_eq!(fixture.entries().len(), usize::try_from(written.records).unwrap());
}

#[tokio::test]
async fn an_unsuitable_target_is_refused_before_anything_is_written() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let client = fixture.services.dynamodb_client(&sdk_config(None));
    let spec =
        |name, stream| TableSpec { name, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream };
    ensure_tables(&client, &[spec("unwatched", None)]).await.unwrap();
    let table = |name: &str| Target::Table { client: client.clone(), name: name.to_owned() };
    for (target, profile, expected) in [
        (table("unwatched"), ProfileName::Orders, "enable its stream with new and old images"),
        (table("missing"), ProfileName::Orders, "create it with the keys pk and sk"),
        (table("orders"), ProfileName::Bucket, "its keys pk and sk"),
        (table("orders"), ProfileName::Alleycat, "choose a stream"),
    ] {
        let run = fast(profile, 1).run(&target, &fixture.ledger(), &|_| {}, pending()).await;
        let error = format!("{:#}", run.unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    assert!(!fixture.ledger().exists());
}

#[test]
fn a_ledger_belongs_to_one_simulation_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let open = |head: &Head| Journal::open(&path, head, |_| {});
    let head = Head::new("orders", "orders");
    let (first, _) = open(&head).unwrap();
    assert!(open(&head).unwrap_err().to_string().contains("another simulation is writing"));
    assert!(read_entries(&path, |_| Ok(())).unwrap_err().to_string().contains("still writing"));
    drop(first);
    assert_eq!(read_entries(&path, |_| Ok(())).unwrap(), head);
    let other = open(&Head::new("orders", "others")).unwrap_err();
    assert!(other.to_string().contains("is the ledger of orders on orders"), "{other}");

    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{}\n").unwrap();
    let error = format!("{:#}", open(&head).unwrap_err());
    assert!(error.contains("read line 2 of the ledger"), "{error}");
    std::fs::write(&path, "{\"rows\":1}\n").unwrap();
    assert!(read_head(&path).is_err());
}

#[tokio::test]
async fn orders_are_poison_while_the_fault_profile_says_so() {
    let fixture = Fixture::new(ProfileName::Orders).await;
    let faults = FaultInjector::new("poison=100".parse().unwrap(), 1);
    let mut simulation = fast(ProfileName::Orders, 400);
    (simulation.faults, simulation.concurrency) = (Some(faults.clone()), 1);
    let watch = |written: &Written| {
        if written.records == 100 {
            faults.set("none".parse().unwrap())
        }
    };
    let target = fixture.target("orders");
    let written = simulation.run(&target, &fixture.ledger(), &watch, pending()).await.unwrap();
    assert!((100..300).contains(&written.poison), "{written:?}");
    assert_eq!(faults.injected(), [("poison", written.poison)].into());
}
