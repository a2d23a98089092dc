//! The source table: reads of targets and their items, and the conditional write of a map.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::attribute::{from_attribute, to_attribute};
use super::contribution::TargetKey;
use super::item::{creators, has_values, is_creators, token};
use crate::backoff::retried;
use crate::error::{Error, ErrorKind, is_key_mismatch};
use crate::pipeline::{INDICATOR_PREVIOUS, INDICATOR_VERSION, Indicator, MissingTarget};
use crate::record::{Item, Value};

/// The table that has the items and the targets.
#[derive(Debug, Clone, Copy)]
pub struct SourceTable<'t> {
    /// The SDK client for DynamoDB.
    pub client: &'t Client,
    /// The name of the table.
    pub name: &'t str,
    /// When attempts end.
    pub deadline: Option<Instant>,
}

/// A target as it was read.
#[derive(Debug, Clone, Default)]
pub struct StoredTarget {
    /// Whether there is such an item.
    pub exists: bool,
    /// The attribute of the indicator.
    map: Option<Value<'static>>,
}

impl StoredTarget {
    /// Whether the target has exactly these values.
    pub fn has(&self, values: &Item<'_>) -> bool {
        has_values(self.map.as_ref(), values)
    }

    /// The values, with the entries of the bookkeeping, if there is a map.
    pub fn map(&self) -> Option<&Item<'static>> {
        match self.map.as_ref()? {
            Value::M(entries) => Some(entries),
            _ => None,
        }
    }

    /// The token of the next write, from random text: it says whether the function created the target.
    fn next_version(&self, random: &str) -> String {
        if self.exists && !is_creators(self.version()) { random.to_owned() } else { creators(random) }
    }

    /// The token of the write that made the map.
    fn version(&self) -> Option<&str> {
        token(self.map.as_ref(), INDICATOR_VERSION)
    }
}

/// A page of items that a query has found.
pub(super) struct ItemPage {
    pub items: Vec<HashMap<String, AttributeValue>>,
    /// Where the next page starts.
    pub next: Option<HashMap<String, AttributeValue>>,
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Done,
    /// The target has changed since it was read.
    Refused,
}

impl SourceTable<'_> {
    /// Reads a target, strongly consistently.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn target(&self, indicator: &Indicator, key: &TargetKey) -> Result<StoredTarget, Error> {
        let doing = format!("read a target from {} (dynamodb:GetItem)", self.name);
        if let Some(why) = indicator.key_refusal(key) {
            return Err(Error::poison(format!("{doing}: {why}")));
        }
        let names = key.iter().map(|(name, _)| name).chain([&indicator.attribute]);
        let names: HashMap<String, String> =
            names.enumerate().map(|(number, name)| (format!("#a{number}"), name.clone())).collect();
        let mut projection: Vec<&str> = names.keys().map(String::as_str).collect();
        projection.sort_unstable();
        let projection = projection.join(", ");
        let found = retried(self.deadline, &doing, || async {
            let call = self.client.get_item().table_name(self.name).consistent_read(true);
            let call = call.set_key(Some(key_item(key))).projection_expression(&projection);
            let call = call.set_expression_attribute_names(Some(names.clone()));
            call.customize()
                .config_override(no_retries())
                .send()
                .await
                .map_err(|error| classified(&doing, indicator, &error))
        })
        .await?;
        let Some(mut item) = found.item else { return Ok(StoredTarget::default()) };
        let map = item.remove(&indicator.attribute).map(from_attribute);
        Ok(StoredTarget { exists: true, map })
    }

    /// Reads a page of the items that the query for these variables finds: strongly consistently, unless it reads an index.
    pub(super) async fn items(
        &self,
        indicator: &Indicator,
        variables: &[&str],
        start: Option<HashMap<String, AttributeValue>>,
    ) -> Result<ItemPage, Error> {
        let doing = format!("read the items of an indicator from {} (dynamodb:Query)", self.name);
        let (partition, prefix) = indicator.query_key(variables);
        let sort = indicator.query.sort.as_ref().zip(prefix);
        let condition = if sort.is_some() { "#pk = :pk AND begins_with(#sk, :sk)" } else { "#pk = :pk" };
        let page = retried(self.deadline, &doing, || async {
            let mut call = self
                .client
                .query()
                .table_name(self.name)
                .set_index_name(indicator.query.index.clone())
                .consistent_read(indicator.query.index.is_none())
                .key_condition_expression(condition)
                .expression_attribute_names("#pk", &indicator.query.partition.0)
                .expression_attribute_values(":pk", AttributeValue::S(partition.clone()))
                .set_exclusive_start_key(start.clone());
            if let Some(((name, _), prefix)) = &sort {
                call = call.expression_attribute_names("#sk", name);
                call = call.expression_attribute_values(":sk", AttributeValue::S(prefix.clone()));
            }
            call.customize()
                .config_override(no_retries())
                .send()
                .await
                .map_err(|error| classified(&doing, indicator, &error))
        })
        .await?;
        Ok(ItemPage { items: page.items.unwrap_or_default(), next: page.last_evaluated_key })
    }

    /// Writes the values under a new token, which is made of random text, provided that the target is as `stored` says. A target that
    /// was deleted isn't put again.
    pub(super) async fn put(
        &self,
        indicator: &Indicator,
        key: &TargetKey,
        stored: &StoredTarget,
        values: &Item<'_>,
        random: &str,
    ) -> Result<Put, Error> {
        let doing = format!("write an indicator into {} (dynamodb:UpdateItem)", self.name);
        let (version, next) = (stored.version(), stored.next_version(random));
        let bookkeeping =
            [Some((INDICATOR_VERSION, next.as_str())), version.map(|version| (INDICATOR_PREVIOUS, version))];
        let bookkeeping = bookkeeping.into_iter().flatten();
        let bookkeeping = bookkeeping.map(|(name, text)| (Cow::Borrowed(name), Value::S(Cow::Borrowed(text))));
        let map = Value::M(Item(bookkeeping.chain(values.0.iter().cloned()).collect()));
        let condition = match (stored.exists, indicator.missing_target, version) {
            (false, MissingTarget::Create, _) => "attribute_not_exists(#key)",
            // Nothing is written for a target that doesn't exist; see `recompute`.
            (false, MissingTarget::Skip, _) => return Ok(Put::Refused),
            (true, _, Some(_)) => "attribute_exists(#key) AND #map.#version = :version",
            // Someone else's map may have anything under the name of the token, but only the function writes a text.
            (true, _, None) => {
                "attribute_exists(#key) AND (attribute_not_exists(#map.#version) OR NOT attribute_type(#map.#version, :text))"
            }
        };
        let first = key.first().map_or("", |(name, _)| name.as_str());
        retried(self.deadline, &doing, || async {
            let mut call = self
                .client
                .update_item()
                .table_name(self.name)
                .set_key(Some(key_item(key)))
                .update_expression("SET #map = :map")
                .condition_expression(condition)
                .expression_attribute_names("#key", first)
                .expression_attribute_names("#map", &indicator.attribute)
                .expression_attribute_values(":map", to_attribute(&map));
            if stored.exists {
                call = call.expression_attribute_names("#version", INDICATOR_VERSION);
            }
            if let Some(version) = version {
                call = call.expression_attribute_values(":version", AttributeValue::S(version.to_owned()));
            } else if stored.exists {
                call = call.expression_attribute_values(":text", AttributeValue::S("S".to_owned()));
            }
            match call.customize().config_override(no_retries()).send().await {
                Ok(_) => Ok(Put::Done),
                Err(SdkError::ServiceError(error)) if is_refused(error.err()) => Ok(Put::Refused),
                Err(error) => Err(classified(&doing, indicator, &error)),
            }
        })
        .await
    }
}

fn no_retries() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

fn key_item(key: &TargetKey) -> HashMap<String, AttributeValue> {
    key.iter().map(|(name, text)| (name.clone(), AttributeValue::S(text.clone()))).collect()
}

fn is_refused(error: &UpdateItemError) -> bool {
    matches!(error, UpdateItemError::ConditionalCheckFailedException(_))
}

/// What DynamoDB says if a partition key, a sort key, or an item is too large, which is the fault of the items. Its other messages may
/// contain these words, too, for example in the name of an index.
const TOO_LARGE: [&str; 4] = [
    "Size of hashkey has exceeded the maximum size limit",
    "Aggregated size of all range keys has exceeded the size limit",
    "Item size has exceeded the maximum allowed size",
    "Item size to update has exceeded the maximum allowed size",
];

fn is_too_large(code: &str, message: &str) -> bool {
    code == "ItemCollectionSizeLimitExceededException" || TOO_LARGE.iter().any(|phrase| message.contains(phrase))
}

/// The function builds these requests from the pipeline, so one that DynamoDB refuses is a mistake in the pipeline, unless it is
/// refused for its size.
fn classified<E, R>(doing: &str, indicator: &Indicator, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    let metadata = match error {
        SdkError::ServiceError(error) => Some(error.err()),
        _ => None,
    };
    let code = metadata.and_then(ProvideErrorMetadata::code).unwrap_or_default();
    let message = metadata.and_then(ProvideErrorMetadata::message).unwrap_or_default();
    let remedy = if is_key_mismatch(message) {
        "the table has different keys; correct `target` of the indicator"
    } else {
        "DynamoDB refused the request; check `target`, `query`, and `index` of the indicator"
    };
    match Error::from_sdk(doing, error) {
        error if is_too_large(code, message) => error,
        error if error.kind == ErrorKind::Poison || is_key_mismatch(message) => {
            Error::config(format!("{doing}: {remedy} \"{}\" against the keys of the table", indicator.name))
        }
        error => error,
    }
}
