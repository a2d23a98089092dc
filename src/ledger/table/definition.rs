//! Since when the pipeline has counted what it counts now. The compaction function keeps it, because a proof of records from
//! before that would compare them with another definition.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::attempts::{never_poison, no_retries, retried};
use super::{KEY, LedgerTable, SORT_KEY, SortKeys};
use crate::error::Error;
use crate::time::Timestamp;

/// The prefix of the key, before the name of the pipeline.
pub const DEFINITIONS: &str = "d#";
/// The sort key.
const CURRENT: &str = "current";
const DEFINITION: &str = "definition";
const SINCE: &str = "since";

impl LedgerTable {
    /// Since when this definition of the pipeline has been the current one. If another one was, it is from now on.
    ///
    /// # Errors
    /// If the table can't be read or written, or if the item is damaged.
    pub async fn defined_since(
        &self,
        definition: &str,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Timestamp, Error> {
        let key = format!("{DEFINITIONS}{}", self.pipeline);
        if let Some(item) = self.query(&key, SortKeys::All, deadline).await?.first() {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let since = text(SINCE).and_then(|text| Timestamp::parse(text));
            let (Some(known), Some(since)) = (text(DEFINITION), since) else {
                return Err(Error::config(format!("read {key} of {}: the item isn't one of this release", self.name)));
            };
            if known == definition {
                return Ok(since);
            }
        }
        let doing = format!("put {key} into {} (dynamodb:PutItem)", self.name);
        let texts =
            [(KEY, key), (SORT_KEY, CURRENT.to_owned()), (DEFINITION, definition.to_owned()), (SINCE, now.to_string())];
        let item: HashMap<String, AttributeValue> =
            texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text))).into();
        retried(deadline, &doing, || async {
            let put = self.client.put_item().table_name(&self.name).set_item(Some(item.clone()));
            let sent = put.customize().config_override(no_retries()).send().await;
            sent.map(|_| now).map_err(|error| never_poison(Error::from_sdk(&doing, &error)))
        })
        .await
    }
}
