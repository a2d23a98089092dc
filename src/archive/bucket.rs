//! Puts finished files into the archive's bucket. A file's key names its content, so a file that is already there is a
//! success, and a lost answer costs nothing but another try. What to do about a file that couldn't be put is left to
//! the caller.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, retry::RetryConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::file::AvroFile;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};

/// The archive's bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    concurrency: usize,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Created,
    /// An earlier delivery, or an attempt whose answer was lost, has put the same content.
    AlreadyThere,
}

impl Bucket {
    /// The bucket `name`, to which at most `concurrency` files are put at once.
    pub fn new(client: Client, name: impl Into<String>, concurrency: usize) -> Self {
        Bucket { client, name: name.into(), concurrency: concurrency.max(1) }
    }

    /// Opens a connection by asking for the bucket. The role need not allow that: a refusal comes by the same connection.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub async fn connect(&self) -> Result<(), Error> {
        let asked = self.client.head_bucket().bucket(&self.name).customize();
        match asked.config_override(Builder::new().retry_config(RetryConfig::disabled())).send().await {
            Err(error) if error.raw_response().is_none() => {
                Err(Error::from_sdk(&format!("connect to s3://{}", self.name), &error))
            }
            _ => Ok(()),
        }
    }

    /// Puts all files, retrying each until the deadline. The results are in the order of the files.
    ///
    /// # Errors
    /// Of each file by itself: transient at the deadline, config for what somebody must mend first.
    pub async fn put_all(&self, files: &[AvroFile], deadline: Option<Instant>) -> Vec<Result<Put, Error>> {
        // Futures are collected before they are streamed: a closure over borrows isn't Send for every lifetime.
        let puts: Vec<_> = files.iter().map(|file| self.put(file, deadline)).collect();
        stream::iter(puts).buffered(self.concurrency).collect().await
    }

    async fn put(&self, file: &AvroFile, deadline: Option<Instant>) -> Result<Put, Error> {
        let doing = format!("put s3://{}/{} (s3:PutObject)", self.name, file.key);
        let mut backoff = Backoff::until(deadline);
        loop {
            let error = match backoff.attempt(self.attempt(file)).await {
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

    async fn attempt(&self, file: &AvroFile) -> Result<(), SdkError<PutObjectError>> {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(&file.key)
            .content_type("avro/binary")
            .if_none_match("*")
            .body(ByteStream::from(file.body.clone()))
            .customize()
            // The loop around this retries, with the deadline in view.
            .config_override(Builder::new().retry_config(RetryConfig::disabled()))
            .send()
            .await
            .map(|_| ())
    }
}

/// An answer without a body has no error code, but its status tells as much.
fn classified(doing: &str, error: &SdkError<PutObjectError>) -> Error {
    use aws_sdk_s3::error::ProvideErrorMetadata;
    match (status(error), error.code()) {
        (Some(403), None) => {
            Error::config(format!("{doing}: 403 Forbidden; allow s3:PutObject on this bucket in the function's role"))
        }
        (Some(404), None) => {
            Error::config(format!("{doing}: 404 Not Found; create the bucket or correct ARCHIVE_BUCKET"))
        }
        _ => Error::from_sdk(doing, error),
    }
}

fn status(error: &SdkError<PutObjectError>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

#[cfg(test)]
mod tests;
