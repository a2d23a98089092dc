//! docs/lake.md: its snippets read each change once, and its table of codecs is right.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, event, order};
use crate::readers::python;

fn document() -> PathBuf {
    crate::repository().join("docs/lake.md")
}

/// The Avro files of orders in a data folder, by date and name.
fn raw_orders(fixture: &Fixture) -> Vec<PathBuf> {
    let folder = fixture.0.path().join(".usage/s3/archive/data-pipeline/avro/order");
    let dates = std::fs::read_dir(folder).unwrap().map(|date| date.unwrap().path());
    let mut files: Vec<PathBuf> =
        dates.flat_map(|date| std::fs::read_dir(date).unwrap().map(|file| file.unwrap().path())).collect();
    files.sort();
    files
}

fn invoke(fixture: &Fixture, codec: &str, event: &Path) {
    let mut command = fixture.command(&["invoke", "--pipeline", "orders", event.to_str().unwrap()]);
    let run: Run = command.env("ARCHIVE_CODEC", codec).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{run:?}");
}

/// What the snippets print, by engine.
fn snippets(fixture: &Fixture, arguments: &[&str]) -> Value {
    let archive = fixture.0.path().join(".usage/s3/archive/data-pipeline");
    std::os::unix::fs::symlink(archive, fixture.0.path().join("lake")).unwrap();
    let (script, document) = (crate::repository().join("tests/lake_doc.py"), document());
    let script = [script.to_str().unwrap(), document.to_str().unwrap()];
    run_python(fixture.0.path(), &[&script[..], arguments].concat())
}

/// The same of each engine.
fn by_engine(expected: &Value) -> Value {
    let engines = ["DataFusion", "DuckDB", "PyArrow", "pandas", "polars"];
    Value::Object(engines.map(|engine| (engine.to_owned(), expected.clone())).into_iter().collect())
}

/// The raw rows of orders.
fn raw_rows(fixture: &Fixture) -> Vec<Value> {
    let files = raw_orders(fixture);
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    let printed = fixture.run(&[&["cat"][..], &files].concat());
    printed.stdout.lines().map(|row| serde_json::from_str(row).unwrap()).collect()
}

fn run_python(folder: &Path, arguments: &[&str]) -> Value {
    let run: Run = Command::new(python()).args(arguments).current_dir(folder).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn each_snippet_reads_each_change_once_from_compacted_and_from_raw_rows() {
    let (fixture, events) = (Fixture::new(), crate::repository().join("events"));
    invoke(&fixture, "zstandard", &events.join("batch-1000.json"));
    let compacted = fixture.run(&["--pipeline", "orders", "compact", "--local", "--now"]);
    assert_eq!(compacted.code, Some(0), "{compacted:?}");
    // A redelivery that was cut otherwise repeats compacted rows, and another event has rows that aren't compacted.
    let event: Value = serde_json::from_slice(&std::fs::read(events.join("batch-1000.json")).unwrap()).unwrap();
    fixture.write("part.json", &json!({ "Records": event["Records"].as_array().unwrap()[..100] }));
    invoke(&fixture, "zstandard", &fixture.0.path().join("part.json"));
    invoke(&fixture, "zstandard", &events.join("mixed.json"));

    let rows = raw_rows(&fixture);
    let distinct: BTreeSet<String> = rows.iter().map(|row| row["record_id"].to_string()).collect();
    assert!(rows.len() >= distinct.len() + 100 && distinct.len() > 1_000, "{} {}", rows.len(), distinct.len());
    assert_eq!(snippets(&fixture, &[]), by_engine(&json!([format!("{}\n", distinct.len())])));
}

#[test]
fn regression_the_snippets_read_files_of_two_schemas() {
    let fixture = Fixture::new();
    fixture.write_orders(str::to_owned);
    let schema = fixture.0.path().join("orders/order.avsc");
    let run = |arguments: &[&str]| {
        let run = fixture.run(&[&["--pipeline-dir", "orders"], arguments].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
    };
    let on_day = |day: u32| {
        let mut order = order(day, json!({ "N": "1" }));
        order["dynamodb"]["ApproximateCreationDateTime"] = json!(1_789_651_660 + day * 86_400);
        fixture.write("event.json", &event(&[order]));
        run(&["invoke", "event.json"]);
    };
    // The orders of days 1 and 2 are compacted, each with another schema, and those of days 3 and 4 aren't.
    on_day(1);
    run(&["compact", "--local", "--now"]);
    let before = std::fs::read_to_string(&schema).unwrap();
    let field = r#"{ "name": "channel", "type": "string", "default": "web" }, { "name": "status""#;
    std::fs::write(&schema, before.replacen(r#"{ "name": "status""#, field, 1)).unwrap();
    on_day(2);
    run(&["compact", "--local", "--now"]);
    on_day(3);
    std::fs::write(&schema, before).unwrap();
    on_day(4);

    let rows = raw_rows(&fixture);
    let with_channel = rows.iter().filter(|row| row["channel"] == "web");
    let with_channel: BTreeSet<&str> = with_channel.map(|row| row["record_id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), with_channel.len()), (4, 2), "{rows:#?}");
    assert_eq!(snippets(&fixture, &["channel"]), by_engine(&json!(["4\n", with_channel])));
}

#[test]
fn the_table_of_codecs_is_right() {
    let codecs = ["null", "deflate", "snappy", "zstandard"];
    let fixtures = codecs.map(|codec| {
        let fixture = Fixture::new();
        invoke(&fixture, codec, &crate::repository().join("events/batch-1000.json"));
        fixture
    });
    let files: Vec<String> = codecs
        .iter()
        .zip(&fixtures)
        .map(|(codec, fixture)| format!("{codec}={}", raw_orders(fixture).last().unwrap().display()))
        .collect();
    let script = crate::repository().join("tests/lake_codecs.py");
    let mut arguments = vec![script.to_str().unwrap()];
    arguments.extend(files.iter().map(String::as_str));
    let found: BTreeMap<String, BTreeSet<String>> =
        serde_json::from_value(run_python(fixtures[0].0.path(), &arguments)).unwrap();
    let text = std::fs::read_to_string(document()).unwrap();
    for (reader, read) in found {
        let row = text.lines().find(|line| line.starts_with(&format!("| {reader} "))).unwrap();
        let cells = row.split('|').skip(2).map(str::trim);
        let listed: BTreeSet<String> =
            codecs.iter().zip(cells).filter(|(_, cell)| *cell == "yes").map(|(codec, _)| (*codec).to_owned()).collect();
        assert_eq!(listed, read, "{reader}");
    }
}
