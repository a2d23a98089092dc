//! What to invoke next with the records of one document, and what an answer means for each of them. Pure: the caller
//! invokes.
//!
//! A record that an answer names is tried alone, and those after it go on without it, so that one poisonous record holds
//! up nobody. A batch that fails as a whole is halved. After a failure batches are small, and grow while all goes well:
//! a document of poison alone costs about one invocation for each record.

use std::ops::Range;

use event_source_mapping::MAXIMUM_PAYLOAD_BYTES;

/// `{"Records":[]}`
const ENVELOPE_BYTES: usize = 14;

/// How an invocation ended that took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// All of its records are durable.
    Durable,
    /// The record at this position is the first that isn't; nothing is known of those after it.
    From(usize),
    /// Nothing is known of any: a function error, or an answer that can't be read.
    Failed(String),
}

/// Why a record remains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Alone, it was named by the answer.
    Named,
    /// Alone, it failed like this.
    Failed(String),
    /// No invocation takes it.
    TooLarge,
}

/// The way through the records of one document.
#[derive(Debug)]
pub struct Walk {
    /// The bytes of each record's JSON.
    sizes: Vec<usize>,
    /// What is still to be delivered; the next is the last.
    waiting: Vec<Range<usize>>,
    /// The most records of the next batch, and of any.
    span: usize,
    most: usize,
    durable: usize,
    remaining: Vec<(usize, Why)>,
}

impl Walk {
    /// A walk through records of these sizes, of which `most` were delivered together before.
    pub fn new(sizes: Vec<usize>, most: usize) -> Walk {
        let most = most.clamp(1, 10_000);
        let mut walk = Walk { waiting: Vec::new(), span: most, most, durable: 0, remaining: Vec::new(), sizes };
        let mut end = walk.sizes.len();
        let large =
            walk.sizes.iter().enumerate().rev().filter(|(_, size)| **size + ENVELOPE_BYTES > MAXIMUM_PAYLOAD_BYTES);
        for index in large.map(|(index, _)| index).collect::<Vec<_>>() {
            walk.push(index + 1..end);
            walk.remaining.push((index, Why::TooLarge));
            end = index;
        }
        walk.push(0..end);
        walk
    }

    /// The records to invoke next; none when all are settled.
    pub fn next(&self) -> Option<Range<usize>> {
        let Range { start, end } = self.waiting.last()?.clone();
        let mut bytes = ENVELOPE_BYTES;
        let fits = |size: &&usize| {
            bytes += **size + 1;
            bytes <= MAXIMUM_PAYLOAD_BYTES + 1
        };
        let sizes = self.sizes.get(start..end).unwrap_or_default();
        let fitting = sizes.iter().take(self.span).take_while(fits).count().max(1);
        Some(start..end.min(start + fitting))
    }

    /// Takes in what the invocation of [`Walk::next`] came to.
    pub fn hear(&mut self, heard: Heard) {
        let Some(batch) = self.next() else { return };
        let end = self.waiting.pop().map_or(batch.end, |range| range.end);
        match heard {
            Heard::Durable => {
                self.durable += batch.len();
                self.span = self.span.saturating_mul(2).min(self.most);
                self.push(batch.end..end);
            }
            Heard::From(_) if batch.len() == 1 => self.give_up(batch, end, Why::Named),
            Heard::Failed(why) if batch.len() == 1 => self.give_up(batch, end, Why::Failed(why)),
            Heard::From(position) => {
                let position = position.min(batch.len() - 1);
                let named = batch.start + position;
                self.durable += position;
                self.span = (2 * position).clamp(1, self.most);
                self.push(named + 1..end);
                self.push(named..named + 1);
            }
            Heard::Failed(_) => {
                let half = batch.len() / 2;
                self.span = half.max(1);
                self.push(batch.start + half..end);
                self.push(batch.start..batch.start + half);
            }
        }
    }

    /// How many records are durable.
    pub fn durable(&self) -> usize {
        self.durable
    }

    /// What remains, in stream order, with why.
    pub fn into_remaining(mut self) -> Vec<(usize, Why)> {
        self.remaining.sort_by_key(|(index, _)| *index);
        self.remaining
    }

    fn give_up(&mut self, batch: Range<usize>, end: usize, why: Why) {
        self.remaining.push((batch.start, why));
        self.push(batch.end..end);
    }

    fn push(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.waiting.push(range);
        }
    }
}

/// Runs of positions that follow each other.
pub fn runs(positions: impl IntoIterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for position in positions {
        match runs.last_mut() {
            Some(run) if run.end == position => run.end += 1,
            _ => runs.push(position..position + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests;
