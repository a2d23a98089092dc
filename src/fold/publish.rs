//! Writes the value of a group in a window to its snapshot item, provided that the item doesn't have a later version.

mod expression;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use tokio::time::Instant;

use super::LEDGER_BEHIND;
use super::value::Value;
use crate::backoff::Backoff;
use crate::decimal::Decimal;
use crate::error::{Error, ErrorKind};
use crate::ledger::Measure;
use crate::pipeline::{Snapshot, VERSION_ATTRIBUTE};
use crate::usage::SnapshotItem;
use expression::{Change, Expression, changes};

/// The usage table.
#[derive(Debug, Clone)]
pub struct UsageTable {
    /// The SDK client for DynamoDB.
    pub client: Client,
    /// The name of the table.
    pub name: String,
}

/// The values of a group in a window, as a version of a state has them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Publication {
    pub item: SnapshotItem,
    pub version: u64,
    pub values: Vec<(Measure, Value)>,
}

impl Publication {
    /// How many values aren't known.
    pub(super) fn overflows(&self) -> usize {
        self.values.iter().filter(|(_, value)| matches!(value, Value::Overflow)).count()
    }
}

/// Which snapshots a publication may replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Those of an earlier version.
    Earlier,
    /// Those of an earlier version or of the same one: a version has one content, so this repairs what someone changed.
    NotLater,
}

/// How a stored snapshot compares with a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// It has this version and these values, or a later version.
    Current,
    /// It has these values of an earlier version, as is usual if nothing changed since.
    Earlier,
    /// It is missing or has other values.
    Wrong,
}

/// The result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// The snapshot was written.
    Written,
    /// It already had this version.
    Same,
    /// It already had a later version.
    Later(u64),
}

/// What an update makes of the version of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// The version: the snapshot has all its values.
    Whole,
    /// One that is above every earlier version and below this one. Folds of earlier versions may no longer write into the
    /// snapshot, and it is written again if the other updates don't follow.
    Partial,
}

impl Stamp {
    fn of(self, version: u64) -> AttributeValue {
        let mut bytes = version.to_be_bytes().to_vec();
        if self == Stamp::Partial {
            bytes = version.saturating_sub(1).to_be_bytes().to_vec();
            bytes.push(0xFF);
        }
        AttributeValue::B(Blob::new(bytes))
    }
}

/// 200: an update of more attributes could exceed DynamoDB's limit of 4 KB for an expression.
const MAX_CHANGES: usize = 200;

impl UsageTable {
    /// Writes a snapshot, unless it has this version or a later one.
    ///
    /// # Errors
    /// Poison if DynamoDB refuses this item, transient if the deadline passed, config if someone must fix something
    /// first.
    pub(super) async fn publish(
        &self,
        snapshot: &Snapshot,
        publication: &Publication,
        condition: Condition,
        deadline: Option<Instant>,
    ) -> Result<Published, Error> {
        let changes = changes(snapshot, &publication.values);
        let mut parts: Vec<&[Change]> = changes.chunks(MAX_CHANGES).collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            match self.update(publication, part, Stamp::Partial, condition, deadline).await? {
                Published::Written => {}
                refused => return Ok(refused),
            }
        }
        self.update(publication, last, Stamp::Whole, condition, deadline).await
    }

    /// Compares a publication with the stored snapshot.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub(super) async fn compare(
        &self,
        snapshot: &Snapshot,
        publication: &Publication,
        deadline: Option<Instant>,
    ) -> Result<Stored, Error> {
        let doing = format!("read a snapshot from {} (dynamodb:GetItem)", self.name);
        let key = publication.item.key.iter().map(|(name, text)| (name.clone(), AttributeValue::S(text.clone())));
        let key: HashMap<_, _> = key.collect();
        let mut backoff = Backoff::until(deadline);
        let found = loop {
            let call = self.client.get_item().table_name(&self.name).set_key(Some(key.clone())).consistent_read(true);
            let call = call.customize().config_override(Builder::new().retry_config(RetryConfig::disabled()));
            let error = match backoff.attempt(call.send()).await {
                Some(Ok(found)) => break found.item.unwrap_or_default(),
                Some(Err(error)) => Error::from_sdk(&doing, &error),
                None => backoff.no_answer(&doing),
            };
            if error.kind != ErrorKind::Transient || !backoff.pause().await {
                return Err(backoff.give_up(error));
            }
        };
        let has = |change: Change| match change {
            Change::Set(name, value) => found.get(&name).is_some_and(|stored| is_equal(stored, &value)),
            Change::Remove(name) => !found.contains_key(&name),
        };
        let values = || changes(snapshot, &publication.values).into_iter().all(has);
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

    async fn update(
        &self,
        publication: &Publication,
        changes: &[Change],
        stamp: Stamp,
        condition: Condition,
        deadline: Option<Instant>,
    ) -> Result<Published, Error> {
        let doing = format!("write a snapshot into {} (dynamodb:UpdateItem)", self.name);
        let mut backoff = Backoff::until(deadline);
        loop {
            let call = self.request(publication, changes, stamp, condition).customize();
            let call = call.config_override(Builder::new().retry_config(RetryConfig::disabled()));
            let error = match backoff.attempt(call.send()).await {
                Some(Ok(_)) => return Ok(Published::Written),
                Some(Err(SdkError::ServiceError(error))) if condition_failed(error.err()).is_some() => {
                    return refused(condition_failed(error.err()).flatten(), publication.version);
                }
                Some(Err(error)) => Error::from_sdk(&doing, &error),
                None => backoff.no_answer(&doing),
            };
            if error.kind != ErrorKind::Transient || !backoff.pause().await {
                return Err(backoff.give_up(error));
            }
        }
    }

    fn request(
        &self,
        publication: &Publication,
        changes: &[Change],
        stamp: Stamp,
        condition: Condition,
    ) -> UpdateItemFluentBuilder {
        let Publication { item, version, .. } = publication;
        let mut update = self.client.update_item().table_name(&self.name);
        for (name, text) in &item.key {
            update = update.key(name, AttributeValue::S(text.clone()));
        }
        let described =
            item.attributes.iter().map(|(name, text)| Change::Set(name.clone(), AttributeValue::S(text.clone())));
        let expiry =
            item.expires_at.iter().map(|(name, at)| Change::Set(name.clone(), AttributeValue::N(at.to_string())));
        let mut expression = Expression::default();
        described.chain(expiry).chain(changes.iter().cloned()).for_each(|change| expression.add(change));
        expression.sets.push("#version = :stamp".to_owned());
        expression.names.insert("#version".to_owned(), VERSION_ATTRIBUTE.to_owned());
        expression.values.insert(":stamp".to_owned(), stamp.of(*version));
        expression.values.insert(":version".to_owned(), Stamp::Whole.of(*version));
        update
            .update_expression(expression.text())
            .condition_expression(match condition {
                Condition::NotLater => "attribute_not_exists(#version) OR #version <= :version",
                Condition::Earlier => "attribute_not_exists(#version) OR #version < :version",
            })
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

/// The item that the condition didn't hold for, if that is why an update failed.
fn condition_failed(error: &UpdateItemError) -> Option<Option<&HashMap<String, AttributeValue>>> {
    match error {
        UpdateItemError::ConditionalCheckFailedException(failed) => Some(failed.item()),
        _ => None,
    }
}

/// What the version of the stored item means.
fn refused(item: Option<&HashMap<String, AttributeValue>>, version: u64) -> Result<Published, Error> {
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
fn stored_version(item: Option<&HashMap<String, AttributeValue>>) -> Option<u64> {
    let stored = item?.get(VERSION_ATTRIBUTE)?.as_b().ok()?;
    <[u8; 8]>::try_from(stored.as_ref()).ok().map(u64::from_be_bytes)
}

/// Whether an item has some of the values of a version only: see [`Stamp::Partial`].
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
