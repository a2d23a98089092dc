//! Alerts as a user meets them: what `invoke`, `local` and `alerts` show, and that nothing is lost however a run ends.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{Services, sdk_config};
use serde_json::{Value, json};

use crate::correct::{minute_of, order_at, recent};
use crate::fixture::{Fixture, Run, event};
use crate::local::Background;

/// The shipped pipeline with an alert on each customer's amount of the month.
fn fixture(limit: &str) -> Fixture {
    let fixture = Fixture::new();
    let (shipped, own) = (crate::repository().join("schemas/orders"), fixture.0.path().join("orders"));
    std::fs::create_dir(&own).unwrap();
    for file in std::fs::read_dir(shipped).unwrap().map(|file| file.unwrap().path()) {
        if file.is_file() {
            std::fs::copy(&file, own.join(file.file_name().unwrap())).unwrap();
        }
    }
    let text = std::fs::read_to_string(own.join("pipeline.toml")).unwrap();
    let alert = format!(
        "[[record.alert]]\nmeasure = \"amount\"\nwindow = \"month\"\nlimit = {limit}\nat = [0.5, 0.8]\n\n[record.archive]"
    );
    std::fs::write(own.join("pipeline.toml"), text.replacen("[record.archive]", &alert, 1)).unwrap();
    fixture
}

const OWN: [(&str, &str); 1] = [("PIPELINE_DIR", "orders")];

fn run(fixture: &Fixture, arguments: &[&str]) -> Run {
    fixture.command(arguments).envs(OWN).output().unwrap().into()
}

/// Invokes the function with orders of 129.9, 0.1 and 70 of customer 7, of which the first reaches half of 250, and the last 80%.
fn invoke(fixture: &Fixture, arguments: &[&str]) -> Run {
    let second = recent();
    let records = [order_at(1, "129.9", second), order_at(2, "0.1", second), order_at(3, "70", second + 60)];
    fixture.write("event.json", &event(&records));
    run(fixture, &[&["invoke", "event.json"], arguments].concat())
}

fn lines(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{run:?}"))).collect()
}

/// `at` and `state` of every alert of the month.
fn standings(fixture: &Fixture, arguments: &[&str]) -> BTreeMap<String, String> {
    let month = minute_of(recent())[..7].to_owned();
    let listed = run(fixture, &[&["alerts", "--local", "--json", "--at", &month], arguments].concat());
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    lines(&listed).iter().map(|line| (text(&line["at"]), text(&line["state"]))).collect()
}

/// The ids of the events in the file, in the order in which they were sent.
fn sent(fixture: &Fixture) -> Vec<String> {
    let file = std::fs::read_to_string(fixture.0.path().join(".usage/alerts.jsonl")).unwrap_or_default();
    let id = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&event["source"], &event["detail-type"]), (&json!("usage-aggregator"), &json!("Usage alert")));
        event["detail"]["id"].as_str().unwrap().to_owned()
    };
    file.lines().map(id).collect()
}

/// The ids of all alerts in the ledger.
async fn in_ledger(fixture: &Fixture) -> BTreeSet<String> {
    let services = Services::start(Some(&fixture.0.path().join(".usage"))).unwrap();
    let client = services.dynamodb_client(&sdk_config(None));
    let tables = client.list_tables().send().await.unwrap().table_names.unwrap();
    let ledger = tables.iter().find(|table| table.contains("ledger")).unwrap();
    let text =
        |item: &std::collections::HashMap<String, AttributeValue>, name: &str| item[name].as_s().unwrap().clone();
    let mut items = client.scan().table_name(ledger).into_paginator().items().send();
    let mut ids = BTreeSet::new();
    while let Some(item) = items.next().await {
        let item = item.unwrap();
        if text(&item, "pk").starts_with("a#") {
            ids.insert(format!("{}/{}", text(&item, "pk"), text(&item, "sk")));
        }
    }
    ids
}

#[test]
fn invoke_shows_the_alerts_that_an_event_causes_and_alerts_lists_them() {
    let fixture = fixture("250");
    let first = invoke(&fixture, &[]);
    assert_eq!(first.code, Some(0), "{first:?}");
    for share in ["50% of 250", "80% of 250"] {
        assert!(first.stdout.contains(&format!("7 orders: amount has reached {share} (month of ")), "{first:?}");
    }
    let again = invoke(&fixture, &["--json"]);
    assert_eq!(lines(&again)[0]["alerts"], Value::Null, "a redelivery causes none: {again:?}");
    let fired = |at: &str| (at.to_owned(), "fired".to_owned());
    assert_eq!(standings(&fixture, &[]), BTreeMap::from([fired("0.5"), fired("0.8")]));
    assert_eq!(standings(&fixture, &["--entity", "8"]), BTreeMap::new());

    let at = minute_of(recent());
    let correction =
        ["--measure", "amount", "--amount", "-29.95", "--at", &at, "--author", "ann", "--reason", "a test"];
    let group = ["correct", "add", "--local", "--entity", "7", "--resource", "orders"];
    let corrected = run(&fixture, &[&group[..], &correction].concat());
    assert_eq!(corrected.code, Some(0), "{corrected:?}");
    assert_eq!(standings(&fixture, &[])["0.8"], "corrected");
    assert_eq!(standings(&fixture, &["--firing"]), BTreeMap::from([fired("0.5")]));

    let csv = run(&fixture, &["alerts", "--local", "--csv", "--at", &at[..7]]);
    let titles = "window,start,entity,resource,measure,value,limit,share,at,threshold,state,since,crossings,id";
    assert_eq!(csv.stdout.lines().next(), Some(titles), "{csv:?}");
    assert!(csv.stdout.contains(",7,orders,amount,170.05,250,0.6802,0.5,125,fired,20"), "{csv:?}");
    let since = |line: &Value| line["since"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let all = lines(&run(&fixture, &["alerts", "--local", "--json", "--at", &at[..7]]));
    let [half, corrected] = &all[..] else { panic!("{all:?}") };
    assert!(since(half) > jiff::Timestamp::from_second(recent()).ok() && since(half) <= since(corrected), "{all:?}");
    let table = run(&fixture, &["alerts", "--local", "--at", &at[..7]]);
    assert!(table.stdout.contains("68.0%") && table.stdout.ends_with("2 alerts, 1 firing\n"), "{table:?}");
}

#[tokio::test]
async fn a_run_under_faults_sends_every_alert_and_counts_each_once() {
    let fixture = fixture("2000");
    let load = ["local", "--json", "--simulate", "orders", "--records", "300", "--rate", "0", "--entities", "6"];
    let faults = ["--fold-window", "0", "--faults", "crash=3,lose=5,throttle=10,503=5,redeliver=10,restart=3s"];
    let ended = run(&fixture, &[&load[..], &faults].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = lines(&ended).pop().unwrap();
    let (sent, in_ledger) = (sent(&fixture), in_ledger(&fixture).await);
    let distinct: BTreeSet<String> = sent.iter().cloned().collect();
    assert!(in_ledger.len() > 3, "the load reaches thresholds: {last:#}");
    assert_eq!(distinct, in_ledger);
    let alerts = &last["ended"]["alerts"];
    let count = |name: &str| alerts[name].as_u64().unwrap() as usize;
    assert_eq!(count("fired") + count("cleared") + count("corrected"), in_ledger.len(), "{alerts:#}");
    assert_eq!(count("repeated"), sent.len() - distinct.len(), "{alerts:#}");
}

/// The fold has written snapshots and alerts, and its process is killed before any event is sent.
#[tokio::test]
async fn a_run_that_is_killed_before_it_sends_alerts_sends_them_after_a_restart() {
    let fixture = fixture("250");
    // Nothing listens there.
    let unreachable = ["--fold-window", "0", "--eventbridge-endpoint", "http://127.0.0.1:9"];
    let mut local = Background::start_with(&fixture, &unreachable, &OWN);
    let written = run(&fixture, &["simulate", "orders", "--records", "40", "--rate", "0", "--entities", "2"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    local.wait_for(|line| line["function"]["AlertsFailed"].as_f64() > Some(0.0));
    local.kill();
    assert_eq!(sent(&fixture), Vec::<String>::new());

    let mut local = Background::start_with(&fixture, &["--fold-window", "0"], &OWN);
    let exact = run(&fixture, &["reconcile", "--wait", "60s"]);
    assert_eq!(exact.code, Some(0), "{exact:?}");
    local.wait_for(|line| {
        line["alerts"]["fired"].as_u64() > Some(0) && line["fold"]["waiting"]["records"].as_u64() == Some(0)
    });
    local.stop();
    let distinct: BTreeSet<String> = sent(&fixture).into_iter().collect();
    assert_eq!(distinct, in_ledger(&fixture).await);
}
