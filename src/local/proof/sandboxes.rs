//! The function in this process, in sandboxes as Lambda has them: each for one invocation at a time, used again while
//! it lives, gone when it crashes.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::to_vec;

use super::mischief::Mischievous;
use crate::emulators::FaultyHttp;
use event_source_mapping::{Clock, Function, InvocationResult};
use usage_aggregator::handler::{Handler, Invocation};

/// One sandbox: a handler, and the HTTP that its clients use.
pub struct Sandbox {
    pub handler: Handler,
    pub http: FaultyHttp,
}

/// The function and its idle sandboxes.
pub struct Sandboxes {
    arn: String,
    make: Box<dyn Fn() -> anyhow::Result<Sandbox> + Send + Sync>,
    idle: Mutex<Vec<Sandbox>>,
    clock: Clock,
    timeout: Duration,
    mischief: Mischievous,
}

impl Sandboxes {
    /// A function whose sandboxes are made by `make`, and whose invocations end after `timeout`.
    pub fn new(
        arn: String,
        clock: Clock,
        timeout: Duration,
        mischief: Mischievous,
        make: impl Fn() -> anyhow::Result<Sandbox> + Send + Sync + 'static,
    ) -> Sandboxes {
        Sandboxes { arn, make: Box::new(make), idle: Mutex::default(), clock, timeout, mischief }
    }

    fn idle(&self) -> Option<Sandbox> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sandbox: Sandbox) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sandbox);
    }
}

#[async_trait::async_trait]
impl Function for Sandboxes {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        if self.mischief.happens(|mischief| mischief.refuse) {
            return InvocationResult::NotInvoked("injected: the invocation was throttled".to_owned());
        }
        let sandbox = match self.idle().map_or_else(&self.make, Ok) {
            Ok(sandbox) => sandbox,
            Err(error) => return InvocationResult::NotInvoked(format!("the function can't start: {error:#}")),
        };
        sandbox.http.set_plan(self.mischief.plan());
        let deadline = tokio::time::Instant::now() + self.timeout;
        // A second is kept for the answer, as the function itself does under Lambda.
        let effects_end = deadline.checked_sub(Duration::from_secs(1).min(self.timeout / 4));
        let invocation = Invocation { request_id: request_id.to_owned(), now: self.clock.now(), deadline: effects_end };
        let outcome = tokio::select! {
            outcome = sandbox.handler.handle(event, &invocation) => outcome,
            () = sandbox.http.crashed() => return InvocationResult::FunctionError("injected: the sandbox crashed".to_owned()),
            () = tokio::time::sleep_until(deadline) => {
                return InvocationResult::FunctionError(format!("Task timed out after {:.2} seconds", self.timeout.as_secs_f64()));
            }
        };
        self.keep(sandbox);
        match outcome {
            Ok(_) if self.mischief.happens(|mischief| mischief.redeliver) => {
                InvocationResult::FunctionError("injected: Lambda did not hear the answer".to_owned())
            }
            Ok(outcome) => match to_vec(&outcome.response()) {
                Ok(body) => InvocationResult::Returned(body),
                Err(error) => InvocationResult::FunctionError(error.to_string()),
            },
            Err(error) => InvocationResult::FunctionError(error.to_string()),
        }
    }
}

impl fmt::Debug for Sandboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandboxes").field("arn", &self.arn).finish_non_exhaustive()
    }
}
