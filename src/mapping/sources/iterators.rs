//! Iterators that go on from a position in a shard: asking for a new one at each read would be a second call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::Position;

/// The latest iterator of each shard.
#[derive(Debug, Default)]
pub struct Iterators(Mutex<HashMap<String, (Position, String)>>);

impl Iterators {
    /// Takes the iterator that goes on from `position`, if that is where the last read ended.
    pub fn take(&self, shard: &str, position: &Position) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
        kept.filter(|(at, _)| at == position).map(|(_, iterator)| iterator)
    }

    pub fn keep(&self, shard: &str, position: &Position, iterator: String) {
        let mut iterators = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        iterators.insert(shard.to_owned(), (position.clone(), iterator));
    }
}
