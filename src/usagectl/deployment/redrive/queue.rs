//! The queue of failed batches' positions: its messages, hidden from others while they are worked on, and what takes a
//! message's place.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry};

use crate::shell::console::note;

/// 10: the most of every batch operation of SQS.
const BATCH: usize = 10;
/// Receives without a message until the queue counts as empty; each waits for a second.
const EMPTY_RECEIVES: u32 = 2;

/// A queue of an on-failure destination.
pub struct Queue {
    client: Client,
    url: String,
    /// How long messages stay hidden if this process dies.
    hidden: Duration,
    /// The receipts of the messages that are hidden, by id.
    held: Mutex<BTreeMap<String, String>>,
}

/// A message.
#[derive(Debug)]
pub struct Message {
    pub id: String,
    pub body: String,
}

impl Queue {
    pub fn new(client: Client, url: String, hidden: Duration) -> Queue {
        Queue { client, url, hidden, held: Mutex::default() }
    }

    /// All messages that can be seen; from now on they are hidden. Each is seen once, however often it is delivered.
    pub async fn receive(&self, watch: impl Fn()) -> anyhow::Result<Vec<Message>> {
        let (mut messages, mut empty) = (Vec::new(), 0);
        while empty < EMPTY_RECEIVES {
            let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
            let received = receive.wait_time_seconds(1).visibility_timeout(self.seconds()).send().await;
            let received =
                received.with_context(|| format!("receive messages of {} (sqs:ReceiveMessage)", self.url))?;
            let received = received.messages.unwrap_or_default();
            empty = if received.is_empty() { empty + 1 } else { 0 };
            for message in received {
                let (Some(id), Some(receipt)) = (message.message_id, message.receipt_handle) else { continue };
                if self.lock().insert(id.clone(), receipt).is_none() {
                    messages.push(Message { id, body: message.body.unwrap_or_default() });
                    watch();
                }
            }
        }
        Ok(messages)
    }

    /// Keeps all held messages hidden, until this is dropped.
    pub async fn keep_hidden(&self) -> Infallible {
        loop {
            tokio::time::sleep(self.hidden / 3).await;
            if let Err(error) = self.change_visibility(self.seconds()).await {
                // Somebody else may now see them and do the same work, which counts nothing twice.
                note(&format!("note: failed to {error:#}; trying again"));
            }
        }
    }

    /// Makes all held messages visible again.
    pub async fn release(&self) -> anyhow::Result<()> {
        self.change_visibility(0).await?;
        self.lock().clear();
        Ok(())
    }

    async fn change_visibility(&self, seconds: i32) -> anyhow::Result<()> {
        let doing = || format!("hide or show messages of {} (sqs:ChangeMessageVisibility)", self.url);
        let held: Vec<String> = self.lock().values().cloned().collect();
        for receipts in held.chunks(BATCH) {
            let entry = |(index, receipt): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(receipt).visibility_timeout(seconds).build()
            };
            let entries = receipts.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            let change = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            // Of a message that somebody else has deleted meanwhile there is nothing to change.
            change.send().await.with_context(doing)?;
        }
        Ok(())
    }

    /// Sends what is left of the message `id`, then deletes it.
    ///
    /// # Errors
    /// When either fails; then more messages than before may be there, which is no more than work done twice.
    pub async fn narrow(&self, id: &str, left: &[String]) -> anyhow::Result<()> {
        let doing = || format!("send messages to {} (sqs:SendMessage)", self.url);
        for bodies in left.chunks(BATCH) {
            let entry = |(index, body): (usize, &String)| {
                SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body).build()
            };
            let entries = bodies.iter().enumerate().map(entry).collect::<Result<_, _>>()?;
            let send = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            if let [failed, ..] = send.with_context(doing)?.failed() {
                bail!("{}: {}: {}", doing(), failed.code(), failed.message().unwrap_or("no reason given"));
            }
        }
        self.delete(id).await
    }

    pub async fn delete(&self, id: &str) -> anyhow::Result<()> {
        let Some(receipt) = self.lock().remove(id) else { return Ok(()) };
        let delete = self.client.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await;
        delete.with_context(|| format!("delete a message of {} (sqs:DeleteMessage)", self.url)).map(drop)
    }

    fn seconds(&self) -> i32 {
        i32::try_from(self.hidden.as_secs()).unwrap_or(i32::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
