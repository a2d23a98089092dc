//! A stream in memory, whose shards are opened, written, closed and trimmed by calls. For tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};

/// A stream in memory.
#[derive(Debug)]
pub struct MemoryStream {
    kind: StreamKind,
    arn: String,
    shards: Mutex<Vec<MemoryShard>>,
}

#[derive(Debug)]
struct MemoryShard {
    shard: Shard,
    records: Vec<Arc<SourceRecord>>,
    trimmed: usize,
    closed: bool,
}

impl MemoryStream {
    /// A stream without shards.
    pub fn new(kind: StreamKind, arn: &str) -> MemoryStream {
        MemoryStream { kind, arn: arn.to_owned(), shards: Mutex::default() }
    }

    /// Opens a shard, after parents that may or may not exist.
    pub fn open(&self, id: &str, parents: &[&str]) {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        let shard = Shard { id: id.to_owned(), parents };
        self.lock().push(MemoryShard { shard, records: Vec::new(), trimmed: 0, closed: false });
    }

    /// Appends a record to a shard, if the shard exists. Sequence numbers must rise.
    pub fn push(&self, id: &str, record: SourceRecord) {
        self.with(id, |shard| shard.records.push(Arc::new(record)));
    }

    /// Closes a shard. No records may be appended to it afterwards.
    pub fn close(&self, id: &str) {
        self.with(id, |shard| shard.closed = true);
    }

    /// Trims the first `records` records that were ever appended to a shard.
    pub fn trim(&self, id: &str, records: usize) {
        self.with(id, |shard| shard.trimmed = records.min(shard.records.len()));
    }

    fn with(&self, id: &str, change: impl FnOnce(&mut MemoryShard)) {
        if let Some(shard) = self.lock().iter_mut().find(|shard| shard.shard.id == id) {
            change(shard);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MemoryShard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Source for MemoryStream {
    fn kind(&self) -> StreamKind {
        self.kind
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        Ok(self.lock().iter().map(|shard| shard.shard.clone()).collect())
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let shards = self.lock();
        let shard = shards.iter().find(|other| other.shard.id == shard).ok_or(ReadError::Gone)?;
        let start = match position {
            Position::TrimHorizon => shard.trimmed,
            Position::Latest => shard.records.len(),
            // A time before the oldest record means the oldest record.
            Position::AtTimestamp(time) => {
                shard.records.partition_point(|record| record.created_at < *time).max(shard.trimmed)
            }
            Position::At(sequence) => shard.records.partition_point(|record| record.sequence < *sequence),
            Position::After(sequence) => shard.records.partition_point(|record| record.sequence <= *sequence),
        };
        if start < shard.trimmed {
            return Err(ReadError::Trimmed);
        }
        let records: Vec<_> = shard.records.iter().skip(start).take(limit).cloned().collect();
        let after = |record: &Arc<SourceRecord>| Position::After(record.sequence.clone());
        let next = match (records.last(), position) {
            (Some(last), _) => after(last),
            // If nothing has been written yet, everything comes later.
            (None, Position::Latest) => shard.records.last().map_or(Position::TrimHorizon, after),
            (None, position) => position.clone(),
        };
        let has_more = start + records.len() < shard.records.len();
        let end = match (has_more, shard.closed) {
            (true, _) => PageEnd::MoreAvailable,
            (false, true) => PageEnd::ShardEnd,
            (false, false) => PageEnd::CaughtUp,
        };
        Ok(Page { records, next, end })
    }
}
