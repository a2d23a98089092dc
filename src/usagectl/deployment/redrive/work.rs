//! Takes the records of one document through the function, as `walk` says, until each is durable or remains.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use event_source_mapping::{InvocationResult, SourceRecord, event_of, lowest_failure};

use super::function::Function;
use super::walk::{Heard, Walk, Why};
use crate::shell::console::plain;

/// 20: halving a batch of 10,000 down to one record that crashes the function takes 14 function errors.
const FAILURES: u32 = 20;
/// Invocations that do not take place, in a row: about 13 seconds of waiting.
const REFUSALS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What came of a document's records.
#[derive(Debug)]
pub struct Redriven {
    pub durable: usize,
    pub remaining: Vec<(Arc<SourceRecord>, Why)>,
}

/// Invokes a function for one document after the other.
pub struct Worker {
    pub function: Function,
    /// Go on however often the function fails as a whole.
    pub keep_going: bool,
    /// Function errors since a record was durable.
    failures: u32,
}

impl Worker {
    pub fn new(function: Function, keep_going: bool) -> Worker {
        Worker { function, keep_going, failures: 0 }
    }

    /// Redrives `records`, of which `most` were delivered together before.
    ///
    /// # Errors
    /// When the function can't be invoked, or fails whatever it is given: then going on is of no use.
    pub async fn redrive(&mut self, records: &[Arc<SourceRecord>], most: usize) -> anyhow::Result<Redriven> {
        let mut walk = Walk::new(records.iter().map(|record| record.json.len()).collect(), most);
        while let Some(batch) = walk.next() {
            let heard = self.invoke(records.get(batch).unwrap_or_default()).await?;
            walk.hear(heard);
        }
        let durable = walk.durable();
        let remaining = walk.into_remaining().into_iter();
        let remaining = remaining.filter_map(|(index, why)| Some((Arc::clone(records.get(index)?), why))).collect();
        Ok(Redriven { durable, remaining })
    }

    async fn invoke(&mut self, records: &[Arc<SourceRecord>]) -> anyhow::Result<Heard> {
        let event = event_of(records);
        let mut pause = FIRST_PAUSE;
        let mut refusals = 0;
        let heard = loop {
            match self.function.invoke(event.as_bytes()).await {
                InvocationResult::Returned(body) => {
                    break match lowest_failure(&body, records) {
                        Ok(None) => Heard::Durable,
                        Ok(Some(position)) => Heard::From(position),
                        Err(_) => Heard::Failed("its answer names no record of the batch".to_owned()),
                    };
                }
                InvocationResult::FunctionError(message) => break Heard::Failed(plain(&message)),
                InvocationResult::NotInvoked(message) => {
                    refusals += 1;
                    if refusals >= REFUSALS {
                        bail!("{} can't be invoked (lambda:InvokeFunction): {}", self.function.name(), plain(&message));
                    }
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
        };
        self.failures = if let Heard::Failed(_) = &heard { self.failures + 1 } else { 0 };
        match &heard {
            Heard::Failed(message) if self.failures >= FAILURES && !self.keep_going => bail!(
                "{} has failed {FAILURES} times in a row whatever it was given; mend it first, or add --keep-going. Its last error: {message}",
                self.function.name()
            ),
            _ => Ok(heard),
        }
    }
}
