//! `usagectl` as a user runs it: the built binary in an empty folder with an empty environment.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test helpers, which the lint exceptions for tests don't cover"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use laptop::emulators::{TableSpec, ensure_tables, sdk_config};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An empty folder to run commands in.
pub struct Desk(pub TempDir);

/// The result of a command.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Desk {
        Desk(tempfile::tempdir().unwrap())
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usagectl"));
        command.args(arguments).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    pub fn write(&self, name: &str, content: &Value) {
        std::fs::write(self.0.path().join(name), content.to_string()).unwrap();
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

fn order(number: u32, total: Value) -> Value {
    let keys = json!({ "pk": { "S": "CUSTOMER#7" }, "sk": { "S": format!("ORDER#{number}") } });
    let mut image = keys.clone();
    for (name, value) in [
        ("status", json!({ "S": "NEW" })),
        ("currency", json!({ "S": "EUR" })),
        ("total", total),
        ("ordered_at", json!({ "S": "2026-09-17T13:27:38Z" })),
    ] {
        image[name] = value;
    }
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_789_651_660,
            "Keys": keys,
            "NewImage": image,
            "SequenceNumber": format!("80000000000312627{number:04}"),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    })
}

fn event(records: &[Value]) -> Value {
    json!({ "Records": records })
}

pub fn two_orders() -> Value {
    event(&[order(1, json!({ "N": "129.9" })), order(2, json!({ "N": "0.1" }))])
}

#[test]
fn every_command_has_help() {
    let desk = Desk::new();
    for command in
        ["invoke", "explain", "cat", "snapshots", "local", "faults", "serve", "simulate", "reconcile", "bench"]
    {
        let run = desk.run(&[command, "--help"]);
        assert_eq!((run.code, &*run.stderr), (Some(0), ""));
        insta::assert_snapshot!(format!("help_{command}"), run.stdout);
    }
    insta::assert_snapshot!("help", desk.run(&["--help"]).stdout);
}

#[test]
fn bench_prints_one_line_of_consistent_figures() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let run = desk.run(&["bench", "--codec", "null", "--json", "event.json"]);
    assert_eq!((run.code, run.stdout.lines().count()), (Some(0), 1), "{}", run.stderr);
    let figures: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&figures["records"], &figures["bytes"]), (&json!(2), &json!(two_orders().to_string().len())));
    let stages: f64 = figures["stages"].as_object().unwrap().values().map(|stage| stage.as_f64().unwrap()).sum();
    let whole = figures["us_per_record"].as_f64().unwrap();
    assert!(stages >= whole * 0.99 && whole > 0.0 && figures["output_bytes"].as_u64() > Some(0), "{figures}");
    let refused = desk.run(&["bench", "--codec", "lz4", "event.json"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn an_event_is_counted_once_however_often_it_is_invoked() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let runs = [(); 2].map(|()| desk.json(&["invoke", "event.json"]));
    let [first, second] = &runs;

    let response = json!({ "batchItemFailures": [] });
    assert_eq!((&first["response"], &first["error"], &first["rejected"]), (&response, &Value::Null, &json!([])));
    assert_eq!((&first["records"], &first["applied"], &first["duplicates"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!((&second["records"], &second["applied"], &second["duplicates"]), (&json!(2), &json!(0), &json!(2)));
    assert_eq!(first["snapshots"], second["snapshots"]);
    assert_eq!(first["files"][0]["key"], second["files"][0]["key"]);
    assert_eq!((&first["files"][0]["created"], &second["files"][0]["created"]), (&json!(true), &json!(false)));
    insta::assert_json_snapshot!(first["snapshots"]);
    // The function allows 200 ms for metrics and then continues; a busy machine may need longer.
    assert!(runs.iter().any(|run| run["metrics"]["RecordsProcessed"] == json!(2.0)), "{runs:?}");

    let third = desk.json(&["invoke", "--fresh", "event.json"]);
    assert_eq!((&third["applied"], &third["snapshots"]), (&json!(2), &first["snapshots"]));
}

#[test]
fn invoke_prints_a_readable_report() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let runs = [(); 2].map(|()| desk.run(&["invoke", "event.json"]));
    let [first, second] = runs.map(|run| {
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stderr.contains("was created at 2026-09-17T13:27:40Z"), "{run:?}");
        // Metrics include durations, which vary.
        run.stdout.split("metrics").next().unwrap().to_owned()
    });
    insta::assert_snapshot!(format!("{first}\n{second}"));
}

#[test]
fn a_rejected_record_is_reported_and_the_exit_code_is_1() {
    let desk = Desk::new();
    desk.write("poison.json", &event(&[order(1, json!({ "N": "1" })), order(2, json!({ "S": "free" }))]));
    assert_eq!(desk.run(&["invoke", "poison.json"]).code, Some(1));
    let report = desk.json(&["invoke", "poison.json"]);
    assert_eq!(report["response"], json!({ "batchItemFailures": [{ "itemIdentifier": "800000000003126270002" }] }));
    let rejected = &report["rejected"][0];
    assert_eq!(rejected["sequence_number"], json!("800000000003126270002"));
    assert_eq!((&rejected["code"], &rejected["field"]), (&json!("invalid_value"), &json!("NewImage.total")));
    assert_eq!(report["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(desk.run(&["explain", "poison.json"]).code, Some(1));
}

#[test]
fn a_failed_event_is_reported_and_the_next_one_is_invoked() {
    let desk = Desk::new();
    desk.write("wrong.json", &json!({ "records": [] }));
    desk.write("event.json", &two_orders());
    let run = desk.run(&["invoke", "wrong.json", "missing.json", "event.json", "--json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let reports: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        reports.iter().map(|report| &report["file"]).collect::<Vec<_>>(),
        ["wrong.json", "missing.json", "event.json"]
    );
    assert_eq!(reports[0]["response"], Value::Null);
    insta::assert_json_snapshot!([&reports[0]["error"], &reports[1]["error"], &reports[2]["error"]]);
}

#[test]
fn explain_prints_the_plan_and_writes_nothing() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let run = desk.run(&["explain", "event.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    insta::assert_snapshot!(run.stdout);
    insta::assert_json_snapshot!(desk.json(&["explain", "event.json"]));
    assert!(!desk.0.path().join(".usage").exists());
}

#[test]
fn regression_explain_json_reports_a_refused_event_as_invoke_json_does() {
    let desk = Desk::new();
    desk.write("refused.json", &json!({ "records": [] }));
    for event in ["refused.json", "missing.json"] {
        let explained = desk.json(&["explain", event]);
        let invoked = desk.json(&["invoke", event]);
        assert_eq!((&explained["file"], &explained["error"]), (&json!(event), &invoked["error"]), "{explained}");
        assert!(explained["error"]["message"].as_str().unwrap().starts_with("failed to read the event"), "{explained}");
        assert_eq!(desk.run(&["explain", event, "--json"]).code, Some(1));
    }
}

#[test]
fn regression_reconcile_json_reports_what_it_cannot_compare() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    assert_eq!(desk.run(&["invoke", "event.json"]).code, Some(0));
    let variables = [("USAGE_TABLE", "another-usage")];
    let run: Run = desk.command(&["reconcile", "--json"]).envs(variables).output().unwrap().into();
    assert_eq!(run.code, Some(1), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    assert_eq!((&report["pipeline"], &report["truth"]), (&json!("orders"), &json!("archive")), "{report}");
    assert!(report["error"]["message"].as_str().unwrap().contains("another-usage"), "{report}");
    assert_eq!(report["agrees"], Value::Null);
}

#[test]
fn regression_a_table_name_that_is_too_short_is_refused_with_the_allowed_length() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let endpoint = ["--dynamodb-endpoint", "http://127.0.0.1:9"];
    for wrong in [
        &[&["simulate", "orders", "--table", "ab"], &endpoint[..]].concat(),
        &["local", "--source", "ab"][..],
        &["invoke", "event.json"],
        &["snapshots"],
        &["reconcile"],
    ] {
        let run: Run = desk.command(wrong).env("USAGE_TABLE", "ab").output().unwrap().into();
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
fn stored_rows_and_snapshots_can_be_read() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let report = desk.json(&["invoke", "event.json"]);
    let key = report["files"][0]["key"].as_str().unwrap();
    let rows = desk.run(&["cat", "--limit", "1", key]);
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&rows.stdout).unwrap());
    assert_eq!(desk.run(&["cat", &format!("s3://archive/{key}"), "--limit", "1"]).stdout, rows.stdout);
    assert_eq!(desk.run(&["cat", "data-pipeline/"]).stdout.lines().count(), 2);
    assert!(desk.run(&["cat", "--schema", key]).stdout.contains("\"logicalType\":\"decimal\""));
    assert_eq!(desk.run(&["cat", "nothing.avro", "event.json"]).code, Some(1));

    let filters = ["--entity", "7", "--from", "2026-09-17", "--to", "2026-09-17"];
    insta::assert_snapshot!("snapshots_table", desk.run(&[&["snapshots"], &filters[..]].concat()).stdout);
    insta::assert_snapshot!("snapshots_json", desk.run(&["snapshots", "--window", "month", "--json"]).stdout);
    insta::assert_snapshot!("snapshots_plot", desk.run(&["snapshots", "--plot", "amount"]).stdout);
    assert_eq!(desk.run(&["snapshots", "--entity", "8", "--json"]).stdout, "");
}

#[test]
fn invalid_command_lines_exit_with_2() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
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
        let run = desk.run(wrong);
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{wrong:?}: {run:?}");
        assert!(run.stderr.starts_with("error: "), "{wrong:?}: {run:?}");
    }
    let remote = desk.run(&["invoke", "--s3-endpoint", "http://s3.amazonaws.com", "event.json"]);
    assert!(remote.stderr.contains("--allow-remote"), "{remote:?}");
    assert!(!desk.0.path().join(".usage").exists());
}

#[test]
fn one_process_uses_the_data_folder_and_others_use_its_services() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let mut serving = desk.command(&["serve", "--env-file", "env"]);
    let mut serving = Ending(serving.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(serving.0.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    assert!(ready.starts_with("export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:"), "{ready}");

    let refused = desk.run(&["local"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("another usagectl is using .usage"), "{refused:?}");

    let variables = std::fs::read_to_string(desk.0.path().join("env")).unwrap();
    let variables = || variables.lines().filter_map(|line| line.split_once('='));
    let run: Run = desk.command(&["invoke", "event.json", "--json"]).envs(variables()).output().unwrap().into();
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.code, &report["applied"]), (Some(0), &json!(2)), "{run:?}");
    // Without endpoints: the data folder knows them.
    let again = desk.json(&["invoke", "event.json"]);
    assert_eq!(again["duplicates"], json!(2));
}

#[test]
fn simulated_load_is_recorded_and_reconciled() {
    let desk = Desk::new();
    let mut serving = desk.command(&["serve", "--env-file", "env"]);
    let mut serving = Ending(serving.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    BufReader::new(serving.0.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let variables = std::fs::read_to_string(desk.0.path().join("env")).unwrap();
    let run = |arguments: &[&str]| -> Run {
        let variables = variables.lines().filter_map(|line| line.split_once('='));
        desk.command(arguments).envs(variables).output().unwrap().into()
    };
    let simulate = ["simulate", "orders", "--records", "20", "--rate", "0", "--poison", "5", "--json"];
    let missing = run(&simulate);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("create it with the keys pk and sk"), "{missing:?}");

    let table =
        TableSpec { name: "orders", partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: true };
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
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    assert_eq!(desk.run(&["invoke", "event.json"]).code, Some(0));
    let run = desk.run(&["reconcile"]);
    assert_eq!(
        (run.code, &*run.stdout),
        (Some(0), "orders: 2 of 2 records counted once, 2 of 2 archived\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("checking against the archive"), "{run:?}");
    let report = desk.json(&["reconcile", "--archive"]);
    assert_eq!((&report["agrees"], &report["counted"]["counters"]), (&json!(true), &json!(9)));

    let sample = crate::repository().join("events/kinesis-plain.json").display().to_string();
    assert_eq!(desk.run(&["invoke", "--fresh", &sample]).code, Some(0));
    let race = desk.run(&["reconcile", "--pipeline", "alleycat", "--archive"]);
    assert_eq!(race.code, Some(2), "{race:?}");
    assert!(race.stderr.contains("metres: racer.distance is a float"), "{race:?}");
    assert!(race.stdout.starts_with("alleycat: "), "{race:?}");
}

#[test]
fn a_foreign_folder_is_never_cleared() {
    let desk = Desk::new();
    desk.write("event.json", &two_orders());
    let theirs = desk.0.path().join("mine/s3");
    std::fs::create_dir_all(&theirs).unwrap();
    let run = desk.run(&["invoke", "--fresh", "--data", "mine", "event.json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(Path::new(&theirs).exists());
}

/// A process that is killed at the end of its test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
