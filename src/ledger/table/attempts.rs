//! Attempts of one call.

use aws_sdk_dynamodb::config::{Builder, retry::RetryConfig};

pub(super) use crate::backoff::retried;
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
