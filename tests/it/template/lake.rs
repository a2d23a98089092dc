//! Athena's views and named queries as far as their SQL is portable, on DataFusion, over files that the function wrote.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{python, root, template};

/// A data folder of usagectl.
pub struct Lake(pub tempfile::TempDir);

impl Lake {
    pub fn new() -> Lake {
        Lake(tempfile::tempdir().unwrap())
    }

    pub fn usagectl(&self, arguments: &[&str]) -> String {
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

    pub fn folder(&self, kind: &str) -> std::path::PathBuf {
        self.0.path().join("data/s3/archive/data-pipeline").join(kind).join("order")
    }

    fn run(&self, pipeline: &str, more: &[&str]) -> Value {
        self.run_with(template(), pipeline, more)
    }

    pub fn run_with(&self, template: &Value, pipeline: &str, more: &[&str]) -> Value {
        let described = self.0.path().join("template.json");
        std::fs::write(&described, template.to_string()).unwrap();
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
fn duplicates_and_late_rows_are_found_in_raw_and_in_compacted_files() {
    let lake = Lake::new();
    let batch: Value = serde_json::from_str(&super::file("events/batch-1000.json")).unwrap();
    let records = batch["Records"].as_array().unwrap();
    // What a query finds of the orders in one kind of file.
    let found = |query: &str, files: &str, name: &str| {
        let rows = lake.query("orders").remove(query).unwrap();
        let is_wanted = |row: &Value| row["record_type"] == "order" && row["files"] == files;
        sum(&rows.into_iter().filter(is_wanted).collect::<Vec<_>>(), name)
    };
    let late = |files: &str| found("late_data", files, "row_count");
    let copies = |files: &str| found("duplicates", files, "duplicates");
    // Something of each type. All of it is from days that have ended long ago.
    lake.usagectl(&["invoke", "events/mixed.json"]);
    let mixed = late("raw");
    lake.usagectl(&["invoke", &event(&lake, "first.json", &records[..900])]);
    lake.usagectl(&["invoke", &event(&lake, "again.json", &records[800..900])]);
    assert_eq!((copies("raw"), copies("compacted")), (100, 0));
    assert_eq!((late("raw"), late("compacted")), (mixed + 1_000, 0));
    lake.usagectl(&["--pipeline", "orders", "compact", "--local"]);
    assert_eq!((copies("raw"), copies("compacted")), (100, 0));
    assert_eq!((late("raw"), late("compacted")), (mixed + 1_000, mixed + 900));
    // Rows that arrive after their hours were compacted.
    lake.usagectl(&["invoke", &event(&lake, "late.json", &records[900..])]);
    lake.usagectl(&["--pipeline", "orders", "compact", "--local"]);
    assert_eq!((copies("raw"), copies("compacted"), late("compacted")), (100, 0, mixed + 1_000));
    // A day later, the raw files are deleted.
    std::fs::remove_dir_all(lake.folder("avro")).unwrap();
    std::fs::create_dir(lake.folder("avro")).unwrap();
    assert_eq!((copies("raw"), copies("compacted")), (0, 0));
    assert_eq!((late("raw"), late("compacted")), (0, mixed + 1_000));
}

#[test]
fn rows_in_time_are_not_late_and_rows_of_a_compacted_hour_are() {
    let lake = Lake::new();
    lake.usagectl(&["invoke", "events/mixed.json"]);
    let batch: Value = serde_json::from_str(&super::file("events/batch-1000.json")).unwrap();
    let mut records = batch["Records"].as_array().unwrap().clone();
    let created = event_source_mapping::now().unwrap();
    let seconds = json!(created.seconds());
    records.iter_mut().for_each(|record| record["dynamodb"]["ApproximateCreationDateTime"] = seconds.clone());
    let late = || -> Vec<Value> {
        let rows = lake.query("orders").remove("late_data").unwrap().into_iter();
        rows.filter(|row| row["partition_date"] == created.date().to_string()).collect()
    };
    lake.usagectl(&["invoke", &event(&lake, "first.json", &records[..900])]);
    lake.usagectl(&["--pipeline", "orders", "compact", "--local", "--now"]);
    assert_eq!(late(), Vec::<Value>::new());
    lake.usagectl(&["invoke", &event(&lake, "late.json", &records[900..])]);
    lake.usagectl(&["--pipeline", "orders", "compact", "--local", "--now"]);
    let found = late();
    let listed: Vec<_> = found.iter().map(|row| (row["files"].as_str().unwrap(), row["row_count"].as_i64())).collect();
    assert_eq!(listed, [("compacted", Some(100))]);
    assert!(found[0]["file"].as_str().unwrap().ends_with("-001.parquet"), "{found:?}");
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

/// The shipped pipelines that archive, each with a sample event.
fn shipped() -> Vec<(String, String)> {
    let folders = std::fs::read_dir(root().join("schemas")).unwrap().map(|entry| entry.unwrap().path());
    let mut shipped: Vec<_> = folders
        .filter(|folder| folder.join("pipeline.toml").exists())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .map(|pipeline| {
            let event = match pipeline.as_str() {
                "orders" => "mixed",
                "alleycat" => "kinesis-plain",
                other => other,
            };
            (pipeline.clone(), format!("events/{event}.json"))
        })
        .collect();
    shipped.sort();
    assert!(shipped.len() >= 5, "{shipped:?}");
    shipped
}

#[test]
fn every_pipelines_queries_run() {
    for (pipeline, event) in shipped() {
        let lake = Lake::new();
        lake.usagectl(&["--pipeline", &pipeline, "invoke", &event]);
        let rows = lake.query(&pipeline);
        assert_eq!(rows["duplicates"], Vec::<Value>::new(), "{pipeline}");
        assert!(sum(&rows["rows_per_day"], "records") > 0, "{pipeline}");
        let has_usage = root().join("schemas").join(&pipeline).join("usage.sql").exists();
        assert_eq!(rows.get("usage_per_entity").is_some_and(|rows| !rows.is_empty()), has_usage, "{pipeline}");
    }
}

/// Columns and their types.
type Columns = Vec<(String, String)>;

#[test]
fn datafusion_reads_every_pipelines_files_with_the_declared_types() {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tables = super::resources("AWS::Glue::Table").into_iter().map(|(_, table)| &table["TableInput"]);
    let tables = tables.filter(|table| table["TableType"] == "EXTERNAL_TABLE");
    let mut declared: BTreeMap<String, Columns> = tables
        .map(|table| {
            let columns = table["StorageDescriptor"]["Columns"].as_array().unwrap();
            (
                text(&table["Name"]),
                columns.iter().map(|column| (text(&column["Name"]), text(&column["Type"]))).collect(),
            )
        })
        .collect();
    for (pipeline, event) in shipped() {
        let lake = Lake::new();
        lake.usagectl(&["--pipeline", &pipeline, "invoke", &event]);
        lake.usagectl(&["--pipeline", &pipeline, "compact", "--local", "--now"]);
        let found: BTreeMap<String, Columns> = serde_json::from_value(lake.run(&pipeline, &["types"])).unwrap();
        for (table, columns) in found {
            let columns: Columns = columns.into_iter().map(|(name, kind)| (name.to_lowercase(), kind)).collect();
            assert_eq!(Some(columns), declared.remove(&table), "{table}");
        }
    }
    // The events have rows of every type that is shipped.
    assert_eq!(declared.keys().collect::<Vec<_>>(), [""; 0]);
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

pub fn now() -> i64 {
    event_source_mapping::now().unwrap().seconds()
}

/// A file with an event of these records.
fn event(lake: &Lake, name: &str, records: &[Value]) -> String {
    let path = lake.0.path().join(name);
    std::fs::write(&path, json!({ "Records": records }).to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_row_is_read_once_whether_its_hour_is_open_or_compacted() {
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
    // A redelivery that was cut otherwise repeats rows of compacted hours.
    lake.usagectl(&["invoke", &event(&lake, "again.json", &first[..100])]);
    assert_eq!((lake.orders(before, DATE).0, lake.orders(after, DATE).0), (open.clone(), open.clone()));
    // Late rows are seen in their raw files, a day later, too, until their own Parquet file takes effect.
    lake.usagectl(&["invoke", &event(&lake, "late.json", &late)]);
    let both = lake.orders(before, DATE).0;
    assert!(both.len() > open.len(), "{}", both.len());
    assert_eq!((lake.orders(after, DATE).0, lake.orders(after + 86_400, DATE).0), (both.clone(), both.clone()));
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
    // Compacted rows, raw rows, and the compacted units.
    let scans = |kind: &str| plan.matches(&format!("/{kind}/order/partition_date=2026-11-20")).count();
    assert!(scans("parquet") >= 2 && scans("avro") >= 1, "{plan}");
}
