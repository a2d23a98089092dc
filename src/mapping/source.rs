//! What a mapping reads: shards with their lineage, and in each the records after a position.
//!
//! A source says what is there. When to poll, what to do with a record and how far to remember is the mapping's.

use std::sync::Arc;

use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// The kind of stream, which decides how identifiers and documents look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    DynamoDb,
    Kinesis,
}

/// A shard as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub id: String,
    /// The shards that must be read to their end before this one; some of them may be gone.
    pub parents: Vec<String>,
}

/// One record of a shard.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    pub sequence: SequenceNumber<'static>,
    /// Equal for records of one item, or of one Kinesis partition key: their order must be kept.
    pub item: u64,
    /// When the change happened (DynamoDB) or the record arrived (Kinesis).
    pub created_at: Timestamp,
    /// The record as it stands in the event's `Records`.
    pub json: String,
}

/// Where to read a shard from.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// The oldest record there is.
    TrimHorizon,
    /// Only what comes after this moment.
    Latest,
    /// The first record at this time or later.
    AtTimestamp(Timestamp),
    /// This record, and those after it; a mapping never starts so, but who reads a range again does.
    At(SequenceNumber<'static>),
    /// The records after this one.
    After(SequenceNumber<'static>),
}

/// What one read of a shard gave.
#[derive(Debug, Clone)]
pub struct Page {
    /// In stream order.
    pub records: Vec<Arc<SourceRecord>>,
    /// Where the next read continues.
    pub next: Position,
    /// What is left to read after this page.
    pub end: PageEnd,
}

/// What is left to read after a [`Page`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// More records can be read right now: the page was full.
    MoreAvailable,
    /// Nothing for now; more records may be written.
    CaughtUp,
    /// Nothing ever again: the shard is closed and has been read to its end.
    ShardEnd,
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Records between the position and this first one that is left are gone for ever.
    #[error("records were trimmed before they were read")]
    Trimmed,
    /// Read again from the same position.
    #[error("the shard iterator has expired")]
    Expired,
    /// Read again later.
    #[error("reads are throttled")]
    Throttled,
    /// The shard is gone: as good as closed.
    #[error("the shard is gone")]
    Gone,
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A stream that a mapping can read.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    fn kind(&self) -> StreamKind;

    /// The ARN as the function sees it; with DynamoDB it ends in the stream's label, so that a stream that was switched
    /// off and on is another one.
    fn arn(&self) -> &str;

    /// All shards that there are now, in any order.
    async fn shards(&self) -> anyhow::Result<Vec<Shard>>;

    /// At most `limit` records of a shard from `position` on.
    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError>;
}
