//! docs/lake.md: its snippets read each change once, and its table of codecs is right.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run};
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

    let keys: Vec<PathBuf> = raw_orders(&fixture);
    let printed =
        fixture.run(&[&["cat"][..], &keys.iter().map(|key| key.to_str().unwrap()).collect::<Vec<_>>()].concat());
    let ids = printed.stdout.lines().map(|row| serde_json::from_str::<Value>(row).unwrap()["record_id"].to_string());
    let (all, distinct): (Vec<String>, BTreeSet<String>) = (ids.clone().collect(), ids.collect());
    assert!(all.len() >= distinct.len() + 100 && distinct.len() > 1_000, "{} {}", all.len(), distinct.len());

    std::os::unix::fs::symlink(fixture.0.path().join(".usage/s3/archive/data-pipeline"), fixture.0.path().join("lake"))
        .unwrap();
    let script = crate::repository().join("tests/lake_doc.py");
    let output = run_python(fixture.0.path(), &[script.to_str().unwrap(), document().to_str().unwrap()]);
    let expected = json!([format!("{}\n", distinct.len())]);
    let engines = ["DataFusion", "DuckDB", "PyArrow", "pandas", "polars"];
    assert_eq!(
        output,
        Value::Object(engines.map(|engine| (engine.to_owned(), expected.clone())).into_iter().collect())
    );
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
