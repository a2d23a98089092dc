//! Remembers the batches that will be delivered again, so that the next delivery links to the last one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use opentelemetry::trace::SpanContext;

/// How many batches are remembered: a sandbox serves a few shards at most.
const MAX_BATCHES: usize = 32;

/// Batches that will be delivered again, by the sequence number with which the next delivery begins.
#[derive(Debug, Default)]
pub(super) struct Redeliveries(Mutex<VecDeque<(String, SpanContext)>>);

impl Redeliveries {
    /// The last delivery of the batch that begins with this sequence number. It is forgotten.
    pub(super) fn take(&self, first: &str) -> Option<SpanContext> {
        let mut batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = batches.iter().rposition(|(sequence, _)| sequence == first)?;
        batches.remove(position).map(|(_, context)| context)
    }

    /// Remembers a delivery after which Lambda delivers the records from this sequence number on again.
    pub(super) fn expect(&self, first: String, context: SpanContext) {
        let mut batches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if batches.len() == MAX_BATCHES {
            batches.pop_front();
        }
        batches.push_back((first, context));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_batches_are_remembered_and_each_once() {
        let redeliveries = Redeliveries::default();
        let batches = 40;
        (0..batches).for_each(|number| redeliveries.expect(number.to_string(), SpanContext::NONE));
        let known: Vec<bool> = (0..batches).map(|number| redeliveries.take(&number.to_string()).is_some()).collect();
        assert_eq!(known.iter().filter(|known| **known).count(), MAX_BATCHES);
        assert!(known[39] && !known[7] && redeliveries.take("39").is_none());
    }
}
