//! One deployment in virtual time: both real mappings, the real handler in its sandboxes, in-process services, and the
//! template's alarms over their metrics. Hours take a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::Database;
use event_source_mapping::sources::MemoryStream;
use event_source_mapping::{
    Checkpoints, Clock, Destination, Function, Mapping, Meter, SequenceNumber, Settings, SourceRecord, StreamKind,
    Timestamp,
};
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{
    Alarms, FaultPlan, FaultyHttp, MappingMetrics, MeasuredFunction, Metrics, Stack, Transition, measured_http,
};
use laptop::proof::{FaultInjector, Sandbox, Sandboxes, Supervisor};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::subscriber::DefaultGuard;
use usage_aggregator::config::Config;
use usage_aggregator::handler::{Handler, Invocation};

use super::compaction::{self, Compaction, OverdueCount};
use super::ledger::{Ledger, Orders, Pages, observed};
use super::queue::Queue;
use crate::fixture::order;
use crate::template;
use crate::world::ledger_stream;

const NAMESPACE: &str = "UsageAggregator/drill";
const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";
pub const SHARD: &str = "shardId-0";
pub const LEDGER: &str = "ledger";
const FAILURES: &str = "failures";
/// When the orders of `fixture` were placed.
const START: &str = "2026-09-17T13:30:00Z";
/// The functions' timeouts and the fold's window, as in the template.
const TIMEOUT: Duration = Duration::from_secs(60);
const FOLD_TIMEOUT: Duration = Duration::from_secs(300);
const FOLD_WINDOW: Duration = Duration::from_secs(30);

/// What is deployed, as far as drills differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed {
    /// `RejectedRecords`.
    pub rejected: &'static str,
    /// `FailureStore`.
    pub store: &'static str,
    /// Polls and writes once per minute, for drills of days.
    pub slow: bool,
    /// `Compaction=enabled`.
    pub compacts: bool,
    /// Sends the events of the sweep schedules.
    pub sweeps: bool,
}

/// Everything quarantined and stored in S3, as by default.
pub const DEFAULT: Deployed =
    Deployed { rejected: "quarantine", store: "S3", slow: false, compacts: false, sweeps: false };

/// A deployment that runs until this is dropped with its runtime.
pub struct Drill {
    clock: Clock,
    append: FaultInjector,
    fold: FaultInjector,
    pub objects: Objects,
    pub queue: Queue,
    database: Database,
    ledger: Ledger,
    /// Whether the ledger's stream loses what is put.
    pub notices_are_lost: Arc<AtomicBool>,
    /// Every how many records one is rejected; 0 for none.
    poison: Arc<AtomicU64>,
    alarms: Arc<Mutex<Alarms>>,
    log: Arc<Mutex<Vec<Transition>>>,
    pub compaction: compaction::Faults,
    _stop: watch::Sender<bool>,
    _overdue: DefaultGuard,
}

/// One of the two functions, with its mapping.
struct Side {
    name: &'static str,
    uuid: &'static str,
    timeout: Duration,
    faults: FaultInjector,
    meter: Arc<Meter>,
    metrics: MappingMetrics,
}

impl Side {
    fn new(name: &'static str, uuid: &'static str, timeout: Duration) -> Side {
        let faults = FaultInjector::new("none".parse().unwrap(), 7);
        Side { name, uuid, timeout, faults, meter: Arc::default(), metrics: MappingMetrics::default() }
    }
}

/// What both sides share.
#[derive(Clone)]
struct Site {
    deployed: Deployed,
    clock: Clock,
    metrics: Metrics,
    http: SharedHttpClient,
    stop: watch::Receiver<bool>,
}

impl Site {
    /// The function `name`, in sandboxes, with its metrics.
    fn function(&self, side: &Side) -> Arc<MeasuredFunction> {
        let (http, metrics) = (self.http.clone(), self.metrics.clone());
        let variables = variables(self.deployed);
        let make = move || {
            let http = FaultyHttp::new(http.clone(), FaultPlan::none());
            let measured = measured_http(http.client(), metrics.clone(), Some("archive".to_owned()));
            let config = Config::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
            let deadline_margin = Duration::from_millis(config.deadline_margin_ms);
            Ok(Sandbox { handler: Handler::new(config, in_process::clients(measured)), http, deadline_margin })
        };
        let arn = format!("arn:aws:lambda:us-east-1:123456789012:function:{}", side.name);
        let sandboxes = Sandboxes::new(arn, self.clock.clone(), side.timeout, side.faults.clone(), make);
        let sandboxes = sandboxes.with_log_metrics(self.metrics.clone(), NAMESPACE.to_owned());
        Arc::new(MeasuredFunction::new(Arc::new(sandboxes), side.name, self.metrics.clone(), &side.meter))
    }

    /// The function outside of its sandboxes.
    fn handler(&self) -> Handler {
        let variables = variables(self.deployed);
        let config = Config::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap();
        Handler::new(config, in_process::clients(self.http.clone()))
    }

    /// The function that compacts the archive.
    fn compaction(&self, faults: compaction::Faults) -> Compaction {
        let variables = variables(self.deployed);
        let value = |name: &str| variables.get(name).map(|value| (*value).to_owned());
        Compaction::new(value, &self.http, self.clock.clone(), self.metrics.clone(), faults)
    }

    /// Runs the mapping of `source` until the drill ends.
    fn run(&self, side: &Side, source: &Arc<MemoryStream>, settings: Settings, destination: Option<Destination>) {
        let (source, function, meter) = (Arc::clone(source), self.function(side), Arc::clone(&side.meter));
        let (clock, seed) = (self.clock.clone(), 7);
        let checkpoints = Checkpoints::in_memory(event_source_mapping::Source::arn(&*source), side.uuid);
        let make = move |checkpoints| {
            let function = Arc::clone(&function) as Arc<dyn Function>;
            let source = Arc::clone(&source) as Arc<dyn event_source_mapping::Source>;
            let mut mapping = Mapping::new(settings.clone(), source, function, clock.clone(), checkpoints, seed);
            mapping.meter = Arc::clone(&meter);
            mapping.destination = destination.clone();
            mapping
        };
        let (stop, faults) = (self.stop.clone(), side.faults.clone());
        if self.deployed.slow {
            // Without the supervisor, which checks ten times per second whether the mapping is disabled.
            tokio::spawn(Arc::new(make(Arc::new(Mutex::new(checkpoints)))).run(stop));
        } else {
            let supervisor = Supervisor::new(checkpoints, faults, None, seed, make);
            tokio::spawn(async move { supervisor.run(stop).await });
        }
    }

    fn polling(&self) -> Duration {
        Duration::from_secs(if self.deployed.slow { 60 } else { 1 })
    }
}

impl Drill {
    /// Deploys everything and starts to write records.
    pub fn start(deployed: Deployed) -> Drill {
        let clock = clock();
        let (metrics, objects, queue) = (Metrics::with_clock(clock.clone()), Objects::default(), Queue::default());
        [FAILURES, "archive"].iter().for_each(|bucket| objects.create_bucket(bucket));
        let database = database();
        let services = in_process::client_with_metrics(database.clone(), objects.clone(), metrics.clone());
        let (stop, stopped) = watch::channel(false);
        let [source, ledger] =
            [ARN, &ledger_stream(LEDGER)].map(|arn| Arc::new(MemoryStream::new(StreamKind::DynamoDb, arn)));
        [&source, &ledger].iter().for_each(|stream| stream.open(SHARD, &[]));
        let pages = Pages::new(Arc::clone(&ledger), clock.clone());
        let http = observed(services, pages.clone());
        let site = Site { deployed, clock: clock.clone(), metrics: metrics.clone(), http, stop: stopped };
        let sides = [Side::new("append", "mapping", TIMEOUT), Side::new("fold", "ledger-mapping", FOLD_TIMEOUT)];
        let [append, fold] = &sides;
        let destination = match deployed.store {
            "SQS" => Destination::Queue { client: queue.client(clock.clone()), url: "http://queue/q".to_owned() },
            _ => Destination::S3 { client: in_process::clients(site.http.clone()).s3, bucket: FAILURES.to_owned() },
        };
        site.run(append, &source, settings_of_append(deployed, site.polling()), Some(destination.clone()));
        site.run(fold, &ledger, settings_of_fold(site.polling()), Some(destination));
        if deployed.slow {
            // Only where it matters: each proof reads every minute of an hour.
            tokio::spawn(prove(site.handler(), clock.clone()));
        }
        if deployed.sweeps {
            tokio::spawn(sweep(site.function(fold), clock.clone(), deployed.slow));
        }
        let faults = compaction::Faults::default();
        if deployed.compacts {
            tokio::spawn(site.compaction(faults.clone()).run());
        }
        let poison = Arc::new(AtomicU64::new(0));
        tokio::spawn(write(source, clock.clone(), Arc::clone(&poison), deployed.slow));
        let alarms = Alarms::of_template(&template::file("template.yaml"), &stack(deployed)).unwrap();
        let (alarms, log) = (Arc::new(Mutex::new(alarms)), Arc::default());
        let (append, fold) = (append.faults.clone(), fold.faults.clone());
        let overdue = OverdueCount::start(metrics.clone(), NAMESPACE);
        let watch = Watch { clock: clock.clone(), metrics, objects: objects.clone(), queue: queue.clone(), sides };
        tokio::spawn(watch.run(Arc::clone(&alarms), Arc::clone(&log)));
        Drill {
            clock,
            append,
            fold,
            objects,
            queue,
            database,
            ledger: Ledger::new(site.http, site.clock),
            notices_are_lost: pages.are_lost,
            poison,
            alarms,
            log,
            compaction: faults,
            _stop: stop,
            _overdue: overdue,
        }
    }

    /// Lets time pass.
    pub async fn minutes(&self, minutes: u64) {
        tokio::time::sleep(Duration::from_secs(minutes * 60)).await;
    }

    /// Changes the faults of both functions, as `usagectl faults` does.
    pub fn inject(&self, append: &str, fold: &str) {
        self.append.set(append.parse().unwrap());
        self.fold.set(fold.parse().unwrap());
    }

    /// From now on, one of so many records can't be processed; 0 for none.
    pub fn poison(&self, every: u64) {
        self.poison.store(every, Ordering::Relaxed);
    }

    /// Deletes everything that waits in the failure destination, as a redrive does once it is durable.
    pub fn redrive(&self) {
        self.objects.create_bucket(FAILURES);
        self.queue.delete_all();
    }

    /// Changes the snapshot of the first hour, as someone with access to the usage table may.
    pub fn change_a_snapshot(&self) {
        self.edit_a_snapshot("hour", |item| item["amount"] = json!({ "N": "1000000" }));
    }

    /// Gives the snapshot of the month the highest version there is, as if it came from a ledger that is lost.
    pub fn raise_a_version(&self) {
        self.edit_a_snapshot("month", |item| item["usage_version"] = json!({ "B": "//////////8=" }));
    }

    /// Takes that version away, so that the next fold writes the snapshot.
    pub fn take_the_version_away(&self) {
        self.edit_a_snapshot("month", |item| _ = item.as_object_mut().unwrap().remove("usage_version"));
    }

    fn edit_a_snapshot(&self, window: &str, edit: impl FnOnce(&mut Value)) {
        let mut scan = json!({ "TableName": "usage" });
        scan["FilterExpression"] = json!("begins_with(sk, :window)");
        scan["ExpressionAttributeValues"] = json!({ ":window": { "S": format!("USAGE#orders#{window}#") } });
        let found = self.database.scan(serde_json::from_value(scan).unwrap()).unwrap().items.unwrap();
        let mut item = serde_json::to_value(found.into_iter().next().unwrap()).unwrap();
        edit(&mut item);
        let put = json!({ "TableName": "usage", "Item": item });
        self.database.put_item(serde_json::from_value(put).unwrap()).unwrap();
    }

    /// Puts a page of orders that the load doesn't have.
    pub fn put(&self, orders: &Orders<'_>) {
        self.ledger.put(orders);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The alarms that are firing, composites included.
    pub fn firing(&self) -> Vec<String> {
        let alarms = self.alarms.lock().unwrap();
        let firing = alarms.statuses().filter(|status| status.state == laptop::emulators::State::Alarm);
        firing.map(|status| status.name.clone()).collect()
    }

    /// Whether each alarm pages.
    pub fn pages(&self) -> BTreeMap<String, bool> {
        let alarms = self.alarms.lock().unwrap();
        let pages = |status: &laptop::emulators::AlarmStatus| status.severity == laptop::emulators::Severity::Page;
        alarms.statuses().map(|status| (status.name.clone(), pages(status))).collect()
    }

    /// Every change of every alarm so far.
    pub fn log(&self) -> Vec<Transition> {
        self.log.lock().unwrap().clone()
    }
}

/// What happens every minute: services report, and alarms are evaluated.
struct Watch {
    clock: Clock,
    metrics: Metrics,
    objects: Objects,
    queue: Queue,
    sides: [Side; 2],
}

impl Watch {
    async fn run(self, alarms: Arc<Mutex<Alarms>>, log: Arc<Mutex<Vec<Transition>>>) {
        for minute in 0_u64.. {
            self.objects.set_time(self.clock.now().seconds());
            if minute.is_multiple_of(24 * 60) {
                let dimensions = [("BucketName", FAILURES), ("StorageType", "AllStorageTypes")];
                let objects = self.objects.bucket(FAILURES).len() as f64;
                self.metrics.publish_of("AWS/S3", "NumberOfObjects", &dimensions, objects);
            }
            log.lock().unwrap().extend(alarms.lock().unwrap().advance(&self.metrics, self.clock.now()));
            self.queue.publish(&self.metrics, self.clock.now());
            // Just before the minute ends, so that what happened in it is published in it.
            tokio::time::sleep(Duration::from_secs(59)).await;
            for Side { name, uuid, meter, metrics, .. } in &self.sides {
                metrics.publish(&self.metrics, uuid, name, &meter.counts());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// The time of the drill, which starts at `START`.
fn clock() -> Clock {
    let (start, started) = (Timestamp::parse(START).unwrap(), tokio::time::Instant::now());
    Clock::new(move || {
        let elapsed = i64::try_from(started.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(start.micros() + elapsed).unwrap()
    })
}

/// Sends the events of the proof's schedule until the drill ends.
async fn prove(handler: Handler, clock: Clock) {
    loop {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let now = clock.now();
        let event = json!({ "prove": { "at": now.to_string(), "hours_ago": 26, "fold_window_seconds": 30 } });
        let invocation = Invocation { request_id: "proof".to_owned(), now, deadline: None };
        handler.handle(event.to_string().as_bytes(), &invocation).await.unwrap();
    }
}

/// Sends the events of both sweep schedules until the drill ends: every minute, or as often as there are records.
async fn sweep(fold: Arc<MeasuredFunction>, clock: Clock, slow: bool) {
    let mut schedule = tokio::time::interval(Duration::from_secs(if slow { 1_800 } else { 60 }));
    loop {
        schedule.tick().await;
        for minutes_ago in [90, 1_500] {
            let sweep = json!({ "at": clock.now().to_string(), "minutes_ago": minutes_ago, "fold_window_seconds": 30 });
            let (fold, event) = (Arc::clone(&fold), json!({ "sweep": sweep }).to_string());
            // One that waits for a fold doesn't hold up the next.
            tokio::spawn(async move { fold.invoke(event.as_bytes(), "sweep").await });
        }
    }
}

/// Writes six records in the middle of every minute until the drill ends, or one every half hour.
async fn write(source: Arc<MemoryStream>, clock: Clock, poison: Arc<AtomicU64>, slow: bool) {
    let (interval, records) = if slow { (1_800, 1) } else { (60, 6) };
    tokio::time::sleep(Duration::from_secs(30)).await;
    for round in 0_u32.. {
        for number in round * records + 1..=(round + 1) * records {
            let every = poison.load(Ordering::Relaxed);
            let is_poison = every > 0 && u64::from(number).is_multiple_of(every);
            let total = if is_poison { json!({ "S": "?" }) } else { json!({ "N": "7" }) };
            source.push(SHARD, record(number, total, clock.now()));
        }
        tokio::time::sleep(Duration::from_secs(interval)).await;
    }
}

fn record(number: u32, total: Value, now: Timestamp) -> SourceRecord {
    let mut record = order(number, total);
    record["dynamodb"]["ApproximateCreationDateTime"] = json!(now.seconds());
    // The drills have no source table, and an order that isn't open asks for no indicator.
    record["dynamodb"]["NewImage"]["status"] = json!({ "S": "SHIPPED" });
    let sequence = record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned();
    let sequence = SequenceNumber::parse(sequence).unwrap();
    SourceRecord { sequence, item: 1, created_at: now, json: record.to_string() }
}

fn settings_of_append(deployed: Deployed, polling: Duration) -> Settings {
    Settings {
        batch_size: 1_000,
        batching_window: Duration::from_secs(1),
        // As the template recommends for each.
        maximum_retry_attempts: Some(if deployed.rejected == "fail" { 10 } else { 200 }),
        maximum_record_age: Some(Duration::from_hours(22)),
        bisect_batch_on_function_error: true,
        ..Settings::new(polling)
    }
}

fn settings_of_fold(polling: Duration) -> Settings {
    Settings {
        batch_size: 10_000,
        batching_window: FOLD_WINDOW,
        maximum_record_age: Some(Duration::from_hours(22)),
        bisect_batch_on_function_error: true,
        ..Settings::new(polling)
    }
}

fn variables(deployed: Deployed) -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("PIPELINE", "orders"),
        ("USAGE_TABLE", "usage"),
        ("SOURCE_ARN", ARN),
        ("LEDGER_TABLE", LEDGER),
        ("ARCHIVE_BUCKET", "archive"),
        ("REJECTED_RECORDS", deployed.rejected),
        ("FAILURE_BUCKET", FAILURES),
        ("METRICS_SINK", "cloudwatch"),
        ("METRICS_NAMESPACE", NAMESPACE),
    ])
}

fn stack(deployed: Deployed) -> Stack {
    let parameters = [
        ("MetricsNamespace", NAMESPACE),
        ("RejectedRecords", deployed.rejected),
        ("FailureStore", deployed.store),
        ("Compaction", if deployed.compacts { "enabled" } else { "disabled" }),
    ];
    let resources = [
        ("Function", "append"),
        ("FoldFunction", "fold"),
        ("CompactFunction", compaction::NAME),
        ("EventSourceMapping", "mapping"),
        ("LedgerMapping", "ledger-mapping"),
        ("UsageTable", "usage"),
        ("LedgerTable", LEDGER),
        ("ArchiveBucket", "archive"),
        ("FailureBucket", FAILURES),
        ("FailureQueue.QueueName", "q"),
    ];
    let owned =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Stack { parameters: owned(&parameters), resources: owned(&resources), counts: true }
}

fn database() -> Database {
    let database = Database::memory().unwrap();
    for table in ["orders", "usage", LEDGER] {
        let keys = [("pk", "HASH"), ("sk", "RANGE")];
        let request = json!({
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": keys.map(|(name, _)| json!({ "AttributeName": name, "AttributeType": "S" })),
            "KeySchema": keys.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind })),
        });
        database.create_table(serde_json::from_value(request).unwrap()).unwrap();
    }
    database
}
