//! A mapping of a stream in memory to a scripted function, in virtual time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::sources::MemoryStream;
use stream_types::SequenceNumber;

mod batching;
mod progress;
mod shards;
mod traces;

const ARN: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-21T00:00:00.000";
/// When each test begins.
const START_MICROS: i64 = 1_795_219_200_000_000;

/// One invocation, as the function saw it.
#[derive(Debug, Clone, PartialEq)]
struct Delivery {
    items: Vec<u64>,
    request_id: String,
    at_ms: u128,
}

/// The result for these items, in the invocation of this number.
type Rule = Box<dyn Fn(&[u64], usize) -> InvocationResult + Send + Sync>;

/// A function that follows a rule and records its invocations.
struct Script {
    rule: Rule,
    duration: Duration,
    started: Instant,
    deliveries: Mutex<Vec<Delivery>>,
}

#[async_trait::async_trait]
impl Function for Script {
    fn arn(&self) -> &str {
        "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator"
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        let event: Value = serde_json::from_slice(event).unwrap();
        let items: Vec<u64> =
            event["Records"].as_array().unwrap().iter().map(|record| record["n"].as_u64().unwrap()).collect();
        let number = {
            let mut deliveries = self.deliveries.lock().unwrap();
            let at_ms = self.started.elapsed().as_millis();
            deliveries.push(Delivery { items: items.clone(), request_id: request_id.to_owned(), at_ms });
            deliveries.len()
        };
        tokio::time::sleep(self.duration).await;
        (self.rule)(&items, number)
    }
}

/// A mapping of a stream with one shard, `s`.
struct Fixture {
    stream: Arc<MemoryStream>,
    function: Arc<Script>,
    checkpoints: Arc<Mutex<Checkpoints>>,
    settings: Settings,
    failures: tempfile::TempDir,
    started: Instant,
}

impl Fixture {
    fn new(rule: impl Fn(&[u64], usize) -> InvocationResult + Send + Sync + 'static) -> Fixture {
        let stream = Arc::new(MemoryStream::new(StreamKind::DynamoDb, ARN));
        stream.open("s", &[]);
        let started = Instant::now();
        let function =
            Script { rule: Box::new(rule), duration: Duration::from_millis(1), started, deliveries: Mutex::default() };
        Fixture {
            stream,
            function: Arc::new(function),
            checkpoints: Arc::new(Mutex::new(Checkpoints::in_memory(ARN, "uuid"))),
            settings: Settings::new(Duration::from_millis(250)),
            failures: tempfile::tempdir().unwrap(),
            started,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Fixture {
        change(&mut self.settings);
        self
    }

    /// Appends records 1 to `count` to shard `s`, created now, each of a different item.
    fn records(self, count: u64) -> Fixture {
        (1..=count).for_each(|number| self.stream.push("s", record(number, number, START_MICROS)));
        self
    }

    fn mapping(&self) -> Arc<Mapping> {
        let started = self.started;
        let now = move || {
            Timestamp::from_micros(START_MICROS + i64::try_from(started.elapsed().as_micros()).unwrap()).unwrap()
        };
        let (source, function): (Arc<MemoryStream>, Arc<Script>) = (self.stream.clone(), self.function.clone());
        let checkpoints = Arc::clone(&self.checkpoints);
        let mut mapping = Mapping::new(self.settings.clone(), source, function, Clock::new(now), checkpoints, 1);
        mapping.destination = Some(Destination::Folder(self.failures.path().join("failures")));
        Arc::new(mapping)
    }

    /// The documents in the failure destination: condition, invocations, first sequence number, number of records.
    fn discarded(&self) -> Vec<Value> {
        let files = std::fs::read_dir(self.failures.path().join("failures")).into_iter().flatten();
        let read = |file: std::io::Result<std::fs::DirEntry>| -> Value {
            serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap()
        };
        let mut documents: Vec<Value> = files.map(read).collect();
        documents.sort_by_key(|document| document["timestamp"].to_string());
        let short = |document: Value| {
            let (request, batch) = (&document["requestContext"], &document["DDBStreamBatchInfo"]);
            json!([
                request["condition"],
                request["approximateInvokeCount"],
                batch["startSequenceNumber"],
                batch["batchSize"]
            ])
        };
        documents.into_iter().map(short).collect()
    }

    /// Runs a mapping for this long, then stops it and waits for it.
    async fn run_for(&self, time: Duration) -> Counts {
        let mapping = self.mapping();
        let (stop, stopped) = watch::channel(false);
        let meter = Arc::clone(&mapping.meter);
        let running = tokio::spawn(mapping.run(stopped));
        tokio::time::sleep(time).await;
        stop.send_replace(true);
        running.await.unwrap().unwrap();
        meter.counts()
    }

    fn deliveries(&self) -> Vec<Delivery> {
        self.function.deliveries.lock().unwrap().clone()
    }

    /// The deliveries as docs/mapping.md writes them: `[1234] [234]`.
    fn trace(&self) -> String {
        let text = |delivery: Delivery| {
            let items: Vec<String> = delivery.items.iter().map(u64::to_string).collect();
            format!("[{}]", items.concat())
        };
        self.deliveries().into_iter().map(text).collect::<Vec<_>>().join(" ")
    }

    fn checkpoint(&self, shard: &str) -> Option<Checkpoint> {
        self.checkpoints.lock().unwrap().of(shard).cloned()
    }
}

fn record(number: u64, item: u64, created_micros: i64) -> SourceRecord {
    SourceRecord {
        sequence: SequenceNumber::parse(sequence(number)).unwrap(),
        item,
        created_at: Timestamp::from_micros(created_micros).unwrap(),
        json: json!({ "n": number, "dynamodb": { "SequenceNumber": sequence(number) } }).to_string(),
    }
}

fn sequence(number: u64) -> String {
    format!("{}", 99_999_999_999_999_999_990_u128 + u128::from(number))
}

fn success() -> InvocationResult {
    InvocationResult::Returned(br#"{"batchItemFailures":[]}"#.to_vec())
}

fn failed_at(number: u64) -> InvocationResult {
    let failures = json!({ "batchItemFailures": [{ "itemIdentifier": sequence(number) }] });
    InvocationResult::Returned(failures.to_string().into_bytes())
}

/// Reports `bad` as failed whenever it is in the batch.
fn reports(bad: u64) -> impl Fn(&[u64], usize) -> InvocationResult {
    move |items, _| if items.contains(&bad) { failed_at(bad) } else { success() }
}

/// Fails whenever `bad` is in the batch.
fn fails_on(bad: u64) -> impl Fn(&[u64], usize) -> InvocationResult {
    move |items, _| if items.contains(&bad) { InvocationResult::FunctionError("boom".to_owned()) } else { success() }
}

/// Long enough for everything to be settled.
const LONG: Duration = Duration::from_secs(120);
