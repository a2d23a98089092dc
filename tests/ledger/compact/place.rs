//! One unit of an archive in memory: its raw files, the jobs that compact it, and what a query of the view sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use apache_avro::types::Value as Avro;
use apache_avro::{Reader, Writer};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::Database;
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{FaultPlan, FaultyHttp};
use serde_json::json;
use usage_aggregator::archive::{ArchiveUnit, RecordSchema};
use usage_aggregator::error::Error;
use usage_compact::{Archive, Compacted, CompactedFile, Compactor, Effect, RecordType, Timing, UnitKey};

/// The end of the unit: 2026-11-28T09:00:00Z.
pub const END: i64 = 1_795_856_400;
pub const MINUTE: i64 = 60;
pub const HOUR: i64 = 3_600;
const BUCKET: &str = "archive";
const RAW: &str = "p/avro/order/partition_date=2026-11-28/2026-11-28T08-";
const PARQUET: &str = "p/parquet/order/partition_date=2026-11-28/2026-11-28T08-";

pub struct Place {
    pub objects: Objects,
    pub http: FaultyHttp,
    clock: Arc<AtomicI64>,
    pub schema: Arc<RecordSchema>,
}

/// A Parquet file.
pub struct Effective {
    pub at: i64,
    pub rows: Vec<u64>,
}

impl Place {
    pub fn new() -> Place {
        let objects = Objects::default();
        objects.create_bucket(BUCKET);
        let http = FaultyHttp::new(in_process::client(Database::memory().unwrap(), objects.clone()), FaultPlan::none());
        let place = Place { objects, http, clock: Arc::default(), schema: Arc::new(schema(json!([]))) };
        place.set_time(END - HOUR);
        place
    }

    pub fn now(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub fn set_time(&self, now: i64) {
        self.clock.store(now, Ordering::SeqCst);
        self.objects.set_time(now);
    }

    pub fn pass(&self, seconds: i64) {
        self.set_time(self.now() + seconds);
    }

    pub fn compactor(&self) -> Compactor {
        self.compactor_over(self.http.client())
    }

    /// A job whose requests go through `http`.
    pub fn compactor_over(&self, http: SharedHttpClient) -> Compactor {
        let clock = Arc::clone(&self.clock);
        Compactor {
            archive: Archive {
                client: in_process::clients(http).s3,
                bucket: BUCKET.to_owned(),
                prefix: "p".to_owned(),
            },
            clock: Arc::new(move || clock.load(Ordering::SeqCst)),
            timing: Timing::Settled,
            effect: Effect::Commit,
            memory_bytes: 1_000_000,
        }
    }

    pub async fn compact(&self) -> Result<Compacted, Error> {
        compact(&self.compactor(), &self.schema).await
    }

    /// A job with this memory that dies where a fault says so.
    pub async fn compact_or_die(&self, memory_bytes: usize) {
        let compactor = Compactor { memory_bytes, ..self.compactor() };
        tokio::select! {
            biased;
            // It may fail, as any job.
            compacted = compact(&compactor, &self.schema) => drop(compacted),
            () = self.http.crashed() => self.http.revive(),
        }
    }

    /// Puts a raw file with these records, as the function does. Returns its key.
    pub fn put_raw(&self, records: &[u64]) -> String {
        let body = raw_file(&self.schema, records);
        let key = raw_key(&body);
        self.put(&key, body);
        key
    }

    /// The same put as a request through `http`.
    pub fn put_raw_over(
        &self,
        http: SharedHttpClient,
        records: &[u64],
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let body = raw_file(&self.schema, records);
        let key = raw_key(&body);
        let put = in_process::clients(http).s3.put_object().bucket(BUCKET).key(key).if_none_match("*");
        async move {
            let sent = put.body(body.into()).send().await;
            sent.map(drop).map_err(|error| Error::from_sdk("put a raw file", &error))
        }
    }

    pub fn put(&self, key: &str, body: Vec<u8>) {
        self.objects.put_object(BUCKET, key, &body);
    }

    pub fn keys(&self, start: &str) -> Vec<String> {
        self.objects.bucket(BUCKET).into_keys().filter(|key| key.starts_with(start)).collect()
    }

    pub fn raw_keys(&self) -> Vec<String> {
        self.keys(RAW)
    }

    pub fn parquet_keys(&self) -> Vec<String> {
        self.keys(PARQUET)
    }

    /// The records in raw files; each once, as the view has them.
    pub fn raw_rows(&self) -> BTreeSet<u64> {
        let objects = self.objects.bucket(BUCKET);
        let files = objects.iter().filter(|(key, _)| key.starts_with(RAW));
        files.flat_map(|(_, body)| Reader::new(body.as_ref()).unwrap().map(|row| number(&row.unwrap()))).collect()
    }

    /// The Parquet files.
    pub fn compacted(&self) -> BTreeMap<String, Effective> {
        let objects = self.objects.bucket(BUCKET).into_iter();
        objects.filter(|(key, _)| key.starts_with(PARQUET)).map(|(key, body)| (key, effective(&body))).collect()
    }

    /// What a query of the view sees that starts now and reads everything at once.
    pub fn query(&self) -> BTreeMap<u64, usize> {
        let mut query = Query::new(self);
        while query.step(self) {}
        query.seen()
    }
}

/// A query of the view, which reads the Parquet files, the ids in them, and the raw files at different moments, in any order.
pub struct Query {
    pub start: i64,
    steps: i64,
    compacted: Vec<u64>,
    known: BTreeSet<u64>,
    raw: BTreeSet<u64>,
}

impl Query {
    pub fn new(place: &Place) -> Query {
        let start = place.now();
        Query { start, steps: 0, compacted: Vec::new(), known: BTreeSet::new(), raw: BTreeSet::new() }
    }

    /// Reads the next part. Returns whether there is more.
    pub fn step(&mut self, place: &Place) -> bool {
        let files = place.compacted().into_values().filter(|file| file.at <= self.start);
        let rows = files.flat_map(|file| file.rows);
        match (self.start / MINUTE + self.steps) % 3 {
            0 => self.compacted = rows.collect(),
            1 => self.known = rows.collect(),
            _ => self.raw = place.raw_rows(),
        }
        self.steps += 1;
        self.steps < 3
    }

    /// How often it sees each record, once it has read everything.
    pub fn seen(&self) -> BTreeMap<u64, usize> {
        let mut seen = BTreeMap::new();
        let rows = self.compacted.iter().chain(self.raw.difference(&self.known));
        rows.for_each(|row| *seen.entry(*row).or_default() += 1);
        seen
    }
}

/// Every record once.
pub fn once(records: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
    records.into_iter().map(|record| (record, 1)).collect()
}

pub async fn compact(compactor: &Compactor, schema: &RecordSchema) -> Result<Compacted, Error> {
    compactor.compact(&RecordType::new(schema).unwrap(), &key(), &|| {}).await
}

pub fn key() -> UnitKey {
    let unit = ArchiveUnit::parse("2026-11-28T08").unwrap();
    UnitKey { record_type: "order".to_owned(), date: "2026-11-28".to_owned(), unit }
}

/// A schema with a record id, the number of the record, and these fields.
pub fn schema(more: serde_json::Value) -> RecordSchema {
    let mut fields = vec![
        json!({ "name": "record_id", "type": "string", "source": "record_id" }),
        json!({ "name": "number", "type": "long" }),
    ];
    fields.extend(more.as_array().unwrap().iter().cloned());
    let text = json!({ "type": "record", "name": "Order", "fields": fields }).to_string();
    RecordSchema::parse(&text).unwrap()
}

pub fn raw_file(schema: &RecordSchema, records: &[u64]) -> Vec<u8> {
    let mut writer = Writer::new(schema.parsed(), Vec::new()).unwrap();
    for record in records {
        let id = format!("{:032x}", u128::from(*record) << 64);
        let fields = [("record_id", Avro::String(id)), ("number", Avro::Long(i64::try_from(*record).unwrap()))];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        writer.append_value(Avro::Record(fields)).unwrap();
    }
    writer.into_inner().unwrap()
}

fn raw_key(body: &[u8]) -> String {
    format!("{RAW}{}.avro", &blake3::hash(body).to_hex()[..32])
}

/// The number of a row's record.
pub fn number(row: &Avro) -> u64 {
    let Avro::Record(fields) = row else { panic!("{row:?}") };
    match &fields[1].1 {
        Avro::Long(number) => u64::try_from(*number).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn effective(body: &Arc<[u8]>) -> Effective {
    let file = CompactedFile::open(bytes::Bytes::copy_from_slice(body)).unwrap();
    let rows = file.rows().unwrap().map(|row| number(&row.unwrap())).collect();
    Effective { at: file.effective(), rows }
}
