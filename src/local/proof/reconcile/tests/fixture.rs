//! Services, a simulated table and a handler that is fed by hand.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use dynoxide::actions::get_records::GetRecordsRequest;
use dynoxide::actions::get_shard_iterator::GetShardIteratorRequest;
use dynoxide::actions::list_streams::ListStreamsRequest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::emulators::{Services, ensure_bucket, ensure_tables, sdk_config, table_specs};
use crate::proof::load::{Amount, Load, ProfileName, Simulation, Target};
use crate::proof::reconcile::{CountedRecords, Destination, Report, Site, Truth, Unsettled, reconcile};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Config, Tables};
use usage_aggregator::fold::{Folder, Limits, MAX_STATE_BYTES, Pages, Standing, UsageTable};
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::pipeline::{Folder as PipelineFolder, shipped};
use usage_aggregator::usage::Segment;
use usage_compact::{Archive, Compactor, Effect, RecordType, Timing, raw_units};

pub(super) const FAILURES: &str = "failures";
const BATCH: usize = 25;
/// Two different values are counted exactly, so that most customers have an estimate.
const KINDS: &str = r#"
[[record.measure]]
name = "largest"
kind = "max"
attribute = "total"
[[record.measure]]
name = "smallest"
kind = "min"
attribute = "total"
[[record.measure]]
name = "first_status"
kind = "first"
attribute = "status"
[[record.measure]]
name = "status"
kind = "latest"
attribute = "status"
[[record.measure]]
name = "totals"
kind = "distinct"
attribute = "total"
exact = 2
[[record.measure]]
name = "total"
kind = "quantile"
attribute = "total"

"#;

pub(super) struct Fixture {
    pub clients: Clients,
    services: Services,
    folder: TempDir,
    profile: ProfileName,
    handler: Handler,
    tables: Option<Tables>,
    archive: Option<ArchivePlace>,
}

/// A shipped pipeline, or the one of rate-limiter buckets that these tests have.
pub(super) fn archive_of(pipeline: &str) -> PipelineFolder {
    shipped(pipeline).unwrap_or_else(|| PipelineFolder::read(&limiter()).unwrap())
}

fn limiter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("proof/reconcile/tests/limiter")
}

impl Fixture {
    pub(super) async fn new(profile: ProfileName) -> Fixture {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
        let folder = match profile {
            ProfileName::Bucket => limiter(),
            _ => shipped.join(profile.name()),
        };
        Fixture::with(profile, &folder).await
    }

    /// Orders, with a measure of every kind that isn't a sum.
    pub(super) async fn with_kinds() -> Fixture {
        Fixture::with_orders("[record.archive]", &[KINDS, "[record.archive]"].concat()).await
    }

    /// Orders, counted by the hours of India, which begin at half past in UTC.
    pub(super) async fn in_india() -> Fixture {
        Fixture::with_orders("[snapshot]", "[snapshot]\ntime_zone = \"Asia/Kolkata\"").await
    }

    /// Orders, with another text in their pipeline.
    async fn with_orders(from: &str, to: &str) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders");
        std::fs::create_dir(&path).unwrap();
        for (name, text) in shipped("orders").unwrap().files {
            std::fs::write(path.join(name), text.replacen(from, to, 1)).unwrap();
        }
        Fixture::with(ProfileName::Orders, &path).await
    }

    async fn with(profile: ProfileName, pipeline: &Path) -> Fixture {
        Fixture::with_variables(profile, pipeline, &[]).await
    }

    /// The pipeline in a folder, with other settings.
    pub(super) async fn with_variables(profile: ProfileName, pipeline: &Path, variables: &[(&str, &str)]) -> Fixture {
        let services = Services::start(None).unwrap();
        let sdk = sdk_config(None);
        let clients = Clients {
            dynamodb: services.dynamodb_client(&sdk),
            s3: services.s3_client(&sdk),
            cloudwatch: services.cloudwatch_client(&sdk),
            ..Clients::new(&sdk)
        };
        let config = config(pipeline, variables);
        let source = profile.table(profile.target()).unwrap();
        ensure_tables(&clients.dynamodb, &[table_specs(&config), vec![source]].concat()).await.unwrap();
        for bucket in ["archive", FAILURES] {
            ensure_bucket(&clients.s3, bucket).await.unwrap();
        }
        let (tables, archive) = (config.tables.clone(), config.archive.clone());
        let handler = Handler::new(config, clients.clone());
        Fixture { clients, services, folder: tempfile::tempdir().unwrap(), profile, handler, tables, archive }
    }

    /// Deploys another version of the pipeline.
    pub(super) fn redeploy(&mut self, pipeline: &Path) {
        self.handler = Handler::new(config(pipeline, &[]), self.clients.clone());
    }

    /// Compacts all hours at once, and leaves the raw files.
    pub(super) async fn compact(&self) {
        let place = self.archive.as_ref().unwrap();
        let now = event_source_mapping::now().unwrap().seconds();
        let compactor = Compactor {
            archive: Archive {
                client: self.clients.s3.clone(),
                bucket: place.bucket.clone(),
                prefix: place.prefix.clone(),
            },
            clock: Arc::new(move || now),
            timing: Timing::Now,
            effect: Effect::Commit,
            memory_bytes: 100_000_000,
        };
        for (name, schema) in self.handler.pipeline().schemas() {
            let record_type = RecordType::new(schema).unwrap();
            for unit in raw_units(&compactor.archive, name, None).await.unwrap() {
                compactor.compact(&record_type, &unit.key, &|| {}).await.unwrap();
            }
        }
    }

    /// Deletes the raw files.
    pub(super) async fn delete_raw_files(&self) {
        let s3 = &self.clients.s3;
        let listed = s3.list_objects_v2().bucket("archive").prefix("data-pipeline/avro/").send().await.unwrap();
        for object in listed.contents() {
            s3.delete_object().bucket("archive").key(object.key().unwrap()).send().await.unwrap();
        }
    }

    pub(super) fn site(&self) -> Site<'_> {
        let (tables, archive) = (self.tables.as_ref(), self.archive.as_ref());
        Site {
            clients: &self.clients,
            pipeline: self.handler.pipeline(),
            tables,
            archive,
            unsettled: None,
            unfolded_pages: 0,
            period: None,
            now: event_source_mapping::now().unwrap(),
        }
    }

    fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    pub(super) fn ledgers(&self) -> Truth {
        Truth::Ledgers(vec![self.ledger()])
    }

    /// A copy of the ledger in which the first order's insertion is unsure, and was answered hours later.
    pub(super) fn with_an_unsure_order(&self, unsure: &str, hours: u64) -> PathBuf {
        self.with_another_order(unsure, |entry| {
            let done_at: jiff::Timestamp = entry["done_at"].as_str().unwrap().parse().unwrap();
            entry["done_at"] = json!((done_at + Duration::from_secs(3_600 * hours)).to_string());
            entry["unsure"] = json!(unsure);
        })
    }

    /// A copy of the ledger in which the first order's insertion was sent right before the hour of India in which it was answered.
    pub(super) fn with_an_order_across_an_hour_of_india(&self) -> PathBuf {
        self.with_another_order("india", |entry| {
            let done_at: jiff::Timestamp = entry["done_at"].as_str().unwrap().parse().unwrap();
            let since = (done_at.as_second() - 1_800).rem_euclid(3_600);
            let before = jiff::Timestamp::from_second(done_at.as_second() - since).unwrap() - Duration::from_millis(1);
            entry["sent_at"] = json!(before.to_string());
        })
    }

    /// A copy of the ledger with a change of the first order's insertion.
    fn with_another_order(&self, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
        let text = std::fs::read_to_string(self.ledger()).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_order = |line: &&mut Value| line["done"]["adds"].as_array().is_some_and(|adds| adds.len() == 3);
        change(&mut lines.iter_mut().find(is_order).unwrap()["done"]);
        let path = self.folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        path
    }

    pub(super) async fn simulate(&self, records: u64, poison_percent: u8) {
        let mut simulation = Simulation::new(Load::Shipped(self.profile));
        simulation.shape.entities = 5;
        simulation.shape.poison_percent = f64::from(poison_percent);
        let simulation = Simulation { rate_per_second: 0, amount: Amount::Records(records), ..simulation };
        let target = Target::Table { client: self.clients.dynamodb.clone(), name: self.profile.target().to_owned() };
        simulation.run(&target, &self.ledger(), &|_| {}, pending()).await.unwrap();
    }

    pub(super) async fn reconcile(&self, truth: &Truth) -> anyhow::Result<Report> {
        let failures = Destination { bucket: FAILURES.to_owned(), prefix: String::new() };
        reconcile(&self.site(), truth, &[failures], &|| {}).await
    }

    /// Compares while a mapping reports that these records aren't settled.
    pub(super) async fn reconcile_while(&self, unsettled: Unsettled) -> Report {
        let failures = Destination { bucket: FAILURES.to_owned(), prefix: String::new() };
        let site = Site { unsettled: Some(unsettled), ..self.site() };
        reconcile(&site, &self.ledgers(), &[failures], &|| {}).await.unwrap()
    }

    /// Delivers only the first records of the stream; returns how many are left.
    pub(super) async fn deliver_first(&self, size: usize) -> u64 {
        let records = self.records();
        let invocation =
            Invocation { request_id: "test".to_owned(), now: event_source_mapping::now().unwrap(), deadline: None };
        let outcome = self.handler.append(&event(&records[..size]), &invocation).await.unwrap();
        assert_eq!(outcome.durable, size);
        u64::try_from(records.len() - size).unwrap()
    }

    /// Delivers the records before the last one of an order, which is counted; returns how many are left.
    pub(super) async fn deliver_until_last_order(&self) -> u64 {
        let is_order = |record: &Value| record["dynamodb"]["Keys"]["sk"]["S"].as_str().unwrap().starts_with("ORDER#");
        self.deliver_first(self.records().iter().rposition(is_order).unwrap()).await
    }

    /// Moves all documents of the failure destination to where the function quarantines records.
    pub(super) async fn quarantine_what_was_given_up(&self) {
        let listed = self.clients.s3.list_objects_v2().bucket(FAILURES).prefix("aws/lambda/").send().await.unwrap();
        for (number, object) in listed.contents().iter().enumerate() {
            let key = object.key().unwrap();
            let body = self.clients.s3.get_object().bucket(FAILURES).key(key).send().await.unwrap().body;
            let put = self.clients.s3.put_object().bucket(FAILURES).key(format!("quarantine/orders/{number}.json"));
            put.body(body.collect().await.unwrap().into_bytes().into()).send().await.unwrap();
            self.clients.s3.delete_object().bucket(FAILURES).key(key).send().await.unwrap();
        }
    }

    /// Processes these records at once.
    pub(super) async fn append(&self, records: &[Value]) {
        let invocation =
            Invocation { request_id: "test".to_owned(), now: event_source_mapping::now().unwrap(), deadline: None };
        let outcome = self.handler.append(&event(records), &invocation).await.unwrap();
        assert_eq!(outcome.durable, records.len(), "{outcome:?}");
    }

    /// What the pages of the hour that begins at this second say about each record.
    pub(super) async fn counted_records(&self, from: i64) -> CountedRecords {
        let mut counted = CountedRecords::default();
        let ledger = super::super::corrections::ledger(&self.site()).unwrap();
        let usage = UsageTable { client: self.clients.dynamodb.clone(), name: "usage".to_owned() };
        let (limits, epoch, horizon_days, concurrency) = (Limits::default(), 0, 18, 1);
        let max_state_bytes = MAX_STATE_BYTES;
        let folder = Folder { ledger, usage, limits, epoch, horizon_days, max_state_bytes, concurrency };
        for minute in 0..60 {
            let read = folder.records(Segment::at(from + 60 * minute), Pages::All, None).await.unwrap();
            for record in read.records.into_iter().filter(|record| record.standing != Standing::Repeated) {
                let amounts =
                    record.amounts.into_iter().map(|(measure, amount)| ((record.key.0.clone(), measure), amount));
                counted.amounts.entry(record.id.short()).or_default().extend(amounts);
            }
        }
        counted
    }

    pub(super) async fn deliver(&self) {
        self.deliver_in_batches_of(BATCH).await;
    }

    /// Delivers the whole stream, and discards what is rejected, one record at a time.
    pub(super) async fn deliver_in_batches_of(&self, size: usize) {
        let records = self.records();
        let mut position = 0;
        while position < records.len() {
            let batch = &records[position..records.len().min(position + size)];
            let invocation =
                Invocation { request_id: "test".to_owned(), now: event_source_mapping::now().unwrap(), deadline: None };
            let outcome = self.handler.append(&event(batch), &invocation).await.unwrap();
            position += outcome.durable;
            if outcome.durable < batch.len() {
                self.give_up(&records[position], position).await;
                position += 1;
            }
        }
    }

    /// The file with the rows of the earliest records.
    pub(super) async fn first_file(&self, record_type: &str) -> String {
        let records = self.records();
        let invocation =
            Invocation { request_id: "test".to_owned(), now: event_source_mapping::now().unwrap(), deadline: None };
        let outcome = self.handler.append(&event(&records[..BATCH]), &invocation).await.unwrap();
        let wanted = format!("/{record_type}/");
        outcome.files.into_iter().map(|file| file.key).find(|key| key.contains(&wanted)).unwrap()
    }

    async fn give_up(&self, record: &Value, number: usize) {
        let payload = String::from_utf8(event(std::slice::from_ref(record))).unwrap();
        let document = json!({ "version": "1.0", "payload": payload, "DDBStreamBatchInfo": { "batchSize": 1 } });
        let key = format!("aws/lambda/mapping/shardId-1/2026/11/21/2026-11-21T03.00.00-{number}");
        let body = ByteStream::from(document.to_string().into_bytes());
        self.clients.s3.put_object().bucket(FAILURES).key(key).body(body).send().await.unwrap();
    }

    /// The stream of the simulated table, without records that a repeated write has left.
    fn records(&self) -> Vec<Value> {
        let (database, table) = (self.services.database(), self.profile.target());
        let streams = ListStreamsRequest { table_name: Some(table.to_owned()), ..ListStreamsRequest::default() };
        let stream_arn = database.list_streams(streams).unwrap().streams.remove(0).stream_arn;
        let arn = format!("arn:aws:dynamodb:us-east-1:123456789012:table/{table}/stream/2026-01-01T00:00:00.000");
        let start = GetShardIteratorRequest {
            stream_arn,
            shard_id: format!("shardId-00000001-{table}"),
            shard_iterator_type: "TRIM_HORIZON".to_owned(),
            sequence_number: None,
        };
        let mut records = Vec::new();
        let mut next = database.get_shard_iterator(start).unwrap().shard_iterator;
        while let Some(shard_iterator) = next {
            let page = database.get_records(GetRecordsRequest { shard_iterator, limit: None }).unwrap();
            next = page.next_shard_iterator.filter(|_| !page.records.is_empty());
            for record in page.records {
                let mut record = serde_json::to_value(record).unwrap();
                record["eventSourceARN"] = json!(arn);
                records.push(record);
            }
        }
        records.retain(|record| record["dynamodb"]["OldImage"] != record["dynamodb"]["NewImage"]);
        records
    }
}

fn config(pipeline: &Path, variables: &[(&str, &str)]) -> Config {
    let config = Config::read(|name| match name {
        "PIPELINE_DIR" => Some(pipeline.to_str().unwrap().to_owned()),
        "USAGE_TABLE" => Some("usage".to_owned()),
        "LEDGER_TABLE" => Some("ledger".to_owned()),
        // Nothing delivers the ledger's stream.
        "FRESHNESS" => Some("now".to_owned()),
        "ARCHIVE_BUCKET" => Some("archive".to_owned()),
        "METRICS_SINK" => Some("none".to_owned()),
        name => variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned()),
    });
    config.unwrap()
}

fn event(records: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}
