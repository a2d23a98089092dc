//! The event source mapping's conformance suite against every source that reads an embedded service.

use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::types::AttributeValue;
use event_source_mapping::Source;
use event_source_mapping::conformance::{Subject, Supports, run};
use event_source_mapping::sources::{RemoteKinesis, RemoteStream};
use stream_types::Timestamp;
use tempfile::TempDir;

use super::kinesis::KinesisSource;
use super::{EmbeddedStream, Services, StreamView, TableSpec, ensure_tables, sdk_config};

const TABLE: TableSpec<'_> = TableSpec {
    name: "orders",
    partition_key: "pk",
    sort_key: None,
    ttl_attribute: None,
    stream: Some(StreamView::Images),
};
const STREAM: &str = "clicks";

/// A table of the embedded DynamoDB, and a source that reads its stream.
struct Table {
    services: Services,
    source: Box<dyn Source>,
    /// For trimming, which only a database in a folder supports.
    embedded: Option<EmbeddedStream>,
    shard: String,
    written: AtomicU64,
    _folder: TempDir,
}

impl Table {
    async fn embedded() -> anyhow::Result<Table> {
        let (services, folder) = Table::services().await?;
        let embedded = EmbeddedStream::open(services.database(), TABLE.name)?;
        Table::new(services, folder, Box::new(embedded.clone()), Some(embedded)).await
    }

    async fn remote() -> anyhow::Result<Table> {
        let (services, folder) = Table::services().await?;
        let config = sdk_config(None);
        let described = services.dynamodb_client(&config).describe_table().table_name(TABLE.name).send().await?;
        let arn = described.table.and_then(|table| table.latest_stream_arn).context("the table has no stream")?;
        let client = aws_sdk_dynamodbstreams::config::Builder::from(&config).endpoint_url(services.dynamodb_url());
        let remote = RemoteStream::new(aws_sdk_dynamodbstreams::Client::from_conf(client.build()), &arn);
        Table::new(services, folder, Box::new(remote), None).await
    }

    async fn services() -> anyhow::Result<(Services, TempDir)> {
        let folder = tempfile::tempdir()?;
        let services = Services::start(Some(folder.path()))?;
        ensure_tables(&services.dynamodb_client(&sdk_config(None)), &[TABLE]).await?;
        Ok((services, folder))
    }

    async fn new(
        services: Services,
        folder: TempDir,
        source: Box<dyn Source>,
        embedded: Option<EmbeddedStream>,
    ) -> anyhow::Result<Table> {
        let shard = source.shards().await?.remove(0).id;
        Ok(Table { services, source, embedded, shard, written: AtomicU64::new(0), _folder: folder })
    }
}

#[async_trait::async_trait]
impl Subject for Table {
    fn source(&self) -> &dyn Source {
        &*self.source
    }

    fn shard(&self) -> &str {
        &self.shard
    }

    fn supports(&self) -> Supports {
        let embedded = self.embedded.is_some();
        // Over HTTP, dynoxide answers reads of any shard, and knows nothing of trimming.
        Supports { unknown_shards: embedded, trimming: embedded, ..Supports::default() }
    }

    async fn append(&self, _: Timestamp) -> anyhow::Result<()> {
        let key = self.written.fetch_add(1, Ordering::Relaxed).to_string();
        let item = [("pk".to_owned(), AttributeValue::S(key))].into();
        let put = PutItemRequest { table_name: TABLE.name.to_owned(), item, ..Default::default() };
        self.services.database().put_item(put)?;
        Ok(())
    }

    async fn trim(&self) -> anyhow::Result<()> {
        let embedded = self.embedded.as_ref().context("this stream can't be trimmed")?;
        // After everything that has been written, whatever the time.
        let end_of_time = Timestamp::from_seconds(4_102_444_799).context("the end of 2099")?;
        embedded.trim(end_of_time)?;
        Ok(())
    }
}

/// A stream of the embedded Kinesis, and a source that reads it.
struct Kinesis {
    services: Services,
    source: Box<dyn Source>,
    shard: String,
    /// Kinesis itself doesn't report what it has trimmed.
    reports_gaps: bool,
    newest: Mutex<Option<Timestamp>>,
}

impl Kinesis {
    async fn embedded() -> anyhow::Result<Kinesis> {
        let services = Kinesis::services()?;
        let source = Box::new(KinesisSource::new(services.streams(), STREAM)?);
        Ok(Kinesis { reports_gaps: true, ..Kinesis::new(services, source).await? })
    }

    async fn remote() -> anyhow::Result<Kinesis> {
        let services = Kinesis::services()?;
        let arn = KinesisSource::new(services.streams(), STREAM)?.arn().to_owned();
        let source = Box::new(RemoteKinesis::new(services.kinesis_client(&sdk_config(None)), &arn));
        Kinesis::new(services, source).await
    }

    fn services() -> anyhow::Result<Services> {
        let services = Services::start(None)?;
        let created_at = Timestamp::from_seconds(1_789_651_600).context("a time in 2026")?;
        services.streams().create_stream(STREAM, NonZeroU32::MIN, created_at)?;
        Ok(services)
    }

    async fn new(services: Services, source: Box<dyn Source>) -> anyhow::Result<Kinesis> {
        let shard = source.shards().await?.remove(0).id;
        Ok(Kinesis { services, source, shard, reports_gaps: false, newest: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl Subject for Kinesis {
    fn source(&self) -> &dyn Source {
        &*self.source
    }

    fn shard(&self) -> &str {
        &self.shard
    }

    fn supports(&self) -> Supports {
        Supports { unknown_shards: true, closing: true, timestamps: true, trimming: self.reports_gaps }
    }

    async fn append(&self, created_at: Timestamp) -> anyhow::Result<()> {
        self.services.streams().put(STREAM, "key", b"{}", created_at)?;
        *self.newest.lock().unwrap() = Some(created_at);
        Ok(())
    }

    async fn trim(&self) -> anyhow::Result<()> {
        let newest = self.newest.lock().unwrap().context("a record")?;
        let horizon = Timestamp::from_micros(newest.micros() + 1).context("a time in 2026")?;
        Ok(self.services.streams().trim(STREAM, horizon)?)
    }

    async fn close(&self) -> anyhow::Result<()> {
        self.services.streams().split_shard(STREAM, &self.shard, None)?;
        Ok(())
    }
}

#[tokio::test]
async fn the_embedded_stream_of_a_table_conforms() {
    run(Table::embedded).await.unwrap();
}

#[tokio::test]
async fn the_stream_of_a_table_read_through_the_sdk_conforms() {
    run(Table::remote).await.unwrap();
}

#[tokio::test]
async fn the_embedded_kinesis_stream_conforms() {
    run(Kinesis::embedded).await.unwrap();
}

#[tokio::test]
async fn a_kinesis_stream_read_through_the_sdk_conforms() {
    run(Kinesis::remote).await.unwrap();
}
