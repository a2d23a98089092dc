//! Files read by other people's code: fastavro, from the venv that `make` builds.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::world::{World, at};

const READER: &str = r#"
import base64, datetime, decimal, fastavro, json, sys, uuid
def plain(value):
    if isinstance(value, bytes): return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)): return str(value)
    if isinstance(value, (datetime.date, datetime.time, datetime.datetime)): return value.isoformat()
    raise TypeError(type(value))
for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        for row in fastavro.reader(file):
            print(json.dumps(row, default=plain, sort_keys=True))
"#;

/// The venv's Python; a plain `cargo test` on a new machine lets make build it.
fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new("make").args(["--silent", ".venv"]).current_dir(root).status().unwrap();
    assert!(made.success(), "make .venv failed");
    root.join(".venv/bin/python")
}

async fn read_with_fastavro(world: &World) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, body) in world.objects().await.values().enumerate() {
        let path = folder.path().join(format!("{index}.avro"));
        std::fs::write(&path, body).unwrap();
        paths.push(path);
    }
    let output = Command::new(python()).arg("-c").arg(READER).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fastavro_reads_every_codec_and_every_row() {
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let world = World::new(&format!("fastavro-{codec}"), "orders").await.with("ARCHIVE_CODEC", codec);
        let outcome =
            world.function().handler.handle(&sample("batch-1000.json"), &at("2026-11-21T12:00:00Z")).await.unwrap();
        assert_eq!((outcome.applied, outcome.rejected.len()), (1000, 0));
        let ours = world.rows().await;
        let mut theirs = read_with_fastavro(&world).await;
        let mut ids: Vec<String> = theirs.iter().map(|row| row["record_id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!((ids.len(), ours.len(), theirs.len()), (1000, 1000, 1000), "{codec}");
        let mut sequences: Vec<String> = ours.iter().map(|row| crate::world::text(row, "sequence_number")).collect();
        sequences.sort();
        theirs.sort_by_key(|row| row["sequence_number"].as_str().unwrap().to_owned());
        assert!(sequences.iter().zip(&theirs).all(|(ours, theirs)| *ours == theirs["sequence_number"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fastavro_reads_the_values_that_the_table_has() {
    let world = World::new("fastavro-demand", "demand").await;
    let outcome = world.function().handler.handle(&sample("demand.json"), &at("2026-11-21T12:00:00Z")).await.unwrap();
    assert_eq!(outcome.rejected, []);
    let mut rows = read_with_fastavro(&world).await;
    rows.sort_by_key(|row| row["sequence_number"].as_str().unwrap().to_owned());
    insta::assert_json_snapshot!(rows);
}
