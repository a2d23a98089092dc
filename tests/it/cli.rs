//! The command line of `usagectl` as a user meets it: help, mistakes, the data folder, and load that is reconciled.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use laptop::emulators::{StreamView, TableSpec, ensure_tables, sdk_config};
use serde_json::{Value, json};

use crate::fixture::{Fixture, KilledOnDrop, Run, two_orders};

#[test]
fn every_command_has_help() {
    let fixture = Fixture::new();
    for command in [
        "invoke",
        "explain",
        "cat",
        "compact",
        "snapshots",
        "local",
        "faults",
        "serve",
        "simulate",
        "reconcile",
        "bench",
        "alerts",
    ] {
        let run = fixture.run(&[command, "--help"]);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""));
        insta::assert_snapshot!(format!("help_{command}"), run.stdout);
    }
    insta::assert_snapshot!("help", fixture.run(&["--help"]).stdout);
}

#[test]
fn regression_reconcile_json_reports_what_it_cannot_compare() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let variables = [("USAGE_TABLE", "another-usage")];
    let run: Run = fixture.command(&["reconcile", "--json"]).envs(variables).output().unwrap().into();
    assert_eq!(run.code, Some(1), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!((&report["pipeline"], &report["truth"]), (&json!("orders"), &json!("archive")), "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains("another-usage"), "{report}");
    assert_eq!(report["agrees"], Value::Null);
}

#[test]
fn regression_a_table_name_that_is_too_short_is_refused_with_the_allowed_length() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let endpoint = ["--dynamodb-endpoint", "http://127.0.0.1:9"];
    for wrong in [
        &[&["simulate", "orders", "--table", "ab"], &endpoint[..]].concat(),
        &["local", "--source", "ab"][..],
        &["invoke", "event.json"],
        &["snapshots"],
        &["reconcile"],
    ] {
        let run: Run = fixture.command(wrong).env("USAGE_TABLE", "ab").output().unwrap().into();
        assert_eq!(run.code, Some(2), "{wrong:?}: {run:?}");
        assert!(run.stderr.contains("3 to 255 characters"), "{wrong:?}: {run:?}");
    }
}

/// `cargo run` runs the `default-run` of the workspace's default members, with default features.
#[test]
fn regression_cargo_run_works_in_a_fresh_clone() {
    let manifest = crate::repository().join("Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]).arg(manifest);
    let metadata: Value = serde_json::from_slice(&cargo.output().unwrap().stdout).unwrap();
    let is_default =
        |package: &&Value| metadata["workspace_default_members"].as_array().unwrap().contains(&package["id"]);
    let packages = metadata["packages"].as_array().unwrap();
    let with_default_run = |package: &&Value| is_default(package) && package["default_run"].is_string();
    let [package] = packages.iter().filter(with_default_run).collect::<Vec<_>>()[..] else {
        panic!("not exactly one default member has a default-run");
    };
    let binary = package["targets"].as_array().unwrap().iter();
    let binary = binary
        .filter(|target| target["kind"] == json!(["bin"]))
        .find(|target| target["name"] == package["default_run"]);
    assert_eq!(binary.unwrap()["name"], json!("usagectl"));
    let required = binary.unwrap()["required-features"].as_array().cloned().unwrap_or_default();
    let enabled = package["features"]["default"].as_array().cloned().unwrap_or_default();
    assert!(required.iter().all(|feature| enabled.contains(feature)), "{required:?} are not default features");
}

#[test]
fn invalid_command_lines_exit_with_2() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    for wrong in [
        &["invoke"][..],
        &["invoke", "--frehs", "event.json"],
        &["invoke", "--now", "yesterday", "event.json"],
        &["invoke", "--pipeline", "order", "event.json"],
        &["invoke", "--s3-endpoint", "http://s3.amazonaws.com", "event.json"],
        &["invoke", "--dynamodb-endpoint", "localhost:8000", "event.json"],
        &["snapshots", "--from", "2026-02-30"],
        &["snapshots", "--pipeline", "demand"],
        &["cat", "s3://bucket"],
        &["simulate", "orders"],
        &["simulate", "alleycat"],
        &["simulate", "bucket", "--poison", "1"],
        &["simulate", "orders", "--stream", "orders"],
        &["simulate", "orders", "--dynamodb-endpoint", "http://dynamodb.us-east-1.amazonaws.com"],
        &["reconcile", "--failures", "failures"],
    ] {
        let run = fixture.run(wrong);
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
        assert!(run.stderr.starts_with("error: "), "{wrong:?}: {run:?}");
    }
    let remote = fixture.run(&["invoke", "--s3-endpoint", "http://s3.amazonaws.com", "event.json"]);
    assert!(remote.stderr.contains("--allow-remote"), "{remote:?}");
    assert!(!fixture.0.path().join(".usage").exists());
}

#[test]
fn one_process_uses_the_data_folder_and_others_use_its_services() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let mut serving = fixture.command(&["serve", "--env-file", "env"]);
    let mut serving = KilledOnDrop(serving.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(serving.0.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    assert!(ready.starts_with("export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:"), "{ready}");

    let refused = fixture.run(&["local"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another usagectl is using .usage"), "{refused:?}");
    let fresh = fixture.run(&["invoke", "--fresh", "event.json"]);
    let remedy = "error: --fresh: `usagectl serve` is running in .usage; stop it first, or use another --data DIR\n";
    assert_eq!((fresh.code, &*fresh.stderr), (Some(2), remedy));

    let variables = std::fs::read_to_string(fixture.0.path().join("env")).unwrap();
    let variables = || variables.lines().filter_map(|line| line.split_once('='));
    let run: Run = fixture.command(&["invoke", "event.json", "--json"]).envs(variables()).output().unwrap().into();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["durable"]), (Some(0), &json!(2)), "{run:?}");
    // Without endpoints: the data folder knows them.
    let again = fixture.json(&["invoke", "event.json"]);
    assert_eq!((&again["durable"], &again["snapshots"]), (&json!(2), &report["snapshots"]), "counted before");
}

#[test]
fn simulated_load_is_recorded_and_reconciled() {
    let fixture = Fixture::new();
    let mut serving = fixture.command(&["serve", "--env-file", "env"]);
    let mut serving = KilledOnDrop(serving.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    BufReader::new(serving.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let variables = std::fs::read_to_string(fixture.0.path().join("env")).unwrap();
    let run = |arguments: &[&str]| -> Run {
        let variables = variables.lines().filter_map(|line| line.split_once('='));
        fixture.command(arguments).envs(variables).output().unwrap().into()
    };
    let simulate = ["simulate", "orders", "--records", "20", "--rate", "0", "--poison", "5", "--json"];
    let missing = run(&[&simulate[..], &["--table", "elsewhere"]].concat());
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("create it with the keys pk and sk"), "{missing:?}");

    let table = TableSpec {
        name: "orders",
        partition_key: "pk",
        sort_key: Some("sk"),
        ttl_attribute: None,
        stream: Some(StreamView::Images),
    };
    let url = variables.lines().find_map(|line| line.strip_prefix("AWS_ENDPOINT_URL_DYNAMODB=")).unwrap();
    let config = sdk_config(None).into_builder().endpoint_url(url).build();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(ensure_tables(&aws_sdk_dynamodb::Client::new(&config), &[table])).unwrap();

    for _ in 0..2 {
        let written = run(&simulate);
        let summary: Value = serde_json::from_str(&written.stdout).unwrap();
        assert_eq!(
            (written.code, &summary["records"], &summary["unsure"]),
            (Some(0), &json!(20), &json!(0)),
            "{written:?}"
        );
        assert_eq!(summary["ledger"], json!(".usage/simulated/orders.jsonl"));
    }
    // Nothing has been delivered to the function.
    let report = run(&["reconcile", "--json"]);
    let report_json: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((report.code, &report_json["agrees"]), (Some(1), &json!(false)), "{report:?}");
    assert_eq!(report_json["counted"]["agreeing_records"], json!(0));
    assert_eq!(report_json["differences"].as_array().unwrap().len(), 50);
    let text = run(&["reconcile"]);
    assert_eq!(text.code, Some(1));
    assert!(text.stdout.starts_with("orders: 0 of "), "{text:?}");
    assert!(text.stdout.contains("more differences (only 50 are listed)"), "{text:?}");
}

#[test]
fn the_archive_verifies_counts_where_it_is_exact() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    assert_eq!(fixture.run(&["invoke", "event.json"]).code, Some(0));
    let run = fixture.run(&["reconcile"]);
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(0), "orders: 2 of 2 records counted once, 2 of 2 archived\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("checking against the archive"), "{run:?}");
    let report = fixture.json(&["reconcile", "--archive"]);
    assert_eq!((&report["agrees"], &report["counted"]["counters"]), (&json!(true), &json!(9)));

    let sample = crate::repository().join("events/kinesis-plain.json").display().to_string();
    assert_eq!(fixture.run(&["invoke", "--fresh", &sample]).code, Some(0));
    let race = fixture.run(&["reconcile", "--pipeline", "alleycat", "--archive"]);
    assert_eq!(race.code, Some(2), "{race:?}");
    assert!(race.stderr.contains("metres: racer.distance is a float"), "{race:?}");
    assert!(race.stdout.starts_with("alleycat: "), "{race:?}");
}

#[test]
fn a_foreign_folder_is_never_cleared() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let theirs = fixture.0.path().join("mine/s3");
    std::fs::create_dir_all(&theirs).unwrap();
    let run = fixture.run(&["invoke", "--fresh", "--data", "mine", "event.json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(Path::new(&theirs).exists());
}
