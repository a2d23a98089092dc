//! Copies a table's changes into a stream as Kinesis Data Streams for DynamoDB does: at least once, and not always in
//! order.
//!
//! A page is put as a whole before its position is written down, so that the end of the process leads to repetitions and
//! never to a loss.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::change::{Precision, change_of, partition_key};
use super::streams::Streams;
use event_source_mapping::{Checkpoint, Checkpoints, Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord};
use stream_types::Timestamp;

/// 1000: the records of one GetRecords of DynamoDB Streams.
const PAGE_RECORDS: usize = 1000;
/// By how many records at most one is overtaken, or its repetition comes after it.
const WINDOW: u64 = 4;

/// How a stream of changes differs from the changes. The same records are disturbed in the same way every time, unless a
/// page ends in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disturbance {
    pub seed: u64,
    /// 0 to 100: how many records come twice.
    pub repeat_percent: u8,
    /// 0 to 100: how many records are overtaken by up to four later ones.
    pub swap_percent: u8,
}

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Records that were read.
    pub records: usize,
    /// Records that were put, repetitions included.
    pub puts: usize,
}

/// The way from a source into a stream.
pub struct Replicator {
    source: Arc<dyn Source>,
    streams: Streams,
    stream: String,
    precision: Precision,
    disturbance: Disturbance,
    positions: Checkpoints,
}

impl Replicator {
    /// Copies `source` into `stream`, which must exist, and remembers in the file `positions` how far it is.
    pub fn open(
        source: Arc<dyn Source>,
        streams: &Streams,
        stream: &str,
        precision: Precision,
        disturbance: Disturbance,
        positions: &Path,
    ) -> anyhow::Result<Replicator> {
        streams.describe(stream)?;
        let positions = Checkpoints::open(positions, source.arn(), "replicator")?;
        let (streams, stream) = (streams.clone(), stream.to_owned());
        Ok(Replicator { source, streams, stream, precision, disturbance, positions })
    }

    /// Copies all that comes, until there is an error; `now` is the time of arrival, `idle` the pause when nothing came.
    pub async fn run(mut self, idle: Duration, now: impl Fn() -> Timestamp) -> anyhow::Result<Infallible> {
        loop {
            if self.step(now()).await?.records == 0 {
                tokio::time::sleep(idle).await;
            }
        }
    }

    /// Copies at most one page of every shard whose parents have been copied.
    pub async fn step(&mut self, now: Timestamp) -> anyhow::Result<Copied> {
        let shards = self.source.shards().await?;
        let mut copied = Copied::default();
        for shard in &shards {
            if self.is_ready(shard, &shards) {
                let shard = self.copy(&shard.id, now).await.with_context(|| format!("copy the shard {}", shard.id))?;
                copied = Copied { records: copied.records + shard.records, puts: copied.puts + shard.puts };
            }
        }
        Ok(copied)
    }

    fn is_ready(&self, shard: &Shard, shards: &[Shard]) -> bool {
        let there = |id: &String| shards.iter().any(|shard| shard.id == *id);
        let mut parents = shard.parents.iter().filter(|id| there(id));
        !self.positions.is_finished(&shard.id) && parents.all(|id| self.positions.is_finished(id))
    }

    async fn copy(&mut self, shard: &str, now: Timestamp) -> anyhow::Result<Copied> {
        let position = self.positions.of(shard).and_then(Checkpoint::position).unwrap_or(Position::TrimHorizon);
        match self.source.read(shard, &position, PAGE_RECORDS).await {
            Ok(page) => {
                let copied = self.put(&page, now).await?;
                let to = if page.end == PageEnd::ShardEnd { Checkpoint::End } else { Checkpoint::from(&page.next) };
                self.positions.set(shard, to)?;
                Ok(copied)
            }
            Err(ReadError::Gone) => {
                self.positions.set(shard, Checkpoint::End)?;
                Ok(Copied::default())
            }
            // The next step reads from there again.
            Err(ReadError::Expired | ReadError::Throttled) => Ok(Copied::default()),
            Err(ReadError::Trimmed) => {
                bail!("changes were trimmed before they were copied: delete the positions to start over")
            }
            Err(ReadError::Other(error)) => Err(error),
        }
    }

    async fn put(&self, page: &Page, now: Timestamp) -> anyhow::Result<Copied> {
        let disturbed = disturb(&page.records, self.disturbance);
        let copied = Copied { records: page.records.len(), puts: disturbed.len() };
        let (streams, stream, precision) = (self.streams.clone(), self.stream.clone(), self.precision);
        let putting = tokio::task::spawn_blocking(move || {
            disturbed.iter().try_for_each(|record| {
                let data = change_of(record, precision)?;
                streams.put(&stream, &partition_key(record), data.as_bytes(), now)?;
                anyhow::Ok(())
            })
        });
        putting.await.context("put a page")??;
        Ok(copied)
    }
}

/// The records in the order in which they are put, some of them twice.
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

/// Chances that belong to a record, wherever the pages end.
fn random_of(record: &SourceRecord, seed: u64) -> fastrand::Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes()).update(record.sequence.as_str().as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    fastrand::Rng::with_seed(u64::from_be_bytes(bytes))
}

#[cfg(test)]
pub mod tests;
