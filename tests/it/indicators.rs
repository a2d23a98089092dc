//! Indicators as a person meets them: docs/indicators.md, and `usagectl indicators` on what a run has left behind.

use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::extract::Request;
use laptop::emulators::{TableSpec, ensure_tables, sdk_config};
use serde_json::{Value, json};

use crate::fixture::{Fixture, Run};
use crate::local::Background;
use crate::measures::check_document;
use crate::redrive::lambda::{Lost, proxy};
use crate::redrive::redrive;
use crate::world::services;

#[test]
fn the_walk_to_the_first_indicator_prints_what_the_document_says() {
    let is_run = |commands: &str| !commands.contains("cargo ") && !commands.contains("--stack");
    check_document("docs/indicators.md", 5, is_run);
}

/// The lines of a command with `--json`.
fn lines(fixture: &Fixture, arguments: &[&str]) -> Vec<Value> {
    let run = fixture.run(&[&["indicators"], arguments, &["--local", "--json"]].concat());
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_under_faults_leaves_exact_indicators_and_a_rebuild_restores_those_of_a_table_without_them() {
    let fixture = Fixture::new();
    let load =
        ["local", "--json", "--pipeline", "findings", "--simulate", "findings", "--records", "300", "--rate", "0"];
    let faults = ["--polling-interval", "100", "--faults", "redeliver=20,crash=10,lose=5"];
    let run = fixture.run(&[&load[..], &faults].concat());
    let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let proof = &end["reconcile"];
    let indicators = &proof["indicators"];
    assert_eq!((run.code, &proof["difference_count"]), (Some(0), &json!(0)), "{end:#} {}", run.stderr);
    assert!(indicators["targets"].as_u64() > Some(10), "{proof:#}");
    assert_eq!(indicators["targets"], indicators["agreeing_targets"]);

    let findings = ["--pipeline", "findings"];
    let check = lines(&fixture, &[&["check"], &findings[..]].concat());
    assert_eq!(
        check,
        [
            json!({ "table": "findings", "targets": indicators["targets"], "as_recomputed": indicators["targets"], "differing": 0, "failed": 0 })
        ]
    );

    // Another attribute, which no item has: as after adding an indicator.
    fixture.write_pipeline("findings", "mine", |text| {
        let text = text.replace(
            "sk = \"FINDING#{finding}\" }\nquery",
            "sk = \"FINDING#{finding}\" }\nattribute = \"summary\"\nquery",
        );
        text.replace("indicators.", "summary.")
    });
    let mine = ["--pipeline-dir", "mine"];
    let drift = lines(&fixture, &[&["check"], &mine[..]].concat());
    let differing = drift.last().unwrap()["differing"].as_u64().unwrap();
    assert!(differing > 0 && drift.len() as u64 == differing + 1, "{drift:?}");
    let preview = lines(&fixture, &[&["rebuild", "--dry-run"], &mine[..]].concat());
    let targets: u64 = preview.iter().map(|line| line["targets"].as_u64().unwrap()).sum();
    assert_eq!((preview.len(), json!(targets)), (2, indicators["targets"].clone()));
    let rebuilt = lines(&fixture, &[&["rebuild"], &mine[..]].concat());
    // Groups read what their findings keep, so once those are rebuilt, the groups are as they were.
    let of_findings = drift.iter().filter(|line| line["indicator"] == "finding").count();
    assert_eq!(
        (&rebuilt[0]["written"], &rebuilt[0]["failed"]),
        (&json!(of_findings), &json!(0)),
        "{rebuilt:?} {drift:?}"
    );
    let check = lines(&fixture, &[&["check"], &mine[..]].concat());
    assert_eq!((check.len(), &check[0]["differing"]), (1, &json!(0)), "{check:?}");
    let again = lines(&fixture, &[&["rebuild"], &mine[..]].concat());
    assert_eq!((&again[0]["written"], &again[0]["equal"]), (&json!(0), &indicators["targets"]));
}

#[test]
fn what_is_not_a_target_or_an_indicator_is_refused_with_what_there_is() {
    let fixture = Fixture::new();
    fixture.run(&["local", "--pipeline", "findings", "--simulate", "findings", "--records", "20", "--rate", "0"]);
    let refused = |arguments: &[&str]| {
        let run = fixture.run(&[&["indicators"], arguments, &["--local"]].concat());
        assert_eq!(run.code, Some(2), "{run:?}");
        run.stderr
    };
    let errors = [
        refused(&["check", "--pipeline", "demand"]),
        refused(&["check", "--pipeline", "findings", "--indicator", "groups"]),
        refused(&["show", "GROUP#1", "--pipeline", "findings"]),
        refused(&["show", "GROUP#1", "MEMBER#1", "--pipeline", "findings"]),
        refused(&["show", "GROUP#none", "GROUP", "--pipeline", "findings"]),
    ];
    insta::assert_snapshot!(errors.join(""));
}

#[test]
fn a_target_with_too_many_items_blocks_nothing_and_has_its_values_once_the_limit_is_raised() {
    let fixture = Fixture::new();
    let limited = |most: &str| {
        let limit = format!("sk = {{ prefix = \"ORDER#\" }} }}\nmax_items = {most}\n");
        fixture.write_orders(|text| text.replace("sk = { prefix = \"ORDER#\" } }\n", &limit));
    };
    limited("12");
    let orders = ["--pipeline-dir", "orders"];
    let settings = ["--polling-interval", "100", "--retry-attempts", "3"];
    let mut local = Background::start(&fixture, &[&orders[..], &settings].concat());
    let load = ["simulate", "orders", "--records", "200", "--rate", "0", "--entities", "5"];
    assert_eq!(fixture.run(&load).code, Some(0));
    // Every record counts, and none is discarded, although the values of some customers are old.
    let proof = loop {
        local.latest();
        let proof = fixture.json(&[&["reconcile"], &orders[..]].concat());
        if proof["waiting"].is_null() && proof["counted"]["records"] == proof["counted"]["agreeing_records"] {
            break proof;
        }
    };
    assert!(proof["indicators"]["agreeing_targets"].as_u64() < proof["indicators"]["targets"].as_u64(), "{proof:#}");
    let end = local.stop();
    assert_eq!(end["ended"]["mapping"]["on_failure_destination_delivered_event_count"], json!(0), "{end:#}");

    let listed = redrive(&fixture, &[&["--dry-run"], &orders[..]].concat());
    let waiting = listed.all("waiting");
    let codes: Vec<&Value> = waiting.iter().map(|document| &document["rejection"]["code"]).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| **code == "too_many_items"), "{codes:?}");
    let kept = redrive(&fixture, &orders);
    assert_eq!((kept.sum("deleted"), kept.sum("kept")), (0, codes.len() as u64), "{}", kept.summary());

    limited("10000");
    let rebuilt = lines(&fixture, &[&["rebuild"], &orders[..]].concat());
    assert_eq!(rebuilt[0]["failed"], json!(0), "{rebuilt:?}");
    let check = lines(&fixture, &[&["check"], &orders[..]].concat());
    assert_eq!((check.len(), &check[0]["differing"], &check[0]["failed"]), (1, &json!(0), &json!(0)), "{check:?}");
    let done = redrive(&fixture, &orders);
    assert_eq!((done.code, done.sum("deleted")), (Some(0), codes.len() as u64), "{}", done.summary());
    let proof = fixture.json(&[&["reconcile"], &orders[..]].concat());
    assert_eq!(proof["difference_count"], json!(0), "{proof:#}");
}

/// How many targets have been written.
static WRITES: AtomicUsize = AtomicUsize::new(0);

fn is_fifth_write(request: &Request) -> bool {
    let is_write = request.headers().get("x-amz-target").is_some_and(|name| name.as_bytes().ends_with(b"UpdateItem"));
    is_write && WRITES.fetch_add(1, Ordering::SeqCst) == 4
}

/// The first target fails, and the run is killed (-9) while it recomputes the second four.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_killed_tries_failed_targets_again() {
    let dynamodb = services().dynamodb_client(&sdk_config(None));
    let table = "indicators-killed";
    let spec = TableSpec { name: table, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None };
    ensure_tables(&dynamodb, &[spec]).await.unwrap();
    for customer in 0..8 {
        let orders = if customer == 0 { 3 } else { 1 };
        let keys = (0..orders).map(|order| format!("ORDER#{order}")).chain(["PROFILE".to_owned()]);
        for sk in keys {
            let text = |text: &str| AttributeValue::S(text.to_owned());
            let put = dynamodb.put_item().table_name(table).item("pk", text(&format!("CUSTOMER#{customer}")));
            let put = put.item("sk", text(&sk)).item("status", text("NEW"));
            put.item("total", AttributeValue::N("7".to_owned())).send().await.unwrap();
        }
    }
    let fixture = Fixture::new();
    let limit = "sk = { prefix = \"ORDER#\" } }\nmax_items = 2\n";
    fixture.write_orders(|text| text.replace("sk = { prefix = \"ORDER#\" } }\n", limit));
    let (url, mut stops) = proxy(services().dynamodb_url(), is_fifth_write, Lost::Request).await;
    let command = || {
        let options = ["--parallel", "1", "--table", table, "--pipeline-dir", "orders", "--local", "--json"];
        let mut command = fixture.command(&[&["indicators", "rebuild"], &options[..]].concat());
        command.env("AWS_ENDPOINT_URL_DYNAMODB", &url).env("AWS_ENDPOINT_URL_S3", services().s3_url());
        command
    };
    let mut killed = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    stops.recv().await.unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();

    let mut second = command();
    let run: Run = tokio::task::spawn_blocking(move || second.output().unwrap()).await.unwrap().into();
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!((run.code, &report["failed"], &report["targets"]), (Some(1), &json!(1), &json!(8)), "{report}");
    // What was done before is as recomputed, and the rest is written.
    let counts = ["equal", "written", "done_before"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [4, 3, 0], "{report}");
    assert!(run.stderr.contains("error: customer of "), "{run:?}");
}
