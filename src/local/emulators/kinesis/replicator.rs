//! Copies a table's changes into a stream as Kinesis Data Streams for DynamoDB does: at least once, and not always in
//! order.
//!
//! A whole page is put before its position is saved, so that a process that dies causes repeated records but never loses
//! any.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::change::{Precision, change_of, partition_key};
use super::streams::{StreamError, Streams};
use event_source_mapping::{Checkpoint, Checkpoints, Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord};
use stream_types::Timestamp;

/// 1000: the records of one GetRecords of DynamoDB Streams.
const PAGE_RECORDS: usize = 1000;
/// The most records that may overtake one, or come between it and its repetition.
const WINDOW: u64 = 4;

/// How a stream of changes differs from the changes. The same records are disturbed in the same way every time, unless a
/// page ends between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbance {
    /// Seed of the choice of records.
    pub seed: u64,
    /// Percent of records that are put twice, 0 to 100.
    pub repeat_percent: u8,
    /// Percent of records that are overtaken by up to four later ones, 0 to 100.
    pub swap_percent: u8,
}

/// What one step copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Records that were read.
    pub records: usize,
    /// Records that were put, including repetitions.
    pub puts: usize,
    /// Times that changes were trimmed before they were read.
    pub trimmed_gaps: u64,
    /// Shards that no longer existed before they were read to their end.
    pub gone_shards: u64,
}

/// Copies one source into one stream.
pub struct Replicator {
    source: Arc<dyn Source>,
    streams: Streams,
    stream: String,
    precision: Precision,
    positions: Checkpoints,
    /// The shards whose position was trimmed. They are read from their oldest record on.
    trimmed: BTreeSet<String>,
}

impl Replicator {
    /// Copies `source` into `stream`, which must exist, and saves its progress in the file `positions`.
    ///
    /// # Errors
    /// When the stream doesn't exist, or the file can't be read.
    pub fn open(
        source: Arc<dyn Source>,
        streams: &Streams,
        stream: &str,
        precision: Precision,
        positions: &Path,
    ) -> anyhow::Result<Replicator> {
        streams.describe(stream)?;
        let positions = Checkpoints::open(positions, source.arn(), "replicator")?;
        let (streams, stream) = (streams.clone(), stream.to_owned());
        Ok(Replicator { source, streams, stream, precision, positions, trimmed: BTreeSet::new() })
    }

    /// Copies whatever comes until there is an error. `now` is the time of arrival, `idle` the pause when nothing came;
    /// `disturbance` is asked before every step, so that it may change, and `watch` is called after it.
    ///
    /// # Errors
    /// When changes can't be read, or can't be put.
    pub async fn run(
        &mut self,
        idle: Duration,
        now: impl Fn() -> Timestamp,
        disturbance: impl Fn() -> Disturbance,
        watch: impl Fn(Copied),
    ) -> anyhow::Result<Infallible> {
        loop {
            let copied = self.step(now(), disturbance()).await?;
            watch(copied);
            if copied.records == 0 {
                tokio::time::sleep(idle).await;
            }
        }
    }

    /// Copies at most one page of every shard whose parents have been copied.
    ///
    /// # Errors
    /// When changes can't be read, or can't be put.
    pub async fn step(&mut self, now: Timestamp, disturbance: Disturbance) -> anyhow::Result<Copied> {
        let shards = self.source.shards().await?;
        let mut copied = Copied::default();
        for shard in &shards {
            if self.is_ready(shard, &shards) {
                let step = self.copy(&shard.id, now, disturbance).await;
                let step = step.with_context(|| format!("copy the shard {}", shard.id))?;
                copied.records += step.records;
                copied.puts += step.puts;
                copied.trimmed_gaps += step.trimmed_gaps;
                copied.gone_shards += step.gone_shards;
            }
        }
        Ok(copied)
    }

    /// Whether the source has, or may have, changes that aren't copied. This is for a replicator that has stopped.
    pub async fn has_uncopied(&self) -> bool {
        let Ok(shards) = self.source.shards().await else { return true };
        for shard in shards.iter().filter(|shard| !self.positions.is_finished(&shard.id)) {
            match self.source.read(&shard.id, &self.position(&shard.id), PAGE_RECORDS).await {
                Ok(page) if page.records.is_empty() && page.end != PageEnd::MoreAvailable => {}
                // A stream that is gone may have been replaced.
                Ok(_) | Err(_) => return true,
            }
        }
        false
    }

    fn is_ready(&self, shard: &Shard, shards: &[Shard]) -> bool {
        let there = |id: &String| shards.iter().any(|shard| shard.id == *id);
        let mut parents = shard.parents.iter().filter(|id| there(id));
        !self.positions.is_finished(&shard.id) && parents.all(|id| self.positions.is_finished(id))
    }

    /// Where a shard that isn't finished is read.
    fn position(&self, shard: &str) -> Position {
        let saved = self.positions.of(shard).filter(|_| !self.trimmed.contains(shard));
        saved.and_then(Checkpoint::position).unwrap_or(Position::TrimHorizon)
    }

    async fn copy(&mut self, shard: &str, now: Timestamp, disturbance: Disturbance) -> anyhow::Result<Copied> {
        let position = self.position(shard);
        match self.source.read(shard, &position, PAGE_RECORDS).await {
            Ok(page) => {
                let copied = self.put(&page, now, disturbance).await?;
                // An empty page leaves the saved position where it is, and that is trimmed.
                if page.next != Position::TrimHorizon {
                    self.trimmed.remove(shard);
                }
                let to = if page.end == PageEnd::ShardEnd { Checkpoint::End } else { Checkpoint::from(&page.next) };
                self.positions.set(shard, to)?;
                Ok(copied)
            }
            Err(ReadError::Gone) => {
                self.positions.set(shard, Checkpoint::End)?;
                Ok(Copied { gone_shards: 1, ..Copied::default() })
            }
            // The next step reads from the same position.
            Err(ReadError::Expired | ReadError::Throttled) => Ok(Copied::default()),
            Err(ReadError::Trimmed) => {
                let position = format!("{position:?}");
                tracing::error!(shard, position, "changes were trimmed before they were copied, and are lost");
                self.trimmed.insert(shard.to_owned());
                Ok(Copied { trimmed_gaps: 1, ..Copied::default() })
            }
            Err(ReadError::Other(error)) => Err(error),
        }
    }

    async fn put(&self, page: &Page, now: Timestamp, disturbance: Disturbance) -> anyhow::Result<Copied> {
        let disturbed = disturb(&page.records, disturbance);
        let copied = Copied { records: page.records.len(), puts: disturbed.len(), ..Copied::default() };
        let (streams, stream, precision) = (self.streams.clone(), self.stream.clone(), self.precision);
        let putting = tokio::task::spawn_blocking(move || {
            disturbed.iter().try_for_each(|record| {
                let data = change_of(record, precision)?;
                match streams.put(&stream, &partition_key(record), data.as_bytes(), now) {
                    Err(error @ StreamError::TooLarge { .. }) => {
                        // AWS leaves such a change out as well, and counts it in FailedToReplicateRecordCount.
                        let record = record.sequence.as_str();
                        tracing::error!(stream, record, %error, "a change doesn't fit into the stream, and is left out");
                    }
                    placed => drop(placed?),
                }
                anyhow::Ok(())
            })
        });
        putting.await.context("put a page")??;
        Ok(copied)
    }
}

/// The records in the order in which they are put; some appear twice.
fn disturb(records: &[Arc<SourceRecord>], disturbance: Disturbance) -> Vec<Arc<SourceRecord>> {
    let mut places: Vec<(u64, &Arc<SourceRecord>)> = Vec::with_capacity(records.len());
    for (place, record) in (0..).step_by(2).zip(records) {
        let mut random = random_of(record, disturbance.seed);
        // Between two records that stay where they are.
        let mut later = |percent: u8| (random.u8(0..100) < percent).then(|| place + random.u64(1..=WINDOW) * 2 + 1);
        places.push((later(disturbance.swap_percent).unwrap_or(place), record));
        places.extend(later(disturbance.repeat_percent).map(|place| (place, record)));
    }
    places.sort_by_key(|(place, _)| *place);
    places.into_iter().map(|(_, record)| Arc::clone(record)).collect()
}

/// Random numbers that depend on the record alone, wherever the pages end.
fn random_of(record: &SourceRecord, seed: u64) -> fastrand::Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).update(record.sequence.as_str().as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    fastrand::Rng::with_seed(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod position_tests;
#[cfg(test)]
pub(super) mod tests;
