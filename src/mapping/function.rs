//! What a mapping invokes, and how the answer is to be read.

/// What came of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The function returned this body.
    Returned(Vec<u8>),
    /// The function failed: an exception, a timeout, an exit. Lambda calls it `Unhandled`.
    FunctionError(String),
    /// The function did not run: throttled, not allowed, not there. It is retried and not counted.
    NotInvoked(String),
}

/// A function that can be invoked.
#[async_trait::async_trait]
pub trait Function: Send + Sync {
    fn arn(&self) -> &str;

    async fn invoke(&self, event: &[u8], request_id: &str) -> Answer;
}
