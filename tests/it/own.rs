//! Your own table on a laptop: `usagectl init` drafts its pipeline, the data folder remembers it, and `usagectl pipeline check
//! --stack` compares it with a deployed one.

use std::collections::HashMap;
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{StreamView, TableSpec, ensure_tables, sdk_config};
use serde_json::{Value, json};

use crate::cloudformation::{CloudFormation, Stack};
use crate::fixture::{Fixture, Run};
use crate::measures::check_document;
use crate::template::root;
use crate::world::services;

fn event(name: &str) -> String {
    root().join("events").join(name).to_str().unwrap().to_owned()
}

fn copy_of_orders(fixture: &Fixture, name: &str) {
    fixture.write_pipeline("orders", name, str::to_owned);
}

#[test]
fn init_drafts_a_pipeline_explains_a_sample_and_its_last_command_counts_it() {
    let fixture = Fixture::new();
    let run = fixture.run(&["init", &event("batch-1000.json"), "--out", "mine"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("pipeline mine, plan for 20 of 20 records"), "{run:?}");
    assert!(run.stderr.contains("drafted mine from 1000 items"), "{run:?}");
    for file in ["pipeline.toml", "sample.json"] {
        assert!(fixture.0.path().join("mine").join(file).exists(), "{file}");
    }
    let next = "usagectl invoke --fresh --pipeline-dir mine mine/sample.json && usagectl snapshots";
    assert!(run.stdout.contains(&format!("\n  {next}\n")), "{run:?}");
    assert!(run.stdout.trim_end().ends_with("make deploy PIPELINE_DIR=mine STACK=NAME"), "{run:?}");

    let counted = fixture.run(&["invoke", "--fresh", "--pipeline-dir", "mine", "mine/sample.json"]);
    assert_eq!(counted.code, Some(0), "{counted:?}");
    let snapshots = fixture.run(&["snapshots", "--json"]);
    assert!(snapshots.stdout.contains("\"changes\""), "the folder has forgotten its pipeline: {snapshots:?}");
}

#[test]
fn the_walk_prints_what_the_document_says() {
    check_document("docs/own-table.md", 6, |commands| commands.starts_with("cat >visits.json"));
}

#[test]
fn init_takes_the_output_of_a_scan() {
    let fixture = Fixture::new();
    let item = |id: &str| json!({ "visitId": { "S": id }, "pages": { "N": "3" } });
    fixture.write("scan.json", &json!({ "Items": [item("v-1"), item("v-2")], "Count": 2 }));
    let report = fixture.run(&["init", "scan.json", "--key", "visitId", "--out", "visits", "--json"]);
    assert_eq!(report.code, Some(0), "{report:?}");
    let last: Value = serde_json::from_str(report.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["pipeline_dir"], &last["source"]), (&json!("visits"), &json!("visits")), "{report:?}");
    let pipeline = std::fs::read_to_string(fixture.0.path().join("visits/pipeline.toml")).unwrap();
    assert!(pipeline.contains("sources = [\"visits\"]") && pipeline.contains("visitId"), "{pipeline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_reads_a_sample_of_a_table() {
    let client = services().dynamodb_client(&sdk_config(None));
    let table = |name| TableSpec {
        name,
        partition_key: "deviceId",
        sort_key: Some("ts"),
        ttl_attribute: None,
        stream: Some(StreamView::Images),
    };
    ensure_tables(&client, &[table("own-readings"), table("own-empty")]).await.unwrap();
    for number in 0..30 {
        let item = HashMap::from([
            ("deviceId".to_owned(), AttributeValue::S(format!("device-{}", number % 3))),
            ("ts".to_owned(), AttributeValue::S(format!("2026-11-{number:02}"))),
            ("celsius".to_owned(), AttributeValue::N(format!("{number}.5"))),
        ]);
        client.put_item().table_name("own-readings").set_item(Some(item)).send().await.unwrap();
    }
    let fixture = Fixture::new();
    let url = services().dynamodb_url();
    let run = fixture.run(&["init", "--table", "own-readings", "--items", "25", "--dynamodb-endpoint", url]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("drafted own-readings from 25 items"), "{run:?}");
    let pipeline = std::fs::read_to_string(fixture.0.path().join("own-readings/pipeline.toml")).unwrap();
    assert!(pipeline.contains("sources = [\"own-readings\"]") && pipeline.contains("deviceId = "), "{pipeline}");

    let empty = fixture.run(&["init", "--table", "own-empty", "--dynamodb-endpoint", url]);
    assert!(empty.code == Some(2) && empty.stderr.contains("own-empty has no items"), "{empty:?}");
    let missing = fixture.run(&["init", "--table", "own-none", "--dynamodb-endpoint", url]);
    assert!(missing.code == Some(1) && missing.stderr.contains("describe the table own-none"), "{missing:?}");
}

#[test]
fn init_without_a_terminal_names_what_is_missing() {
    let fixture = Fixture::new();
    let nothing = fixture.run(&["init"]);
    assert!(nothing.code == Some(2) && nothing.stderr.contains("--table NAME"), "{nothing:?}");
    std::fs::create_dir(fixture.0.path().join("mine")).unwrap();
    let exists = fixture.run(&["init", &event("mixed.json"), "--out", "mine"]);
    assert!(exists.code == Some(2) && exists.stderr.contains("--out DIR"), "{exists:?}");
    std::fs::write(fixture.0.path().join("table.csv"), "id,n\n1,2\n").unwrap();
    let csv = fixture.run(&["init", "table.csv", "--out", "csv"]);
    assert!(csv.code == Some(2) && csv.stderr.contains("aws dynamodb scan"), "{csv:?}");
}

#[test]
fn a_data_folder_remembers_the_pipeline_until_it_starts_over() {
    let fixture = Fixture::new();
    fixture.write_pipeline("orders", "mine", |text| text.replace("sources = [\"orders\"]", "sources = [\"mine\"]"));
    let own = std::fs::read_to_string(event("insert.json")).unwrap().replace("table/orders/", "table/mine/");
    std::fs::write(fixture.0.path().join("own.json"), own).unwrap();
    assert_eq!(fixture.run(&["invoke", "--pipeline-dir", "mine", "own.json"]).code, Some(0));
    let tables = |run: &Run| run.stdout.matches("entity").count() + run.stdout.matches("\"day\"").count();
    let remembered = fixture.run(&["snapshots", "--json"]);
    assert!(tables(&remembered) > 0, "{remembered:?}");
    let reconciled = fixture.run(&["reconcile"]);
    assert!(reconciled.stdout.starts_with("mine: "), "{reconciled:?}");
    assert!(!fixture.run(&["cat", "data-pipeline/avro/order/"]).stdout.is_empty());
    // Another pipeline for one command, and an event whose source a shipped pipeline reads.
    let explained = fixture.run(&["explain", &event("insert.json")]);
    assert!(explained.stdout.contains("pipeline orders"), "{explained:?}");
    // Starting over forgets it.
    assert_eq!(fixture.run(&["invoke", "--fresh", &event("insert.json")]).code, Some(0));
    let forgotten = fixture.run(&["reconcile"]);
    assert!(forgotten.stdout.starts_with("orders: "), "{forgotten:?}");
}

#[test]
fn a_remembered_folder_that_is_gone_is_reported() {
    let fixture = Fixture::new();
    copy_of_orders(&fixture, "mine");
    assert_eq!(fixture.run(&["invoke", "--pipeline-dir", "mine", &event("insert.json")]).code, Some(0));
    std::fs::remove_dir_all(fixture.0.path().join("mine")).unwrap();
    let run = fixture.run(&["snapshots"]);
    assert!(run.stderr.contains("no longer exists; choose one with --pipeline-dir"), "{run:?}");
}

async fn check(cloudformation: &CloudFormation, fixture: &Fixture, stack: &str, folder: &str) -> Run {
    cloudformation.run(fixture, &["pipeline", "check", "--stack", stack, folder], &[]).await
}

/// The template of a package of the pipeline in `folder`.
fn packaged(fixture: &Fixture, folder: &str) -> String {
    let release = fixture.0.path().join("release");
    for function in ["function", "compact"] {
        std::fs::create_dir_all(release.join(function)).unwrap();
        let bootstrap = release.join(function).join("bootstrap");
        if !bootstrap.exists() {
            std::os::unix::fs::symlink(Path::new(env!("CARGO_BIN_EXE_usagectl")), bootstrap).unwrap();
        }
    }
    std::fs::copy(root().join("template.yaml"), release.join("template.yaml")).unwrap();
    let run = fixture.run(&["package", "--from", "release", "--pipeline-dir", folder, "--out", "build"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    std::fs::read_to_string(fixture.0.path().join("build/template.yaml")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_is_compared_with_the_pipeline_that_the_stack_runs() {
    let fixture = Fixture::new();
    copy_of_orders(&fixture, "mine");
    let stack = Stack { template: packaged(&fixture, "mine"), ..Stack::default() };
    let cloudformation = CloudFormation::start(&stack).await;
    let same = check(&cloudformation, &fixture, "lake", "mine").await;
    assert!(same.code == Some(0) && same.stdout.is_empty(), "{same:?}");
    assert!(same.stderr.contains("compared with the pipeline of the stack lake"), "{same:?}");

    let toml = fixture.0.path().join("mine/pipeline.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replace("attribute = \"total\"", "attribute = \"tax\"")).unwrap();
    let changed = check(&cloudformation, &fixture, "lake", "mine").await;
    assert!(changed.code == Some(1) && changed.stdout.contains("unsafe"), "{changed:?}");

    copy_of_orders(&fixture, "other");
    let renamed = check(&cloudformation, &fixture, "lake", "other").await;
    assert!(renamed.code == Some(1) && renamed.stdout.contains("mine became other"), "{renamed:?}");
    let first = check(&cloudformation, &fixture, "new", "mine").await;
    assert!(first.code == Some(0) && first.stderr.contains("the stack new doesn't exist yet"), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_a_shipped_pipeline_can_become_one_of_its_copy() {
    let fixture = Fixture::new();
    copy_of_orders(&fixture, "orders");
    copy_of_orders(&fixture, "mine");
    let template = std::fs::read_to_string(root().join("template.yaml")).unwrap();
    let stack = Stack { template, parameters: vec![("Pipeline", "orders".to_owned())], ..Stack::default() };
    let cloudformation = CloudFormation::start(&stack).await;
    let copy = check(&cloudformation, &fixture, "lake", "orders").await;
    assert!(copy.code == Some(0) && copy.stderr.contains("the shipped pipeline orders"), "{copy:?}");
    let renamed = check(&cloudformation, &fixture, "lake", "mine").await;
    assert!(renamed.code == Some(1) && renamed.stdout.contains("orders became mine"), "{renamed:?}");
}

#[test]
fn the_load_of_your_own_table_is_counted_once_despite_faults() {
    let fixture = Fixture::new();
    assert_eq!(fixture.run(&["init", &event("batch-1000.json"), "--out", "mine", "--source", "mine"]).code, Some(0));
    let load = ["local", "--pipeline-dir", "mine", "--simulate", "own", "--records", "200", "--rate", "0"];
    let run = fixture.run(&[&load[..], &["--faults", "crash=5,lose=5,redeliver=20", "--json"]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let end: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    let proof = &end["reconcile"];
    assert_eq!(proof["counted"]["agreeing_records"], proof["counted"]["records"], "{end:#}");
    assert_eq!(proof["archived"]["agreeing_records"], json!(200), "{end:#}");
    // The folder remembers the pipeline, and the load is checked against its record.
    let reconciled = fixture.run(&["reconcile"]);
    assert!(reconciled.code == Some(0) && reconciled.stdout.contains("200 of 200 archived"), "{reconciled:?}");
}

#[test]
fn load_that_cannot_be_made_is_refused_with_what_to_do() {
    let fixture = Fixture::new();
    copy_of_orders(&fixture, "mine");
    let refused = |arguments: &[&str], words: &str| {
        let run = fixture.run(&[&["simulate"], arguments].concat());
        assert!(run.code == Some(2) && run.stderr.contains(words), "{words}: {run:?}");
    };
    refused(&[], "choose your own pipeline with --pipeline-dir");
    refused(&["orders", "--sample", "x.json"], "--sample works with own only");
    refused(&["--pipeline-dir", "mine"], "start `usagectl local` or `usagectl serve` first");
    let without = ["local", "--pipeline-dir", "mine", "--simulate", "own"];
    let run = fixture.run(&without);
    assert!(run.code == Some(2) && run.stderr.contains("name an event of the table with --sample"), "{run:?}");
}

#[test]
fn everything_on_stdout_is_json_if_that_is_asked_for() {
    let fixture = Fixture::new();
    copy_of_orders(&fixture, "mine");
    let (insert, findings) = (event("insert.json"), ["indicators", "filter", "--pipeline", "findings"]);
    let commands: [&[&str]; 15] = [
        &["init", &insert, "--out", "drafted"],
        &["explain", &insert],
        &["invoke", "--pipeline-dir", "mine", &insert],
        &["snapshots"],
        &["usage", "top", "--local"],
        &["usage", "list", "--local"],
        &["cat", "data-pipeline/avro/order/"],
        &["reconcile"],
        &["compact", "--local", "--now"],
        &["schema", "infer", &insert],
        &["schema", "glue", "--pipeline", "orders"],
        &["pipeline", "check", "mine", "drafted"],
        &findings,
        &["completions", "bash"],
        &["man"],
    ];
    for command in commands {
        let run = fixture.run(&[command, &["--json"]].concat());
        assert!(run.code != Some(2), "{command:?}: {run:?}");
        for line in run.stdout.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{command:?}: {line}");
        }
    }
}

#[test]
fn completions_and_man_pages_are_generated_for_every_command() {
    let fixture = Fixture::new();
    for shell in ["bash", "zsh", "fish"] {
        let run = fixture.run(&["completions", shell]);
        assert!(run.code == Some(0) && run.stdout.contains("reconcile"), "{shell}: {run:?}");
    }
    let run = fixture.run(&["man", "--out", "man"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    for page in ["usagectl.1", "usagectl-local.1", "usagectl-pipeline-check.1"] {
        assert!(fixture.0.path().join("man").join(page).exists(), "{page}: {run:?}");
    }
}
