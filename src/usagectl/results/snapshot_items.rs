//! Reads the usage table: all of it, or one partition if the pipeline's keys allow that.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::query::QueryError;
use aws_sdk_dynamodb::operation::scan::ScanError;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::proof::rows::{Item, Row, RowReader};
use usage_aggregator::config::Tables;
use usage_aggregator::pipeline::{Counter, Pipeline, Snapshot};

use crate::shell::console::UsageError;
use crate::shell::pipeline_choice::Variables;

/// The tables of a pipeline, and the layout of its snapshots.
pub struct Counting {
    /// The usage table and the ledger.
    pub tables: Tables,
    /// The layout of the snapshots.
    pub snapshot: Snapshot,
    /// What each record type counts.
    pub counters: Vec<Vec<Counter>>,
}

impl Counting {
    /// The tables that the function would use with these variables.
    ///
    /// # Errors
    /// If the pipeline counts nothing.
    pub fn of(variables: &Variables) -> Result<Counting, UsageError> {
        let config = variables.clone().with_metrics_sink("none").config()?;
        let Pipeline { name, snapshot, routes, .. } = config.pipeline;
        let (tables, snapshot) = config
            .tables
            .zip(snapshot)
            .ok_or_else(|| UsageError(format!("pipeline {name} counts nothing; choose another with --pipeline")))?;
        Ok(Counting { tables, snapshot, counters: routes.into_iter().map(|route| route.counters).collect() })
    }

    /// Passes every row to `take`, or those of one partition, given as its attribute and value.
    ///
    /// # Errors
    /// If the table can't be read, or `take` fails.
    pub async fn read(
        &self,
        client: &Client,
        partition: Option<(String, String)>,
        mut take: impl FnMut(Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.read_items(client, partition, |_, row| take(row)).await
    }

    /// Like [`Counting::read`], with the item of each row.
    ///
    /// # Errors
    /// As for [`Counting::read`].
    pub async fn read_items(
        &self,
        client: &Client,
        partition: Option<(String, String)>,
        mut take: impl FnMut(&Item, Row) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let reader = RowReader::new(&self.snapshot);
        let mut take = |item: Item| reader.read(&item).map_or(Ok(()), |row| take(&item, row));
        let table = &self.tables.usage;
        let Some((attribute, text)) = partition else {
            let doing = format!("scan the usage table {table} (dynamodb:Scan)");
            let mut items = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
            while let Some(item) = items.next().await {
                let is_missing = |error: &ScanError| error.is_resource_not_found_exception();
                take(item.map_err(|error| failed(error, is_missing, &doing))?)?;
            }
            return Ok(());
        };
        let doing = format!("query the usage table {table} (dynamodb:Query)");
        let query =
            client.query().table_name(table).consistent_read(true).key_condition_expression("#partition = :partition");
        let query = query.expression_attribute_names("#partition", attribute);
        let query = query.expression_attribute_values(":partition", AttributeValue::S(text));
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.next().await {
            let is_missing = |error: &QueryError| error.is_resource_not_found_exception();
            take(item.map_err(|error| failed(error, is_missing, &doing))?)?;
        }
        Ok(())
    }
}

/// The error of a read. Only a table that doesn't exist asks whether the function has run.
fn failed<E>(error: SdkError<E>, is_missing: impl Fn(&E) -> bool, doing: &str) -> anyhow::Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    let hint = if error.as_service_error().is_some_and(is_missing) { ": has the function run yet?" } else { "" };
    anyhow::Error::new(error).context(format!("{doing}{hint}"))
}
