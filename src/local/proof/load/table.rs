//! Writes to a DynamoDB table, retried until they are applied, even if requests or responses are lost.
//!
//! A write names the state that it replaces, so that a repeated one changes nothing and a late one can't undo a later
//! write. The SDK's own retries are off, because they would hide that a write was repeated.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, StreamViewType};
use tokio::time::Instant;

use super::change::{CHANGE_ATTRIBUTE, Write, sdk_item};
use super::progress::Progress;
use crate::emulators::TableSpec;
use usage_aggregator::backoff::Backoff;
use usage_aggregator::error::{Error, ErrorKind};

/// What is known about a write before its first attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was never sent.
    New,
    /// An earlier run started it, and may have finished it.
    Begun,
}

/// Where to write, and how long to retry.
#[derive(Debug)]
pub(super) struct TableWriter<'w> {
    pub client: &'w Client,
    pub table: &'w str,
    pub patience: Duration,
}

/// Why a write failed.
enum Refused {
    /// The item isn't in the state that the write replaces.
    OtherState,
    Failed(Error),
}

impl TableWriter<'_> {
    /// Checks that the table exists with the keys and the stream that the load needs.
    pub(super) async fn check(&self, spec: &TableSpec<'_>) -> anyhow::Result<()> {
        let table = self.table;
        let answer = self.client.describe_table().table_name(table).send().await;
        if answer.as_ref().is_err_and(|error| error.code() == Some("ResourceNotFoundException")) {
            let keys =
                [Some(spec.partition_key), spec.sort_key].into_iter().flatten().collect::<Vec<_>>().join(" and ");
            bail!("table {table} not found: create it with the keys {keys} and a stream of new and old images");
        }
        let doing = || {
            format!(
                "describe the table {table} (dynamodb:DescribeTable); is the endpoint running? start `usagectl local` or `usagectl serve` first"
            )
        };
        let description = answer.with_context(doing)?.table.context("read the table's description: it is empty")?;
        let keys: Vec<&str> = description.key_schema().iter().map(|key| key.attribute_name()).collect();
        if keys != [Some(spec.partition_key), spec.sort_key].into_iter().flatten().collect::<Vec<_>>() {
            bail!(
                "write to {table}: its keys {} don't match the profile: choose another table with --table",
                keys.join(" and ")
            );
        }
        let stream = description.stream_specification();
        let view = stream.filter(|stream| stream.stream_enabled()).and_then(|stream| stream.stream_view_type());
        if view != Some(&StreamViewType::NewAndOldImages) {
            bail!(
                "write to {table}: enable its stream with new and old images first; without it, no change can be read"
            );
        }
        Ok(())
    }

    /// Applies one write.
    pub(super) async fn write(&self, write: &Write, origin: Origin, progress: &Progress<'_>) -> anyhow::Result<()> {
        let mut backoff = Backoff::until(Some(Instant::now() + self.patience));
        let mut may_be_done = origin == Origin::Begun;
        loop {
            progress.wait_until_quiet().await?;
            let error = match backoff.attempt(self.send(write)).await {
                Some(Ok(())) => return Ok(()),
                // An earlier attempt was applied, and only its response was lost.
                Some(Err(Refused::OtherState)) if may_be_done => return Ok(()),
                Some(Err(Refused::OtherState)) => bail!(
                    "write an item to {}: its state differs from the ledger; if the table was cleared, delete the ledger",
                    self.table
                ),
                Some(Err(Refused::Failed(error))) if error.kind != ErrorKind::Transient => return Err(error.into()),
                Some(Err(Refused::Failed(error))) => error,
                None => backoff.no_answer(&self.doing()),
            };
            may_be_done = true;
            progress.count_retry();
            if !backoff.pause().await {
                return Err(backoff.give_up(error).into());
            }
        }
    }

    async fn send(&self, write: &Write) -> Result<(), Refused> {
        let once = || aws_sdk_dynamodb::config::Builder::new().retry_config(RetryConfig::disabled());
        match write {
            Write::Put { item, replaces } => {
                let put = self.client.put_item().table_name(self.table).set_item(Some(sdk_item(item)));
                let put = put.expression_attribute_names("#change", CHANGE_ATTRIBUTE);
                let put = match replaces {
                    None => put.condition_expression("attribute_not_exists(#change)"),
                    Some(number) => put
                        .condition_expression("#change = :replaced")
                        .expression_attribute_values(":replaced", AttributeValue::N(number.to_string())),
                };
                put.customize().config_override(once()).send().await.map(drop).map_err(|error| self.refused(&error))
            }
            Write::Delete { key, replaces } => {
                let delete = self.client.delete_item().table_name(self.table).set_key(Some(sdk_item(key)));
                let delete = delete
                    .expression_attribute_names("#change", CHANGE_ATTRIBUTE)
                    .condition_expression("#change = :replaced")
                    .expression_attribute_values(":replaced", AttributeValue::N(replaces.to_string()));
                delete.customize().config_override(once()).send().await.map(drop).map_err(|error| self.refused(&error))
            }
            Write::Message { .. } => Err(Refused::Failed(Error::config("write a message to a table"))),
        }
    }

    fn refused<E, R>(&self, error: &SdkError<E, R>) -> Refused
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
        match code {
            Some("ConditionalCheckFailedException") => Refused::OtherState,
            _ => Refused::Failed(Error::from_sdk(&self.doing(), error)),
        }
    }

    fn doing(&self) -> String {
        format!("write to the table {} (dynamodb:PutItem, dynamodb:DeleteItem)", self.table)
    }
}
