//! Alerts: the ledger's stream delivers their keys after the fold has put them. They are read and sent in their order.

use serde_json::Value;
use tracing::warn;

use super::{Handler, Invocation};
use crate::alerts::Sent;
use crate::error::Error;
use crate::fold::AlertKey;

impl Handler {
    /// Sends alerts, up to the first that can't be read or sent.
    pub(super) async fn send_alerts(&self, alerts: &[AlertKey], invocation: &Invocation) -> Sent {
        let mut details = Vec::new();
        let mut error: Option<Error> = None;
        for key in alerts {
            match self.detail(key, invocation).await {
                Ok(detail) => details.push(detail),
                Err(unread) => {
                    error = Some(unread);
                    break;
                }
            }
        }
        let is_there: Vec<String> = details.iter().flatten().cloned().collect();
        let sent = self.alerts.send(&is_there, invocation.deadline).await;
        if sent.error.is_none() {
            return Sent { count: details.len(), error };
        }
        // Those that have expired count as sent, up to the one that wasn't.
        let mut left = sent.count;
        let is_done = |detail: &&Option<String>| match detail {
            Some(_) if left == 0 => false,
            Some(_) => {
                left -= 1;
                true
            }
            None => true,
        };
        Sent { count: details.iter().take_while(is_done).count(), error: sent.error }
    }

    /// The detail of an alert; nothing if it has expired.
    async fn detail(&self, key: &AlertKey, invocation: &Invocation) -> Result<Option<String>, Error> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let detail = folder.ledger.alert(&key.partition, &key.name, invocation.deadline).await?;
        if detail.is_none() {
            warn!(id = key.id(), "the alert has expired and isn't sent");
        }
        Ok(detail.map(|detail| sent_by(self.config.function.as_deref(), detail)))
    }
}

/// The detail with the name of the function that sends it, by which the alerts of several stacks of a pipeline are told apart. It isn't in
/// the ledger, because a ledger that was restored has the alerts of the one before.
fn sent_by(function: Option<&str>, detail: String) -> String {
    // An object with an id, so that it isn't empty.
    match (function, detail.strip_suffix('}')) {
        (Some(function), Some(fields)) => format!("{fields},\"function\":{}}}", Value::from(function)),
        _ => detail,
    }
}
