//! The stream of a history: shards that own ranges of items and that can be split and merged.

use std::ops::Range;
use std::sync::Arc;

use event_source_mapping::sources::MemoryStream;
use event_source_mapping::{SourceRecord, StreamKind};
use usage_aggregator::record::SequenceNumber;
use usage_aggregator::time::Timestamp;

use crate::model::history::Change;

pub const ARN: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000";
/// The number of classes of items. A shard owns a range of classes.
const CLASSES: u64 = 16;

pub struct Feed {
    pub stream: Arc<MemoryStream>,
    /// All shards, open and closed.
    pub shards: Vec<String>,
    open: Vec<(String, Range<u64>)>,
    pending: std::vec::IntoIter<Change>,
}

impl Feed {
    /// A stream with this many shards, to which `changes` will be written.
    pub fn new(shards: usize, changes: Vec<Change>) -> Feed {
        let stream = Arc::new(MemoryStream::new(StreamKind::DynamoDb, ARN));
        let mut feed = Feed { stream, shards: Vec::new(), open: Vec::new(), pending: changes.into_iter() };
        let shards = shards as u64;
        (0..shards).for_each(|shard| feed.open(CLASSES * shard / shards..CLASSES * (shard + 1) / shards, &[]));
        feed
    }

    /// Writes the next `changes` changes, or all that are left.
    pub fn write(&mut self, changes: usize) {
        for change in self.pending.by_ref().take(changes) {
            let class = change.item() % CLASSES;
            let (shard, _) = self.open.iter().find(|(_, classes)| classes.contains(&class)).unwrap();
            let record = SourceRecord {
                sequence: SequenceNumber::parse(change.sequence.clone()).unwrap(),
                item: change.item(),
                created_at: Timestamp::from_seconds(change.second).unwrap(),
                json: change.record().to_string(),
            };
            self.stream.push(shard, record);
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

    /// Writes the remaining changes and closes all shards.
    pub fn finish(&mut self) {
        self.write(usize::MAX);
        self.open.iter().for_each(|(shard, _)| self.stream.close(shard));
    }

    fn open(&mut self, classes: Range<u64>, parents: &[&str]) {
        let shard = format!("shardId-{:08}", self.shards.len());
        self.stream.open(&shard, parents);
        self.shards.push(shard.clone());
        self.open.push((shard, classes));
    }
}
