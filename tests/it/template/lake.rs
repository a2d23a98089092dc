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
        serde_json::from_value(self.run(pipeline, &[])).unwrap()
    }

    /// The record ids that the view of orders shows of a date at a time, in order, and the plan of that query.
    fn orders(&self, at: i64, date: &str) -> (Vec<String>, String) {
        let answer = self.run("orders", &[&at.to_string(), date]);
        let rows = answer["order_once"]["rows"].as_array().unwrap();
        let mut ids: Vec<String> = rows.iter().map(|row| row["record_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        (ids, answer["order_once"]["plan"].as_str().unwrap().to_owned())
    }

    fn folder(&self, kind: &str) -> std::path::PathBuf {
        self.0.path().join("data/s3/archive/data-pipeline").join(kind).join("order")
    }

    fn run(&self, pipeline: &str, more: &[&str]) -> Value {
        let described = self.0.path().join("template.json");
        std::fs::write(&described, template().to_string()).unwrap();
        let files = self.0.path().join("data/s3/archive/data-pipeline");
        let output = Command::new(python())
            .arg("tests/lake.py")
            .args([described.as_path(), files.as_path(), Path::new(pipeline)])
            .args(more)
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
    let events =
        [("alleycat", "kinesis-plain"), ("api-usage", "api-usage"), ("demand", "demand"), ("findings", "findings")];
    for (pipeline, event) in events {
        let lake = Lake::new();
        lake.usagectl(&["--pipeline", pipeline, "invoke", &format!("events/{event}.json")]);
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

fn now() -> i64 {
    event_source_mapping::now().unwrap().seconds()
}

/// A file with an event of these records.
fn event(lake: &Lake, name: &str, records: &[Value]) -> String {
    let path = lake.0.path().join(name);
    std::fs::write(&path, json!({ "Records": records }).to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_row_is_read_once_whether_its_hour_is_open_or_closed() {
    const DATE: &str = "2026-11-20";
    let lake = Lake::new();
    let batch: Value = serde_json::from_str(&super::file("events/batch-1000.json")).unwrap();
    let all = batch["Records"].as_array().unwrap().iter().cloned().enumerate();
    let (late, first): (Vec<_>, Vec<_>) = all.partition(|(index, _)| index % 10 == 0);
    let [late, first] = [late, first].map(|part| part.into_iter().map(|(_, record)| record).collect::<Vec<Value>>());
    lake.usagectl(&["invoke", &event(&lake, "first.json", &first)]);
    let open = lake.orders(now(), DATE).0;
    assert!(open.len() > 100 && open.is_sorted_by(|one, next| one < next), "{}", open.len());
    lake.usagectl(&["--pipeline", "orders", "compact", "--local"]);
    // Half an hour later, the Parquet files take effect.
    let (before, after) = (now() + 60, now() + 7_200);
    assert_eq!((lake.orders(before, DATE).0, lake.orders(after, DATE).0), (open.clone(), open.clone()));
    // A redelivery that was cut otherwise repeats rows of closed hours.
    lake.usagectl(&["invoke", &event(&lake, "again.json", &first[..100])]);
    assert_eq!((lake.orders(before, DATE).0, lake.orders(after, DATE).0), (open.clone(), open.clone()));
    // Late rows are seen until the hour's first file takes effect, and again once theirs has.
    lake.usagectl(&["invoke", &event(&lake, "late.json", &late)]);
    let both = lake.orders(before, DATE).0;
    assert!(both.len() > open.len(), "{}", both.len());
    assert_eq!(lake.orders(after, DATE).0, open);
    lake.usagectl(&["--pipeline", "orders", "compact", "--local"]);
    assert_eq!((lake.orders(before, DATE).0, lake.orders(after, DATE).0), (both.clone(), both.clone()));
    // A day later, the raw files are deleted.
    std::fs::remove_dir_all(lake.folder("avro")).unwrap();
    std::fs::create_dir(lake.folder("avro")).unwrap();
    assert_eq!(lake.orders(after, DATE).0, both);
}

#[test]
fn a_filter_on_the_date_prunes_every_scan_of_the_view() {
    let lake = Lake::new();
    lake.usagectl(&["invoke", "events/batch-1000.json"]);
    lake.usagectl(&["--pipeline", "orders", "compact", "--local", "--now"]);
    // The same files again, as those of a day long ago.
    for kind in ["avro", "parquet"] {
        let newest = std::fs::read_dir(lake.folder(kind)).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
        let old = lake.folder(kind).join("partition_date=2025-01-01");
        std::fs::create_dir(&old).unwrap();
        for file in std::fs::read_dir(newest).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), old.join(file.file_name())).unwrap();
        }
    }
    let (ids, plan) = lake.orders(now() + 7_200, "2026-11-20");
    assert!(!ids.is_empty() && !plan.contains("partition_date=2025-01-01"), "{plan}");
    // Closed rows, raw rows, and the closed units.
    let scans = |kind: &str| plan.matches(&format!("/{kind}/order/partition_date=2026-11-20")).count();
    assert!(scans("parquet") >= 2 && scans("avro") >= 1, "{plan}");
}
