//! What a mapping reads: a stream of shards, and in each shard the records from a position on.
//!
//! A source only returns what is there. When to poll, what to do with a record and how far a shard counts as read are the
//! mapping's decisions.

use std::sync::Arc;

use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// The kind of stream, which determines the format of identifiers and documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A DynamoDB stream.
    DynamoDb,
    /// A Kinesis data stream.
    Kinesis,
}

/// A shard as the stream describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The shard's ID, unique within the stream.
    pub id: String,
    /// The IDs of the shards to read before this one. Some of them may no longer exist.
    pub parents: Vec<String>,
}

/// One record of a shard.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// Rises within a shard.
    pub sequence: SequenceNumber<'static>,
    /// A hash of the item's key (DynamoDB) or of the partition key (Kinesis). Records with the same hash stay in order.
    pub item: u64,
    /// When the change happened (DynamoDB) or the record arrived (Kinesis).
    pub created_at: Timestamp,
    /// The record as an element of the event's `Records`.
    pub json: String,
}

/// Where to read a shard from.
#[derive(Debug, Clone, PartialEq)]
pub enum Position {
    /// The oldest record.
    TrimHorizon,
    /// After the newest record: only what is written from now on.
    Latest,
    /// The first record of this time or later.
    AtTimestamp(Timestamp),
    /// This record and those after it.
    At(SequenceNumber<'static>),
    /// The records after this one.
    After(SequenceNumber<'static>),
}

/// The result of one read of a shard.
#[derive(Debug, Clone)]
pub struct Page {
    /// In stream order. May be empty even if more records are available, because a source may leave some out.
    pub records: Vec<Arc<SourceRecord>>,
    /// Where the next read continues.
    pub next: Position,
    /// What is left to read after this page.
    pub end: PageEnd,
}

/// What is left to read after a [`Page`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageEnd {
    /// The page was full: more records may be available right now.
    MoreAvailable,
    /// Every record so far has been read; others may be written later.
    CaughtUp,
    /// The shard is closed and has been read to its end.
    ShardEnd,
}

/// Why a read returned no page.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Records after the position were trimmed, and can't be read anymore. Continue from [`Position::TrimHorizon`].
    #[error("records were trimmed before they were read")]
    Trimmed,
    /// Read again from the same position.
    #[error("the shard iterator has expired")]
    Expired,
    /// Read again from the same position after a pause.
    #[error("reads are throttled")]
    Throttled,
    /// The shard no longer exists, so there is nothing left to read.
    #[error("the shard no longer exists")]
    Gone,
    /// Any other failure.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// A stream that a mapping can read. [`conformance`](crate::conformance) tests an implementation.
#[async_trait::async_trait]
pub trait Source: Send + Sync {
    /// The kind of stream.
    fn kind(&self) -> StreamKind;

    /// The stream's ARN as the function sees it. A DynamoDB stream's ARN ends in a label, so a stream that was disabled
    /// and enabled again has a different one.
    fn arn(&self) -> &str;

    /// All shards that exist now, in any order.
    async fn shards(&self) -> anyhow::Result<Vec<Shard>>;

    /// Up to `limit` records of a shard, from `position` on.
    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError>;
}
