//! Streams by name, each a folder: `stream.json`, which says what shards there are, and a file of records per shard.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;

use super::hash;
use super::log::Extent;
use super::{ACCOUNT, REGION};
use stream_types::Timestamp;

mod stream;

pub use stream::ShardDescription;
use stream::Stream;

/// 128: the longest name in Kinesis' API model.
const MAXIMUM_NAME_LENGTH: usize = 128;
/// 256: the longest partition key in Kinesis' API model.
const MAXIMUM_KEY_CHARACTERS: usize = 256;
/// 10 MiB: Kinesis' limit of a record.
const MAXIMUM_DATA_BYTES: usize = 10 * 1024 * 1024;

/// The streams of one folder. Clones share them; one process per folder.
#[derive(Debug, Clone)]
pub struct Streams {
    folder: PathBuf,
    streams: Arc<Mutex<BTreeMap<String, Stream>>>,
}

/// Why a stream can't be used so.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("there is no stream {0} in account {ACCOUNT}: create it first")]
    NotFound(String),
    #[error("the stream has no shard {0}: list its shards")]
    NoShard(String),
    #[error("the stream {0} exists already")]
    InUse(String),
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Storage(#[from] anyhow::Error),
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub shard_id: String,
    pub sequence_number: String,
}

/// What a stream is like.
#[derive(Debug, Clone)]
pub struct StreamDescription {
    pub created_at: Timestamp,
    /// In the order of their creation; closed ones stay.
    pub shards: Vec<ShardDescription>,
}

/// What a shard holds at one moment.
#[derive(Debug)]
pub(super) struct Held {
    pub records: Extent,
    pub closed: bool,
    pub index: usize,
}

impl Streams {
    /// Opens the streams in `folder`, which is created if need be.
    pub fn open(folder: &Path) -> anyhow::Result<Streams> {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let mut streams = BTreeMap::new();
        let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("read {}", folder.display()))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            if let (Some(name), Some(stream)) = (name, Stream::open(&path)?) {
                streams.insert(name, stream);
            }
        }
        Ok(Streams { folder: folder.to_owned(), streams: Arc::new(Mutex::new(streams)) })
    }

    /// Creates a stream whose shards share all hash keys evenly.
    ///
    /// # Errors
    /// When there is one already, or Kinesis takes no such name.
    pub fn create_stream(&self, name: &str, shard_count: NonZeroU32, now: Timestamp) -> Result<(), StreamError> {
        check_name(name)?;
        let mut streams = self.lock();
        if streams.contains_key(name) {
            return Err(StreamError::InUse(name.to_owned()));
        }
        streams.insert(name.to_owned(), Stream::create(&self.folder.join(name), shard_count, now)?);
        Ok(())
    }

    /// Creates the stream if it doesn't exist; one that does keeps its shards.
    pub fn ensure_stream(&self, name: &str, shard_count: NonZeroU32, now: Timestamp) -> Result<(), StreamError> {
        match self.create_stream(name, shard_count, now) {
            Err(StreamError::InUse(_)) => Ok(()),
            created => created,
        }
    }

    /// The names of all streams.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    pub fn describe(&self, name: &str) -> Result<StreamDescription, StreamError> {
        self.with(name, |stream| Ok(stream.describe()))
    }

    /// Appends a record to the shard that its partition key belongs to. It is there for every reader, and stays if the
    /// process dies, once this returns.
    pub fn put(&self, name: &str, partition_key: &str, data: &[u8], now: Timestamp) -> Result<Placed, StreamError> {
        self.put_at(name, partition_key, hash::hash_key(partition_key), data, now)
    }

    /// The same, in the shard of an explicit hash key.
    pub fn put_at(
        &self,
        name: &str,
        partition_key: &str,
        hash_key: u128,
        data: &[u8],
        now: Timestamp,
    ) -> Result<Placed, StreamError> {
        check_record(partition_key, data)?;
        self.with(name, |stream| stream.put(partition_key, hash_key, data, now))
    }

    /// Closes a shard and opens two children, the second from `at` on, or from the middle; gives their ids.
    pub fn split_shard(&self, name: &str, shard: &str, at: Option<u128>) -> Result<[String; 2], StreamError> {
        self.with(name, |stream| stream.split(shard, at))
    }

    /// Closes two shards whose hash keys touch and opens their child; gives its id.
    pub fn merge_shards(&self, name: &str, shard: &str, adjacent: &str) -> Result<String, StreamError> {
        self.with(name, |stream| stream.merge(shard, adjacent))
    }

    /// What a shard holds now, if it exists.
    pub(super) fn held(&self, name: &str, shard: &str) -> Result<Option<Held>, StreamError> {
        self.with(name, |stream| Ok(stream.held(shard)))
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Stream) -> Result<T, StreamError>) -> Result<T, StreamError> {
        let mut streams = self.lock();
        act(streams.get_mut(name).ok_or_else(|| StreamError::NotFound(name.to_owned()))?)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's ARN.
pub fn stream_arn(name: &str) -> String {
    format!("arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}")
}

/// A name of Kinesis', which here names a folder.
fn check_name(name: &str) -> Result<(), StreamError> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let folder = !name.chars().all(|c| c == '.');
    if folder && name.len() <= MAXIMUM_NAME_LENGTH && name.chars().all(known) {
        return Ok(());
    }
    let rule = "1 to 128 letters, digits, `_`, `.` and `-`, and not dots alone";
    Err(StreamError::Invalid(format!("{name:?} is no name of a stream: use {rule}")))
}

/// Whether Kinesis takes such a record.
pub(super) fn check_record(partition_key: &str, data: &[u8]) -> Result<(), StreamError> {
    let characters = partition_key.chars().count();
    if !(1..=MAXIMUM_KEY_CHARACTERS).contains(&characters) {
        let mistake = format!("the partition key has {characters} characters; it takes 1 to {MAXIMUM_KEY_CHARACTERS}");
        return Err(StreamError::Invalid(mistake));
    }
    if data.len() > MAXIMUM_DATA_BYTES {
        let mistake = format!("the data have {} bytes; a record takes up to {MAXIMUM_DATA_BYTES}", data.len());
        return Err(StreamError::Invalid(mistake));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
