//! Writes states by compare-and-swap.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use tokio::time::Instant;

use super::attempts::{never_poison, no_retries, retried};
use super::{DATA, EXPIRES_AT, Item, KEY, LedgerTable, SORT_KEY, SPLIT, StateItem, VERSION, number};
use crate::error::Error;

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// It took effect.
    Done,
    /// The item no longer has the version that was read.
    Refused,
}

impl LedgerTable {
    /// Writes a state, provided that it still has the version `read` (0: doesn't exist).
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn swap(&self, state: &StateItem, read: u64, deadline: Option<Instant>) -> Result<Swap, Error> {
        let doing = format!("write the state {} of {} (dynamodb:PutItem)", state.window, self.name);
        let (item, (condition, values)) = (self.state_item(state), condition(read));
        retried(deadline, &doing, || async {
            let put = self
                .client
                .put_item()
                .table_name(&self.name)
                .set_item(Some(item.clone()))
                .condition_expression(condition)
                .expression_attribute_names("#version", VERSION)
                .set_expression_attribute_values(values.clone());
            match put.customize().config_override(no_retries()).send().await {
                Ok(_) => Ok(Swap::Done),
                Err(SdkError::ServiceError(error)) if is_refused(error.err()) => Ok(Swap::Refused),
                Err(error) => Err(never_poison(Error::from_sdk(&doing, &error))),
            }
        })
        .await
    }

    /// Writes the items of a split at once, a whole and its halves, provided that each still has the version that was read.
    ///
    /// # Errors
    /// As for [`LedgerTable::swap`].
    pub async fn split(&self, states: &[(StateItem, u64); 3], deadline: Option<Instant>) -> Result<Swap, Error> {
        let [(whole, _), ..] = states;
        let doing = format!("split the state {} of {} (dynamodb:TransactWriteItems)", whole.window, self.name);
        let puts: Result<Vec<TransactWriteItem>, Error> = states
            .iter()
            .map(|(state, read)| {
                let (condition, values) = condition(*read);
                let put = Put::builder().table_name(&self.name).set_item(Some(self.state_item(state)));
                let put = put.condition_expression(condition).expression_attribute_names("#version", VERSION);
                let put = put.set_expression_attribute_values(values);
                let put = put.build().map_err(|error| Error::config(format!("{doing}: {error}")))?;
                Ok(TransactWriteItem::builder().put(put).build())
            })
            .collect();
        let puts = puts?;
        retried(deadline, &doing, || async {
            let call = self.client.transact_write_items().set_transact_items(Some(puts.clone()));
            match call.customize().config_override(no_retries()).send().await {
                Ok(_) => Ok(Swap::Done),
                Err(SdkError::ServiceError(error)) if is_canceled(error.err()) => Ok(Swap::Refused),
                Err(error) => Err(never_poison(Error::from_sdk(&doing, &error))),
            }
        })
        .await
    }

    fn state_item(&self, state: &StateItem) -> Item {
        let StateItem { window, part, version, data } = state;
        let content = match data {
            Some(data) => (DATA, AttributeValue::B(Blob::new(data.clone()))),
            None => (SPLIT, AttributeValue::Bool(true)),
        };
        let expires_at = self.expires_at(*window).map(|at| (EXPIRES_AT, number(at)));
        let rest = [
            (KEY, AttributeValue::S(self.state_partition(&window.home()))),
            (SORT_KEY, AttributeValue::S(format!("{window}/{part}"))),
            (VERSION, AttributeValue::N(version.to_string())),
            content,
        ];
        rest.into_iter().chain(expires_at).map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The condition that an item has the version that was read, and its values.
fn condition(read: u64) -> (&'static str, Option<Item>) {
    match read {
        0 => ("attribute_not_exists(#version)", None),
        read => ("#version = :read", Some([(":read".to_owned(), AttributeValue::N(read.to_string()))].into())),
    }
}

fn is_refused(error: &PutItemError) -> bool {
    matches!(error, PutItemError::ConditionalCheckFailedException(_))
}

/// Whether a transaction was canceled because of its condition or a conflict; throttling cancels it as well.
fn is_canceled(error: &TransactWriteItemsError) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(canceled) = error else { return false };
    let codes = || canceled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    codes().any(|code| matches!(code, "ConditionalCheckFailed" | "TransactionConflict"))
}
