//! What a mapping invokes, and what can come of an invocation.

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

/// A function that can be invoked.
#[async_trait::async_trait]
pub trait Function: Send + Sync {
    /// The function's ARN, for the documents of discarded batches.
    fn arn(&self) -> &str;

    /// Invokes the function with an event, in JSON, and waits for its result. Retries of a batch repeat `request_id`.
    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult;
}
