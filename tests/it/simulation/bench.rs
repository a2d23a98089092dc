//! The environment of the runs of one thread: an in-process database and bucket, and sandboxes of the function.
//!
//! Creating a sandbox takes longer than a run, so sandboxes are reused. The services are new for each run.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient, http_client_fn};
use dynoxide::Database;
use dynoxide::actions::scan::ScanRequest;
use laptop::emulators::in_process::{self, Objects};
use laptop::emulators::{EventBus, FaultPlan, FaultyHttp};
use serde_json::json;
use usage_aggregator::config::Config;
use usage_aggregator::handler::Handler;

use super::ledger_stream::{LedgerStream, Observed, observed};
use super::table::{SourceTable, Watched, watched};
use crate::model::alerts::RULES;
use crate::model::history::GENERATION_BY_PLACED;
use crate::model::indicators::Missing;
use crate::model::invariants::{GRACE_SECONDS, Stored};
use crate::world::StoredItem;

const USAGE: &str = "usage";
/// The name of the ledger table.
pub const LEDGER: &str = "ledger";
const ARCHIVE: &str = "archive";
const FAILURES: &str = "failures";

/// The services of the current run, and sandboxes that outlive it.
pub struct Bench {
    services: Arc<Mutex<Services>>,
    free: Mutex<BTreeMap<Deployed, Vec<Arc<Sandbox>>>>,
    limit_percent: &'static str,
}

/// What is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// Rejected records are delivered again.
    Failing,
    /// Rejected records are quarantined.
    Quarantining,
    /// Every change can be processed: an order may lack a status, and no record is too old.
    Fixed,
}

/// What the pipeline `orders` has in addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    Plain,
    /// Orders count when they were placed, in windows that are closed, with alerts.
    ByEventTime,
    Indicator(Missing),
    /// One of several generations that run side by side. One of them counts orders when they were placed, with alerts.
    Generation(u64),
}

/// A release and a pipeline.
type Deployed = (Release, Variant);

/// The services of one run.
#[derive(Clone)]
struct Services {
    database: Database,
    objects: Objects,
    events: EventBus,
    ledger_stream: Observed,
    table: Watched,
    http: SharedHttpClient,
}

/// One instance of the function, with HTTP fault injection.
pub struct Sandbox {
    pub handler: Handler,
    pub http: FaultyHttp,
}

/// A sandbox in use. It is released when this is dropped.
pub struct Lease {
    pub sandbox: Arc<Sandbox>,
    release: Deployed,
    bench: Arc<Bench>,
}

impl Bench {
    /// Without a limit of rejected records, sandboxes keep no state, so a run doesn't depend on earlier ones.
    pub fn new() -> Arc<Bench> {
        Bench::with_limit("100")
    }

    /// A bench whose function rejects a batch of which more than this percentage is rejected.
    pub fn with_limit(limit_percent: &'static str) -> Arc<Bench> {
        Arc::new(Bench { services: Arc::new(Mutex::new(Services::new())), free: Mutex::default(), limit_percent })
    }

    /// Gives the sandboxes new services.
    pub fn reset(&self) {
        *self.services.lock().unwrap() = Services::new();
    }

    /// Gives the ledger a stream.
    pub fn start_stream(&self, stream: LedgerStream) -> Observed {
        let observed = Arc::clone(&self.services.lock().unwrap().ledger_stream);
        *observed.lock().unwrap() = Some(stream);
        observed
    }

    /// Creates the source table.
    pub fn start_table(&self, table: impl FnOnce(Database) -> SourceTable) -> Watched {
        let Services { database, table: watched, .. } = self.services.lock().unwrap().clone();
        create(&database, "orders");
        *watched.lock().unwrap() = Some(table(database));
        watched
    }

    /// Takes a free sandbox of this release, or creates one.
    pub fn sandbox(self: &Arc<Bench>, release: Release) -> Lease {
        self.sandbox_of(release, Variant::Plain)
    }

    /// The same, for another pipeline.
    pub fn sandbox_of(self: &Arc<Bench>, release: Release, variant: Variant) -> Lease {
        let release = (release, variant);
        let free = self.free.lock().unwrap().entry(release).or_default().pop();
        let sandbox = free.unwrap_or_else(|| Arc::new(self.new_sandbox(release)));
        sandbox.http.revive();
        Lease { sandbox, release, bench: Arc::clone(self) }
    }

    /// Creating clients uses the thread's random number generator. Its state is restored, because a run must not depend
    /// on how many sandboxes exist.
    fn new_sandbox(&self, (release, variant): Deployed) -> Sandbox {
        let before = fastrand::get_seed();
        let services = Arc::clone(&self.services);
        let http = http_client_fn(move |settings, components| {
            services.lock().unwrap().http.http_connector(settings, components)
        });
        let http = FaultyHttp::new(http, FaultPlan::none());
        let handler = Handler::new(config(release, variant, self.limit_percent), in_process::clients(http.client()));
        fastrand::seed(before);
        Sandbox { handler, http }
    }

    /// Everything that is stored now.
    pub fn stored(&self) -> Stored {
        let Services { database, objects, .. } = self.services.lock().unwrap().clone();
        Stored {
            usage: items(&database, USAGE),
            ledger: items(&database, LEDGER),
            objects: objects.bucket(ARCHIVE),
            documents: objects.bucket(FAILURES),
        }
    }

    /// The details of the alerts that arrived at the event bus, in order.
    pub fn sent(&self) -> Vec<String> {
        let events = self.services.lock().unwrap().events.events();
        events.iter().map(|event| event.detail.get().to_owned()).collect()
    }

    /// Deletes all documents of quarantined records.
    pub fn delete_documents(&self) {
        self.services.lock().unwrap().objects.create_bucket(FAILURES);
    }
}

impl Services {
    fn new() -> Services {
        let (database, objects) = (Database::memory().unwrap(), Objects::default());
        create(&database, USAGE);
        create(&database, LEDGER);
        objects.create_bucket(ARCHIVE);
        objects.create_bucket(FAILURES);
        let (events, ledger_stream, table) = (EventBus::default(), Observed::default(), Watched::default());
        let http = in_process::client_with_events(database.clone(), objects.clone(), events.clone());
        let http = watched(observed(http, Arc::clone(&ledger_stream)), Arc::clone(&table));
        Services { database, objects, events, ledger_stream, table, http }
    }
}

fn create(database: &Database, table: &str) {
    let keys = [("pk", "HASH"), ("sk", "RANGE")];
    let request = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": keys.map(|(name, _)| json!({ "AttributeName": name, "AttributeType": "S" })),
        "KeySchema": keys.map(|(name, kind)| json!({ "AttributeName": name, "KeyType": kind })),
    });
    database.create_table(serde_json::from_value(request).unwrap()).unwrap();
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.bench.free.lock().unwrap().entry(self.release).or_default().push(Arc::clone(&self.sandbox));
    }
}

fn items(database: &Database, table: &str) -> Vec<StoredItem> {
    let request = ScanRequest { table_name: table.to_owned(), ..ScanRequest::default() };
    let page = database.scan(request).unwrap();
    assert!(page.last_evaluated_key.is_none(), "{table} is larger than a page");
    let item = |item: dynoxide::Item| item.into_iter().map(|(name, value)| (name, attribute(value))).collect();
    page.items.unwrap_or_default().into_iter().map(item).collect()
}

fn config(release: Release, variant: Variant, limit_percent: &'static str) -> Config {
    let mut variables = HashMap::from([
        ("USAGE_TABLE", USAGE),
        ("LEDGER_TABLE", LEDGER),
        ("ARCHIVE_BUCKET", ARCHIVE),
        ("ARCHIVE_CODEC", "null"),
        ("METRICS_SINK", "none"),
    ]);
    // Releases differ in the number of buckets, as they do while a change of it is deployed.
    let buckets = match release {
        Release::Failing => "1",
        Release::Quarantining => "3",
        Release::Fixed => "2",
    };
    variables.insert("LEDGER_BUCKETS", buckets);
    if release != Release::Failing {
        variables.extend([("REJECTED_RECORDS", "quarantine"), ("FAILURE_BUCKET", FAILURES)]);
        variables.insert("QUARANTINE_LIMIT_PERCENT", limit_percent);
    }
    if variant == Variant::Generation(GENERATION_BY_PLACED) {
        variables.insert("RECORD_ID_BYTES", "10");
    }
    let folder = pipeline(release == Release::Fixed, variant);
    let orders = folder.path().join("orders");
    variables.insert("PIPELINE_DIR", orders.to_str().unwrap());
    if release == Release::Fixed {
        variables.insert("HORIZON_DAYS", "36500");
    }
    Config::read(|name| variables.get(name).map(|value| (*value).to_owned())).unwrap()
}

/// The pipeline `orders`, with a default for the status if it is fixed. The only indicator is that of the variant.
fn pipeline(is_fixed: bool, variant: Variant) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let orders = folder.path().join("orders");
    std::fs::create_dir(&orders).unwrap();
    for (name, text) in usage_aggregator::pipeline::shipped("orders").unwrap().files {
        let mut text = without_indicators(&text);
        let mut add = |file: &str, before: &str, more: &str| {
            if name == file {
                assert!(text.contains(before), "{file} has no {before}");
                text = text.replacen(before, &format!("{before}{more}"), 1);
            }
        };
        if is_fixed {
            add("order.avsc", r#""name": "status", "type": "string""#, r#", "default": "OPEN""#);
        }
        if variant == Variant::ByEventTime {
            add("pipeline.toml", "[snapshot]\n", &format!("closing = {{ grace = \"{}m\" }}\n", GRACE_SECONDS / 60));
        }
        if let Variant::Generation(generation) = variant {
            add("pipeline.toml", "sources = [\"orders\"]\n", &format!("generation = {generation}\n"));
        }
        if matches!(variant, Variant::ByEventTime | Variant::Generation(GENERATION_BY_PLACED)) {
            let time = r#"{ attribute = "placed", late = "7d", early = "1h", beyond = "creation_time" }"#;
            add("pipeline.toml", "resource = \"orders\"\n", &format!("window_time = {time}\n{RULES}"));
        }
        if let (Variant::Indicator(missing), "pipeline.toml") = (variant, name.as_str()) {
            text.push_str(&missing.rules());
        }
        std::fs::write(orders.join(name), text).unwrap();
    }
    folder
}

/// The file without the sections of its indicators.
fn without_indicators(file: &str) -> String {
    let mut is_indicator = false;
    let mut rest = String::new();
    for line in file.lines() {
        if line.starts_with('[') {
            is_indicator = line.starts_with("[[indicator");
        }
        if !is_indicator {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    rest
}

fn attribute(value: dynoxide::AttributeValue) -> AttributeValue {
    match value {
        dynoxide::AttributeValue::S(text) => AttributeValue::S(text),
        dynoxide::AttributeValue::N(digits) => AttributeValue::N(digits),
        dynoxide::AttributeValue::B(bytes) => AttributeValue::B(bytes.into()),
        dynoxide::AttributeValue::BOOL(flag) => AttributeValue::Bool(flag),
        other => panic!("the function never writes {other:?}"),
    }
}
