//! Where discarded records go: the on-failure destination. What is sent there is the [`Document`]; when, is the mapping's.

use std::path::PathBuf;

use anyhow::Context;
use tokio::sync::mpsc;

mod document;
mod sent;

pub use document::Document;
pub use sent::{BatchInfo, RequestContext, ResponseContext, Sent};

use crate::write_whole;

/// What S3 is told of a document: it has no type of its own there.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// A destination of discarded records.
#[derive(Debug, Clone)]
pub enum Destination {
    /// An object of a bucket, with the whole event.
    S3 { client: aws_sdk_s3::Client, bucket: String },
    /// A message of a queue, which says where the records are but doesn't hold them.
    Queue { client: aws_sdk_sqs::Client, url: String },
    /// A file of what a queue would get.
    Folder(PathBuf),
    /// Somebody in this process, who gets the event.
    Channel(mpsc::UnboundedSender<String>),
}

impl Destination {
    /// Sends `document` there; `unique` is a UUID that tells objects of one second apart.
    ///
    /// # Errors
    /// When the destination doesn't take it: Lambda then drops the records.
    pub async fn deliver(&self, document: &Document<'_>, unique: &str) -> anyhow::Result<()> {
        match self {
            Destination::S3 { client, bucket } => {
                let key = document.object_key(unique);
                let body = document.with_payload()?.into_bytes().into();
                let put = client.put_object().bucket(bucket).key(&key).content_type(CONTENT_TYPE).body(body);
                put.send().await.with_context(|| format!("put the discarded records to s3://{bucket}/{key}"))?;
            }
            Destination::Queue { client, url } => {
                let send = client.send_message().queue_url(url).message_body(document.metadata()?);
                send.send().await.with_context(|| format!("send the discarded records to the queue {url}"))?;
            }
            Destination::Folder(folder) => {
                let file = folder.join(format!("{}.json", document.object_name(unique)));
                let text = document.metadata()?;
                let written = tokio::task::spawn_blocking(move || write_whole(&file, &text)).await?;
                written.context("keep the discarded records")?;
            }
            Destination::Channel(sender) => {
                sender.send(document.event()).context("hand over the discarded records: nobody waits for them")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
