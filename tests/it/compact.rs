//! Compacted rows beside raw ones, read with independent libraries: fastavro for the raw files, pyarrow for the Parquet files. And
//! what `usagectl` shows of an archive whose raw files are gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use apache_avro::types::Value as Avro;
use apache_avro::{Decimal, Writer};
use serde_json::{Value, json};
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::time::Timestamp;
use usage_compact::{Archive, Compactor, Effect, RecordType, Timing, raw_units};

use crate::readers::python;
use crate::world::{World, at};

/// Prints the rows of Avro and of Parquet files in one form: instants in microseconds, times of day in milliseconds, decimals as
/// text.
const READER: &str = r#"
import base64, datetime, decimal, fastavro, json, os, pyarrow.parquet, sys, uuid
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
def plain(value):
    if isinstance(value, bytes): return base64.b64encode(value).decode()
    if isinstance(value, (decimal.Decimal, uuid.UUID)): return str(value)
    if isinstance(value, datetime.datetime):
        return (value.replace(tzinfo=value.tzinfo or EPOCH.tzinfo) - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date): return value.isoformat()
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000 + value.microsecond // 1_000
    if isinstance(value, list) and value and all(isinstance(pair, tuple) for pair in value):
        return {key: plain(entry) for key, entry in value}
    if isinstance(value, list): return [plain(item) for item in value]
    if isinstance(value, dict):
        if value and all(key.startswith('member') for key in value):
            return next(plain(member) for member in value.values() if member is not None)
        # An empty map is an empty list of pairs to pyarrow.
        return {key: plain(entry) for key, entry in value.items()} or []
    return value
for path in sys.argv[1:]:
    if path.endswith('.avro'):
        with open(path, 'rb') as file: rows = list(fastavro.reader(file))
    else: rows = pyarrow.parquet.ParquetFile(path).read().to_pylist()
    for row in rows:
        row = {key: plain(value) for key, value in row.items()}
        print(json.dumps({'raw': path.endswith('.avro'), 'row': row}, sort_keys=True))
"#;

/// A job that compacts everything at once.
fn compactor(world: &World) -> Compactor {
    let now = Timestamp::parse("2026-11-28T12:00:00Z").unwrap().seconds();
    Compactor {
        archive: Archive { client: world.s3.clone(), bucket: world.bucket(), prefix: world.name.clone() },
        clock: Arc::new(move || now),
        timing: Timing::Now,
        effect: Effect::Commit,
        memory_bytes: 100_000_000,
    }
}

async fn compact(compactor: &Compactor, name: &str, schema: &RecordSchema) {
    let record_type = RecordType::new(schema).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
    for unit in raw_units(&compactor.archive, name, None).await.unwrap() {
        compactor.compact(&record_type, &unit.key, &|| {}).await.unwrap();
    }
}

/// The rows of all files of a type, raw ones by record id, and compacted ones by record id without the columns of compaction.
async fn rows(world: &World, name: &str) -> [BTreeMap<String, Value>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (index, (key, body)) in world.objects().await.into_iter().enumerate() {
        if key.contains(&format!("/{name}/")) {
            let extension = Path::new(&key).extension().unwrap().to_str().unwrap();
            let path = folder.path().join(format!("{index}.{extension}"));
            std::fs::write(&path, body).unwrap();
            paths.push(path);
        }
    }
    let output = Command::new(python()).arg("-c").arg(READER).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut halves = [BTreeMap::new(), BTreeMap::new()];
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let mut row = line["row"].take();
        let is_raw = line["raw"].as_bool().unwrap();
        if !is_raw {
            let columns = row.as_object_mut().unwrap();
            assert!(columns.remove("unit").unwrap().as_str().unwrap().contains('T'));
            assert_eq!(columns.remove("effective"), Some(json!(1_795_867_200)));
        }
        let id = row["record_id"].as_str().unwrap().to_owned();
        let other = halves[usize::from(!is_raw)].insert(id, row);
        assert!(is_raw || other.is_none(), "{other:?} is there twice");
    }
    halves
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_and_compacted_rows_are_equal_in_every_column() {
    let events: [(&str, &[&str]); 4] = [
        ("orders", &["mixed.json", "insert.json", "modify.json", "batch-1000.json"]),
        ("demand", &["demand.json"]),
        ("alleycat", &["kinesis-plain.json", "kinesis-aggregated.json"]),
        ("zae-limiter", &["zae-limiter.json"]),
    ];
    for (pipeline, events) in events {
        let world = World::new(&format!("compacted-{pipeline}"), pipeline).await;
        let function = world.function();
        for event in events {
            let event = std::fs::read(crate::repository().join("events").join(event)).unwrap();
            function.handler.append(&event, &at("2026-11-21T12:00:00Z")).await.unwrap();
        }
        let parsed = function.handler.pipeline();
        for (name, schema) in parsed.schemas() {
            compact(&compactor(&world), name, schema).await;
            let [raw, compacted] = rows(&world, name).await;
            assert!(!raw.is_empty(), "{name}");
            assert_eq!(raw, compacted, "{name}");
        }
    }
}

/// A schema with every type that an archive can have.
fn every_type() -> RecordSchema {
    let record = json!({ "type": "record", "name": "Part", "fields": [
        { "name": "a", "type": "int" },
        { "name": "b", "type": ["null", "string"] },
        { "name": "list", "type": { "type": "array", "items": ["null", "long"] } },
    ] });
    let fields = json!({
        "boolean": "boolean", "int": "int", "long": "long", "float": "float", "double": "double", "bytes": "bytes",
        "fixed": { "type": "fixed", "name": "F", "size": 3 },
        "symbol": { "type": "enum", "name": "E", "symbols": ["RED", "GREEN"] },
        "decimal": { "type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 6 },
        "small": { "type": { "type": "fixed", "name": "Small", "size": 5 }, "logicalType": "decimal", "precision": 9, "scale": 2 },
        "date": { "type": "int", "logicalType": "date" },
        "millis": { "type": "long", "logicalType": "timestamp-millis" },
        "optional": ["null", "long"], "last": ["double", "null"], "either": ["null", "int", "string"], "nothing": "null",
        "record": record, "maybe": ["null", "Part"],
        "parts": { "type": "array", "items": "Part" },
        "nested": { "type": "array", "items": { "type": "array", "items": "string" } },
        "map": { "type": "map", "values": ["null", "Part"] },
    });
    let mut fields: Vec<Value> =
        fields.as_object().unwrap().iter().map(|(name, node)| json!({ "name": name, "type": node })).collect();
    // Named types are defined before they are used.
    fields.sort_by_key(|field| field["name"] != "record");
    fields.push(json!({ "name": "record_id", "type": "string", "source": "record_id" }));
    let text = json!({ "type": "record", "name": "Row", "fields": fields }).to_string();
    RecordSchema::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn random_value(name: &str, random: &mut fastrand::Rng) -> Avro {
    let text = |random: &mut fastrand::Rng| -> String {
        (0..random.usize(0..6)).map(|_| random.char(' '..'\u{2FFF}')).collect()
    };
    let union = |index: u32, value: Avro| Avro::Union(index, Box::new(value));
    let count = random.usize(0..4);
    match name {
        "boolean" => Avro::Boolean(random.bool()),
        "int" => Avro::Int(random.i32(..)),
        "long" => Avro::Long(random.i64(..)),
        "float" => Avro::Float(f32::from(random.i16(..)) / 8.0),
        "double" => Avro::Double(f64::from(random.i32(..)) / 8.0),
        "bytes" => Avro::Bytes((0..count).map(|_| random.u8(..)).collect()),
        "fixed" => Avro::Fixed(3, (0..3).map(|_| random.u8(..)).collect()),
        "symbol" => {
            if random.bool() {
                Avro::Enum(0, "RED".into())
            } else {
                Avro::Enum(1, "GREEN".into())
            }
        }
        "decimal" => {
            let largest = 10_i128.pow(38) - 1;
            Avro::Decimal(Decimal::from(random.i128(-largest..=largest).to_be_bytes()))
        }
        "small" => {
            let bytes = random.i64(-999_999_999..=999_999_999).to_be_bytes();
            Avro::Decimal(Decimal::from(&bytes[3..]))
        }
        "date" => Avro::Date(random.i32(-10_000..40_000)),
        "millis" => Avro::TimestampMillis(random.i64(0..4_000_000_000_000)),
        "optional" => {
            if random.bool() {
                union(0, Avro::Null)
            } else {
                union(1, Avro::Long(random.i64(..)))
            }
        }
        "last" => {
            if random.bool() {
                union(1, Avro::Null)
            } else {
                union(0, Avro::Double(0.5))
            }
        }
        "either" => match random.u8(0..3) {
            0 => union(0, Avro::Null),
            1 => union(1, Avro::Int(random.i32(..))),
            _ => union(2, Avro::String(text(random))),
        },
        "nothing" => Avro::Null,
        "record" => {
            let b = if random.bool() { union(0, Avro::Null) } else { union(1, Avro::String(text(random))) };
            let items = (0..count).map(|_| random_value("optional", random)).collect();
            let fields = [("a", Avro::Int(random.i32(..))), ("b", b), ("list", Avro::Array(items))];
            Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
        }
        "maybe" => {
            if random.bool() {
                union(0, Avro::Null)
            } else {
                union(1, random_value("record", random))
            }
        }
        "parts" => Avro::Array((0..count).map(|_| random_value("record", random)).collect()),
        "nested" => {
            let inner = |random: &mut fastrand::Rng| {
                Avro::Array((0..random.usize(0..3)).map(|_| Avro::String(text(random))).collect())
            };
            Avro::Array((0..count).map(|_| inner(random)).collect())
        }
        "map" => Avro::Map((0..count).map(|key| (format!("k{key}"), random_value("maybe", random))).collect()),
        "record_id" => Avro::String(format!("{:032x}", random.u128(..))),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_and_compacted_rows_are_equal_in_every_type() {
    let (world, schema) = (World::new("compacted-types", "orders").await, every_type());
    let apache_avro::Schema::Record(record) = schema.parsed() else { panic!() };
    let mut random = fastrand::Rng::with_seed(7);
    let mut writer = Writer::new(schema.parsed(), Vec::new()).unwrap();
    for _ in 0..300 {
        let fields = record.fields.iter().map(|field| (field.name.clone(), random_value(&field.name, &mut random)));
        writer.append_value(Avro::Record(fields.collect())).unwrap();
    }
    let key = "compacted-types/avro/row/partition_date=2026-11-28/2026-11-28T08-00.avro";
    let body = writer.into_inner().unwrap();
    let raw_rows = laptop_rows(&body);
    world.s3.put_object().bucket(world.bucket()).key(key).body(body.into()).send().await.unwrap();
    compact(&compactor(&world), "row", &schema).await;
    let [raw, compacted] = rows(&world, "row").await;
    assert_eq!((raw.len(), compacted.len()), (300, 300));
    for (id, row) in &raw {
        assert_eq!(row, &compacted[id]);
    }
    // What usagectl shows.
    let objects = world.objects().await;
    let (_, parquet) = objects.iter().find(|(key, _)| key.ends_with(".parquet")).unwrap();
    assert_eq!(raw_rows, laptop_rows(parquet));
}

/// The rows as `usagectl cat` prints them, by record id.
fn laptop_rows(body: &[u8]) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    usage_compact::readable::read_rows(body, usize::MAX, |row| {
        rows.insert(row["record_id"].as_str().unwrap().to_owned(), row);
        Ok(())
    })
    .unwrap();
    rows
}

/// Runs usagectl on a data folder.
fn usagectl(data: &Path, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_usagectl"))
        .current_dir(crate::repository())
        .arg("--data")
        .arg(data)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn cat_and_reconcile_read_compacted_rows_when_the_raw_files_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (done, _, errors) = usagectl(&data, &["--pipeline", "orders", "invoke", "events/insert.json"]);
    assert!(done, "{errors}");
    let reconciled = || {
        let (_, found, errors) = usagectl(&data, &["--pipeline", "orders", "reconcile", "--archive", "--json"]);
        let found: Value = serde_json::from_str(found.trim()).unwrap_or_else(|_| panic!("{found}{errors}"));
        let mut archived = found["archived"].clone();
        assert!(archived["records"].as_u64().is_some_and(|records| records > 0), "{found}{errors}");
        archived["repeated_rows"] = Value::Null;
        archived["files"] = Value::Null;
        archived
    };
    let before = reconciled();
    let (done, table, errors) = usagectl(&data, &["--pipeline", "orders", "--json", "compact", "--local", "--now"]);
    assert!(done, "{errors}");
    assert!(table.contains("\"type\":\"order\""), "{table}");
    let (_, raw, note) = usagectl(&data, &["cat", "data-pipeline/avro/order/"]);
    assert!(note.contains("the rows of compacted hours are in s3://archive/data-pipeline/parquet/order/"), "{note}");
    std::fs::remove_dir_all(data.join("s3/archive/data-pipeline/avro")).unwrap();
    let (done, compacted, errors) = usagectl(&data, &["cat", "data-pipeline/parquet/order/"]);
    assert!(done, "{errors}");
    let distinct = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((distinct(&raw), compacted.lines().count()), (distinct(&compacted), distinct(&compacted).len()));
    assert_eq!(before, reconciled());
}

#[test]
fn regression_a_unit_that_fails_stops_no_other_and_a_dry_run_names_every_file_that_it_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (done, _, errors) = usagectl(&data, &["--pipeline", "orders", "invoke", "events/insert.json"]);
    assert!(done, "{errors}");
    // Two files of an earlier unit, of which nothing can be read.
    let earlier = data.join("s3/archive/data-pipeline/avro/order/partition_date=2020-01-01");
    std::fs::create_dir_all(&earlier).unwrap();
    let keys = ["0", "1"].map(|number| format!("2020-01-01T08-{number}.avro"));
    keys.iter().for_each(|key| std::fs::write(earlier.join(key), b"damaged").unwrap());
    let compact = |more: &[&str]| {
        let command = ["--pipeline", "orders", "compact", "--local", "--now", "--type", "order"];
        let (done, table, errors) = usagectl(&data, &[&command, more].concat());
        assert!(!done, "{table}{errors}");
        (table, errors)
    };
    let named = |errors: &str| keys.iter().filter(|key| errors.contains(key.as_str())).count();
    let (dry, errors) = compact(&["--dry-run"]);
    assert!(dry.contains("order") && named(&errors) == 2, "{dry}{errors}");
    assert!(errors.contains("error: order 2020-01-01 2020-01-01T08: read s3://archive/"), "{errors}");
    let (json, _) = compact(&["--dry-run", "--json"]);
    let json: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!((json["parquet_files"].as_u64(), json["failed"].as_array().map(Vec::len)), (Some(1), Some(2)), "{json}");
    assert_eq!(json["failed"][0]["unit"], json!("order 2020-01-01 2020-01-01T08"));
    let (_, errors) = compact(&[]);
    assert_eq!(named(&errors), 1, "{errors}");
    let compacted = std::fs::read_dir(data.join("s3/archive/data-pipeline/parquet/order")).unwrap().count();
    assert_eq!(compacted, 1, "the unit behind it");
}
