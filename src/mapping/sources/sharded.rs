//! Presents a stream of one shard as a stream of several, and lets reads fail.
//!
//! The embedded DynamoDB has one shard per stream, which never closes. Here, that shard is shown as generations of shards:
//! each generation splits or merges the one before it at some sequence number, and divides the items among its shards by
//! their hash. A read of such a shard reads the inner shard and keeps the records that belong to it. Reads can also fail at
//! random, as if they were throttled or the shard iterator had expired.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use crate::files::write_atomically;
use crate::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use stream_types::SequenceNumber;

/// A stream of one shard, presented as a stream of several.
pub struct ShardedStream {
    inner: Arc<dyn Source>,
    lineage: Mutex<Lineage>,
    file: Option<PathBuf>,
    faults: Mutex<(ReadFaults, fastrand::Rng)>,
    /// Held while resharding, which would otherwise assign a record to the parent in one read and to a child in another.
    gate: RwLock<()>,
}

/// How many reads fail, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadFaults {
    /// Percentage of reads whose iterator has expired.
    pub expired_percent: u8,
    /// Percentage of reads that are throttled.
    pub throttled_percent: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lineage {
    /// The stream that the shards belong to.
    arn: String,
    generations: Vec<Generation>,
}

/// Shards that were opened together. They divide the items' hashes into equal ranges.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Generation {
    shards: u64,
    /// The last sequence number of these shards if they are closed; `0` if they are empty.
    last: Option<String>,
}

impl ShardedStream {
    /// Presents `inner` with the shards that are saved in `file` for this stream, or with a single one. Without a file, the
    /// shards are not saved. `seed` determines which reads fail.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn open(inner: Arc<dyn Source>, file: Option<&Path>, seed: u64) -> anyhow::Result<ShardedStream> {
        let saved = file.filter(|file| file.exists()).map(read_lineage).transpose()?;
        let arn = inner.arn().to_owned();
        let fresh = || Lineage { arn: arn.clone(), generations: vec![Generation { shards: 1, last: None }] };
        let lineage = saved.filter(|lineage| lineage.arn == arn).unwrap_or_else(fresh);
        let faults = Mutex::new((ReadFaults::default(), fastrand::Rng::with_seed(seed)));
        Ok(ShardedStream {
            inner,
            lineage: Mutex::new(lineage),
            file: file.map(Path::to_owned),
            faults,
            gate: RwLock::default(),
        })
    }

    /// Sets how many reads fail from now on.
    pub fn set_read_faults(&self, faults: ReadFaults) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).0 = faults;
    }

    /// Closes the open shards and opens `shards` in their place. More than before is a split, fewer is a merge.
    ///
    /// # Errors
    /// If the stream can't be read, or the shards can't be saved.
    pub async fn reshard(&self, shards: u64) -> anyhow::Result<()> {
        let _exclusive = self.gate.write().await;
        let only = self.only_shard().await?;
        // Everything that is written from here on belongs to the children.
        let end = self.inner.read(&only, &Position::Latest, 1).await?.next;
        let last = match end {
            Position::After(sequence) => sequence.as_str().to_owned(),
            _ => "0".to_owned(),
        };
        let mut lineage = self.lock();
        if let Some(open) = lineage.generations.last_mut() {
            open.last = Some(last);
        }
        lineage.generations.push(Generation { shards: shards.max(1), last: None });
        let Some(file) = &self.file else { return Ok(()) };
        write_atomically(file, &serde_json::to_string(&*lineage)?)
    }

    async fn only_shard(&self) -> anyhow::Result<String> {
        let shard = self.inner.shards().await?.into_iter().next();
        Ok(shard.context("the stream has no shards")?.id)
    }

    fn random_failure(&self) -> Option<ReadError> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let (ReadFaults { expired_percent, throttled_percent }, random) = &mut *faults;
        if *expired_percent == 0 && *throttled_percent == 0 {
            return None;
        }
        let roll = random.u8(0..100);
        match roll {
            roll if roll < *expired_percent => Some(ReadError::Expired),
            roll if roll < expired_percent.saturating_add(*throttled_percent) => Some(ReadError::Throttled),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lineage> {
        self.lineage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Source for ShardedStream {
    fn kind(&self) -> StreamKind {
        self.inner.kind()
    }

    fn arn(&self) -> &str {
        self.inner.arn()
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        Ok(self.lock().shards())
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        if let Some(failure) = self.random_failure() {
            return Err(failure);
        }
        let _shared = self.gate.read().await;
        let range = self.lock().range(shard).ok_or(ReadError::Gone)?;
        let only = self.only_shard().await?;
        let page = match (position, &range.after) {
            (Position::TrimHorizon, Some(parent_end)) => {
                match self.inner.read(&only, &Position::After(parent_end.clone()), limit).await {
                    // Records were trimmed beyond the parent's end, so all that are left may be this shard's.
                    Err(ReadError::Trimmed) => self.inner.read(&only, position, limit).await?,
                    read => read?,
                }
            }
            _ => self.inner.read(&only, position, limit).await?,
        };
        let Some(last) = range.last.clone() else {
            let records = page.records.into_iter().filter(|record| range.contains(record)).collect();
            return Ok(Page { records, ..page });
        };
        let reached = matches!(&page.next, Position::After(next) if *next >= last);
        let drained = page.end == PageEnd::ShardEnd || reached || last.as_str() == "0";
        let records = page.records.into_iter().filter(|record| range.contains(record)).collect();
        let (next, end) = if drained { (Position::After(last), PageEnd::ShardEnd) } else { (page.next, page.end) };
        Ok(Page { records, next, end })
    }
}

/// The part of the inner shard that a shard shows.
struct Range {
    items: Items,
    /// The end of the parents.
    after: Option<SequenceNumber<'static>>,
    /// The end of this shard, if it is closed.
    last: Option<SequenceNumber<'static>>,
}

impl Range {
    fn contains(&self, record: &SourceRecord) -> bool {
        self.after.as_ref().is_none_or(|after| record.sequence > *after)
            && self.last.as_ref().is_none_or(|last| record.sequence <= *last)
            && self.items.contains(record)
    }
}

/// The items whose hash is in the range with this index, of `shards` equal ranges.
#[derive(Debug, Clone, Copy)]
struct Items {
    index: u64,
    shards: u64,
}

impl Items {
    fn contains(self, record: &SourceRecord) -> bool {
        part_of(record.item, self.shards) == self.index
    }

    fn overlaps(self, other: Items) -> bool {
        // i/n < (j+1)/m and j/m < (i+1)/n, without the fractions.
        self.index * other.shards < (other.index + 1) * self.shards
            && other.index * self.shards < (self.index + 1) * other.shards
    }
}

fn part_of(hash: u64, parts: u64) -> u64 {
    u64::try_from((u128::from(hash) * u128::from(parts)) >> 64).unwrap_or(0)
}

impl fmt::Debug for ShardedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedStream").field("arn", &self.arn()).field("file", &self.file).finish_non_exhaustive()
    }
}

impl Lineage {
    fn shards(&self) -> Vec<Shard> {
        let mut shards = Vec::new();
        let mut parents: Vec<(String, Items)> = Vec::new();
        for (number, generation) in self.generations.iter().enumerate() {
            let items = |index| Items { index, shards: generation.shards };
            let opened: Vec<_> = (0..generation.shards).map(|index| (shard_id(number, index), items(index))).collect();
            shards.extend(opened.iter().map(|(id, items)| {
                let overlapping = parents.iter().filter(|(_, parent)| parent.overlaps(*items));
                Shard { id: id.clone(), parents: overlapping.map(|(id, _)| id.clone()).collect() }
            }));
            parents = opened;
        }
        shards
    }

    fn range(&self, shard: &str) -> Option<Range> {
        let (number, generation, index) = self.generations.iter().enumerate().find_map(|(number, generation)| {
            let index = (0..generation.shards).find(|index| shard_id(number, *index) == shard)?;
            Some((number, generation, index))
        })?;
        let sequence = |last: &Option<String>| last.clone().and_then(SequenceNumber::parse);
        let before = number.checked_sub(1).and_then(|number| self.generations.get(number));
        Some(Range {
            items: Items { index, shards: generation.shards },
            after: before.and_then(|before| sequence(&before.last)),
            last: sequence(&generation.last),
        })
    }
}

/// A shard ID in DynamoDB's format: 20 digits and 8.
fn shard_id(generation: usize, index: u64) -> String {
    format!("shardId-{generation:020}-{index:08x}")
}

fn read_lineage(file: &Path) -> anyhow::Result<Lineage> {
    let text =
        fs::read_to_string(file).with_context(|| format!("failed to read the shards from {}", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("failed to read the shards from {}: delete the file to start over", file.display()))
}

#[cfg(test)]
mod tests;
