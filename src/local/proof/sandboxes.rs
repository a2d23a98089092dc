//! The function in this process, in sandboxes like Lambda's: each serves one invocation at a time, is reused while it
//! lives, and is discarded when it crashes.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::to_vec;

use super::fault_injector::FaultInjector;
use super::rejections::Rejections;
use crate::emulators::{FaultyHttp, Metrics};
use event_source_mapping::{Clock, Function, InvocationResult, RejectionReason, SequenceNumber};
use usage_aggregator::handler::{Handler, Invocation, Outcome};
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::record::Code;

/// One sandbox.
pub struct Sandbox {
    /// The function's code.
    pub handler: Handler,
    /// The HTTP client that the handler's SDK clients use.
    pub http: FaultyHttp,
    /// The function's DEADLINE_MARGIN_MS: how long before the timeout effects stop.
    pub deadline_margin: Duration,
}

/// The function and its idle sandboxes.
pub struct Sandboxes {
    arn: String,
    make: Box<dyn Fn() -> anyhow::Result<Sandbox> + Send + Sync>,
    idle: Mutex<Vec<Sandbox>>,
    clock: Clock,
    timeout: Duration,
    faults: FaultInjector,
    rejections: Arc<Rejections>,
    log_metrics: Option<LogMetrics>,
}

/// Where the metrics that the template extracts from the function's log are published.
struct LogMetrics {
    metrics: Metrics,
    namespace: String,
}

impl LogMetrics {
    /// Publishes what the log says about the rejected records of a batch, one line for each. It also has a line for the first
    /// record that could not be stored, which the template's filter leaves out.
    fn publish(&self, outcome: &BatchOutcome) {
        let count = |metric| self.metrics.publish_of(&self.namespace, metric, &[], 1.0);
        let rejections = outcome.rejected.iter().chain(&outcome.quarantined);
        for rejection in rejections.filter(|rejection| rejection.fault.code != Code::NotDurable) {
            count("RecordsRejected");
            if rejection.fault.code == Code::TooOld {
                count("UsageTooOld");
            }
        }
    }
}

impl Sandboxes {
    /// A function whose sandboxes are created by `make`, and whose invocations end after `timeout`.
    pub fn new(
        arn: String,
        clock: Clock,
        timeout: Duration,
        faults: FaultInjector,
        make: impl Fn() -> anyhow::Result<Sandbox> + Send + Sync + 'static,
    ) -> Sandboxes {
        Sandboxes {
            arn,
            make: Box::new(make),
            idle: Mutex::default(),
            clock,
            timeout,
            faults,
            rejections: Arc::default(),
            log_metrics: None,
        }
    }

    /// Publishes the metrics that the template extracts from the function's log, in this namespace.
    #[must_use]
    pub fn with_log_metrics(self, metrics: Metrics, namespace: String) -> Sandboxes {
        Sandboxes { log_metrics: Some(LogMetrics { metrics, namespace }), ..self }
    }

    /// What the function rejected so far.
    pub fn rejections(&self) -> &Arc<Rejections> {
        &self.rejections
    }

    fn idle(&self) -> Option<Sandbox> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, sandbox: Sandbox) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sandbox);
    }

    fn timed_out(&self) -> InvocationResult {
        InvocationResult::FunctionError(format!("Task timed out after {:.2} seconds", self.timeout.as_secs_f64()))
    }

    /// Invokes the function in `sandbox`, which is discarded if it crashes or times out.
    async fn run(&self, sandbox: Sandbox, event: &[u8], request_id: &str) -> InvocationResult {
        let margin = sandbox.deadline_margin;
        if self.timeout <= margin {
            let (left, margin) = (self.timeout.as_millis(), margin.as_millis());
            return InvocationResult::FunctionError(format!(
                "handle the batch: only {left} ms remain and DEADLINE_MARGIN_MS reserves {margin}: raise the function's timeout"
            ));
        }
        let timeout = tokio::time::Instant::now() + self.timeout;
        // As the function itself computes it under Lambda.
        let deadline = timeout.checked_sub(margin);
        let invocation = Invocation { request_id: request_id.to_owned(), now: self.clock.now(), deadline };
        let outcome = tokio::select! {
            outcome = sandbox.handler.handle(event, &invocation) => outcome,
            () = sandbox.http.crashed() => return InvocationResult::FunctionError("injected: the sandbox crashed".to_owned()),
            () = tokio::time::sleep_until(timeout) => return self.timed_out(),
        };
        self.keep(sandbox);
        if let Ok(Outcome::Appended(outcome)) = &outcome {
            self.rejections.note(outcome);
            self.log_metrics.iter().for_each(|metrics| metrics.publish(outcome));
        }
        match outcome {
            Ok(_) if self.faults.occurs("redeliver", |profile| profile.redeliver) => {
                InvocationResult::FunctionError("injected: Lambda did not receive the function's response".to_owned())
            }
            Ok(outcome) => match to_vec(&outcome.response()) {
                Ok(body) => InvocationResult::Returned(body),
                Err(error) => InvocationResult::FunctionError(error.to_string()),
            },
            Err(error) => InvocationResult::FunctionError(error.to_string()),
        }
    }
}

#[async_trait::async_trait]
impl Function for Sandboxes {
    fn arn(&self) -> &str {
        &self.arn
    }

    async fn invoke(&self, event: &[u8], request_id: &str) -> InvocationResult {
        if self.faults.occurs("refuse", |profile| profile.refuse) {
            return InvocationResult::NotInvoked("injected: the invocation was throttled".to_owned());
        }
        if self.faults.breaks_out("exit", |profile| profile.exit) {
            return InvocationResult::FunctionError("injected: Runtime exited with error: exit status 1".to_owned());
        }
        if self.faults.breaks_out("hang", |profile| profile.hang) {
            tokio::time::sleep(self.timeout).await;
            return self.timed_out();
        }
        let sandbox = match self.idle().map_or_else(&self.make, Ok) {
            Ok(sandbox) => sandbox,
            Err(error) => return InvocationResult::NotInvoked(format!("the function can't start: {error:#}")),
        };
        sandbox.http.set_plan(self.faults.plan());
        self.run(sandbox, event, request_id).await
    }

    fn rejection_reason(&self, sequence: &SequenceNumber<'_>) -> Option<RejectionReason> {
        self.rejections.reason(sequence)
    }
}

impl fmt::Debug for Sandboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandboxes").field("arn", &self.arn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
