//! A sample of a table's items, and its key.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::shell::console::UsageError;
use crate::shell::failure::unanswered;
use crate::shell::json;
use crate::shell::options::{Endpoint, Options};
use crate::shell::workplace::{Start, Uses, Workplace};
#[cfg(feature = "deployment")]
use crate::stack::Account;

/// Some items of a table.
pub(super) struct Found {
    /// The key attributes, partition key first.
    pub keys: Vec<String>,
    /// The items, in DynamoDB JSON.
    pub items: Vec<Value>,
}

/// Reads up to `limit` items of `table`: of the DynamoDB that the options name, or else in the AWS account of the environment.
///
/// # Errors
/// If the table can't be read, or is empty.
pub(super) async fn read(table: &str, limit: u16, options: &Options) -> anyhow::Result<Found> {
    let client = match options.dynamodb()? {
        Endpoint::Embedded => in_account().await?,
        Endpoint::Loopback(_) | Endpoint::Remote(_) => {
            Workplace::open(options, Uses::Tables, Start::Continue).await?.clients.dynamodb.clone()
        }
    };
    let described = client.describe_table().table_name(table).send().await;
    let described = described
        .map_err(|error| unanswered(error.into(), &format!("describe the table {table} (dynamodb:DescribeTable)")))?;
    let schema = described.table.and_then(|table| table.key_schema).unwrap_or_default();
    let keys = schema.into_iter().map(|key| key.attribute_name).collect();
    let scanned = client.scan().table_name(table).limit(i32::from(limit)).send().await;
    let scanned = scanned.with_context(|| format!("read items of the table {table} (dynamodb:Scan)"))?;
    let items: Vec<Value> = scanned.items().iter().map(json::item).collect();
    if items.is_empty() {
        bail!(UsageError(format!("the table {table} has no items to draft a pipeline from: put some into it first")));
    }
    Ok(Found { keys, items })
}

#[cfg(feature = "deployment")]
async fn in_account() -> anyhow::Result<aws_sdk_dynamodb::Client> {
    Ok(Account::open().await.clients().dynamodb)
}

#[cfg(not(feature = "deployment"))]
async fn in_account() -> anyhow::Result<aws_sdk_dynamodb::Client> {
    let remedy = "start `usagectl local` first, set --dynamodb-endpoint URL, or give a file with items instead";
    bail!(UsageError(format!("this usagectl was built without the clients for an AWS account: {remedy}")))
}
