//! A zae-limiter table that its real client uses, the function on the table's stream, and access to both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use event_source_mapping::{
    Checkpoint, Checkpoints, Clock, Filters, Mapping, Position, Settings, Source, SourceRecord, StreamKind,
};
use laptop::emulators::{self, EmbeddedStream, FaultPlan, FaultyHttp, Services, StreamView, TableSpec};
use laptop::proof::{FaultInjector, FaultProfile, Sandbox, Sandboxes, Supervisor};
use serde_json::{Value, json};
use tokio::sync::watch;
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::decimal::Decimal;
use usage_aggregator::handler::{Handler, Invocation, Outcome};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use super::{audit_row, counter_name};

const TABLE: &str = "limits";
const LEDGER: &str = "ledger";
const BUCKET: &str = "archive";
const SCRIPT: &str = "tests/zae/client.py";
const PAGES: &str = r#"{"eventName":["INSERT"],"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"p#zae-limiter#"}]}}}}"#;
pub const FILTERS: &str = include_str!("../../../schemas/zae-limiter/filters.json");

/// Identifies one number in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    pub namespace: String,
    pub entity: String,
    pub resource: String,
    pub window: String,
    pub start: String,
    pub limit: String,
}

/// Decimal texts by cell.
pub type Usage = BTreeMap<Cell, String>;

/// The results of the client's usage calls.
pub struct ClientUsage {
    pub by_entity: Usage,
    pub by_resource: Usage,
    /// `total_events` of each snapshot, in cells without a limit.
    pub events: Usage,
    pub summaries: BTreeMap<(String, String, String), i64>,
}

/// The table, and the client's own bookkeeping.
pub struct Limiter {
    services: Services,
    folder: tempfile::TempDir,
    dynamodb: aws_sdk_dynamodb::Client,
    written: Value,
    /// The last record that the client caused.
    last: SequenceNumber<'static>,
    source_records: Vec<Value>,
    updates: Updates,
    count_from: &'static str,
}

/// The bodies of requests.
type Updates = Arc<Mutex<Vec<Value>>>;

impl Limiter {
    /// Creates a table that the client has used for hours.
    pub async fn used_by_the_client(name: &str) -> Limiter {
        Limiter::start(name, "write", "").await
    }

    /// Creates a table that the client uses as `command` says, for a function with this COUNT_FROM.
    pub async fn start(name: &str, command: &str, count_from: &'static str) -> Limiter {
        let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let services = Services::start(Some(folder.path())).unwrap();
        let config = emulators::sdk_config(None);
        let dynamodb = services.dynamodb_client(&config);
        let ledger = TableSpec {
            name: LEDGER,
            partition_key: "pk",
            sort_key: Some("sk"),
            ttl_attribute: None,
            stream: Some(StreamView::Keys),
        };
        emulators::ensure_tables(&dynamodb, &[ledger]).await.unwrap();
        emulators::ensure_bucket(&services.s3_client(&config), BUCKET).await.unwrap();
        let written = client(&services, folder.path(), TABLE, command, None);
        let source_records = records(&EmbeddedStream::open(services.database(), TABLE).unwrap()).await;
        let last = sequence(source_records.last().unwrap());
        let updates = Updates::default();
        Limiter { services, folder, dynamodb, written, last, source_records, updates, count_from }
    }

    /// Lets the client continue to use the table.
    pub async fn use_again(&mut self, command: &str) {
        let written = client(&self.services, self.folder.path(), TABLE, command, None);
        let used = self.written["used"].as_array_mut().unwrap();
        used.extend(written["used"].as_array().unwrap().iter().cloned());
        self.source_records = records(&EmbeddedStream::open(self.services.database(), TABLE).unwrap()).await;
        self.last = sequence(self.source_records.last().unwrap());
    }

    /// The patterns in schemas/zae-limiter/filters.json.
    pub fn filters(&self) -> Vec<String> {
        let patterns: Vec<Value> = serde_json::from_str(FILTERS).unwrap();
        patterns.iter().map(Value::to_string).collect()
    }

    /// Runs new mappings from the beginning of both streams until all records of the client are settled, and then all
    /// notices.
    pub async fn run(&self, faults: FaultProfile, filters: &[String]) {
        let faults = FaultInjector::new(faults, 7);
        let (appended, all_appended) = watch::channel(false);
        let append = async {
            self.drive(TABLE, filters, &faults, async || self.last.clone()).await;
            appended.send_replace(true);
        };
        let pages = [PAGES.to_owned()];
        let fold = self.drive(LEDGER, &pages, &faults, async || {
            all_appended.clone().wait_for(|is_over| *is_over).await.unwrap();
            self.end_of(LEDGER).await
        });
        tokio::join!(append, fold);
    }

    /// Runs a new mapping of the source only, until all records that are in the stream now are settled, including those of
    /// the function's own writes.
    pub async fn append_to_the_end(&self, filters: &[String]) {
        let end = self.end_of(TABLE).await;
        self.drive(TABLE, filters, &FaultInjector::new(FaultProfile::default(), 7), async || end).await;
    }

    /// Runs a new mapping on the stream of a table until all records up to `end` are settled.
    async fn drive(
        &self,
        table: &str,
        filters: &[String],
        faults: &FaultInjector,
        end: impl AsyncFnOnce() -> SequenceNumber<'static>,
    ) {
        let stream = EmbeddedStream::open(self.services.database(), table).unwrap();
        let shard = stream.shards().await.unwrap().remove(0).id;
        let clock = clock();
        let function = Arc::new(self.function(&clock, faults));
        let mut settings = Settings::new(Duration::from_millis(20));
        settings.batch_size = 40;
        settings.parallelization_factor = 4;
        settings.bisect_batch_on_function_error = true;
        settings.maximum_backoff = Duration::from_millis(50);
        settings.filters = Filters::parse(filters).unwrap();
        let shared: Arc<OnceLock<Arc<Mutex<Checkpoints>>>> = Arc::default();
        let progress = Arc::clone(&shared);
        let checkpoints = Checkpoints::in_memory(stream.arn(), "uuid");
        let supervisor = Supervisor::new(checkpoints, faults.clone(), None, 7, move |checkpoints| {
            // The first mapping has the real checkpoints; twins have their own.
            shared.get_or_init(|| Arc::clone(&checkpoints));
            Mapping::new(settings.clone(), Arc::new(stream.clone()), function.clone(), clock.clone(), checkpoints, 7)
        });
        let (stop, stopped) = watch::channel(false);
        let arrived = async {
            let end = end().await;
            let is_past = |checkpoint: &Checkpoint| match checkpoint.position() {
                Some(Position::After(sequence)) => sequence >= end,
                _ => false,
            };
            let settled = || progress.get().is_some_and(|all| all.lock().unwrap().of(&shard).is_some_and(is_past));
            while !settled() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            stop.send_replace(true);
        };
        tokio::join!(supervisor.run(stopped), arrived).0.unwrap();
    }

    /// The sequence number of the last record in the stream of a table.
    async fn end_of(&self, table: &str) -> SequenceNumber<'static> {
        let stream = EmbeddedStream::open(self.services.database(), table).unwrap();
        sequence(records(&stream).await.last().unwrap())
    }

    /// The requests with which the function has written snapshots.
    pub fn updates(&self) -> Vec<Value> {
        self.updates.lock().unwrap().clone()
    }

    fn function(&self, clock: &Clock, faults: &FaultInjector) -> Sandboxes {
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator".to_owned();
        Sandboxes::new(arn, clock.clone(), Duration::from_secs(10), faults.clone(), self.sandbox_maker())
    }

    /// Makes sandboxes of the function.
    fn sandbox_maker(&self) -> impl Fn() -> anyhow::Result<Sandbox> + Send + Sync + 'static {
        let variables = HashMap::from([
            ("PIPELINE", "zae-limiter"),
            ("USAGE_TABLE", TABLE),
            ("LEDGER_TABLE", LEDGER),
            ("ARCHIVE_BUCKET", BUCKET),
            ("METRICS_SINK", "none"),
            ("COUNT_FROM", self.count_from),
        ]);
        let endpoints = [self.services.dynamodb_url(), self.services.s3_url()].map(str::to_owned);
        let updates = Arc::clone(&self.updates);
        move || {
            let http = FaultyHttp::new(recorded(emulators::http_client(), &updates), FaultPlan::none());
            let sdk = emulators::sdk_config(Some(http.client()));
            let [dynamodb, s3] = &endpoints;
            let dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk).endpoint_url(dynamodb).build();
            let s3 = aws_sdk_s3::config::Builder::from(&sdk).endpoint_url(s3).force_path_style(true).build();
            let clients = Clients {
                dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb),
                s3: aws_sdk_s3::Client::from_conf(s3),
                cloudwatch: aws_sdk_cloudwatch::Client::new(&sdk),
                ..Clients::new(&sdk)
            };
            let config = Config::read(|name| variables.get(name).map(|value| (*value).to_owned()))?;
            let deadline_margin = Duration::from_millis(config.deadline_margin_ms);
            Ok(Sandbox { handler: Handler::new(config, clients), http, deadline_margin })
        }
    }

    /// Reads usage with the real client.
    pub fn read(&self) -> ClientUsage {
        read(&client(&self.services, self.folder.path(), TABLE, "read", None))
    }

    /// The same, while mappings run.
    pub async fn read_meanwhile(&self) -> ClientUsage {
        let mut python = tokio::process::Command::from(python(&self.services, self.folder.path(), TABLE, "python"));
        let output = python.args([SCRIPT, "read"]).stdin(Stdio::null()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        read(&serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The usage that the client reads after zae-limiter's own aggregator processed the same records `times` times, in
    /// a separate table.
    pub fn theirs(&self, name: &str, times: usize) -> Usage {
        let records: Vec<&Value> = std::iter::repeat_n(&self.source_records, times).flatten().collect();
        let events = json!({ "source": TABLE, "records": records });
        let table = format!("theirs-{name}");
        read(&client(&self.services, self.folder.path(), &table, "theirs", Some(&events.to_string()))).by_entity
    }

    /// Removes what was used in an hour from the client's bookkeeping.
    pub fn forget(&mut self, hour: &str) {
        let used = self.written["used"].as_array_mut().unwrap();
        let before = used.len();
        used.retain(|row| row[0] != hour);
        assert!(used.len() < before, "nothing was used in {hour}");
    }

    /// Feeds records of the stream to zae-limiter's own aggregator, which writes into the limiter's table.
    pub fn feed_theirs(&self, records: &[&Value]) {
        let events = serde_json::to_string(records).unwrap();
        let bodies = client(&self.services, self.folder.path(), TABLE, "feed", Some(&events));
        for body in bodies.as_array().unwrap() {
            assert_eq!(body["errors"], json!([]));
        }
    }

    /// The records of the stream that pass these patterns.
    pub fn passing(&self, patterns: &[String]) -> Vec<&Value> {
        let filters = Filters::parse(patterns).unwrap();
        self.source_records
            .iter()
            .filter(|record| filters.matches(StreamKind::DynamoDb, &source_record(record)))
            .collect()
    }

    /// Lets the function sweep a minute. Returns how many snapshots were wrong.
    pub async fn sweep(&self, minute: &str) -> usize {
        let clock = clock();
        let sandbox = self.sandbox_maker()().unwrap();
        let event = json!({ "sweep": { "at": minute, "minutes_ago": 0 } }).to_string();
        let invocation = Invocation { request_id: "sweep".to_owned(), now: clock.now(), deadline: None };
        match sandbox.handler.handle(event.as_bytes(), &invocation).await.unwrap() {
            Outcome::Swept(outcome) => outcome.swept.repaired,
            other => panic!("{other:?}"),
        }
    }

    /// What was consumed according to the client's bookkeeping, in tokens.
    pub fn truth(&self) -> Usage {
        self.truth_of(|millitokens| Decimal::from(millitokens).checked_mul(Decimal::parse("0.001").unwrap()).unwrap())
    }

    /// The same, rounded to whole numbers.
    pub fn whole_truth(&self) -> Usage {
        self.truth_of(|millitokens| Decimal::from((millitokens + 500).div_euclid(1000)))
    }

    fn truth_of(&self, tokens: impl Fn(i64) -> Decimal) -> Usage {
        let mut sums: BTreeMap<Cell, i64> = BTreeMap::new();
        for row in self.written["used"].as_array().unwrap() {
            let [hour, namespace, entity, resource, limit] = [0, 1, 2, 3, 4].map(|at| row[at].as_str().unwrap());
            for (window, start) in
                [("hourly", format!("{hour}:00:00Z")), ("daily", format!("{}T00:00:00Z", &hour[..10]))]
            {
                let cell = cell([namespace, entity, resource, window, &start], &counter_name(limit));
                *sums.entry(cell).or_default() += row[5].as_i64().unwrap();
            }
        }
        sums.into_iter().map(|(cell, millitokens)| (cell, tokens(millitokens).to_string())).collect()
    }

    pub fn whole_daily_totals(&self) -> BTreeMap<(String, String, String), i64> {
        let mut totals = BTreeMap::new();
        for (cell, tokens) in self.whole_truth().into_iter().filter(|(cell, _)| cell.window == "daily") {
            *totals.entry((cell.namespace, cell.entity, cell.limit)).or_default() += tokens.parse::<i64>().unwrap();
        }
        totals
    }

    /// All snapshot items.
    pub async fn snapshots(&self) -> Vec<HashMap<String, AttributeValue>> {
        let pages = self.dynamodb.scan().table_name(TABLE).consistent_read(true).into_paginator().items().send();
        let mut items: Vec<HashMap<String, AttributeValue>> = pages.collect::<Result<_, _>>().await.unwrap();
        items.retain(|item| item["SK"].as_s().unwrap().starts_with("#USAGE#"));
        items
    }

    /// The exact values in the snapshot items: each counter plus its remainder.
    pub async fn exact(&self) -> Usage {
        let ids: BTreeMap<&str, &str> = self.written["namespaces"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, id)| (id.as_str().unwrap(), name.as_str()))
            .collect();
        let mut usage = Usage::new();
        for item in self.snapshots().await {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            // The client shows every attribute of type N that it doesn't know as a counter.
            assert!(item["usage_version"].is_b(), "{item:?}");
            let namespace = ids[text("GSI4PK").as_str()];
            for (name, value) in item.iter().filter(|(name, _)| !["ttl", "total_events"].contains(&name.as_str())) {
                let AttributeValue::N(whole) = value else { continue };
                let fraction = Some(text(&format!("{name}#fraction"))).filter(|fraction| !fraction.is_empty());
                let exact = Decimal::parse(whole)
                    .unwrap()
                    .checked_add(Decimal::parse(&fraction.unwrap_or_else(|| "0".to_owned())).unwrap());
                let place = ["entity_id", "resource", "window", "window_start"].map(text);
                let [entity, resource, window, start] = &place;
                usage.insert(cell([namespace, entity, resource, window, start], name), exact.unwrap().to_string());
            }
        }
        usage
    }

    /// The expected `total_events` of each snapshot: the number of records in the stream that changed a limit.
    pub fn events_of_the_stream(&self) -> Usage {
        let names = self.written["namespaces"].as_object().unwrap();
        let mut counts: BTreeMap<Cell, i64> = BTreeMap::new();
        for record in &self.source_records {
            let (new, old) = (&record["dynamodb"]["NewImage"], &record["dynamodb"]["OldImage"]);
            let consumed = |image: &Value, name: &str| image[name]["N"].as_str().unwrap_or("0").parse::<i64>().unwrap();
            let moved = new.as_object().is_some_and(|new_image| {
                let counters = new_image.keys().filter(|name| name.ends_with("_tc") && *name != "b_wcu_tc");
                counters.into_iter().any(|name| consumed(new, name) != consumed(old, name))
            });
            let key = record["dynamodb"]["Keys"]["PK"]["S"].as_str().unwrap();
            let Some((id, bucket)) = key.split_once("/BUCKET#").filter(|_| moved) else { continue };
            let [entity, resource, _] = bucket.split('#').collect::<Vec<_>>()[..] else { panic!("{bucket}") };
            let (namespace, _) = names.iter().find(|(_, known)| known.as_str() == Some(id)).unwrap();
            let created = record["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap();
            let at = jiff::Timestamp::from_second(created as i64).unwrap().to_string();
            for (window, start) in
                [("hourly", format!("{}:00:00Z", &at[..13])), ("daily", format!("{}T00:00:00Z", &at[..10]))]
            {
                *counts.entry(cell([namespace, entity, resource, window, &start], "")).or_default() += 1;
            }
        }
        counts.into_iter().map(|(cell, count)| (cell, count.to_string())).collect()
    }

    /// The day and id of each audit event that the client deleted.
    pub fn expired_audit(&self) -> BTreeSet<(String, String)> {
        let days = self.written["audit"].as_object().unwrap();
        let ids = |(day, ids): (&String, &Value)| {
            let ids: Vec<_> = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
            ids.into_iter().map(|id| (day.clone(), id)).collect::<Vec<_>>()
        };
        let expired: BTreeSet<_> = days.iter().flat_map(ids).collect();
        assert!(expired.len() > 5, "only {} audit events", expired.len());
        expired
    }

    /// The same, read from the archive.
    pub async fn archived_audit(&self) -> BTreeSet<(String, String)> {
        let s3 = self.services.s3_client(&emulators::sdk_config(None));
        let mut rows = BTreeSet::new();
        let mut pages = s3.list_objects_v2().bucket(BUCKET).into_paginator().send();
        while let Some(page) = pages.next().await {
            for object in page.unwrap().contents() {
                let key = object.key().unwrap();
                let day = key.strip_prefix("data-pipeline/avro/audit/partition_date=").unwrap().get(..10).unwrap();
                let body = s3.get_object().bucket(BUCKET).key(key).send().await.unwrap().body.collect().await.unwrap();
                for row in apache_avro::Reader::new(&body.to_vec()[..]).unwrap() {
                    let apache_avro::types::Value::Record(fields) = row.unwrap() else { panic!("not a record") };
                    rows.insert(audit_row(day, &fields.into_iter().collect()));
                }
            }
        }
        rows
    }

    /// The output of `zae-limiter usage list` for the days of one entity.
    pub fn cli_listing(&self) -> String {
        let arguments = ["usage", "list", "--name", TABLE, "--entity-id", "hot", "--window", "daily"];
        let output = python(&self.services, self.folder.path(), TABLE, "zae-limiter")
            .args(arguments)
            .args(["--endpoint-url", self.services.dynamodb_url(), "--region", "us-east-1", "--namespace", "team-a"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The number of records in the stream, including those of the function's own writes.
    pub fn stream_length(&self) -> usize {
        let stream = EmbeddedStream::open(self.services.database(), TABLE).unwrap();
        futures::executor::block_on(records(&stream)).len()
    }

    /// The number of records that the client caused.
    pub fn source_length(&self) -> usize {
        self.source_records.len()
    }
}

/// The same client, which keeps the requests of UpdateItem.
fn recorded(http: SharedHttpClient, updates: &Updates) -> SharedHttpClient {
    let updates = Arc::clone(updates);
    http_client_fn(move |settings, components| {
        let (inner, updates) = (http.http_connector(settings, components), Arc::clone(&updates));
        SharedHttpConnector::new(Recorder { inner, updates })
    })
}

#[derive(Debug)]
struct Recorder {
    inner: SharedHttpConnector,
    updates: Updates,
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if request.headers().get("x-amz-target").is_some_and(|target| target.ends_with(".UpdateItem")) {
            self.updates.lock().unwrap().push(serde_json::from_slice(request.body().bytes().unwrap()).unwrap());
        }
        self.inner.call(request)
    }
}

/// The time at which the function runs.
fn clock() -> Clock {
    Clock::new(|| Timestamp::parse("2026-11-22T12:00:00Z").unwrap())
}

fn sequence(record: &Value) -> SequenceNumber<'static> {
    SequenceNumber::parse(record["dynamodb"]["SequenceNumber"].as_str().unwrap().to_owned()).unwrap()
}

/// A record as a mapping reads it.
pub fn source_record(record: &Value) -> SourceRecord {
    let created_at = record["dynamodb"]["ApproximateCreationDateTime"].as_f64().unwrap();
    let created_at = Timestamp::from_seconds(created_at as i64).unwrap();
    SourceRecord { sequence: sequence(record), item: 0, created_at, json: record.to_string() }
}

/// All records of a stream, as Lambda delivers them.
async fn records(stream: &EmbeddedStream) -> Vec<Value> {
    let shard = stream.shards().await.unwrap().remove(0).id;
    let (mut all, mut position) = (Vec::new(), Position::TrimHorizon);
    loop {
        let page = stream.read(&shard, &position, 1_000).await.unwrap();
        if page.next == position {
            return all;
        }
        all.extend(page.records.iter().map(|record| serde_json::from_str::<Value>(&record.json).unwrap()));
        position = page.next;
    }
}

fn cell([namespace, entity, resource, window, start]: [&str; 5], limit: &str) -> Cell {
    Cell {
        namespace: namespace.to_owned(),
        entity: entity.to_owned(),
        resource: resource.to_owned(),
        window: window.to_owned(),
        start: start.to_owned(),
        limit: limit.to_owned(),
    }
}

fn read(answer: &Value) -> ClientUsage {
    let (by_entity, events) = usage(&answer["by_entity"]);
    let (by_resource, _) = usage(&answer["by_resource"]);
    let mut summaries = BTreeMap::new();
    for row in answer["summaries"].as_array().unwrap() {
        let (namespace, entity) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        for (limit, total) in row[2].as_object().unwrap() {
            summaries.insert((namespace.to_owned(), entity.to_owned(), limit.clone()), total.as_i64().unwrap());
        }
    }
    ClientUsage { by_entity, by_resource, events, summaries }
}

fn usage(rows: &Value) -> (Usage, Usage) {
    let (mut counters, mut events) = (Usage::new(), Usage::new());
    for row in rows.as_array().unwrap() {
        let place = [0, 1, 2, 3, 4].map(|at| row[at].as_str().unwrap());
        for (limit, tokens) in row[5].as_object().unwrap() {
            let twice = counters.insert(cell(place, limit), tokens.to_string());
            assert_eq!(twice, None, "two snapshots of {place:?}");
        }
        events.insert(cell(place, ""), row[6].to_string());
    }
    (counters, events)
}

/// Runs the script with the real client and returns the JSON that it prints.
fn client(services: &Services, folder: &Path, table: &str, command: &str, input: Option<&str>) -> Value {
    let mut python = python(services, folder, table, "python");
    python.arg(SCRIPT).args(command.split(' ')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = python.spawn().unwrap();
    let mut pipe = process.stdin.take().unwrap();
    let input = input.unwrap_or_default().to_owned();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut pipe, input.as_bytes()));
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    writing.join().unwrap().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A program of the venv that can reach only the embedded services.
fn python(services: &Services, folder: &Path, table: &str, program: &str) -> Command {
    let mut command = Command::new(crate::readers::venv().join(program));
    command
        .current_dir(crate::repository())
        .env("ENDPOINT", services.dynamodb_url())
        .env("TABLE", table)
        .env("DATABASE", folder.join("dynamodb.sqlite"))
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", services.dynamodb_url());
    command
}
