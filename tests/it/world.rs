//! What the end-to-end tests run in: the embedded services, tables of a test's own, a handler whose HTTP may fail, and
//! ways to look at what is stored without the code under test.

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
pub type Item = HashMap<String, AttributeValue>;
/// A row of the archive.
pub type Row = BTreeMap<String, Avro>;

/// The services, started once for all tests of the process.
pub fn services() -> &'static Services {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    SERVICES.get_or_init(|| Services::start(None).unwrap())
}

/// Tables and a bucket that nobody else uses, and clients without faults to look at them.
pub struct World {
    pub name: String,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub s3: aws_sdk_s3::Client,
    variables: HashMap<&'static str, String>,
}

/// A handler of this world and the faults of its HTTP.
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
            TableSpec { name: &usage, partition_key: "pk", sort_key: Some("sk"), ttl_attribute: None, stream: false },
            TableSpec { name: &claims, partition_key: "claim", sort_key: None, ttl_attribute: None, stream: false },
        ];
        emulators::ensure_tables(&dynamodb, &tables).await.unwrap();
        let bucket = format!("{name}-archive");
        emulators::ensure_bucket(&s3, &bucket).await.unwrap();
        let variables = HashMap::from([
            ("PIPELINE", pipeline.to_owned()),
            ("USAGE_TABLE", usage),
            ("CLAIMS_TABLE", claims),
            ("ARCHIVE_BUCKET", bucket),
            ("ARCHIVE_PREFIX", name.to_owned()),
            ("ARCHIVE_CODEC", "null".to_owned()),
            ("METRICS_SINK", "none".to_owned()),
        ]);
        World { name: name.to_owned(), dynamodb, s3, variables }
    }

    /// The same world under other settings.
    pub fn with(mut self, name: &'static str, value: &str) -> World {
        self.variables.insert(name, value.to_owned());
        self
    }

    /// A new sandbox of the function.
    pub fn function(&self) -> Function {
        self.function_through(|http| http)
    }

    /// A new sandbox of the function, whose SDK clients send requests through what `around` makes of the HTTP client.
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

    /// Ends this world, so that thousands of them don't pile up.
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

    /// Every item of a table of this world: `usage` or `claims`.
    pub async fn items(&self, table: &str) -> Vec<Item> {
        let pages = self.dynamodb.scan().table_name(format!("{}-{table}", self.name)).consistent_read(true);
        pages.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
    }

    /// The short ids that all claims hold.
    pub async fn claimed(&self) -> BTreeSet<u64> {
        claimed(&self.items("claims").await)
    }

    /// Every object of the archive: its key and body.
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

    /// Every row of the archive, as apache-avro reads it.
    pub async fn rows(&self) -> Vec<Row> {
        self.objects().await.values().flat_map(|body| rows(body)).collect()
    }
}

/// The short ids that claims hold.
pub fn claimed(claims: &[Item]) -> BTreeSet<u64> {
    let ids = |item: &Item| {
        let bytes = item["ids"].as_b().unwrap().as_ref();
        bytes.as_chunks::<8>().0.iter().map(|id| u64::from_be_bytes(*id)).collect::<Vec<_>>()
    };
    claims.iter().flat_map(ids).collect()
}

/// The rows of an Avro file, as apache-avro reads it.
pub fn rows(body: &[u8]) -> Vec<Row> {
    let row = |value: Avro| match value {
        Avro::Record(fields) => fields.into_iter().collect(),
        other => panic!("not a record: {other:?}"),
    };
    apache_avro::Reader::new(body).unwrap().map(|value| row(value.unwrap())).collect()
}

/// An invocation without a deadline at `now`.
pub fn at(now: &str) -> Invocation {
    Invocation { request_id: "test".to_owned(), now: Timestamp::parse(now).unwrap(), deadline: None }
}

/// The text of an Avro string field.
pub fn text(row: &Row, field: &str) -> String {
    match &row[field] {
        Avro::String(text) => text.clone(),
        other => panic!("{field} is no string: {other:?}"),
    }
}
