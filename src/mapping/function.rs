//! What a mapping invokes, and what can come of an invocation.

use serde::{Deserialize, Serialize};
use stream_types::SequenceNumber;

/// The result of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvocationResult {
    /// The function returned this response body.
    Returned(Vec<u8>),
    /// The function ran and failed with this message: an exception, a timeout, an exit. Lambda calls this `Unhandled`.
    FunctionError(String),
    /// The function did not run, for this reason: throttling, a missing permission, no such function. Such an invocation
    /// is retried and not counted as an attempt.
    NotInvoked(String),
}

/// Why a function reported a record as failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectionReason {
    /// A stable code.
    pub code: String,
    /// The field of the record to look at.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A function that can be invoked.
#[async_trait::async_trait]
pub trait Function: Send + Sync {
    /// The function's ARN, for the documents of discarded batches.
    fn arn(&self) -> &str;

    /// Invokes the function with an event, in JSON, and waits for its result. Retries of a batch repeat `request_id`.
    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult;

    /// Why the function reported this record as failed. Lambda's response names only the record, and a function elsewhere
    /// keeps the reason in its log; a function in this process may know it.
    fn rejection_reason(&self, _sequence: &SequenceNumber<'_>) -> Option<RejectionReason> {
        None
    }
}
