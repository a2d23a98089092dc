//! One stream: its open and closed shards, and the file of each.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::{Held, Placed, StreamDescription, StreamError};
use crate::emulators::kinesis::hash::HashRange;
use crate::emulators::kinesis::log::{Line, Log};
use crate::emulators::kinesis::sequence::{next_number, sequence_number};
use stream_types::Timestamp;

const DESCRIPTION: &str = "stream.json";

/// A shard as DescribeStream lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// The shard's id.
    pub id: String,
    /// One after a split, two after a merge.
    pub parents: Vec<String>,
    /// The first hash key.
    pub starting_hash_key: u128,
    /// The last hash key.
    pub ending_hash_key: u128,
    /// The lowest sequence number that the shard can hold.
    pub starting_sequence_number: String,
    /// The highest one, once the shard is closed.
    pub ending_sequence_number: Option<String>,
}

/// A stream that is open for reading and writing.
#[derive(Debug)]
pub(super) struct Stream {
    folder: PathBuf,
    created_at: Timestamp,
    state: State,
    /// One for each shard.
    logs: Vec<Log>,
    last_number: u64,
    /// The time before which records are trimmed, in microseconds.
    horizon: Option<i64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    version: u32,
    /// In microseconds.
    created_at: i64,
    #[serde(default = "usual_record_kib")]
    max_record_kib: u32,
    shards: Vec<Shard>,
}

/// 1024: the default of MaxRecordSizeInKiB.
fn usual_record_kib() -> u32 {
    1_024
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Shard {
    parents: Vec<usize>,
    range: HashRange,
    first_number: u64,
    /// The highest number that it can hold, once it is closed.
    last_number: Option<u64>,
}

impl Stream {
    pub(super) fn create(folder: &Path, shard_count: NonZeroU32, now: Timestamp) -> anyhow::Result<Stream> {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let first_number = next_number(0, now);
        let shard = |range| Shard { parents: Vec::new(), range, first_number, last_number: None };
        let shards = HashRange::parts(shard_count).into_iter().map(shard).collect();
        let state = State { version: 1, created_at: now.micros(), max_record_kib: usual_record_kib(), shards };
        save(folder, &state)?;
        Stream::with_state(folder, state)
    }

    /// Opens the stream in `folder`. There is none if its creation was interrupted.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Option<Stream>> {
        let file = folder.join(DESCRIPTION);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {}", file.display())),
        };
        let state = serde_json::from_str(&text)
            .with_context(|| format!("read {}: delete the stream's folder to start over", file.display()))?;
        Stream::with_state(folder, state).map(Some)
    }

    fn with_state(folder: &Path, state: State) -> anyhow::Result<Stream> {
        let created_at = Timestamp::from_micros(state.created_at)
            .with_context(|| format!("{} has a creation time that isn't between 2000 and 2099", folder.display()))?;
        let open = |index| Log::open(&folder.join(format!("{}.jsonl", shard_id(index))));
        let logs = (0..state.shards.len()).map(open).collect::<anyhow::Result<Vec<_>>>()?;
        let written = logs.iter().filter_map(|log| log.last().map(|(number, _)| number));
        let promised = state.shards.iter().map(|shard| shard.last_number.unwrap_or(shard.first_number));
        let last_number = written.chain(promised).max().unwrap_or_default();
        Ok(Stream { folder: folder.to_owned(), created_at, state, logs, last_number, horizon: None })
    }

    pub(super) fn describe(&self) -> StreamDescription {
        let shard = |(index, shard): (usize, &Shard)| ShardDescription {
            id: shard_id(index),
            parents: shard.parents.iter().copied().map(shard_id).collect(),
            starting_hash_key: shard.range.start,
            ending_hash_key: shard.range.end,
            starting_sequence_number: sequence_number(shard.first_number, index),
            ending_sequence_number: shard.last_number.map(|number| sequence_number(number, index)),
        };
        StreamDescription {
            created_at: self.created_at,
            max_record_kib: self.state.max_record_kib,
            shards: self.state.shards.iter().enumerate().map(shard).collect(),
        }
    }

    pub(super) fn max_record_bytes(&self) -> usize {
        usize::try_from(self.state.max_record_kib).unwrap_or(usize::MAX).saturating_mul(1_024)
    }

    pub(super) fn set_max_record_kib(&mut self, kib: u32) -> anyhow::Result<()> {
        let state = State { max_record_kib: kib, ..self.state.clone() };
        save(&self.folder, &state)?;
        self.state = state;
        Ok(())
    }

    pub(super) fn put(
        &mut self,
        partition_key: &str,
        hash_key: u128,
        data: &[u8],
        now: Timestamp,
    ) -> Result<Placed, StreamError> {
        let open = |shard: &Shard| shard.last_number.is_none() && shard.range.contains(hash_key);
        let index = self.state.shards.iter().position(open);
        let (index, log) = index
            .and_then(|index| Some((index, self.logs.get_mut(index)?)))
            .ok_or_else(|| StreamError::Invalid(format!("no open shard owns the hash key {hash_key}")))?;
        let number = next_number(self.last_number, now);
        // A shard's times never decrease, even if the clock is set back.
        let time = log.last().map_or(now.micros(), |(_, last)| last.max(now.micros()));
        log.append(&Line { number, time, key: partition_key.to_owned(), data: BASE64.encode(data) })?;
        self.last_number = number;
        Ok(Placed { shard_id: shard_id(index), sequence_number: sequence_number(number, index) })
    }

    pub(super) fn split(&mut self, shard: &str, at: Option<u128>) -> Result<[String; 2], StreamError> {
        let (parent, range) = self.open_shard(shard)?;
        let at = at.unwrap_or_else(|| range.middle());
        let halves = range.split(at).ok_or_else(|| {
            let (start, end) = (range.start, range.end);
            StreamError::Invalid(format!("{shard} has the hash keys {start} to {end}: it can't be split at {at}"))
        })?;
        let first = self.state.shards.len();
        self.reshard(&[parent], &halves)?;
        Ok([shard_id(first), shard_id(first + 1)])
    }

    pub(super) fn merge(&mut self, shard: &str, adjacent: &str) -> Result<String, StreamError> {
        let ((parent, range), (other, other_range)) = (self.open_shard(shard)?, self.open_shard(adjacent)?);
        let joined = range.join(other_range).ok_or_else(|| {
            StreamError::Invalid(format!("{shard} and {adjacent} can't be merged: their hash keys aren't adjacent"))
        })?;
        let child = self.state.shards.len();
        self.reshard(&[parent, other], &[joined])?;
        Ok(shard_id(child))
    }

    pub(super) fn held(&self, shard: &str) -> anyhow::Result<Option<Held>> {
        let found = self.find(shard).and_then(|(index, known)| Some((index, known, self.logs.get(index)?)));
        let Some((index, known, log)) = found else { return Ok(None) };
        let records = log.extent(self.horizon)?;
        Ok(Some(Held { records, closed: known.last_number.is_some(), index }))
    }

    pub(super) fn trim(&mut self, horizon: Timestamp) -> anyhow::Result<()> {
        let horizon = self.horizon.unwrap_or(i64::MIN).max(horizon.micros());
        self.horizon = Some(horizon);
        self.logs.iter_mut().try_for_each(|log| log.trim(horizon))
    }

    fn find(&self, shard: &str) -> Option<(usize, &Shard)> {
        self.state.shards.iter().enumerate().find(|(index, _)| shard_id(*index) == shard)
    }

    fn open_shard(&self, shard: &str) -> Result<(usize, HashRange), StreamError> {
        match self.find(shard) {
            Some((index, Shard { range, last_number: None, .. })) => Ok((index, *range)),
            Some(_) => Err(StreamError::Invalid(format!("the shard {shard} is closed"))),
            None => Err(StreamError::NoShard(shard.to_owned())),
        }
    }

    /// Closes `parents` and opens a child for each of `ranges`, in a single write.
    fn reshard(&mut self, parents: &[usize], ranges: &[HashRange]) -> anyhow::Result<()> {
        let mut state = self.state.clone();
        for (index, shard) in state.shards.iter_mut().enumerate() {
            if parents.contains(&index) {
                shard.last_number = Some(self.last_number);
            }
        }
        let first_number = self.last_number.saturating_add(1);
        let child =
            |range: &HashRange| Shard { parents: parents.to_vec(), range: *range, first_number, last_number: None };
        state.shards.extend(ranges.iter().map(child));
        save(&self.folder, &state)?;
        *self = Stream { horizon: self.horizon, ..Stream::with_state(&self.folder, state)? };
        Ok(())
    }
}

/// A shard's id, as Kinesis numbers shards.
fn shard_id(index: usize) -> String {
    format!("shardId-{index:012}")
}

/// Saves the state with a rename, which is atomic.
fn save(folder: &Path, state: &State) -> anyhow::Result<()> {
    let (part, file) = (folder.join(format!("{DESCRIPTION}.part")), folder.join(DESCRIPTION));
    let text = serde_json::to_string_pretty(state)?;
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, &file));
    written.with_context(|| format!("write {}", file.display()))
}
