//! Keeps the shard iterator that each read returns, because requesting a new one takes a second call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::Position;

/// The latest iterator of each shard, with its position.
#[derive(Debug, Default)]
pub(super) struct Iterators(Mutex<HashMap<String, (Position, String)>>);

impl Iterators {
    /// Takes the shard's iterator if it stands at `position`.
    pub(super) fn take(&self, shard: &str, position: &Position) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
        kept.filter(|(at, _)| at == position).map(|(_, iterator)| iterator)
    }

    /// Keeps an iterator that stands at `position`.
    pub(super) fn keep(&self, shard: &str, position: &Position, iterator: String) {
        let mut iterators = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        iterators.insert(shard.to_owned(), (position.clone(), iterator));
    }
}
