//! Streams by name. Each is a folder with `stream.json`, which lists the shards, and a file of records per shard.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
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

/// 500: the quota of shards in most Regions. Each is a file that stays open.
const MAXIMUM_SHARDS: u32 = 500;
/// 128: the longest name in Kinesis' API model.
const MAXIMUM_NAME_LENGTH: usize = 128;
/// 256: the longest partition key in Kinesis' API model.
const MAXIMUM_KEY_CHARACTERS: usize = 256;
/// 1 MiB to 10 MiB: what the largest record of a stream may be set to, in KiB.
const RECORD_KIB: RangeInclusive<u32> = 1_024..=10_240;

/// The streams in one folder. Clones share them; only one process may use a folder.
#[derive(Debug, Clone)]
pub struct Streams {
    folder: PathBuf,
    streams: Arc<Mutex<BTreeMap<String, Stream>>>,
}

/// Why an operation on a stream failed.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream doesn't exist.
    #[error("stream {0} not found in account {ACCOUNT}: create it first")]
    NotFound(String),
    /// The shard doesn't exist.
    #[error("shard {0} not found: list the stream's shards")]
    NoShard(String),
    /// A stream with this name exists.
    #[error("stream {0} already exists")]
    InUse(String),
    /// Kinesis would refuse the parameters.
    #[error("{0}")]
    Invalid(String),
    /// The record is larger than the stream allows.
    #[error(
        "the partition key and the data have {bytes} bytes; a record of this stream has at most {maximum}: raise MaxRecordSizeInKiB"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        maximum: usize,
    },
    /// The files can't be read or written.
    #[error(transparent)]
    Storage(#[from] anyhow::Error),
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The shard's id.
    pub shard_id: String,
    /// The record's sequence number.
    pub sequence_number: String,
}

/// A stream's creation time and shards.
#[derive(Debug, Clone)]
pub struct StreamDescription {
    /// When the stream was created.
    pub created_at: Timestamp,
    /// How large a record may be, in KiB.
    pub max_record_kib: u32,
    /// In order of creation, including closed ones.
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
    /// Opens the streams in `folder`, and creates the folder if necessary.
    ///
    /// # Errors
    /// When the folder or a stream in it can't be read.
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

    /// Creates a stream whose shards divide all hash keys evenly.
    ///
    /// # Errors
    /// When the stream exists, or Kinesis would refuse its name.
    pub fn create_stream(&self, name: &str, shard_count: NonZeroU32, now: Timestamp) -> Result<(), StreamError> {
        check_name(name)?;
        if shard_count.get() > MAXIMUM_SHARDS {
            let mistake = format!("{shard_count} shards are too many; use up to {MAXIMUM_SHARDS}");
            return Err(StreamError::Invalid(mistake));
        }
        let mut streams = self.lock();
        if streams.contains_key(name) {
            return Err(StreamError::InUse(name.to_owned()));
        }
        streams.insert(name.to_owned(), Stream::create(&self.folder.join(name), shard_count, now)?);
        Ok(())
    }

    /// Creates the stream if it doesn't exist. An existing one keeps its shards.
    ///
    /// # Errors
    /// When Kinesis would refuse the stream's name, or it can't be written.
    pub fn ensure_stream(&self, name: &str, shard_count: NonZeroU32, now: Timestamp) -> Result<(), StreamError> {
        match self.create_stream(name, shard_count, now) {
            Err(StreamError::InUse(_)) => Ok(()),
            created => created,
        }
    }

    /// Sets how large a record may be. 1 MiB is the default, as in AWS.
    ///
    /// # Errors
    /// When the stream doesn't exist, or Kinesis would refuse the size.
    pub fn set_max_record_kib(&self, name: &str, kib: u32) -> Result<(), StreamError> {
        check_record_kib(kib)?;
        self.with(name, |stream| Ok(stream.set_max_record_kib(kib)?))
    }

    /// Trims the records that arrived before `horizon`.
    ///
    /// # Errors
    /// When the stream doesn't exist, or its files can't be written.
    pub fn trim(&self, name: &str, horizon: Timestamp) -> Result<(), StreamError> {
        self.with(name, |stream| Ok(stream.trim(horizon)?))
    }

    /// The names of all streams.
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Describes a stream.
    ///
    /// # Errors
    /// When the stream doesn't exist.
    pub fn describe(&self, name: &str) -> Result<StreamDescription, StreamError> {
        self.with(name, |stream| Ok(stream.describe()))
    }

    /// Appends a record to the shard that its partition key belongs to. Once this returns, every reader finds the record,
    /// and it survives the end of the process.
    ///
    /// # Errors
    /// When the stream doesn't exist, Kinesis would refuse the record, or it can't be written.
    pub fn put(&self, name: &str, partition_key: &str, data: &[u8], now: Timestamp) -> Result<Placed, StreamError> {
        self.put_at(name, partition_key, hash::hash_key(partition_key), data, now)
    }

    /// Appends a record to the shard of an explicit hash key.
    ///
    /// # Errors
    /// As [`Streams::put`].
    pub fn put_at(
        &self,
        name: &str,
        partition_key: &str,
        hash_key: u128,
        data: &[u8],
        now: Timestamp,
    ) -> Result<Placed, StreamError> {
        self.with(name, |stream| {
            check_record(stream, partition_key, data)?;
            stream.put(partition_key, hash_key, data, now)
        })
    }

    /// Checks a record against the limits of Kinesis and of the stream.
    ///
    /// # Errors
    /// When the stream doesn't exist, or Kinesis would refuse the record.
    pub(super) fn check(&self, name: &str, partition_key: &str, data: &[u8]) -> Result<(), StreamError> {
        self.with(name, |stream| check_record(stream, partition_key, data))
    }

    /// Closes a shard and opens two children, the second of which starts at `at`, or in the middle. Returns their ids.
    ///
    /// # Errors
    /// When the stream or shard doesn't exist, the shard is closed, or it can't be split there.
    pub fn split_shard(&self, name: &str, shard: &str, at: Option<u128>) -> Result<[String; 2], StreamError> {
        self.with(name, |stream| stream.split(shard, at))
    }

    /// Closes two shards with adjacent hash keys and opens their child. Returns its id.
    ///
    /// # Errors
    /// When the stream or a shard doesn't exist, a shard is closed, or they aren't adjacent.
    pub fn merge_shards(&self, name: &str, shard: &str, adjacent: &str) -> Result<String, StreamError> {
        self.with(name, |stream| stream.merge(shard, adjacent))
    }

    /// What a shard currently holds, if it exists.
    pub(super) fn held(&self, name: &str, shard: &str) -> Result<Option<Held>, StreamError> {
        self.with(name, |stream| Ok(stream.held(shard)?))
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

/// Checks a stream's name, which is also the name of a folder.
fn check_name(name: &str) -> Result<(), StreamError> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let folder = !name.chars().all(|c| c == '.');
    if folder && name.len() <= MAXIMUM_NAME_LENGTH && name.chars().all(known) {
        return Ok(());
    }
    let rule = "1 to 128 letters, digits, `_`, `.` and `-`, but not only dots";
    Err(StreamError::Invalid(format!("{name:?} is not a valid stream name: use {rule}")))
}

/// Checks how large the records of a stream may be.
pub(super) fn check_record_kib(kib: u32) -> Result<(), StreamError> {
    if RECORD_KIB.contains(&kib) {
        return Ok(());
    }
    let (least, most) = RECORD_KIB.into_inner();
    Err(StreamError::Invalid(format!("MaxRecordSizeInKiB is {kib}; expected {least} to {most}")))
}

fn check_record(stream: &Stream, partition_key: &str, data: &[u8]) -> Result<(), StreamError> {
    let characters = partition_key.chars().count();
    if !(1..=MAXIMUM_KEY_CHARACTERS).contains(&characters) {
        let mistake = format!("the partition key has {characters} characters; expected 1 to {MAXIMUM_KEY_CHARACTERS}");
        return Err(StreamError::Invalid(mistake));
    }
    let (bytes, maximum) = (partition_key.len() + data.len(), stream.max_record_bytes());
    if bytes > maximum { Err(StreamError::TooLarge { bytes, maximum }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
