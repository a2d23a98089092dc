//! A stream as an event source mapping reads it, with records in the form that Lambda delivers.

use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::log::{Line, Start};
use super::sequence::{number_of, sequence_number};
use super::streams::{Held, StreamError, Streams, stream_arn};
use super::{ACCOUNT, REGION};
use event_source_mapping::sources::KinesisMessage;
use event_source_mapping::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// 10,000: GetRecords' limit of records.
const PAGE_RECORDS: usize = 10_000;

/// One stream of [`Streams`].
#[derive(Debug, Clone)]
pub struct KinesisSource {
    streams: Streams,
    name: String,
    arn: String,
}

impl KinesisSource {
    /// A source that reads the stream `name`.
    ///
    /// # Errors
    /// When the stream doesn't exist.
    pub fn new(streams: &Streams, name: &str) -> Result<KinesisSource, StreamError> {
        streams.describe(name)?;
        Ok(KinesisSource { streams: streams.clone(), name: name.to_owned(), arn: stream_arn(name) })
    }

    pub(super) fn read_now(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let held = match self.streams.held(&self.name, shard) {
            Ok(Some(held)) => held,
            Ok(None) | Err(StreamError::NotFound(_)) => return Err(ReadError::Gone),
            Err(error) => return Err(ReadError::Other(error.into())),
        };
        if *position == Position::Latest {
            return self.latest(&held);
        }
        let (lines, at_end) = held.records.read(start(position)?, limit.min(PAGE_RECORDS))?;
        let record = |line| Ok(Arc::new(self.record(shard, held.index, line)?));
        let records = lines.into_iter().map(record).collect::<anyhow::Result<Vec<_>>>()?;
        let next = records.last().map_or_else(|| position.clone(), |last| Position::After(last.sequence.clone()));
        let end = if at_end { end_of(&held) } else { PageEnd::MoreAvailable };
        Ok(Page { records, next, end })
    }

    fn latest(&self, held: &Held) -> Result<Page, ReadError> {
        let next = match held.records.last {
            // The shard is empty, so every record will come after this moment.
            None => Position::TrimHorizon,
            Some(number) => Position::After(sequence(number, held.index)?),
        };
        Ok(Page { records: Vec::new(), next, end: end_of(held) })
    }

    fn record(&self, shard: &str, index: usize, line: Line) -> anyhow::Result<SourceRecord> {
        let sequence = sequence(line.number, index)?;
        let created_at = Timestamp::from_micros(line.time)
            .with_context(|| format!("record {sequence} of {} arrived outside 2000 to 2099", self.arn))?;
        let role = format!("arn:aws:iam::{ACCOUNT}:role/usage-aggregator");
        let message = KinesisMessage { arn: &self.arn, region: REGION, role: &role, key: &line.key, data: &line.data };
        let json = message.json(shard, &sequence, line.time)?;
        Ok(SourceRecord { sequence, item: message.item(), created_at, json })
    }
}

#[async_trait::async_trait]
impl Source for KinesisSource {
    fn kind(&self) -> StreamKind {
        StreamKind::Kinesis
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        let shards = self.streams.describe(&self.name)?.shards;
        Ok(shards.into_iter().map(|shard| Shard { id: shard.id, parents: shard.parents }).collect())
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        let (source, shard, position) = (self.clone(), shard.to_owned(), position.clone());
        // A page may be 10 MB of a file, and reading it blocks the thread.
        let read = tokio::task::spawn_blocking(move || source.read_now(&shard, &position, limit));
        read.await.map_err(|error| ReadError::Other(anyhow!(error).context("read a shard")))?
    }
}

/// What is left of a shard whose records have all been read.
fn end_of(held: &Held) -> PageEnd {
    if held.closed { PageEnd::ShardEnd } else { PageEnd::CaughtUp }
}

fn start(position: &Position) -> anyhow::Result<Start> {
    Ok(match position {
        Position::TrimHorizon | Position::Latest => Start::First,
        Position::AtTimestamp(time) => Start::AtTime(time.micros()),
        // After the number before it, unless it is the first.
        Position::At(sequence) => number(sequence)?.checked_sub(1).map_or(Start::First, Start::AfterNumber),
        Position::After(sequence) => Start::AfterNumber(number(sequence)?),
    })
}

fn number(sequence: &SequenceNumber<'_>) -> anyhow::Result<u64> {
    number_of(sequence).with_context(|| format!("{sequence} is not a valid sequence number of this stream"))
}

fn sequence(number: u64, index: usize) -> anyhow::Result<SequenceNumber<'static>> {
    let digits = sequence_number(number, index);
    SequenceNumber::parse(digits).with_context(|| format!("record {number} has no sequence number"))
}

#[cfg(test)]
mod tests;
