//! `usagectl invoke`, `explain`, `bench`, `cat` and `snapshots` as a user runs them on event files.

use serde_json::{Value, json};

use crate::fixture::{Fixture, event, order, two_orders};

#[test]
fn bench_prints_one_line_of_consistent_figures() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let run = fixture.run(&["bench", "--codec", "null", "--json", "event.json"]);
    assert_eq!((run.code, run.stdout.lines().count()), (Some(0), 1), "{}", run.stderr);
    let figures: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&figures["records"], &figures["bytes"]), (&json!(2), &json!(two_orders().to_string().len())));
    let stages: f64 = figures["stages"].as_object().unwrap().values().map(|stage| stage.as_f64().unwrap()).sum();
    let whole = figures["us_per_record"].as_f64().unwrap();
    assert!(stages >= whole * 0.99 && whole > 0.0 && figures["output_bytes"].as_u64() > Some(0), "{figures}");
    let refused = fixture.run(&["bench", "--codec", "lz4", "event.json"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
}

#[test]
fn an_event_is_counted_once_however_often_it_is_invoked() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let runs = [(); 2].map(|()| fixture.json(&["invoke", "event.json"]));
    let [first, second] = &runs;

    let response = json!({ "batchItemFailures": [] });
    assert_eq!((&first["response"], &first["error"], &first["rejected"]), (&response, &Value::Null, &json!([])));
    for run in &runs {
        assert_eq!((&run["records"], &run["durable"], &run["repeated"]), (&json!(2), &json!(2), &json!(0)));
    }
    assert_eq!(first["snapshots"], second["snapshots"]);
    assert_eq!(first["files"][0]["key"], second["files"][0]["key"]);
    assert_eq!((&first["files"][0]["created"], &second["files"][0]["created"]), (&json!(true), &json!(false)));
    insta::assert_json_snapshot!(first["snapshots"]);
    // The function allows 200 ms for metrics and then continues; a busy machine may need longer.
    assert!(runs.iter().any(|run| run["metrics"]["RecordsProcessed"] == json!(2.0)), "{runs:?}");

    let third = fixture.json(&["invoke", "--fresh", "event.json"]);
    assert_eq!((&third["durable"], &third["snapshots"]), (&json!(2), &first["snapshots"]));
}

#[test]
fn invoke_prints_a_readable_report() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let runs = [(); 2].map(|()| fixture.run(&["invoke", "event.json"]));
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
    let fixture = Fixture::new();
    fixture.write("poison.json", &event(&[order(1, json!({ "N": "1" })), order(2, json!({ "S": "free" }))]));
    assert_eq!(fixture.run(&["invoke", "poison.json"]).code, Some(1));
    let report = fixture.json(&["invoke", "poison.json"]);
    assert_eq!(report["response"], json!({ "batchItemFailures": [{ "itemIdentifier": "800000000003126270002" }] }));
    let rejected = &report["rejected"][0];
    assert_eq!(rejected["sequence_number"], json!("800000000003126270002"));
    assert_eq!((&rejected["code"], &rejected["field"]), (&json!("invalid_value"), &json!("NewImage.total")));
    assert_eq!(report["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(fixture.run(&["explain", "poison.json"]).code, Some(1));
}

#[test]
fn a_failed_event_is_reported_and_the_next_one_is_invoked() {
    let fixture = Fixture::new();
    fixture.write("wrong.json", &json!({ "records": [] }));
    fixture.write("event.json", &two_orders());
    let run = fixture.run(&["invoke", "wrong.json", "missing.json", "event.json", "--json"]);
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
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let run = fixture.run(&["explain", "event.json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    insta::assert_snapshot!(run.stdout);
    insta::assert_json_snapshot!(fixture.json(&["explain", "event.json"]));
    assert!(!fixture.0.path().join(".usage").exists());
}

#[test]
fn regression_explain_json_reports_a_refused_event_as_invoke_json_does() {
    let fixture = Fixture::new();
    fixture.write("refused.json", &json!({ "records": [] }));
    for event in ["refused.json", "missing.json"] {
        let explained = fixture.json(&["explain", event]);
        let invoked = fixture.json(&["invoke", event]);
        assert_eq!((&explained["file"], &explained["error"]), (&json!(event), &invoked["error"]), "{explained}");
        assert!(explained["error"]["message"].as_str().unwrap().starts_with("failed to read the event"), "{explained}");
        assert_eq!(fixture.run(&["explain", event, "--json"]).code, Some(1));
    }
}

#[test]
fn stored_rows_and_snapshots_can_be_read() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    let report = fixture.json(&["invoke", "event.json"]);
    let key = report["files"][0]["key"].as_str().unwrap();
    let rows = fixture.run(&["cat", "--limit", "1", key]);
    insta::assert_json_snapshot!(serde_json::from_str::<Value>(&rows.stdout).unwrap());
    assert_eq!(fixture.run(&["cat", &format!("s3://archive/{key}"), "--limit", "1"]).stdout, rows.stdout);
    assert_eq!(fixture.run(&["cat", "data-pipeline/"]).stdout.lines().count(), 2);
    assert!(fixture.run(&["cat", "--schema", key]).stdout.contains("\"logicalType\":\"decimal\""));
    assert_eq!(fixture.run(&["cat", "nothing.avro", "event.json"]).code, Some(1));
    // A path was looked for in the bucket.
    let missing = fixture.run(&["cat", "/nothing.avro"]);
    assert!(missing.stderr.starts_with("error: /nothing.avro: failed to read the file: No such file"), "{missing:?}");
    let elsewhere = fixture.run(&["cat", "--bucket", "nothing", "nothing.avro"]);
    assert!(elsewhere.stderr.contains("no such file, and no object s3://nothing/nothing.avro"), "{elsewhere:?}");

    let filters = ["--entity", "7", "--from", "2026-09-17", "--to", "2026-09-17"];
    insta::assert_snapshot!("snapshots_table", fixture.run(&[&["snapshots"], &filters[..]].concat()).stdout);
    insta::assert_snapshot!("snapshots_json", fixture.run(&["snapshots", "--window", "month", "--json"]).stdout);
    insta::assert_snapshot!("snapshots_plot", fixture.run(&["snapshots", "--plot", "amount"]).stdout);
    assert_eq!(fixture.run(&["snapshots", "--entity", "8", "--json"]).stdout, "");
}

#[test]
fn the_messages_of_an_aggregated_record_are_counted_one_by_one() {
    let fixture = Fixture::new();
    let sample = crate::repository().join("events/kinesis-aggregated.json").display().to_string();
    let runs = [(); 2].map(|()| fixture.json(&["invoke", &sample]));
    for run in &runs {
        assert_eq!((&run["records"], &run["durable"], &run["repeated"]), (&json!(4), &json!(4), &json!(0)), "{run}");
    }
    assert_eq!(runs[0]["snapshots"], runs[1]["snapshots"]);
    let snapshots = runs[0]["snapshots"].as_array().unwrap();
    let mut metres: Vec<&str> = snapshots.iter().map(|snapshot| snapshot["metres"]["N"].as_str().unwrap()).collect();
    metres.sort_unstable();
    assert_eq!(metres, ["11.5", "11.5", "8.5", "8.5"]);
    let key = runs[0]["files"][0]["key"].as_str().unwrap();
    assert_eq!(fixture.run(&["cat", key]).stdout.lines().count(), 4);
}

/// A rejected message is named with its position, and so is a skipped one.
#[test]
fn explain_names_the_message_of_an_aggregated_record() {
    let fixture = Fixture::new();
    let sample = std::fs::read_to_string(crate::repository().join("events/kinesis-aggregated.json")).unwrap();
    let mut event: Value = serde_json::from_str(&sample).unwrap();
    // The messages {} and [].
    event["Records"][0]["kinesis"]["data"] = "84mawgoBYRoGCAAaAnt9GgYIABoCW10YWEsem8MDGvhADS/rqmzp".into();
    fixture.write("event.json", &event);
    let run = fixture.run(&["explain", "event.json", "--pipeline", "alleycat"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    insta::assert_snapshot!(run.stdout);
    let report = fixture.json(&["invoke", "event.json", "--pipeline", "alleycat"]);
    let sequence = &event["Records"][0]["kinesis"]["sequenceNumber"];
    assert_eq!(report["response"]["batchItemFailures"], json!([{ "itemIdentifier": sequence }]), "{report}");
    assert_eq!(
        (&report["rejected"][0]["sequence_number"], &report["rejected"][0]["user_record"]),
        (sequence, &json!(1))
    );
}
