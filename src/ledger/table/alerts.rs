//! Alerts: items that say that a group has crossed a threshold. The ledger's stream delivers them, and whoever sends them reads
//! them here.

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::attempts::never_poison;
use super::{ALERTS, EXPIRES_AT, Item, KEY, LedgerTable, SORT_KEY, SortKeys, number};
use crate::error::Error;
use crate::ledger::WindowKey;
use crate::time::Timestamp;

const DETAIL: &str = "detail";
const RAISED_AT: &str = "raised_at";

/// An alert's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertItem {
    /// The sort key.
    pub name: String,
    /// What is sent, as JSON.
    pub detail: String,
    /// When a fold found the crossing, to the second. It isn't sent, because whoever sends an alert again sends the same.
    pub raised_at: Option<Timestamp>,
}

impl LedgerTable {
    /// The partition key of the alerts of a window.
    pub fn alert_partition(&self, window: WindowKey) -> String {
        match self.zone.is_utc() {
            true => format!("{ALERTS}{}#{window}", self.pipeline),
            false => format!("{ALERTS}{}#{}#{window}", self.pipeline, self.zone.name()),
        }
    }

    /// Puts an alert, unless the ledger has it.
    ///
    /// # Errors
    /// Transient if the deadline passed, config if someone must fix something first.
    pub async fn put_alert(
        &self,
        window: WindowKey,
        alert: &AlertItem,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let doing = format!("put an alert into {} (dynamodb:PutItem)", self.name);
        let expires_at = self.expires_at(window).map(|at| (EXPIRES_AT, number(at)));
        let raised_at = alert.raised_at.map(|at| (RAISED_AT, at.to_string()));
        let texts =
            [(KEY, self.alert_partition(window)), (SORT_KEY, alert.name.clone()), (DETAIL, alert.detail.clone())];
        let texts = texts.into_iter().chain(raised_at).map(|(name, text)| (name, AttributeValue::S(text)));
        let item: Item = texts.chain(expires_at).map(|(name, value)| (name.to_owned(), value)).collect();
        self.put_new(&doing, item, deadline).await
    }

    /// The detail of the alert with these keys; `None` if it has expired.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn alert(&self, key: &str, name: &str, deadline: Option<Instant>) -> Result<Option<String>, Error> {
        let items = self.query(key, SortKeys::Prefix(name), deadline).await?;
        Ok(items.iter().filter_map(alert).find(|found| found.name == name).map(|found| found.detail))
    }

    /// The alerts of a window, those of one group and rule one after another, the oldest first.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn alerts(&self, window: WindowKey, deadline: Option<Instant>) -> Result<Vec<AlertItem>, Error> {
        let items = self.query(&self.alert_partition(window), SortKeys::All, deadline).await?;
        Ok(items.iter().filter_map(alert).collect())
    }
}

impl LedgerTable {
    /// The first alerts of a window by their names, at most `limit`, and whether there are more. Unlike [`LedgerTable::alerts`], it
    /// costs little however many there are. It may miss those of the last second.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn first_alerts(&self, window: WindowKey, limit: i32) -> Result<(Vec<AlertItem>, bool), Error> {
        let key = self.alert_partition(window);
        let doing = format!("read {key} of {} (dynamodb:Query)", self.name);
        let query = self.client.query().table_name(&self.name).limit(limit).key_condition_expression("#pk = :pk");
        let query = query.expression_attribute_names("#pk", KEY);
        let read = query.expression_attribute_values(":pk", AttributeValue::S(key)).send().await;
        let read = read.map_err(|error| never_poison(Error::from_sdk(&doing, &error)))?;
        Ok((read.items().iter().filter_map(alert).collect(), read.last_evaluated_key.is_some()))
    }
}

fn alert(item: &Item) -> Option<AlertItem> {
    let text = |name: &str| item.get(name)?.as_s().ok().cloned();
    let raised_at = text(RAISED_AT).and_then(|text| Timestamp::parse(&text));
    Some(AlertItem { name: text(SORT_KEY)?, detail: text(DETAIL)?, raised_at })
}
