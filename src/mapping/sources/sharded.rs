//! Shards for a stream that has one shard for ever: generations of them, each splitting or merging the one before, and
//! reads that are throttled or whose iterators have expired.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::RwLock;

use crate::write_whole;
use crate::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use stream_types::SequenceNumber;

/// A source whose only shard is shown as several.
pub struct ShardedStream {
    inner: Arc<dyn Source>,
    lineage: Mutex<Lineage>,
    file: Option<PathBuf>,
    trouble: Mutex<(Trouble, fastrand::Rng)>,
    /// Shards change between reads only: a record that is written meanwhile would be the parent's and a child's.
    gate: RwLock<()>,
}

/// Of a hundred reads, how many fail in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trouble {
    pub expired_percent: u8,
    pub throttled_percent: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lineage {
    /// Of this stream alone.
    arn: String,
    generations: Vec<Generation>,
}

/// Shards that were opened together, each with an equal range of the items' hashes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Generation {
    shards: u64,
    /// The last sequence number of these shards, once they are closed; `0` if there is none.
    last: Option<String>,
}

impl ShardedStream {
    /// The shards that `file` remembers of this stream, or a single one. Without a file they are forgotten with this.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn open(inner: Arc<dyn Source>, file: Option<&Path>, seed: u64) -> anyhow::Result<ShardedStream> {
        let remembered = file.filter(|file| file.exists()).map(read_lineage).transpose()?;
        let arn = inner.arn().to_owned();
        let fresh = || Lineage { arn: arn.clone(), generations: vec![Generation { shards: 1, last: None }] };
        let lineage = remembered.filter(|lineage| lineage.arn == arn).unwrap_or_else(fresh);
        let trouble = Mutex::new((Trouble::default(), fastrand::Rng::with_seed(seed)));
        Ok(ShardedStream {
            inner,
            lineage: Mutex::new(lineage),
            file: file.map(Path::to_owned),
            trouble,
            gate: RwLock::default(),
        })
    }

    /// From now on, reads fail like this.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).0 = trouble;
    }

    /// Closes the open shards and opens `shards` in their place: more is a split, fewer a merge.
    ///
    /// # Errors
    /// When the stream can't be read, or the new shards can't be written down.
    pub async fn reshard(&self, shards: u64) -> anyhow::Result<()> {
        let _alone = self.gate.write().await;
        let only = self.only_shard().await?;
        // Whatever is written from here on belongs to the children.
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
        write_whole(file, &serde_json::to_string(&*lineage)?)
    }

    async fn only_shard(&self) -> anyhow::Result<String> {
        let shard = self.inner.shards().await?.into_iter().next();
        Ok(shard.context("the stream has no shard")?.id)
    }

    fn failure(&self) -> Option<ReadError> {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let (Trouble { expired_percent, throttled_percent }, random) = &mut *trouble;
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
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let _together = self.gate.read().await;
        let range = self.lock().range(shard).ok_or(ReadError::Gone)?;
        let only = self.only_shard().await?;
        let page = match (position, &range.after) {
            (Position::TrimHorizon, Some(parent_end)) => {
                match self.inner.read(&only, &Position::After(parent_end.clone()), limit).await {
                    // What is left begins after the parent's end.
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

/// A shard's part of the inner stream.
struct Range {
    items: Items,
    after: Option<SequenceNumber<'static>>,
    last: Option<SequenceNumber<'static>>,
}

impl Range {
    fn contains(&self, record: &SourceRecord) -> bool {
        self.after.as_ref().is_none_or(|after| record.sequence > *after)
            && self.last.as_ref().is_none_or(|last| record.sequence <= *last)
            && self.items.contains(record)
    }
}

/// The items whose hash lies in the `index`th of `shards` equal parts.
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

/// As DynamoDB's: 20 digits and 8.
fn shard_id(generation: usize, index: u64) -> String {
    format!("shardId-{generation:020}-{index:08x}")
}

fn read_lineage(file: &Path) -> anyhow::Result<Lineage> {
    let text = fs::read_to_string(file).with_context(|| format!("read the shards {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read the shards {}", file.display()))
}

#[cfg(test)]
mod tests;
