//! Why a transaction failed, and what follows from it: a retry, a split, or the end of the invocation.

use aws_sdk_dynamodb::types::CancellationReason;

use crate::error::{Error, ErrorKind, is_key_mismatch, key_mismatch};

/// Why an attempt to send a transaction failed.
pub(super) enum AttemptFailure {
    /// Read the claims again, then retry.
    Retry { error: Error, cause: RetryCause },
    /// Retrying the same transaction can't succeed.
    GiveUp(BundleFailure),
}

/// Why a transaction must be retried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryCause {
    /// Another writer changed the same items; nothing was written.
    Conflict,
    /// The service is overloaded; nothing was written.
    Throttled,
    /// No response: the transaction may have been committed.
    Unknown,
}

/// Why a bundle can't be committed as a whole.
pub(super) enum BundleFailure {
    /// DynamoDB refuses part of it, or part of it keeps conflicting: commit its parts separately to find out which.
    Split(Error),
    /// Someone must fix a setting, a permission or a table first.
    Abort(Error),
}

/// The failure of an attempt whose remainders couldn't be read; nothing was sent.
pub(super) fn fractions_unread(error: Error) -> AttemptFailure {
    match error.kind {
        ErrorKind::Config => config(error),
        ErrorKind::Poison => AttemptFailure::GiveUp(BundleFailure::Split(error)),
        ErrorKind::Transient => AttemptFailure::Retry { error, cause: RetryCause::Throttled },
    }
}

pub(super) fn config(error: Error) -> AttemptFailure {
    AttemptFailure::GiveUp(BundleFailure::Abort(error))
}

/// The failure for a canceled transaction. One item that can never be written outweighs any number of conflicts.
pub(super) fn cancellation(doing: &str, reasons: &[CancellationReason]) -> AttemptFailure {
    let codes = || reasons.iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    let text = format!("{doing}: the transaction was canceled: {}", codes().collect::<Vec<_>>().join(", "));
    let unwritable = |reason: &&CancellationReason| {
        matches!(reason.code(), Some("ValidationError" | "ItemCollectionSizeLimitExceeded"))
    };
    match reasons.iter().find(unwritable) {
        Some(reason) if is_key_mismatch(reason.message().unwrap_or_default()) => config(key_mismatch(doing)),
        Some(_) => AttemptFailure::GiveUp(BundleFailure::Split(Error::poison(format!(
            "{text}; a counter's attribute isn't a number, its item exceeds 400 KB, or its sum needs more than 38 digits"
        )))),
        None => {
            let conflict = codes().any(|code| matches!(code, "TransactionConflict" | "ConditionalCheckFailed"));
            let cause = if conflict { RetryCause::Conflict } else { RetryCause::Throttled };
            AttemptFailure::Retry { error: Error::transient(text), cause }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_that_can_never_be_written_outweighs_conflicts() {
        let reason = |code: &str, message: &str| CancellationReason::builder().code(code).message(message).build();
        let mismatch = "The provided key element does not match the schema";
        let cases = [
            (vec![reason("None", ""), reason("TransactionConflict", "")], "conflict"),
            (vec![reason("ConditionalCheckFailed", ""), reason("ThrottlingError", "")], "conflict"),
            (vec![reason("None", ""), reason("ThrottlingError", "")], "throttled"),
            (
                vec![reason("TransactionConflict", ""), reason("ValidationError", "Type mismatch for attribute")],
                "split",
            ),
            (vec![reason("ItemCollectionSizeLimitExceeded", ""), reason("None", "")], "split"),
            (vec![reason("None", ""), reason("ValidationError", mismatch)], "config"),
        ];
        for (reasons, expected) in cases {
            let found = match cancellation("count", &reasons) {
                AttemptFailure::Retry { cause: RetryCause::Conflict, .. } => "conflict",
                AttemptFailure::Retry { cause: RetryCause::Throttled, .. } => "throttled",
                AttemptFailure::GiveUp(BundleFailure::Split(error)) if error.kind == ErrorKind::Poison => "split",
                AttemptFailure::GiveUp(BundleFailure::Abort(_)) => "config",
                _ => "something else",
            };
            assert_eq!(found, expected, "{reasons:?}");
        }
    }
}
