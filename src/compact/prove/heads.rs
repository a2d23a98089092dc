//! The last row of each item, in limited memory. Once it is full, new items aren't remembered; their next changes are unlinked.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::steps::Step;

/// What a row takes besides its texts.
const OVERHEAD_BYTES: usize = 150;

/// The last row of an item.
pub(super) struct Head {
    digits: i64,
    sequence: Box<str>,
    /// When its record was created, in microseconds since the epoch.
    pub(super) created_at: i64,
    /// The row; `None` if the item was removed.
    pub(super) image: Option<Box<str>>,
}

impl Head {
    /// Whether a step comes after it.
    pub(super) fn is_before(&self, step: &Step) -> bool {
        (self.digits, &*self.sequence) < step.order()
    }

    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.sequence.len() + self.image.as_ref().map_or(0, |image| image.len())
    }
}

/// The last rows of items.
pub(super) struct Heads {
    by_item: HashMap<[u8; 16], Head>,
    bytes: usize,
    limit: usize,
    /// Whether a row didn't fit.
    is_full: bool,
}

impl Heads {
    pub(super) fn new(limit: usize) -> Heads {
        Heads { by_item: HashMap::new(), bytes: 0, limit, is_full: false }
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn get(&self, step: &Step) -> Option<&Head> {
        self.by_item.get(&key(step))
    }

    /// Remembers what a step left, unless a later one is known.
    pub(super) fn put_if_later(&mut self, step: &Step) {
        let key = key(step);
        let before = self.by_item.get(&key);
        if before.is_some_and(|head| !head.is_before(step)) {
            return;
        }
        // An item that isn't remembered may have had a later step that didn't fit.
        if self.is_full && before.is_none() {
            return;
        }
        self.bytes -= before.map_or(0, Head::bytes);
        let image = (step.event != "REMOVE").then(|| step.image.clone().into_boxed_str());
        let sequence = step.sequence.clone().into_boxed_str();
        let head = Head { digits: step.digits, sequence, created_at: step.created_at, image };
        if self.bytes + head.bytes() > self.limit {
            // What is known of the item is no longer true.
            self.by_item.remove(&key);
            self.is_full = true;
            return;
        }
        self.bytes += head.bytes();
        self.by_item.insert(key, head);
    }
}

/// About how much memory a step takes.
pub(super) fn step_bytes(step: &Step) -> usize {
    OVERHEAD_BYTES + step.item.len() + step.sequence.len() + step.id.len() + step.image.len()
}

/// A hash of the step's item, below 2^32.
pub(super) fn hash(step: &Step) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&step.record_type, &step.item).hash(&mut hasher);
    hasher.finish() >> 32
}

fn key(step: &Step) -> [u8; 16] {
    let text = format!("{}\0{}", step.record_type, step.item);
    blake3::hash(text.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(item: &str, sequence: &str, event: &str) -> Step {
        Step {
            item: item.to_owned(),
            digits: i64::try_from(sequence.len()).unwrap(),
            sequence: sequence.to_owned(),
            id: String::new(),
            record_type: "order".to_owned(),
            event: event.to_owned(),
            created_at: 0,
            image: format!("{{\"{sequence}\":1}}"),
        }
    }

    #[test]
    fn the_last_row_is_remembered_in_whatever_order_rows_are_read() {
        let mut heads = Heads::new(10_000);
        for (sequence, event) in [("100", "MODIFY"), ("99", "INSERT"), ("101", "REMOVE")] {
            heads.put_if_later(&step("a", sequence, event));
        }
        let head = heads.get(&step("a", "102", "INSERT")).unwrap();
        assert!(head.image.is_none() && head.is_before(&step("a", "102", "INSERT")));
        assert!(!head.is_before(&step("a", "101", "REMOVE")) && heads.get(&step("b", "1", "INSERT")).is_none());
    }

    #[test]
    fn an_item_that_does_not_fit_is_not_remembered_with_an_old_row() {
        let first = step("a", "1", "INSERT");
        let mut heads = Heads::new(OVERHEAD_BYTES + 1 + first.image.len());
        heads.put_if_later(&first);
        assert!(heads.get(&first).is_some() && !heads.is_full());
        heads.put_if_later(&step("b", "2", "INSERT"));
        assert!(heads.is_full() && heads.get(&step("b", "3", "MODIFY")).is_none());
        let larger = Step { image: "x".repeat(99), ..step("a", "3", "MODIFY") };
        heads.put_if_later(&larger);
        assert!(heads.get(&first).is_none() && heads.bytes == 0);
    }

    #[test]
    fn an_earlier_row_is_not_taken_for_the_last_one_after_a_later_one_did_not_fit() {
        let later = Step { image: "x".repeat(99), ..step("a", "5", "MODIFY") };
        let mut heads = Heads::new(OVERHEAD_BYTES + 20);
        heads.put_if_later(&later);
        heads.put_if_later(&step("a", "4", "MODIFY"));
        assert!(heads.is_full() && heads.get(&step("a", "6", "MODIFY")).is_none());
    }
}
