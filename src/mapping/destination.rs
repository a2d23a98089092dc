//! The on-failure destination: where discarded batches go. [`Document`] is what is sent there.

use std::path::PathBuf;

use anyhow::Context;
use tokio::sync::mpsc;

mod document;
mod record;

pub use document::Document;
pub use record::{BatchInfo, InvocationRecord, RequestContext, ResponseContext};

use crate::files::write_atomically;

/// The content type of an S3 object, as Lambda sets it.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// A destination of discarded batches.
#[derive(Debug, Clone)]
pub enum Destination {
    /// An S3 bucket. Each batch is an object with the entire event.
    S3 {
        /// The client that puts the objects.
        client: aws_sdk_s3::Client,
        /// The bucket's name.
        bucket: String,
    },
    /// An SQS queue. Each batch is a message that names the records' positions, without the records.
    Queue {
        /// The client that sends the messages.
        client: aws_sdk_sqs::Client,
        /// The queue's URL.
        url: String,
    },
    /// A folder. Each batch is a file with what a queue would get.
    Folder(PathBuf),
    /// A channel within this process, which gets the events.
    Channel(mpsc::UnboundedSender<String>),
}

impl Destination {
    /// Sends a document. `unique` is a UUID that distinguishes objects of the same second.
    ///
    /// # Errors
    /// If the destination doesn't accept the document. Lambda then drops the batch.
    pub async fn deliver(&self, document: &Document<'_>, unique: &str) -> anyhow::Result<()> {
        match self {
            Destination::S3 { client, bucket } => {
                let key = document.object_key(unique);
                let body = document.with_payload()?.into_bytes().into();
                let put = client.put_object().bucket(bucket).key(&key).content_type(CONTENT_TYPE).body(body);
                put.send()
                    .await
                    .with_context(|| format!("failed to put the discarded batch to s3://{bucket}/{key}"))?;
            }
            Destination::Queue { client, url } => {
                let send = client.send_message().queue_url(url).message_body(document.metadata()?);
                send.send().await.with_context(|| format!("failed to send the discarded batch to the queue {url}"))?;
            }
            Destination::Folder(folder) => {
                let file = folder.join(format!("{}.json", document.object_name(unique)));
                let text = document.metadata()?;
                let written = tokio::task::spawn_blocking(move || write_atomically(&file, &text)).await?;
                written.context("failed to save the discarded batch")?;
            }
            Destination::Channel(sender) => {
                sender
                    .send(document.event())
                    .context("failed to hand over the discarded batch: the receiver has been dropped")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
