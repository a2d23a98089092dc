//! A queue of failed batches' positions: receives its messages, keeps them hidden from other consumers while they are
//! worked on, and replaces or deletes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry,
};
use futures::{StreamExt, stream};

use crate::shell::console::{counted, note};

/// 10: the limit of SQS's batch operations.
const BATCH: usize = 10;
/// Receives in a row without a new message until the listing is complete; an empty one takes a second.
const RECEIVES_WITHOUT_NEWS: u32 = 2;
/// Requests at once. 10,000 messages are 1,000 requests: at 100 ms each they take 4 seconds.
const CONCURRENT_REQUESTS: usize = 32;

/// The queue of an on-failure destination.
pub(crate) struct Queue {
    client: Client,
    url: String,
    /// How long messages stay hidden if this process dies.
    visibility_timeout: Duration,
    /// The latest receipt handle of each hidden message, by its id.
    held: Mutex<BTreeMap<String, String>>,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) body: String,
}

/// Messages whose visibility could not be changed.
#[derive(Debug, Default)]
struct Unchanged {
    messages: usize,
    first_reason: Option<String>,
}

impl Queue {
    pub(crate) fn new(client: Client, url: String, visibility_timeout: Duration) -> Queue {
        Queue { client, url, visibility_timeout, held: Mutex::default() }
    }

    /// Receives all visible messages, which hides them. `on_message` is called for each.
    ///
    /// A message that is delivered again, because hiding it took too long, is returned once, and doesn't keep the listing
    /// from ending.
    pub(crate) async fn receive(&self, on_message: impl Fn()) -> anyhow::Result<Vec<Message>> {
        let (mut messages, mut without_news) = (Vec::new(), 0);
        while without_news < RECEIVES_WITHOUT_NEWS {
            let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let received = receive.wait_time_seconds(1).visibility_timeout(self.timeout_seconds()).send().await;
            let received =
                received.with_context(|| format!("receive messages of {} (sqs:ReceiveMessage)", self.url))?;
            let listed_before = messages.len();
            for message in received.messages.unwrap_or_default() {
                let (Some(id), Some(receipt)) = (message.message_id, message.receipt_handle) else { continue };
                if self.lock().insert(id.clone(), receipt).is_none() {
                    messages.push(Message { id, body: message.body.unwrap_or_default() });
                    on_message();
                }
            }
            without_news = if messages.len() > listed_before { 0 } else { without_news + 1 };
        }
        Ok(messages)
    }

    /// Keeps all held messages hidden, until this future is dropped.
    pub(crate) async fn keep_hidden(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.visibility_timeout / 3).await;
            let unchanged = self.change_visibility(self.timeout_seconds()).await;
            if let Some(reason) = unchanged.first_reason {
                let messages = counted(unchanged.messages, "message");
                note(&format!(
                    "note: failed to keep {messages} of {} hidden, will retry: {reason}. Another consumer may process them too; no record is counted twice",
                    self.url
                ));
            }
        }
    }

    /// Makes all held messages visible again.
    pub(crate) async fn release(&self) {
        let unchanged = self.change_visibility(0).await;
        self.lock().clear();
        if let Some(reason) = unchanged.first_reason {
            let (messages, seconds) = (counted(unchanged.messages, "message"), self.timeout_seconds());
            note(&format!(
                "note: failed to make {messages} of {} visible again: {reason}. They become visible within {seconds} s",
                self.url
            ));
        }
    }

    /// Changes the visibility timeout of all held messages, many at once: renewing thousands one after the other would take
    /// longer than they stay hidden.
    async fn change_visibility(&self, seconds: i32) -> Unchanged {
        let held: Vec<(String, String)> =
            self.lock().iter().map(|(id, receipt)| (id.clone(), receipt.clone())).collect();
        let batches: Vec<Vec<(String, String)>> = held.chunks(BATCH).map(<[_]>::to_vec).collect();
        let changes = stream::iter(batches).map(|batch| self.change_batch(batch, seconds));
        let mut unchanged = Unchanged::default();
        let mut results = changes.buffer_unordered(CONCURRENT_REQUESTS);
        while let Some(batch) = results.next().await {
            unchanged.messages += batch.messages;
            unchanged.first_reason = unchanged.first_reason.or(batch.first_reason);
        }
        unchanged
    }

    async fn change_batch(&self, batch: Vec<(String, String)>, seconds: i32) -> Unchanged {
        let entry = |(index, (_, receipt)): (usize, &(String, String))| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(receipt).visibility_timeout(seconds).build()
        };
        let request = async {
            let entries = batch.iter().enumerate().map(entry).collect::<Result<Vec<_>, _>>()?;
            let change = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            change.send().await.context("sqs:ChangeMessageVisibility")
        };
        let response = match request.await {
            Ok(response) => response,
            Err(error) => return Unchanged { messages: batch.len(), first_reason: Some(format!("{error:#}")) },
        };
        // A message that has been deleted or replaced in the meantime doesn't need hiding.
        let held = self.lock();
        let is_held = |entry: &&BatchResultErrorEntry| {
            let index = entry.id.parse::<usize>().ok();
            let message = index.and_then(|index| batch.get(index));
            message.is_none_or(|(id, receipt)| held.get(id) == Some(receipt))
        };
        let failed: Vec<&BatchResultErrorEntry> = response.failed().iter().filter(is_held).collect();
        Unchanged { messages: failed.len(), first_reason: failed.first().map(|entry| reason(entry)) }
    }

    /// Sends messages with the remaining positions of the message `id`, then deletes that.
    ///
    /// # Errors
    /// When either fails. Then the message is kept, and some records are delivered twice, which counts nothing twice.
    pub(crate) async fn narrow(&self, id: &str, bodies: &[String]) -> anyhow::Result<()> {
        let doing = || format!("send messages to {} (sqs:SendMessage)", self.url);
        for bodies in bodies.chunks(BATCH) {
            let entry = |(index, body): (usize, &String)| {
                SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body).build()
            };
            let entries = bodies.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            let send = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            if let [failed, ..] = send.with_context(doing)?.failed() {
                bail!("{}: {}", doing(), reason(failed));
            }
        }
        self.delete(id).await
    }

    /// Deletes a held message.
    pub(crate) async fn delete(&self, id: &str) -> anyhow::Result<()> {
        let Some(receipt) = self.lock().remove(id) else { return Ok(()) };
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
        delete.with_context(|| format!("delete a message of {} (sqs:DeleteMessage)", self.url)).map(drop)
    }

    fn timeout_seconds(&self) -> i32 {
        i32::try_from(self.visibility_timeout.as_secs()).unwrap_or(i32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reason(failed: &BatchResultErrorEntry) -> String {
    format!("{}: {}", failed.code(), failed.message().unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests;
