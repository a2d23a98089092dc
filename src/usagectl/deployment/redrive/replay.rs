//! Replays the records of one document through the function, in the batches of a `DeliveryPlan`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use event_source_mapping::{InvocationResult, SourceRecord, lowest_failure};

use super::delivery::{BatchOutcome, DeliveryPlan, Failure, event_of};
use super::function::Functions;
use super::ownership::Target;
use crate::shell::console::plain;

/// 20: halving a batch of 10,000 records down to the one that crashes the function takes 14 function errors.
const MAXIMUM_FUNCTION_ERRORS: u32 = 20;
/// 6: about 13 seconds of waiting in all.
const MAXIMUM_REFUSALS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The outcome of a document's records.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) durable: usize,
    pub(crate) remaining: Vec<(Arc<SourceRecord>, Failure)>,
}

/// Invokes the functions for one document after the other.
pub(crate) struct Replayer {
    pub(crate) functions: Arc<Functions>,
    /// Continue even if the function keeps failing as a whole.
    keep_going: bool,
    /// Function errors in a row.
    function_errors: u32,
}

impl Replayer {
    pub(crate) fn new(functions: impl Into<Arc<Functions>>, keep_going: bool) -> Replayer {
        Replayer { functions: functions.into(), keep_going, function_errors: 0 }
    }

    /// Delivers `records` to one of the functions, in batches of at most `maximum_batch`.
    ///
    /// # Errors
    /// When the function can't be invoked, or fails with every batch, so that continuing would be pointless.
    pub(crate) async fn replay(
        &mut self,
        target: Target,
        records: &[Arc<SourceRecord>],
        maximum_batch: usize,
    ) -> anyhow::Result<Replayed> {
        let sizes = records.iter().map(|record| record.json.len()).collect();
        let mut plan = DeliveryPlan::new(sizes, maximum_batch);
        while let Some(batch) = plan.next_batch() {
            let outcome = self.deliver(target, records.get(batch).unwrap_or_default()).await?;
            plan.settle(outcome);
        }
        let durable = plan.durable();
        let failed = plan.into_failed().into_iter();
        let remaining =
            failed.filter_map(|(index, failure)| Some((Arc::clone(records.get(index)?), failure))).collect();
        Ok(Replayed { durable, remaining })
    }

    async fn deliver(&mut self, target: Target, records: &[Arc<SourceRecord>]) -> anyhow::Result<BatchOutcome> {
        let outcome = self.invoke(target, records).await?;
        let BatchOutcome::Failed(message) = &outcome else {
            self.function_errors = 0;
            return Ok(outcome);
        };
        self.function_errors += 1;
        if self.function_errors >= MAXIMUM_FUNCTION_ERRORS && !self.keep_going {
            bail!(
                "{} has failed {MAXIMUM_FUNCTION_ERRORS} times in a row, regardless of the records; fix it first, or add --keep-going. Its last error: {message}",
                self.functions.name(target)
            );
        }
        Ok(outcome)
    }

    /// Invokes the function, and retries if Lambda refuses the invocation.
    async fn invoke(&self, target: Target, records: &[Arc<SourceRecord>]) -> anyhow::Result<BatchOutcome> {
        let event = event_of(records);
        let mut pause = FIRST_PAUSE;
        let mut refusals = 0;
        loop {
            match self.functions.invoke(target, event.as_bytes()).await {
                InvocationResult::Returned(body) => {
                    return Ok(match lowest_failure(&body, records) {
                        Ok(None) => BatchOutcome::Durable,
                        Ok(Some(index)) => BatchOutcome::FailedFrom(index),
                        Err(_) => BatchOutcome::Failed(
                            "its response is invalid, or reports a record that isn't in the batch".to_owned(),
                        ),
                    });
                }
                InvocationResult::FunctionError(message) => return Ok(BatchOutcome::Failed(plain(&message))),
                InvocationResult::NotInvoked(message) => {
                    refusals += 1;
                    if refusals >= MAXIMUM_REFUSALS {
                        bail!(
                            "{} can't be invoked (lambda:InvokeFunction): {}",
                            self.functions.name(target),
                            plain(&message)
                        );
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        }
    }
}
