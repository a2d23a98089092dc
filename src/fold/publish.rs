//! Writes the value of a group in a window to its snapshot item, provided that the item doesn't have a later version.

mod expression;
mod restate;
mod restore;
mod stored;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use tokio::time::Instant;

use super::value::Value;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::ledger::Measure;
use crate::pipeline::{Snapshot, VERSION_ATTRIBUTE};
use crate::time::Timestamp;
use crate::usage::SnapshotItem;
use expression::{Change, Expression, changes};
pub use restore::Restored;
pub(super) use stored::Stored;
use stored::refused;

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
    /// The time now, if the window is closed: if the values of its snapshot change, that says when.
    pub restated_at: Option<Timestamp>,
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

/// The result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    /// The snapshot was written.
    Written,
    /// The same, of a closed window, whose values changed.
    Restated,
    /// It already had this version.
    Same,
    /// It already had a later version.
    Later(u64),
}

/// What must be true of a snapshot so that an update changes it.
#[derive(Debug, Clone, Copy)]
enum Guard<'g> {
    Version(Condition),
    /// It still has this stamp, or none.
    Unchanged(Option<&'g AttributeValue>),
}

/// The result of an update.
enum Sent {
    Written,
    /// The snapshot, which isn't as it must be.
    Refused(Option<HashMap<String, AttributeValue>>),
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
        if let Some(now) = publication.restated_at {
            return self.restate(snapshot, publication, condition, now, deadline).await;
        }
        let changes = changes(snapshot, &publication.values);
        match self.write(publication, &changes, Guard::Version(condition), condition, deadline).await? {
            Sent::Written => Ok(Published::Written),
            Sent::Refused(item) => refused(item.as_ref(), publication.version),
        }
    }

    /// Makes these changes, in several updates if they are many. Only the first of them has this guard: nothing that others may
    /// do then makes the rest wrong.
    async fn write(
        &self,
        publication: &Publication,
        changes: &[Change],
        guard: Guard<'_>,
        condition: Condition,
        deadline: Option<Instant>,
    ) -> Result<Sent, Error> {
        let mut parts: Vec<&[Change]> = changes.chunks(MAX_CHANGES).collect();
        let last = parts.pop().unwrap_or_default();
        let mut guard = guard;
        for part in parts {
            match self.update(publication, part, Stamp::Partial, guard, deadline).await? {
                Sent::Written => guard = Guard::Version(condition),
                refused @ Sent::Refused(_) => return Ok(refused),
            }
        }
        self.update(publication, last, Stamp::Whole, guard, deadline).await
    }

    async fn update(
        &self,
        publication: &Publication,
        changes: &[Change],
        stamp: Stamp,
        guard: Guard<'_>,
        deadline: Option<Instant>,
    ) -> Result<Sent, Error> {
        let doing = format!("write a snapshot into {} (dynamodb:UpdateItem)", self.name);
        let mut backoff = Backoff::until(deadline);
        loop {
            let call = self.request(publication, changes, stamp, guard).customize();
            let call = call.config_override(Builder::new().retry_config(RetryConfig::disabled()));
            let error = match backoff.attempt(call.send()).await {
                Some(Ok(_)) => return Ok(Sent::Written),
                Some(Err(SdkError::ServiceError(error))) if condition_failed(error.err()).is_some() => {
                    return Ok(Sent::Refused(condition_failed(error.err()).flatten().cloned()));
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
        guard: Guard<'_>,
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
        let (condition, compared) = match guard {
            Guard::Version(Condition::NotLater) => {
                ("attribute_not_exists(#version) OR #version <= :version", Some(Stamp::Whole.of(*version)))
            }
            Guard::Version(Condition::Earlier) => {
                ("attribute_not_exists(#version) OR #version < :version", Some(Stamp::Whole.of(*version)))
            }
            Guard::Unchanged(Some(stamp)) => ("#version = :version", Some(stamp.clone())),
            Guard::Unchanged(None) => ("attribute_not_exists(#version)", None),
        };
        expression.values.extend(compared.map(|stamp| (":version".to_owned(), stamp)));
        update
            .update_expression(expression.text())
            .condition_expression(condition)
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
