//! Limits that each group has of its own: an attribute of an item in some table. They are read when a state is written, and
//! remembered for a few minutes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::engine::Fold;
use super::watch::NewVersion;
use crate::backoff::Backoff;
use crate::decimal::Decimal;
use crate::error::{Error, ErrorKind};
use crate::ledger::GroupKey;
use crate::pipeline::{Alert, Rule};

/// How long a limit is remembered.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// More limits than this aren't remembered: they would take more than a few megabytes.
const MAX_REMEMBERED: usize = 20_000;

/// A table, an attribute and a key.
type Place = (String, String, Vec<(String, String)>);

/// Limits, and when each was read.
type Remembered = HashMap<Place, (Instant, Option<Decimal>)>;

/// The limits that were read. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Limits(Arc<Mutex<Remembered>>);

impl Limits {
    fn remembered(&self, place: &Place, now: Instant) -> Option<Option<Decimal>> {
        let limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limits.get(place).filter(|(read, _)| now.duration_since(*read) < REMEMBERED).map(|(_, limit)| *limit)
    }

    fn remember(&self, place: Place, now: Instant, limit: Option<Decimal>) {
        let mut limits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if limits.len() >= MAX_REMEMBERED {
            limits.clear();
        }
        limits.insert(place, (now, limit));
    }
}

/// Where the limit of a group is, if it is in an item.
fn place(alert: &Alert, key: &GroupKey) -> Option<Place> {
    let item = alert.item.as_ref()?;
    let parts = alert.limit_key(&key.counter_key().ok()?.0)?;
    Some((item.table.clone(), item.attribute.clone(), parts))
}

/// The limits of groups by rule. A group without an item has none.
pub(super) type LimitsOf = BTreeMap<(Rule, GroupKey), Decimal>;

impl Fold<'_> {
    /// The limits of the groups whose values a new version changes, as far as they are in items.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub(super) async fn limits(&self, version: &NewVersion<'_>) -> Result<LimitsOf, Error> {
        // The rules of an alert have the same item for a group, which is read once.
        let mut wanted: BTreeMap<Place, Vec<(Rule, GroupKey)>> = BTreeMap::new();
        for alert in version.alerts() {
            for key in version.new.keys().filter(|key| version.changes(alert, key)) {
                if let Some(place) = place(alert, key) {
                    wanted.entry(place).or_default().push((alert.rule.clone(), key.clone()));
                }
            }
        }
        let reads: Vec<_> =
            wanted.into_iter().map(|(place, of)| async { Ok::<_, Error>((self.limit(place).await?, of)) }).collect();
        let mut reads = stream::iter(reads).buffer_unordered(self.concurrency);
        let mut limits = LimitsOf::new();
        while let Some((limit, of)) = reads.try_next().await? {
            limits.extend(limit.into_iter().flat_map(|limit| of.iter().cloned().map(move |of| (of, limit))));
        }
        Ok(limits)
    }

    async fn limit(&self, place: Place) -> Result<Option<Decimal>, Error> {
        let now = Instant::now();
        if let Some(limit) = self.limits.remembered(&place, now) {
            return Ok(limit);
        }
        let limit = self.read_limit(&place).await?;
        self.limits.remember(place, now, limit);
        Ok(limit)
    }

    /// The limit in an item; none if there is no item or can't be one with this key, or if the attribute isn't a number above 0.
    async fn read_limit(&self, (table, attribute, key): &Place) -> Result<Option<Decimal>, Error> {
        let doing = format!("read a limit from {table} (dynamodb:GetItem)");
        let key = key.iter().map(|(name, text)| (name.clone(), AttributeValue::S(text.clone())));
        let key: HashMap<_, _> = key.collect();
        let mut backoff = Backoff::until(self.deadline);
        loop {
            let client = &self.ledger.client;
            let call = client.get_item().table_name(table).set_key(Some(key.clone())).projection_expression("#limit");
            let call = call.expression_attribute_names("#limit", attribute).customize();
            let call = call.config_override(Builder::new().retry_config(RetryConfig::disabled()));
            let error = match backoff.attempt(call.send()).await {
                Some(Ok(found)) => {
                    let number = found.item.and_then(|item| item.get(attribute)?.as_n().ok().cloned());
                    let limit = number.and_then(|number| Decimal::parse(&number).ok());
                    return Ok(limit.filter(|limit| *limit > Decimal::ZERO));
                }
                Some(Err(error)) => Error::from_sdk(&doing, &error),
                None => backoff.no_answer(&doing),
            };
            match error.kind {
                ErrorKind::Transient if backoff.pause().await => {}
                ErrorKind::Transient => return Err(backoff.give_up(error)),
                // The table's keys are those that the pipeline says, or this would be a config error. So the key of this group is
                // longer than a key can be, and no item has it. Whoever chooses an entity must not be able to stop the fold.
                ErrorKind::Poison => return Ok(None),
                ErrorKind::Config => {
                    let remedy = "check the table and the key in `limit`, and the permission of the fold function";
                    return Err(Error::config(format!("{}; {remedy}", error.message)));
                }
            }
        }
    }
}
