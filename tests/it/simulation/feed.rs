//! The streams: shards that own ranges of items and that can be split and merged, and the history that is written to those
//! of the source.

use std::ops::Range;
use std::sync::Arc;

use event_source_mapping::sources::MemoryStream;
use event_source_mapping::{SourceRecord, StreamKind};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use crate::model::history::Change;

/// The stream of the history.
pub const SOURCE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";
/// The number of classes of items. A shard owns a range of classes.
const CLASSES: u64 = 16;

/// A stream and its shards.
pub struct Shards {
    pub stream: Arc<MemoryStream>,
    /// All shards, open and closed.
    pub all: Vec<String>,
    open: Vec<(String, Range<u64>)>,
}

impl Shards {
    /// A stream with this many shards.
    pub fn new(arn: &str, shards: usize) -> Shards {
        let stream = Arc::new(MemoryStream::new(StreamKind::DynamoDb, arn));
        let mut all = Shards { stream, all: Vec::new(), open: Vec::new() };
        let shards = shards as u64;
        (0..shards).for_each(|shard| all.open(CLASSES * shard / shards..CLASSES * (shard + 1) / shards, &[]));
        all
    }

    /// Writes a record to the shard of its item.
    pub fn push(&self, record: SourceRecord) {
        let class = record.item % CLASSES;
        let shard = self.open.iter().find(|(_, classes)| classes.contains(&class));
        let (shard, _) = shard.expect("nothing is written to a stream that has ended");
        self.stream.push(shard, record);
    }

    /// Closes all open shards and opens their successors, as DynamoDB does every few hours.
    pub fn rotate(&mut self) {
        for (shard, classes) in std::mem::take(&mut self.open) {
            self.stream.close(&shard);
            self.open(classes, &[&shard]);
        }
    }

    /// Splits a shard into two. Returns whether there was one to split.
    pub fn split(&mut self, random: &mut fastrand::Rng) -> bool {
        let wide: Vec<usize> =
            (0..self.open.len()).filter(|index| self.open[*index].1.end - self.open[*index].1.start > 1).collect();
        let Some(index) = random.choice(wide) else { return false };
        let (parent, Range { start, end }) = self.open.remove(index);
        self.stream.close(&parent);
        let middle = random.u64(start + 1..end);
        self.open(start..middle, &[&parent]);
        self.open(middle..end, &[&parent]);
        true
    }

    /// Merges two adjacent shards. Returns whether there were two.
    pub fn merge(&mut self, random: &mut fastrand::Rng) -> bool {
        if self.open.len() < 2 {
            return false;
        }
        self.open.sort_by_key(|(_, classes)| classes.start);
        let index = random.usize(0..self.open.len() - 1);
        let (first, low) = self.open.remove(index);
        let (second, high) = self.open.remove(index);
        [&first, &second].into_iter().for_each(|parent| self.stream.close(parent));
        self.open(low.start..high.end, &[&first, &second]);
        true
    }

    /// Closes all shards.
    pub fn end(&mut self) {
        self.open.drain(..).for_each(|(shard, _)| self.stream.close(&shard));
    }

    fn open(&mut self, classes: Range<u64>, parents: &[&str]) {
        let shard = format!("shardId-{:08}", self.all.len());
        self.stream.open(&shard, parents);
        self.all.push(shard.clone());
        self.open.push((shard, classes));
    }
}

/// The changes of a history that haven't been written yet.
pub struct Feed(std::vec::IntoIter<Change>);

impl Feed {
    pub fn new(changes: Vec<Change>) -> Feed {
        Feed(changes.into_iter())
    }

    /// Writes the records of the next `changes` changes, or of all that are left, each after it has taken place.
    pub fn write(&mut self, shards: &Shards, changes: usize, take_place: impl Fn(&Change)) {
        for change in self.0.by_ref().take(changes) {
            take_place(&change);
            shards.push(SourceRecord {
                sequence: SequenceNumber::parse(change.sequence.clone()).unwrap(),
                item: change.item(),
                created_at: Timestamp::from_seconds(change.second).unwrap(),
                json: change.record().to_string(),
            });
        }
    }
}
