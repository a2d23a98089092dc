//! The environment of end-to-end tests: the embedded services, tables for each test, a handler with HTTP fault
//! injection, and access to stored data that doesn't use the code under test.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::OnceLock;

use apache_avro::types::Value as Avro;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::emulators::{self, FaultPlan, FaultyHttp, Services, TableSpec};
use usage_aggregator::clients::Clients;
use usage_aggregator::config::Config;
use usage_aggregator::handler::{Handler, Invocation};
use usage_aggregator::time::Timestamp;

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
        let (usage, claims) = (format!("{name}-usage"), format!("{name}-claims"));
        let tables = [
            TableSpec { name: &usage, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: None },
            TableSpec { name: &claims, partition_key: "claim", sort_key: None, ttl_attribute: None, stream: None },
        ];
        emulators::ensure_tables(&dynamodb, &tables).await.unwrap();
        let bucket = format!("{name}-archive");
        emulators::ensure_bucket(&s3, &bucket).await.unwrap();
        let variables = HashMap::from([
            ("PIPELINE", pipeline.to_owned()),
            ("USAGE_TABLE", usage),
            ("LEDGER_TABLE", claims),
            ("ARCHIVE_BUCKET", bucket),
            ("ARCHIVE_PREFIX", name.to_owned()),
            ("ARCHIVE_CODEC", "null".to_owned()),
            ("METRICS_SINK", "none".to_owned()),
        ]);
        World { name: name.to_owned(), dynamodb, s3, variables }
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
        };
        let config = Config::read(|name| self.variables.get(name).cloned()).unwrap();
        Function { handler: Handler::new(config, clients), http }
    }

    pub fn bucket(&self) -> String {
        format!("{}-archive", self.name)
    }

    /// Deletes this world, so that thousands of them don't accumulate.
    pub async fn delete(self) {
        for table in ["usage", "claims"] {
            self.dynamodb.delete_table().table_name(format!("{}-{table}", self.name)).send().await.unwrap();
        }
        let bucket = self.bucket();
        for key in self.objects().await.into_keys() {
            self.s3.delete_object().bucket(&bucket).key(key).send().await.unwrap();
        }
        self.s3.delete_bucket().bucket(&bucket).send().await.unwrap();
    }

    /// All items of a table of this world: `usage` or `claims`.
    pub async fn items(&self, table: &str) -> Vec<StoredItem> {
        let pages = self.dynamodb.scan().table_name(format!("{}-{table}", self.name)).consistent_read(true);
        pages.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
    }

    /// The short ids in all claims of this world.
    pub async fn claimed(&self) -> BTreeSet<u64> {
        claimed(&self.items("claims").await)
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

/// The short ids in `claims`.
pub fn claimed(claims: &[StoredItem]) -> BTreeSet<u64> {
    let ids = |item: &StoredItem| {
        let bytes = item["ids"].as_b().unwrap().as_ref();
        bytes.as_chunks::<8>().0.iter().map(|id| u64::from_be_bytes(*id)).collect::<Vec<_>>()
    };
    claims.iter().flat_map(ids).collect()
}

/// The rows of an Avro file, as apache-avro reads them.
pub fn rows(body: &[u8]) -> Vec<Row> {
    let row = |value: Avro| match value {
        Avro::Record(fields) => fields.into_iter().collect(),
        other => panic!("not a record: {other:?}"),
    };
    apache_avro::Reader::new(body).unwrap().map(|value| row(value.unwrap())).collect()
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
