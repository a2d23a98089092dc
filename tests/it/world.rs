//! The environment of end-to-end tests: the embedded services, tables for each test, a handler with HTTP fault
//! injection, and access to stored data that doesn't use the code under test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::OnceLock;

use apache_avro::types::Value as Avro;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{self, FaultPlan, FaultyHttp, Services, TableSpec};
use serde_json::{Value, json};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::ledger::{LedgerTable, PAGES, PageContent, PageKind};
use usage_aggregator::outcome::FoldOutcome;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::{Window, Zone};

/// An item of a table.
pub type StoredItem = HashMap<String, AttributeValue>;
/// A row of the archive.
pub type Row = BTreeMap<String, Avro>;

/// The embedded services, started once for all tests of the process.
pub fn services() -> &'static Services {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    SERVICES.get_or_init(|| Services::start(None).unwrap())
}

/// Tables and a bucket of one test, and clients without faults.
pub struct World {
    pub name: String,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    variables: HashMap<&'static str, String>,
}

/// A handler that uses this world, and control over the faults of its HTTP client.
pub struct Function {
    pub handler: Handler,
    pub http: FaultyHttp,
}

impl World {
    pub async fn new(name: &str, pipeline: &str) -> World {
        let config = emulators::sdk_config(None);
        let (dynamodb, s3) = (services().dynamodb_client(&config), services().s3_client(&config));
        let (usage, ledger) = (format!("{name}-usage"), format!("{name}-ledger"));
        let tables = [
            TableSpec { name: &usage, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None },
            TableSpec { name: &ledger, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None },
            // The source of all worlds, without items: the indicator of `orders` looks for its targets here.
            TableSpec { name: "orders", partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None },
        ];
        emulators::ensure_tables(&dynamodb, &tables).await.unwrap();
        let bucket = format!("{name}-archive");
        emulators::ensure_bucket(&s3, &bucket).await.unwrap();
        let variables = HashMap::from([
            ("PIPELINE", pipeline.to_owned()),
            ("USAGE_TABLE", usage),
            ("LEDGER_TABLE", ledger),
            ("ARCHIVE_BUCKET", bucket),
            ("ARCHIVE_PREFIX", name.to_owned()),
            ("ARCHIVE_CODEC", "null".to_owned()),
            ("METRICS_SINK", "none".to_owned()),
        ]);
        World { name: name.to_owned(), dynamodb, s3, variables }
    }

    /// The world of a pipeline in a folder.
    pub async fn of_folder(name: &str, folder: &Path) -> World {
        let mut world = World::new(name, "orders").await;
        world.variables.remove("PIPELINE");
        world.with("PIPELINE_DIR", folder.to_str().unwrap())
    }

    /// The same world with another setting.
    pub fn with(mut self, name: &'static str, value: &str) -> World {
        self.variables.insert(name, value.to_owned());
        self
    }

    /// A new sandbox of the function.
    pub fn function(&self) -> Function {
        self.function_through(|http| http)
    }

    /// A new sandbox of the function, whose SDK clients use the HTTP client that `around` returns.
    pub fn function_through(&self, around: impl FnOnce(SharedHttpClient) -> SharedHttpClient) -> Function {
        let http = FaultyHttp::new(emulators::http_client(), FaultPlan::none());
        let sdk = emulators::sdk_config(Some(around(http.client())));
        let clients = Clients {
            dynamodb: services().dynamodb_client(&sdk),
            s3: services().s3_client(&sdk),
            cloudwatch: services().cloudwatch_client(&sdk),
            ..Clients::new(&sdk)
        };
        let config = Config::read(|name| self.variables.get(name).cloned()).unwrap();
        Function { handler: Handler::new(config, clients), http }
    }

    /// The value of a setting.
    pub fn variable(&self, name: &str) -> String {
        self.variables[name].clone()
    }

    pub fn bucket(&self) -> String {
        format!("{}-archive", self.name)
    }

    /// Deletes this world, so that thousands of them don't accumulate.
    pub async fn delete(self) {
        for table in ["usage", "ledger"] {
            self.dynamodb.delete_table().table_name(format!("{}-{table}", self.name)).send().await.unwrap();
        }
        let bucket = self.bucket();
        for key in self.objects().await.into_keys() {
            self.s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
        }
        self.s3.delete_bucket().bucket(&bucket).send().await.unwrap();
    }

    /// All items of a table of this world: `usage` or `ledger`.
    pub async fn items(&self, table: &str) -> Vec<StoredItem> {
        let pages = self.dynamodb.scan().table_name(format!("{}-{table}", self.name)).consistent_read(true);
        pages.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
    }

    /// The short ids of the records in all pages of this world.
    pub async fn appended(&self) -> BTreeSet<u64> {
        appended(&self.items("ledger").await)
    }

    /// Folds every page of the ledger, in a sandbox without faults, as if the ledger's stream delivered all of it.
    pub async fn fold_all(&self, invocation: &Invocation) -> FoldOutcome {
        let ledger = format!("{}-ledger", self.name);
        let event = notices(&ledger, &page_keys(&self.items("ledger").await));
        let outcome = self.function().handler.fold(&event, invocation).await.unwrap();
        assert_eq!(outcome.failed, None, "{:?}", outcome.folded.error);
        outcome
    }

    /// All objects in the archive, by key.
    pub async fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = BTreeMap::new();
        let bucket = self.bucket();
        let listing = self.s3.list_objects_v2().bucket(&bucket).send().await.unwrap();
        assert_ne!(listing.is_truncated(), Some(true));
        for object in listing.contents() {
            let key = object.key().unwrap().to_owned();
            let object = self.s3.get_object().bucket(&bucket).key(&key).send().await.unwrap();
            objects.insert(key, object.body.collect().await.unwrap().to_vec());
        }
        objects
    }

    /// All rows in the archive, as apache-avro reads them.
    pub async fn rows(&self) -> Vec<Row> {
        self.objects().await.values().flat_map(|body| rows(body)).collect()
    }
}

/// The short ids of the records in the pages of a ledger.
pub fn appended(ledger: &[StoredItem]) -> BTreeSet<u64> {
    pages(ledger).values().flat_map(records).collect()
}

/// The short ids of the records in a page, which may have longer ones.
pub fn records(page: &PageContent) -> BTreeSet<u64> {
    let short = |id: &u128| u64::try_from(id >> (8 * (u32::from(page.id_bytes) - 8))).unwrap();
    page.groups.iter().flat_map(|group| &group.ids).map(short).collect()
}

/// The partition key and the sort key of a page.
pub type PageKey = (String, String);

/// The keys of the pages of a ledger.
pub fn page_keys(ledger: &[StoredItem]) -> Vec<PageKey> {
    let text = |item: &StoredItem, name: &str| item[name].as_s().unwrap().clone();
    let keys = ledger.iter().map(|item| (text(item, "pk"), text(item, "sk")));
    keys.filter(|(key, _)| key.starts_with(PAGES)).collect()
}

/// The pages of a ledger.
pub fn pages(ledger: &[StoredItem]) -> BTreeMap<PageKey, PageContent> {
    let page = |item: &StoredItem| {
        let key = page_keys(std::slice::from_ref(item)).pop()?;
        let name = u64::from_str_radix(&key.1, 16).unwrap();
        let content = PageContent::read(item["data"].as_b().unwrap().as_ref(), &PageKind::Usage, name).unwrap();
        Some((key, content))
    };
    ledger.iter().filter_map(page).collect()
}

/// The event that the stream of this ledger delivers when these pages have been put.
pub fn notices(ledger: &str, pages: &[PageKey]) -> Vec<u8> {
    let records: Vec<Value> = pages
        .iter()
        .enumerate()
        .map(|(number, page)| notice(ledger, page, &number.to_string(), 1_772_366_400))
        .collect();
    serde_json::to_vec(&json!({ "Records": records })).unwrap()
}

/// The record that the stream of this ledger has for a page.
pub fn notice(ledger: &str, (key, sort_key): &PageKey, sequence: &str, second: i64) -> Value {
    json!({
        "eventID": format!("{sequence:0>32}"), "eventName": "INSERT", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": second as f64,
            "Keys": { "pk": { "S": key }, "sk": { "S": sort_key } },
            "SequenceNumber": sequence, "SizeBytes": 60, "StreamViewType": "KEYS_ONLY",
        },
        "eventSourceARN": ledger_stream(ledger),
    })
}

/// The ARN of the stream of this ledger.
pub fn ledger_stream(ledger: &str) -> String {
    format!("arn:aws:dynamodb:us-east-1:123456789012:table/{ledger}/stream/2026-01-01T00:00:00.000")
}

/// The rows of an Avro file, as apache-avro reads them.
pub fn rows(body: &[u8]) -> Vec<Row> {
    let row = |value: Avro| match value {
        Avro::Record(fields) => fields.into_iter().collect(),
        other => panic!("not a record: {other:?}"),
    };
    apache_avro::Reader::new(body).unwrap().map(|value| row(value.unwrap())).collect()
}

/// The ledger of the pipeline `orders` in a table.
pub fn ledger_in(client: aws_sdk_dynamodb::Client, table: &str) -> LedgerTable {
    LedgerTable {
        client,
        name: table.to_owned(),
        pipeline: "orders".to_owned(),
        buckets: 1,
        id_bytes: 8,
        keep_days: 18,
        late_days: 0,
        windows: Window::DEFAULT.to_vec(),
        zone: Zone::UTC,
    }
}

/// An invocation at `now` without a deadline.
pub fn at(now: &str) -> Invocation {
    Invocation { request_id: "test".to_owned(), now: Timestamp::parse(now).unwrap(), deadline: None }
}

/// The text of an Avro string field.
pub fn text(row: &Row, field: &str) -> String {
    match &row[field] {
        Avro::String(text) => text.clone(),
        other => panic!("{field} is not a string: {other:?}"),
    }
}
