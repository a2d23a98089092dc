//! Puts objects into a bucket: archive files and the documents of quarantined records. A key is derived from the content,
//! so finding the object already there is a success, and a lost response only costs another attempt. The caller decides
//! what to do about an object that couldn't be put.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, retry::RetryConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::connect::Opening;
use crate::error::{Error, ErrorKind};

/// A bucket of the archive or of quarantined records.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    concurrency: usize,
}

/// An object to put: an archive file, or the document of a quarantined record.
#[derive(Debug, Clone, Copy)]
pub struct Object<'o> {
    /// The key, which is derived from the content.
    pub key: &'o str,
    /// The content.
    pub body: &'o Bytes,
    /// The content type.
    pub content_type: &'static str,
}

/// The result of putting an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// This call created the object.
    Created,
    /// An earlier delivery, or an attempt whose response was lost, already put the same content.
    AlreadyThere,
}

impl Bucket {
    /// Uses the bucket `name`, to which at most `concurrency` objects are put at once.
    pub fn new(client: Client, name: impl Into<String>, concurrency: usize) -> Self {
        Bucket { client, name: name.into(), concurrency: concurrency.max(1) }
    }

    /// Opens a connection. The HeadBucket call is sent as a preflight request, which needs no permission; any response
    /// opens the connection.
    ///
    /// # Errors
    /// If there is no response at all.
    pub async fn connect(&self) -> Result<(), Error> {
        let call = self.client.head_bucket().bucket(&self.name).customize().interceptor(Opening::Preflight);
        match call.config_override(Builder::new().retry_config(RetryConfig::disabled())).send().await {
            Err(error) if error.raw_response().is_none() => {
                Err(Error::from_sdk(&format!("connect to s3://{}", self.name), &error))
            }
            _ => Ok(()),
        }
    }

    /// Puts all objects, retrying each until the deadline. Results are in the order of the objects.
    ///
    /// # Errors
    /// For each object separately: transient if the deadline passed, config if someone must fix something first.
    pub async fn put_all(&self, objects: &[Object<'_>], deadline: Option<Instant>) -> Vec<Result<Put, Error>> {
        // Futures are collected before they are streamed because a closure over borrows isn't Send for every lifetime.
        let puts: Vec<_> = objects.iter().map(|object| self.put(*object, deadline)).collect();
        stream::iter(puts).buffered(self.concurrency).collect().await
    }

    async fn put(&self, object: Object<'_>, deadline: Option<Instant>) -> Result<Put, Error> {
        let doing = format!("put s3://{}/{} (s3:PutObject)", self.name, object.key);
        let mut backoff = Backoff::until(deadline);
        loop {
            let error = match backoff.attempt(self.attempt(object)).await {
                Some(Ok(())) => return Ok(Put::Created),
                Some(Err(error)) if status(&error) == Some(412) => return Ok(Put::AlreadyThere),
                Some(Err(error)) => classified(&doing, &error),
                None => backoff.no_answer(&doing),
            };
            if error.kind != ErrorKind::Transient || !backoff.pause().await {
                return Err(backoff.give_up(error));
            }
        }
    }

    async fn attempt(&self, object: Object<'_>) -> Result<(), SdkError<PutObjectError>> {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(object.key)
            .content_type(object.content_type)
            .if_none_match("*")
            .body(ByteStream::from(object.body.clone()))
            .customize()
            // The caller's loop retries, because it observes the deadline.
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map(|_| ())
    }
}

/// Classifies an error. A response without a body has no error code, so its status is used instead.
fn classified(doing: &str, error: &SdkError<PutObjectError>) -> Error {
    use aws_sdk_s3::error::ProvideErrorMetadata;
    match (status(error), error.code()) {
        (Some(403), None) => {
            Error::config(format!("{doing}: 403 Forbidden; allow s3:PutObject on this bucket in the function's role"))
        }
        (Some(404), None) => Error::config(format!("{doing}: 404 Not Found; create the bucket or fix ARCHIVE_BUCKET")),
        _ => Error::from_sdk(doing, error),
    }
}

fn status(error: &SdkError<PutObjectError>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

#[cfg(test)]
mod tests;
