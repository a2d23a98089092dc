//! Keeps the time of a backfill's records, whoever runs the command and however often. Items that were counted at one time would count
//! again at another, in another minute, so the ledger has one cut for each table. And rows of another time would be in other files, where
//! nothing shows that they repeat rows. So there is one time for the rows of a table as well: in the ledger, or if the pipeline counts
//! nothing, beside the rows.

use std::collections::HashMap;

use anyhow::Context;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use serde_json::{Value, json};
use stream_types::Timestamp;
use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Config};
use usage_aggregator::ledger::{CUT, CUTS, SHOWN};

use crate::shell::console::UsageError;

/// What is claimed.
pub(super) struct Claim<'c> {
    pub(super) clients: &'c Clients,
    pub(super) config: &'c Config,
    pub(super) table_arn: &'c str,
    /// The time of the records.
    pub(super) time: Timestamp,
}

impl Claim<'_> {
    /// Claims the time as the cut of the table, at which its items open measures.
    ///
    /// # Errors
    /// If the table has another cut, or if it can't be written.
    pub(super) async fn cut(&self, ledger: &str) -> anyhow::Result<()> {
        let Claim { table_arn, time, .. } = self;
        match self.in_ledger(ledger, CUTS).await? {
            None => Ok(()),
            Some(_) => Err(UsageError(format!(
                "{table_arn} was backfilled with another cut than {time}, and its items would count twice; continue with the export and the data folder of that backfill, or use a new ledger (docs/backfill.md)"
            ))
            .into()),
        }
    }

    /// Claims the time for rows that show the table as it was then.
    ///
    /// # Errors
    /// If there are rows that show it at another time, or if the claim can't be written.
    pub(super) async fn rows(&self) -> anyhow::Result<()> {
        let Claim { config, table_arn, time, .. } = self;
        let other = match (&config.tables, &config.archive) {
            (Some(tables), _) => self.in_ledger(&tables.ledger, SHOWN).await?,
            (None, Some(place)) => self.in_archive(place).await?,
            (None, None) => None,
        };
        match other {
            None => Ok(()),
            Some(other) => Err(UsageError(format!(
                "--archive-only has written rows of {table_arn} as it was at {other}, and this export or scan shows it at {time}: every item would have a second row, which queries would count; continue with the export of that backfill, or for a scan with its data folder (--data), or see docs/backfill.md"
            ))
            .into()),
        }
    }

    /// Claims the time in the ledger, under a prefix. Returns the other one, if one is claimed.
    async fn in_ledger(&self, ledger: &str, prefix: &str) -> anyhow::Result<Option<String>> {
        let Claim { clients, config, table_arn, time } = self;
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let item: HashMap<String, AttributeValue> = HashMap::from([
            ("pk".to_owned(), text(&format!("{prefix}{}", config.pipeline.name))),
            ("sk".to_owned(), text(table_arn)),
            (CUT.to_owned(), text(&time.to_string())),
        ]);
        let put = clients.dynamodb.put_item().table_name(ledger).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk) OR #cut = :cut");
        let put =
            put.expression_attribute_names("#cut", CUT).expression_attribute_values(":cut", text(&time.to_string()));
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let other = failed.item().and_then(|item| item.get(CUT)?.as_s().ok());
                Ok(Some(other.map_or("another time", String::as_str).to_owned()))
            }
            _ => Err(error).with_context(|| format!("store the time of the backfill in {ledger} (dynamodb:PutItem)")),
        }
    }

    /// Claims the time with an object in the archive. Returns the other one, if one is claimed.
    async fn in_archive(&self, place: &ArchivePlace) -> anyhow::Result<Option<String>> {
        let Claim { clients, config, table_arn, time } = self;
        let ArchivePlace { bucket, prefix, .. } = place;
        // An ARN has characters that keys must not have.
        let hash = blake3::hash(table_arn.as_bytes()).to_hex();
        let name = hash.get(..32).unwrap_or_default();
        let key = format!("{prefix}/backfill/{}/{name}.json", config.pipeline.name);
        let body = json!({ "table": table_arn, "rows_at": time.to_string() }).to_string();
        let put = clients.s3.put_object().bucket(bucket).key(&key).if_none_match("*").body(body.into_bytes().into());
        let Err(error) = put.send().await else { return Ok(None) };
        if error.code() != Some("PreconditionFailed") {
            return Err(error).with_context(|| format!("put s3://{bucket}/{key} (s3:PutObject)"));
        }
        let doing = || format!("get s3://{bucket}/{key} (s3:GetObject)");
        let claimed = clients.s3.get_object().bucket(bucket).key(&key).send().await.with_context(doing)?;
        let claimed = claimed.body.collect().await.with_context(doing)?.to_vec();
        let claimed: Value = serde_json::from_slice(&claimed).with_context(doing)?;
        let other = claimed.get("rows_at").and_then(Value::as_str).with_context(doing)?;
        Ok((other != time.to_string()).then(|| other.to_owned()))
    }
}
