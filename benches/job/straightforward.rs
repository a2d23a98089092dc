//! A typical Rust implementation: a handler of `LambdaEvent<Event>` under lambda_runtime, aws_lambda_events' types, serde_dynamo
//! into a struct, apache_avro's serde writer, counters in a hash map. It does the same job as ours on the workloads, without
//! what makes ours exact: no claims, floats for amounts, no rejection of single records. `Rows` are the same rows ready to be
//! written, for timing the Avro writer alone.

use std::collections::{BTreeMap, HashMap};

use apache_avro::{Codec, DeflateSettings, Schema, Writer, ZstandardSettings};
use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::kinesis::KinesisEvent;
use lambda_runtime::{Context, LambdaEvent};
use miniz_oxide::deflate::CompressionLevel;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_dynamo::Item;

use crate::workloads::Workload;

/// The job with `schema` for its rows: the files by date, and the counters by entity and hour.
pub fn job(workload: Workload, schema: &Schema, event: &[u8], codec: Codec) -> usize {
    let records = records(workload, event);
    match workload {
        Workload::Bucket => written::<Bucket>(records, schema, codec),
        Workload::Demand | Workload::DemandKinesis => written::<Order>(records, schema, codec),
        Workload::Racer => written::<Racer>(records, schema, codec),
    }
}

/// The usual choice, at zlib's default level; the library's default takes several times as long.
pub fn deflate() -> Codec {
    Codec::Deflate(DeflateSettings::new(CompressionLevel::DefaultLevel))
}

pub fn zstandard() -> Codec {
    Codec::Zstandard(ZstandardSettings::new(3))
}

fn records(workload: Workload, event: &[u8]) -> Vec<EventRecord> {
    match workload {
        Workload::DemandKinesis => {
            let event = delivered::<KinesisEvent>(event).payload;
            event.records.iter().map(|record| serde_json::from_slice(&record.kinesis.data).expect("a change")).collect()
        }
        _ => delivered::<Event>(event).payload.records,
    }
}

/// The event as lambda_runtime 1.5 passes it to a handler, through serde_path_to_error.
fn delivered<T: DeserializeOwned>(body: &[u8]) -> LambdaEvent<T> {
    let deserializer = &mut serde_json::Deserializer::from_slice(body);
    let payload = serde_path_to_error::deserialize(deserializer).expect("an event of this service");
    LambdaEvent::new(payload, Context::default())
}

/// A row, and what it counts.
trait Row: Serialize + for<'de> Deserialize<'de> {
    fn counted(&self) -> Vec<(&'static str, f64)>;
    fn entity(&self) -> String;
    fn describe(&mut self, description: Description);
}

struct Description {
    record_id: String,
    event_name: EventName,
    sequence_number: String,
    created_at: i64,
}

fn written<R: Row>(records: Vec<EventRecord>, schema: &Schema, codec: Codec) -> usize {
    let mut counters: HashMap<(String, String, &'static str), f64> = HashMap::new();
    let files = counted::<R>(records, &mut counters);
    files.values().map(|rows| write(rows, schema, codec)).sum::<usize>() + counters.len()
}

fn write<R: Row>(rows: &[R], schema: &Schema, codec: Codec) -> usize {
    let mut writer = Writer::with_codec(schema, Vec::new(), codec).expect("a schema that can be written");
    for row in rows {
        writer.append_ser(row).expect("a row of the schema");
    }
    writer.into_inner().expect("a file").len()
}

/// The rows of an event, and how they are written without a codec.
pub struct Rows(Box<dyn Fn(&Schema) -> usize>);

impl Rows {
    pub fn of(workload: Workload, event: &[u8]) -> Rows {
        let records = records(workload, event);
        match workload {
            Workload::Bucket => Rows::ready::<Bucket>(records),
            Workload::Demand | Workload::DemandKinesis => Rows::ready::<Order>(records),
            Workload::Racer => Rows::ready::<Racer>(records),
        }
    }

    fn ready<R: Row + 'static>(records: Vec<EventRecord>) -> Rows {
        let files = counted::<R>(records, &mut HashMap::new());
        Rows(Box::new(move |schema| files.values().map(|rows| write(rows, schema, Codec::Null)).sum()))
    }

    pub fn write(&self, schema: &Schema) -> usize {
        (self.0)(schema)
    }
}

/// The rows by date; their amounts are added to `counters`.
fn counted<R: Row>(
    records: Vec<EventRecord>,
    counters: &mut HashMap<(String, String, &'static str), f64>,
) -> BTreeMap<String, Vec<R>> {
    let mut files: BTreeMap<String, Vec<R>> = BTreeMap::new();
    for record in records {
        let change = record.change;
        let created_at = change.approximate_creation_date_time;
        let newest = if record.event_name == "REMOVE" { &change.old_image } else { &change.new_image };
        let mut row: R = read(newest);
        let old: Option<R> =
            (record.event_name == "MODIFY" && !change.old_image.is_empty()).then(|| read(&change.old_image));
        row.describe(Description {
            record_id: record.event_id,
            event_name: EventName::of(&record.event_name),
            sequence_number: change.sequence_number.unwrap_or_default(),
            created_at: created_at.timestamp_micros(),
        });
        for (measure, amount) in row.counted() {
            let before =
                old.iter().flat_map(Row::counted).find(|(name, _)| *name == measure).map_or(0.0, |(_, old)| old);
            for window in ["%Y-%m-%dT%H", "%Y-%m-%d"] {
                let key = (row.entity(), created_at.format(window).to_string(), measure);
                *counters.entry(key).or_default() += amount - before;
            }
        }
        files.entry(created_at.format("%Y-%m-%d").to_string()).or_default().push(row);
    }
    files
}

fn read<R: Row>(image: &Item) -> R {
    serde_dynamo::from_item(image.clone()).expect("an item of the workload")
}

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventName {
    #[default]
    Insert,
    Modify,
    Remove,
}

impl EventName {
    fn of(name: &str) -> EventName {
        match name {
            "INSERT" => EventName::Insert,
            "MODIFY" => EventName::Modify,
            _ => EventName::Remove,
        }
    }
}

macro_rules! row {
    ($name:ident { $($field:ident: $kind:ty $(= $attribute:literal)?),* $(,)? }) => {
        #[derive(Debug, Serialize, Deserialize)]
        struct $name {
            #[serde(default)]
            record_id: String,
            #[serde(default)]
            event_name: EventName,
            #[serde(default)]
            sequence_number: String,
            #[serde(default)]
            created_at: i64,
            $($(#[serde(rename(deserialize = $attribute))])? $field: $kind,)*
        }

        impl $name {
            fn set(&mut self, description: Description) {
                self.record_id = description.record_id;
                self.event_name = description.event_name;
                self.sequence_number = description.sequence_number;
                self.created_at = description.created_at;
            }
        }
    };
}

row!(Bucket {
    entity_id: String,
    resource: String,
    rf: i64,
    shard_count: i32,
    cascade: bool,
    parent_id: Option<String>,
    rpm_tk: i64 = "b_rpm_tk",
    rpm_tc: i64 = "b_rpm_tc",
    rpm_cp: i64 = "b_rpm_cp",
    tpm_tk: i64 = "b_tpm_tk",
    tpm_tc: i64 = "b_tpm_tc",
    tpm_cp: i64 = "b_tpm_cp",
    wcu_tk: i64 = "b_wcu_tk",
    wcu_tc: i64 = "b_wcu_tc",
    wcu_cp: i64 = "b_wcu_cp",
});

impl Row for Bucket {
    fn counted(&self) -> Vec<(&'static str, f64)> {
        vec![("rpm", self.rpm_tc as f64), ("tpm", self.tpm_tc as f64)]
    }

    fn entity(&self) -> String {
        format!("{}#{}", self.entity_id, self.resource)
    }

    fn describe(&mut self, description: Description) {
        self.set(description);
    }
}

row!(Order {
    pk: String,
    sk: String,
    order_id: String,
    status: String,
    channel: String,
    currency: String,
    total: f64,
    tax: f64,
    discount: Option<f64>,
    created: i64,
    updated: i64,
    priority: i32,
    gift: bool,
    express: bool,
    warehouse: String,
    carrier: String,
    email: String,
    note: Option<String>,
    address: Address,
    lines: Vec<Line>,
});

#[derive(Debug, Serialize, Deserialize)]
struct Address {
    street: String,
    city: String,
    zip: String,
    country: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    sku: String,
    quantity: i32,
    price: f64,
}

impl Row for Order {
    fn counted(&self) -> Vec<(&'static str, f64)> {
        vec![("changes", 1.0), ("amount", self.total)]
    }

    fn entity(&self) -> String {
        self.pk.clone()
    }

    fn describe(&mut self, description: Description) {
        self.set(description);
    }
}

row!(Racer { pk: String, sk: String, distance: f64, speed: f64 });

impl Row for Racer {
    fn counted(&self) -> Vec<(&'static str, f64)> {
        vec![("metres", self.distance)]
    }

    fn entity(&self) -> String {
        self.pk.clone()
    }

    fn describe(&mut self, description: Description) {
        self.set(description);
    }
}
