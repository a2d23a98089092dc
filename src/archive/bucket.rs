//! Puts finished files into the archive's bucket. A file's key names its content, so a file that is already there is a
//! success, and a lost answer costs nothing but another try. What to do about a file that couldn't be put is left to
//! the caller.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, retry::RetryConfig};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::file::AvroFile;
use crate::error::{Error, ErrorKind};

/// The most that one attempt may take, so that a stalled connection leaves time for another.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts where there is no deadline.
const ATTEMPTS: u32 = 5;
/// The longest first pause between attempts, doubled for each next one up to the longest of all.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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

    /// Puts all files, retrying each until the deadline. The results are in the order of the files.
    ///
    /// # Errors
    /// Of each file by itself: transient at the deadline, config for what somebody must mend first.
    pub async fn put_all(&self, files: Vec<AvroFile>, deadline: Option<Instant>) -> Vec<Result<Put, Error>> {
        stream::iter(files).map(|file| self.put(file, deadline)).buffered(self.concurrency).collect().await
    }

    async fn put(&self, file: AvroFile, deadline: Option<Instant>) -> Result<Put, Error> {
        let doing = format!("put s3://{}/{} (s3:PutObject)", self.name, file.key);
        let body = SdkBody::from(file.body);
        let mut attempt = 0;
        loop {
            let timeout = remaining(deadline).min(ATTEMPT_TIMEOUT);
            let error = match tokio::time::timeout(timeout, self.attempt(&file.key, &body)).await {
                Ok(Ok(_)) => return Ok(Put::Created),
                Ok(Err(error)) if status(&error) == Some(412) => return Ok(Put::AlreadyThere),
                Ok(Err(error)) => classified(&doing, &error),
                Err(_) => Error::transient(format!("{doing}: no answer within {} ms", timeout.as_millis())),
            };
            attempt += 1;
            let pause = longest_pause(attempt).mul_f64(fastrand::f64());
            let is_last = match deadline {
                Some(_) => remaining(deadline) <= pause,
                None => attempt >= ATTEMPTS,
            };
            if error.kind != ErrorKind::Transient || is_last {
                return Err(Error { message: format!("{} (attempt {attempt})", error.message), ..error });
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, key: &str, body: &SdkBody) -> Result<(), SdkError<PutObjectError>> {
        // A body from memory is cloned without a copy.
        let body = body.try_clone().unwrap_or_else(SdkBody::taken);
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .content_type("avro/binary")
            .if_none_match("*")
            .body(ByteStream::new(body))
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

fn remaining(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// The bound of the pause after an attempt; the pause is a random part of it, so that many writers don't come back
/// at once.
fn longest_pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
