//! Attempts of one call.

use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};

pub(super) fn no_retries() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

/// The function builds these requests itself, so a refused one is never the fault of a record.
pub(super) fn never_poison(error: Error) -> Error {
    match error.kind {
        ErrorKind::Poison => Error { kind: ErrorKind::Config, ..error },
        ErrorKind::Transient | ErrorKind::Config => error,
    }
}

/// Attempts an operation until it succeeds, can't succeed, or the deadline passes.
pub(super) async fn retried<T, F: Future<Output = Result<T, Error>>>(
    deadline: Option<Instant>,
    doing: &str,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Error> {
    let mut backoff = Backoff::until(deadline);
    loop {
        let error = match backoff.attempt(attempt()).await {
            Some(Ok(done)) => return Ok(done),
            Some(Err(error)) => error,
            None => backoff.no_answer(doing),
        };
        if error.kind != ErrorKind::Transient || !backoff.pause().await {
            return Err(backoff.give_up(error));
        }
    }
}
