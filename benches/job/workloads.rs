//! The workloads of docs/performance.md, generated from a seed: events as Lambda delivers them, and the pipelines that
//! process them. The same arguments generate the same bytes.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use fastrand::Rng;
use serde_json::{Value, json};
use usage_aggregator::pipeline::{Folder, Pipeline};

/// 2026-11-21T03:00:00Z, the hour of all records.
const HOUR_SECONDS: u64 = 1_795_230_000;
/// 6 MB: the most that Lambda delivers in one event.
const EVENT_BYTES: usize = 6_000_000;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    Bucket,
    Demand,
    DemandKinesis,
    Racer,
}

impl Workload {
    pub const ALL: [Workload; 4] = [Workload::Bucket, Workload::Demand, Workload::DemandKinesis, Workload::Racer];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Bucket => "bucket",
            Workload::Demand => "demand",
            Workload::DemandKinesis => "demand-kinesis",
            Workload::Racer => "racer",
        }
    }

    /// The schema of its rows.
    pub fn schema_file(self) -> PathBuf {
        let name = match self {
            Workload::Bucket => "bucket.avsc",
            Workload::Demand | Workload::DemandKinesis => "order.avsc",
            Workload::Racer => "racer.avsc",
        };
        self.folder().join(name)
    }

    /// The pipeline's folder.
    pub fn folder(self) -> PathBuf {
        let name = match self {
            Workload::Bucket => "bucket",
            Workload::Demand | Workload::DemandKinesis => "demand",
            Workload::Racer => "racer",
        };
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/pipelines")).join(name)
    }

    pub fn pipeline(self) -> Pipeline {
        let folder = self.folder();
        let folder = Folder::read(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Pipeline::parse(&folder).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// An event with `records` records of `entities` entities, or as many as fit into Lambda's payload limit.
    pub fn event(self, records: usize, entities: usize) -> Vec<u8> {
        let mut rng = Rng::with_seed(7);
        let mut event = br#"{"Records":["#.to_vec();
        for number in 0..records {
            let record = self.record(number, rng.usize(0..entities), &mut rng).to_string();
            if event.len() + record.len() + 3 > EVENT_BYTES {
                break;
            }
            if number > 0 {
                event.push(b',');
            }
            event.extend_from_slice(record.as_bytes());
        }
        event.extend_from_slice(b"]}");
        event
    }

    fn record(self, number: usize, entity: usize, rng: &mut Rng) -> Value {
        match self {
            Workload::Bucket => {
                let (old, new) = (bucket(entity, rng), bucket(entity, rng));
                let keys = json!({ "PK": old["PK"], "SK": old["SK"] });
                stream_record(number, "MODIFY", keys, Some(old), Some(new))
            }
            Workload::Demand => demand(number, entity, rng),
            Workload::DemandKinesis => kinesis_record(number, demand(number, entity, rng)),
            Workload::Racer => {
                let new = racer(number, entity, rng);
                let keys = json!({ "pk": new["pk"], "sk": new["sk"] });
                stream_record(number, "INSERT", keys, None, Some(new))
            }
        }
    }
}

fn stream_record(number: usize, event: &str, keys: Value, old: Option<Value>, new: Option<Value>) -> Value {
    let mut change = json!({
        "ApproximateCreationDateTime": created_at(number),
        "Keys": keys,
        "SequenceNumber": format!("{:021}", 700_000_000 + number),
        "SizeBytes": 900,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    });
    let images = [("NewImage", new), ("OldImage", old)];
    images.into_iter().filter_map(|(name, image)| Some((name, image?))).for_each(|(name, image)| change[name] = image);
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-west-1",
        "dynamodb": change,
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/source/stream/2026-01-01T00:00:00.000",
    })
}

fn kinesis_record(number: usize, change: Value) -> Value {
    let mut change = change;
    change["tableName"] = json!("source");
    change["recordFormat"] = json!("application/json");
    change["dynamodb"]["ApproximateCreationDateTime"] = json!(created_at(number) * 1000);
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": format!("{:032X}", number * 7919),
            "sequenceNumber": format!("4959033827149025660855969253836157109592157598{number:010}"),
            "data": BASE64.encode(change.to_string()),
            "approximateArrivalTimestamp": created_at(number),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": format!("shardId-000000000006:{number}"),
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/changes",
    })
}

/// Ten records per second, so that 1,000 of them span two minutes.
fn created_at(number: usize) -> u64 {
    HOUR_SECONDS + (number as u64 / 10) % 3_600
}

fn text(text: impl Into<String>) -> Value {
    json!({ "S": text.into() })
}

fn number(number: impl ToString) -> Value {
    json!({ "N": number.to_string() })
}

fn cents(rng: &mut Rng) -> Value {
    let cents = rng.u32(100..99_999);
    number(format!("{}.{:02}", cents / 100, cents % 100))
}

fn word(rng: &mut Rng, words: &[&str]) -> Value {
    text(words[rng.usize(0..words.len())])
}

fn letters(rng: &mut Rng, length: usize) -> String {
    (0..length).map(|_| rng.lowercase()).collect()
}

fn bucket(entity: usize, rng: &mut Rng) -> Value {
    let mut item = json!({
        "PK": text(format!("n-0123456789/BUCKET#user-{entity:06}#gpt-4#0")),
        "SK": text("#STATE"),
        "entity_id": text(format!("user-{entity:06}")),
        "resource": text("gpt-4"),
        "rf": number(HOUR_SECONDS * 1000 + rng.u64(0..3_600_000)),
        "shard_count": number(1),
        "cascade": { "BOOL": false },
        "GSI2PK": text("n-0123456789/RESOURCE#gpt-4"),
        "GSI2SK": text(format!("BUCKET#user-{entity:06}#0")),
        "GSI3PK": text(format!("n-0123456789/ENTITY#user-{entity:06}")),
        "GSI3SK": text("BUCKET#gpt-4#0"),
        "GSI4PK": text("n-0123456789"),
        "GSI4SK": text(format!("BUCKET#user-{entity:06}#gpt-4#0")),
    });
    for limit in ["rpm", "tpm", "wcu"] {
        item[format!("b_{limit}_tk")] = number(rng.u64(0..1_000_000));
        item[format!("b_{limit}_tc")] = number(rng.u64(1_000_000..900_000_000) / 1000 * 1000);
        item[format!("b_{limit}_cp")] = number(1_000_000);
        item[format!("b_{limit}_ra")] = number(1_000_000);
        item[format!("b_{limit}_rp")] = number(60_000);
    }
    item
}

fn demand(number: usize, entity: usize, rng: &mut Rng) -> Value {
    let (old, new) = (order(number, entity, rng), order(number, entity, rng));
    let keys = json!({ "pk": new["pk"], "sk": new["sk"] });
    // Mostly changes, because an order has several.
    match number % 10 {
        0 | 1 => stream_record(number, "INSERT", keys, None, Some(new)),
        2 => stream_record(number, "REMOVE", keys, Some(old), None),
        _ => stream_record(number, "MODIFY", keys, Some(old), Some(new)),
    }
}

fn order(order: usize, entity: usize, rng: &mut Rng) -> Value {
    let line = |rng: &mut Rng| json!({ "M": { "sku": text(format!("SKU-{:06}", rng.u32(0..1_000_000))), "quantity": number(rng.u8(1..9)), "price": cents(rng) } });
    json!({
        "pk": text(format!("CUSTOMER#{entity:06}")),
        "sk": text(format!("ORDER#{order:08}")),
        "order_id": text(format!("{:032x}", rng.u128(..))),
        "status": word(rng, &["OPEN", "PAID", "SHIPPED", "CANCELLED"]),
        "channel": word(rng, &["WEB", "STORE", "PARTNER"]),
        "currency": word(rng, &["EUR", "USD"]),
        "total": cents(rng),
        "tax": cents(rng),
        "discount": cents(rng),
        "created": number(HOUR_SECONDS + rng.u64(0..3_600)),
        "updated": number(HOUR_SECONDS + rng.u64(0..3_600)),
        "priority": number(rng.u8(0..5)),
        "gift": { "BOOL": rng.bool() },
        "express": { "BOOL": rng.bool() },
        "warehouse": word(rng, &["HAM-1", "MUC-2", "BER-3"]),
        "carrier": word(rng, &["DHL", "UPS", "DPD"]),
        "email": text(format!("{}@example.com", letters(rng, 8))),
        "note": text(format!("ring \"{}\" twice\nor {}", letters(rng, 6), letters(rng, 20))),
        "address": { "M": {
            "street": text(format!("{} {}", letters(rng, 12), rng.u8(1..99))),
            "city": word(rng, &["Hamburg", "München", "Berlin"]),
            "zip": number(rng.u32(10_000..99_999)).get("N").map_or(Value::Null, |zip| json!({ "S": zip })),
            "country": text("DE"),
        } },
        "lines": { "L": [line(rng), line(rng)] },
    })
}

fn racer(message: usize, entity: usize, rng: &mut Rng) -> Value {
    json!({
        "pk": text(format!("RACER#{entity:04}")),
        "sk": text(format!("MESSAGE#{message:08}")),
        "distance": cents(rng),
        "speed": cents(rng),
    })
}
