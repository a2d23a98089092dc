//! Reads archive files with an independent library: fastavro, from the venv that `make` builds.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use usage_aggregator::archive::{self, ArchiveUnit, FileDraft, Partition, RecordSchema, UnitLength};
use usage_aggregator::decode::attribute;
use usage_aggregator::record::{Change, ChangeRecord, Image, Item, Origin, RecordId, SequenceNumber};
use usage_aggregator::time::Timestamp;

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

/// The Python interpreter of the venv.
pub fn python() -> PathBuf {
    venv().join("python")
}

/// The folder with the programs of the venv. Builds the venv with `make` if it doesn't exist yet.
pub fn venv() -> &'static Path {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    VENV.get_or_init(|| {
        let root = crate::repository();
        let made = Command::new("make").args(["--silent", ".venv"]).current_dir(root).status().unwrap();
        assert!(made.success(), "make .venv failed");
        root.join(".venv/bin")
    })
}

async fn read_with_fastavro(world: &World) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, body) in world.objects().await.values().enumerate() {
        let path = folder.path().join(format!("{index}.avro"));
        std::fs::write(&path, body).unwrap();
        paths.push(path);
    }
    fastavro(&paths)
}

/// The rows of these files as fastavro reads them.
fn fastavro(paths: &[PathBuf]) -> Vec<Value> {
    let output = Command::new(venv().join("python")).arg("-c").arg(READER).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(crate::repository().join("events").join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn fastavro_reads_every_codec_and_every_row() {
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let world = World::new(&format!("fastavro-{codec}"), "orders").await.with("ARCHIVE_CODEC", codec);
        let outcome =
            world.function().handler.append(&sample("batch-1000.json"), &at("2026-11-21T12:00:00Z")).await.unwrap();
        assert_eq!((outcome.durable, outcome.rejected.len()), (1000, 0));
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
async fn fastavro_reads_the_values_of_the_items() {
    let world = World::new("fastavro-demand", "demand").await;
    let outcome = world.function().handler.append(&sample("demand.json"), &at("2026-11-21T12:00:00Z")).await.unwrap();
    assert_eq!(outcome.rejected, []);
    let mut rows = read_with_fastavro(&world).await;
    rows.sort_by_key(|row| row["sequence_number"].as_str().unwrap().to_owned());
    insta::assert_json_snapshot!(rows);
}

/// A random item with a value for every Avro type, and the row that fastavro must read.
fn random_row(random: &mut fastrand::Rng) -> (Value, Value) {
    let (long, int) = (random.i64(..), random.i32(..));
    let text: String = (0..random.usize(0..20)).map(|_| random.char(' '..'\u{2FFF}')).collect();
    let bytes: Vec<u8> = (0..random.usize(0..20)).map(|_| random.u8(..)).collect();
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    // An exact binary fraction, so that serde_json's inexact parsing of doubles makes no difference.
    let double = f64::from(random.i16(..)) / 8.0;
    let cents = random.i64(-1_000_000_000_000..1_000_000_000_000);
    let decimal = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
    let second = random.i64(0..4_000_000_000);
    let instant = jiff::Timestamp::from_second(second).unwrap();
    let date = instant.strftime("%Y-%m-%d").to_string();
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        random.u32(..),
        random.u16(..),
        random.u16(0..4096),
        random.u16(0..4096),
        random.u64(0..1 << 48)
    );
    let symbol = ["RED", "GREEN"][random.usize(0..2)];
    let item = json!({
        "boolean": { "BOOL": long % 2 == 0 }, "int": { "N": int.to_string() }, "long": { "N": long.to_string() },
        "double": { "N": format!("{double}") }, "string": { "S": text }, "bytes": { "B": base64(&bytes) },
        "fixed": { "B": base64(&int.to_be_bytes()) }, "enum": { "S": symbol },
        "array": { "L": [{ "N": int.to_string() }, { "N": "1E+2" }] },
        "map": { "M": { "k": { "S": text }, "empty": { "S": "" } } },
        "record": { "M": { "a": { "N": "5" } } },
        "union": if random.bool() { json!({ "NULL": true }) } else { json!({ "N": long.to_string() }) },
        "decimal": { "N": decimal }, "date": { "S": date }, "instant": { "S": instant.to_string() }, "uuid": { "S": uuid },
    });
    let union = if item["union"].get("NULL").is_some() { Value::Null } else { long.into() };
    let row = json!({
        "boolean": long % 2 == 0, "int": int, "long": long, "double": double, "string": text, "bytes": base64(&bytes),
        "fixed": base64(&int.to_be_bytes()), "enum": symbol, "array": [int, 100], "map": { "k": text, "empty": "" },
        "record": { "a": 5, "b": "as by default" }, "union": union, "decimal": decimal, "date": date,
        "instant": instant.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(), "uuid": uuid, "absent": null,
    });
    (item, row)
}

#[test]
fn fastavro_reads_random_values_of_every_type() {
    let types = json!({
        "boolean": "boolean", "int": "int", "long": "long", "double": "double", "string": "string", "bytes": "bytes",
        "fixed": { "type": "fixed", "name": "F", "size": 4 },
        "enum": { "type": "enum", "name": "E", "symbols": ["RED", "GREEN"] },
        "array": { "type": "array", "items": "long" }, "map": { "type": "map", "values": "string" },
        "record": { "type": "record", "name": "R", "fields": [
            { "name": "a", "type": "int" }, { "name": "b", "type": "string", "default": "as by default" },
        ] },
        "union": ["null", "long", "string"],
        "decimal": { "type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2 },
        "date": { "type": "int", "logicalType": "date" },
        "instant": { "type": "long", "logicalType": "timestamp-micros" },
        "uuid": { "type": "string", "logicalType": "uuid" },
        "absent": ["null", "string"],
    });
    let fields: Vec<Value> =
        types.as_object().unwrap().iter().map(|(name, node)| json!({ "name": name, "type": node })).collect();
    let schema =
        RecordSchema::parse(&json!({ "type": "record", "name": "Row", "fields": fields }).to_string()).unwrap();
    let record = ChangeRecord {
        id: RecordId([1; 16]),
        sequence: SequenceNumber::parse("1").unwrap(),
        event_id: "e".into(),
        user_record: None,
        created_at: Timestamp::parse("2026-11-21T00:00:00Z").unwrap(),
        source: Origin { stream_arn: "a".into(), name: "t".into() },
        keys: Item::default(),
        change: Change::Insert { new: Image::NotCarried },
    };
    let mut random = fastrand::Rng::with_seed(7);
    let unit = ArchiveUnit::containing(record.created_at, UnitLength::Hour);
    let partition = Partition { date: record.created_at.date(), unit };
    let mut draft = FileDraft::new("row", partition);
    let mut expected = Vec::new();
    for index in 0..500 {
        let (item, row) = random_row(&mut random);
        let item = item.to_string();
        let image = attribute::item(&item).unwrap();
        draft.push(index, |out| archive::encode(&schema, &record, &image, out)).unwrap();
        expected.push(row);
    }
    let folder = tempfile::tempdir().unwrap();
    for codec in archive::Codec::ALL {
        let path = folder.path().join(codec.name());
        std::fs::write(&path, draft.seal(&schema, codec, "p", usize::MAX).unwrap().unwrap().body).unwrap();
        let rows = fastavro(&[path]);
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(&expected) {
            assert_eq!(row, expected, "{}", codec.name());
        }
    }
}
