//! Creates the tables and the bucket of a local run or a test. On AWS, template.yaml does.

use anyhow::Context;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TimeToLiveSpecification, TimeToLiveStatus,
};
use aws_sdk_s3::operation::create_bucket::CreateBucketError;

use usage_aggregator::config::Config;
use usage_aggregator::pipeline::Pipeline;

/// The attributes of the ledger's items.
const LEDGER_KEY: &str = "pk";
const LEDGER_SORT_KEY: &str = "sk";
const LEDGER_EXPIRY: &str = "expires_at";

/// A table whose keys are all strings, with on-demand billing.
#[derive(Debug, Clone, Copy)]
pub struct TableSpec<'a> {
    /// The table's name.
    pub name: &'a str,
    /// The attribute that is the partition key.
    pub partition_key: &'a str,
    /// The attribute that is the sort key, if there is one.
    pub sort_key: Option<&'a str>,
    /// The attribute that holds the expiry time, if items expire.
    pub ttl_attribute: Option<&'a str>,
    /// What the records of the table's stream contain, if it has one.
    pub stream: Option<StreamView>,
}

/// What the records of a table's stream contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamView {
    /// The keys of the item.
    Keys,
    /// The item before and after the change.
    Images,
}

/// The tables that the function needs: snapshots and the ledger, if its pipeline counts, and the source tables, if it has
/// indicators.
pub fn table_specs(config: &Config) -> Vec<TableSpec<'_>> {
    let sources = source_specs(&config.pipeline);
    let (Some(tables), Some(snapshot)) = (&config.tables, &config.pipeline.snapshot) else { return sources };
    let usage = TableSpec {
        name: &tables.usage,
        partition_key: &snapshot.partition_key.0,
        sort_key: snapshot.sort_key.as_ref().map(|(name, _)| name.as_str()),
        ttl_attribute: snapshot.time_to_live.as_ref().map(|ttl| ttl.attribute.as_str()),
        stream: None,
    };
    let ledger = TableSpec {
        name: &tables.ledger,
        partition_key: LEDGER_KEY,
        sort_key: Some(LEDGER_SORT_KEY),
        ttl_attribute: Some(LEDGER_EXPIRY),
        stream: Some(StreamView::Keys),
    };
    [usage, ledger].into_iter().chain(sources).collect()
}

/// The tables that have the items and the targets of indicators.
fn source_specs(pipeline: &Pipeline) -> Vec<TableSpec<'_>> {
    // The query of an index has other keys.
    let indicator = pipeline.indicators.iter().find(|indicator| indicator.query.index.is_none());
    let Some(indicator) = indicator else { return Vec::new() };
    let partition_key = indicator.query.partition.0.as_str();
    let sort_key = indicator.target.iter().map(|(name, _)| name.as_str()).find(|name| *name != partition_key);
    let stream = Some(StreamView::Images);
    pipeline
        .sources
        .iter()
        .map(|name| TableSpec { name, partition_key, sort_key, ttl_attribute: None, stream })
        .collect()
}

/// Creates those of `tables` that don't exist, and enables the time to live that they are to have. A start that was killed, or a
/// response that was lost, may have left a table without it.
///
/// # Errors
/// When DynamoDB refuses a table.
pub async fn ensure_tables(client: &aws_sdk_dynamodb::Client, tables: &[TableSpec<'_>]) -> anyhow::Result<()> {
    for table in tables {
        create_table(client, table).await.with_context(|| format!("create the table {}", table.name))?;
        if let Some(attribute) = table.ttl_attribute {
            enable_ttl(client, table.name, attribute)
                .await
                .with_context(|| format!("enable time to live on the table {}", table.name))?;
        }
    }
    Ok(())
}

/// Creates the bucket `name` if it doesn't exist.
///
/// # Errors
/// When S3 refuses the bucket.
pub async fn ensure_bucket(client: &aws_sdk_s3::Client, name: &str) -> anyhow::Result<()> {
    match client.create_bucket().bucket(name).send().await.map_err(|error| error.into_service_error()) {
        Ok(_) | Err(CreateBucketError::BucketAlreadyExists(_) | CreateBucketError::BucketAlreadyOwnedByYou(_)) => {
            Ok(())
        }
        Err(error) => Err(error).with_context(|| format!("create the bucket {name}")),
    }
}

async fn create_table(client: &aws_sdk_dynamodb::Client, table: &TableSpec<'_>) -> anyhow::Result<()> {
    let mut request = client.create_table().table_name(table.name).billing_mode(BillingMode::PayPerRequest);
    let keys = [(Some(table.partition_key), KeyType::Hash), (table.sort_key, KeyType::Range)];
    for (name, key_type) in keys.into_iter().filter_map(|(name, key_type)| Some((name?, key_type))) {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(key_type);
        request = request.attribute_definitions(attribute.build()?).key_schema(key.build()?);
    }
    if let Some(view) = &table.stream {
        let view = match view {
            StreamView::Keys => StreamViewType::KeysOnly,
            StreamView::Images => StreamViewType::NewAndOldImages,
        };
        let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(view);
        request = request.stream_specification(stream.build()?);
    }
    match request.send().await.map_err(|error| error.into_service_error()) {
        Ok(_) | Err(CreateTableError::ResourceInUseException(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn enable_ttl(client: &aws_sdk_dynamodb::Client, table: &str, attribute: &str) -> anyhow::Result<()> {
    let current = client.describe_time_to_live().table_name(table).send().await?;
    let status = current.time_to_live_description().and_then(|description| description.time_to_live_status());
    // DynamoDB refuses to enable it twice.
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build()?;
    client.update_time_to_live().table_name(table).time_to_live_specification(specification).send().await?;
    Ok(())
}
