//! What a snapshot says that is stored.

use std::collections::HashMap;

use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::expression::{Change, changes};
use super::{Publication, Published, UsageTable};
use crate::backoff::Backoff;
use crate::decimal::Decimal;
use crate::error::{Error, ErrorKind};
use crate::fold::LEDGER_BEHIND;
use crate::pipeline::{Snapshot, VERSION_ATTRIBUTE};

/// How a stored snapshot compares with a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fold) enum Stored {
    /// It has this version and these values, or a later version.
    Current,
    /// It has these values of an earlier version, as is usual if nothing changed since.
    Earlier,
    /// It is missing or has other values.
    Wrong,
}

impl UsageTable {
    /// Compares a publication with the stored snapshot. When that was restated doesn't matter.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub(in crate::fold) async fn compare(
        &self,
        snapshot: &Snapshot,
        publication: &Publication,
        deadline: Option<Instant>,
    ) -> Result<Stored, Error> {
        let found = self.read(publication, deadline).await?;
        let values = || has(&found, &changes(snapshot, &publication.values));
        Ok(match stored_version(Some(&found)) {
            Some(stored) if stored > publication.version => Stored::Current,
            Some(stored) if values() => {
                if stored == publication.version {
                    Stored::Current
                } else {
                    Stored::Earlier
                }
            }
            Some(_) | None => Stored::Wrong,
        })
    }

    /// The stored item of a snapshot; without attributes if there is none.
    pub(super) async fn read(
        &self,
        publication: &Publication,
        deadline: Option<Instant>,
    ) -> Result<HashMap<String, AttributeValue>, Error> {
        let doing = format!("read a snapshot from {} (dynamodb:GetItem)", self.name);
        let key = publication.item.key.iter().map(|(name, text)| (name.clone(), AttributeValue::S(text.clone())));
        let key: HashMap<_, _> = key.collect();
        let mut backoff = Backoff::until(deadline);
        loop {
            let call = self.client.get_item().table_name(&self.name).set_key(Some(key.clone())).consistent_read(true);
            let call = call.customize().config_override(Builder::new().retry_config(RetryConfig::disabled()));
            let error = match backoff.attempt(call.send()).await {
                Some(Ok(found)) => return Ok(found.item.unwrap_or_default()),
                Some(Err(error)) => Error::from_sdk(&doing, &error),
                None => backoff.no_answer(&doing),
            };
            if error.kind != ErrorKind::Transient || !backoff.pause().await {
                return Err(backoff.give_up(error));
            }
        }
    }
}

/// Whether an item has what these changes would make of it.
pub(super) fn has(found: &HashMap<String, AttributeValue>, changes: &[Change]) -> bool {
    changes.iter().all(|change| match change {
        Change::Set(name, value) => found.get(name).is_some_and(|stored| is_equal(stored, value)),
        Change::Remove(name) => !found.contains_key(name),
    })
}

/// What the version of the stored item means.
pub(super) fn refused(item: Option<&HashMap<String, AttributeValue>>, version: u64) -> Result<Published, Error> {
    match stored_version(item) {
        Some(stored) if stored == version => Ok(Published::Same),
        Some(stored) => Ok(Published::Later(stored)),
        None if is_partial(item) => {
            Err(Error::transient("write a snapshot: another fold writes it in several updates".to_owned()))
        }
        None => Err(Error::config(format!(
            "write a snapshot: {LEDGER_BEHIND}, or another writer changed its attribute `{VERSION_ATTRIBUTE}`, which isn't \
             a version; remove that attribute, and the snapshot is written again"
        ))),
    }
}

/// The version that an item has.
pub(super) fn stored_version(item: Option<&HashMap<String, AttributeValue>>) -> Option<u64> {
    let stored = item?.get(VERSION_ATTRIBUTE)?.as_b().ok()?;
    <[u8; 8]>::try_from(stored.as_ref()).ok().map(u64::from_be_bytes)
}

/// Whether an item has some of the values of a version only: see [`super::Stamp::Partial`].
fn is_partial(item: Option<&HashMap<String, AttributeValue>>) -> bool {
    let stored = item.and_then(|item| item.get(VERSION_ATTRIBUTE)?.as_b().ok());
    stored.is_some_and(|stored| stored.as_ref().len() == 9)
}

/// Whether two attributes have the same value. DynamoDB may return a number in another notation.
fn is_equal(stored: &AttributeValue, value: &AttributeValue) -> bool {
    match (stored, value) {
        (AttributeValue::N(stored), AttributeValue::N(value)) => Decimal::parse(stored) == Decimal::parse(value),
        (stored, value) => stored == value,
    }
}
