//! Athena's views and named queries as far as their SQL is portable, on DataFusion, over files that the function wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{python, root, template};

/// A data folder of usagectl.
struct Lake(tempfile::TempDir);

impl Lake {
    fn new() -> Lake {
        Lake(tempfile::tempdir().unwrap())
    }

    fn usagectl(&self, arguments: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_usagectl"))
            .args(["--data", self.0.path().join("data").to_str().unwrap()])
            .args(arguments)
            .current_dir(root())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The rows of each named query.
    fn query(&self, pipeline: &str) -> BTreeMap<String, Vec<Value>> {
        let described = self.0.path().join("template.json");
        std::fs::write(&described, template().to_string()).unwrap();
        let files = self.0.path().join("data/s3/archive/data-pipeline");
        let output = Command::new(python())
            .arg("tests/lake.py")
            .args([described.as_path(), files.as_path(), Path::new(pipeline)])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn sum(rows: &[Value], name: &str) -> i64 {
    rows.iter().map(|row| row[name].as_i64().unwrap()).sum()
}

#[test]
fn a_record_that_lies_in_two_files_is_read_once() {
    let lake = Lake::new();
    // Something of each type, and then a thousand orders.
    lake.usagectl(&["invoke", "events/mixed.json"]);
    let before = sum(&lake.query("orders")["rows_per_day"], "records");
    lake.usagectl(&["invoke", "events/batch-1000.json"]);
    // A redelivery that was cut otherwise: the same rows in another file.
    let event: Value = serde_json::from_str(&super::file("events/batch-1000.json")).unwrap();
    let part = lake.0.path().join("part.json");
    std::fs::write(&part, json!({ "Records": event["Records"].as_array().unwrap()[..100] }).to_string()).unwrap();
    lake.usagectl(&["invoke", part.to_str().unwrap()]);
    let rows = lake.query("orders");
    assert_eq!(sum(&rows["rows_per_day"], "records") - before, 1000);
    assert_eq!(sum(&rows["duplicates"], "duplicates"), 100);
}

#[test]
fn usage_from_the_archive_is_what_the_snapshots_say() {
    let lake = Lake::new();
    lake.usagectl(&["invoke", "events/mixed.json", "events/batch-1000.json"]);
    let usage = &lake.query("orders")["usage_per_entity"];
    assert!(usage.len() > 10);
    let snapshots = lake.usagectl(&["snapshots", "--window", "day", "--json"]);
    let counted: BTreeMap<String, String> = snapshots
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|snapshot| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let day = text(&snapshot["window_start"]);
            let key = format!("{} CUSTOMER#{}", &day[..10], text(&snapshot["entity"]));
            (key, text(&snapshot["measures"]["changes"]))
        })
        .collect();
    let archived: BTreeMap<String, String> = usage
        .iter()
        .map(|row| {
            let key = format!("{} {}", row["partition_date"].as_str().unwrap(), row["customer_key"].as_str().unwrap());
            (key, row["changes"].to_string())
        })
        .collect();
    assert_eq!(archived, counted);
}

#[test]
fn every_pipelines_queries_run() {
    for (pipeline, event) in [("alleycat", "events/kinesis-plain.json"), ("demand", "events/demand.json")] {
        let lake = Lake::new();
        lake.usagectl(&["--pipeline", pipeline, "invoke", event]);
        let rows = lake.query(pipeline);
        assert_eq!(rows["duplicates"], Vec::<Value>::new(), "{pipeline}");
        assert!(sum(&rows["rows_per_day"], "records") > 0 && !rows["usage_per_entity"].is_empty(), "{pipeline}");
    }
}

#[test]
fn named_queries_read_the_last_31_days_however_old_the_archive_is() {
    for (id, query) in super::resources("AWS::Athena::NamedQuery") {
        let sql = query["QueryString"].as_str().unwrap();
        let read = sql.matches("FROM \"").count();
        let recent = "WHERE partition_date >= CAST(current_date - INTERVAL '31' DAY AS varchar)";
        assert!(read > 0 && sql.matches(recent).count() == read, "{id} reads the whole archive: {sql}");
    }
    let lake = Lake::new();
    lake.usagectl(&["invoke", "events/mixed.json"]);
    let recent = lake.query("orders");
    // The same files again, as those of a day long ago.
    let orders = lake.0.path().join("data/s3/archive/data-pipeline/avro/order");
    let newest = std::fs::read_dir(&orders).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let old = orders.join("partition_date=2025-01-01");
    std::fs::create_dir(&old).unwrap();
    for file in std::fs::read_dir(newest).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), old.join(file.file_name())).unwrap();
    }
    assert!(sum(&recent["rows_per_day"], "records") > 0);
    assert_eq!(lake.query("orders"), recent);
}
