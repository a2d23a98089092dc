//! Compacts one unit. Any number of jobs may do so at the same time, and each may die anywhere: a Parquet file is put only if its
//! number is free, and a raw file is deleted only when all of its rows have been seen in Parquet files for a day.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::error::Error;

use crate::columns::Columns;
use crate::found::Found;
use crate::rows::{Id, Rows};
use crate::store::{Archive, Listed, Put};
use crate::work::{UnitKey, is_settled};
use crate::write::{FileFacts, parquet_file};

/// From when on a file counts: all queries that start then see it, because it was put long before.
const EFFECTIVE_AFTER_SECONDS: i64 = 30 * 60;
/// A file that would be put later than this before it counts is not put.
const LEAST_LEFT_SECONDS: i64 = 10 * 60;
/// A unit is overdue if nothing of it is compacted this long after its end, which is an hour after it is compacted in any case.
const OVERDUE_SECONDS: i64 = 4 * 3_600;
/// How often a job looks at a unit before it leaves it to the next one.
const LOOKS: usize = 20;
/// Objects that are fetched or deleted at once.
pub(crate) const CONCURRENCY: usize = 16;

/// The time, in seconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// When units are compacted and from when on their files count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// When nothing arrives any more; the file counts half an hour later, so that no query sees a row twice.
    Settled,
    /// At once, even if the unit hasn't ended. A query that runs at this moment may see a row twice.
    Now,
}

/// What compaction changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It puts Parquet files and deletes raw files.
    Commit,
    /// Nothing: it reports what it would do.
    DryRun,
}

/// What a unit has to compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing, or files to which more may be added.
    Nothing,
    /// Raw files.
    Files,
    /// Raw files, and although the unit ended hours ago, nothing of it has been compacted.
    Overdue,
}

/// Compacts units of a pipeline's archive.
#[derive(Clone)]
pub struct Compactor {
    /// The archive.
    pub archive: Archive,
    /// The clock.
    pub clock: Clock,
    /// When units are compacted.
    pub timing: Timing,
    /// Whether anything is changed.
    pub effect: Effect,
    /// The memory for the rows of a unit.
    pub memory_bytes: usize,
}

/// A record type whose rows can be compacted.
#[derive(Debug)]
pub struct RecordType<'s> {
    schema: &'s RecordSchema,
    columns: Columns,
}

impl RecordType<'_> {
    /// Prepares to compact rows of this schema.
    ///
    /// # Errors
    /// With one line for each field that can't be compacted, and what to do instead.
    pub fn new(schema: &RecordSchema) -> Result<RecordType<'_>, Vec<String>> {
        Columns::of(schema).map(|columns| RecordType { schema, columns })
    }
}

/// What compacting a unit has done, or in a dry run what it would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compacted {
    /// The Parquet files that were put.
    pub files: Vec<ParquetFile>,
    /// The keys of the raw files that were deleted.
    pub deleted: Vec<String>,
    /// Raw files that wait until nothing arrives any more.
    pub waiting: u64,
}

/// A Parquet file that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParquetFile {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows, one for each record.
    pub rows: u64,
    /// The raw files that were read for it.
    pub raw_files: u64,
    /// Their size.
    pub raw_bytes: u64,
    /// Their rows, of which some repeat others.
    pub raw_rows: u64,
}

/// The rows of new raw files.
struct Merged {
    rows: Rows,
    /// The ids in each raw file.
    ids: Vec<(Listed, Vec<Id>)>,
}

impl Compactor {
    /// Compacts a unit, and deletes the raw files that are due. `watch` is called after each raw file that was read.
    ///
    /// # Errors
    /// If a call fails, a file can't be read with the current schema, or the rows don't fit into memory. Whatever has been done
    /// is consistent, and the next call continues.
    pub async fn compact(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        watch: &(dyn Fn() + Sync),
    ) -> Result<Compacted, Error> {
        let mut compacted = Compacted::default();
        let mut last_error = None;
        for _ in 0..LOOKS {
            let found = self.look(key).await?;
            let new = found.new_files();
            if !self.is_ready(key, &new) {
                compacted.waiting = u64::try_from(new.len()).unwrap_or(u64::MAX);
                compacted.deleted = self.delete_old(key, &found, None).await?;
                return Ok(compacted);
            }
            let merged = self.merge(of, key, &found, &new, watch).await?;
            if merged.rows.len() == 0 {
                compacted.deleted = self.delete_old(key, &found, Some(&merged.ids)).await?;
                return Ok(compacted);
            }
            match self.publish(of, key, &found, merged).await? {
                Published::File(file) => compacted.files.push(file),
                Published::LookAgain(error) => last_error = error.or(last_error),
            }
            if self.effect == Effect::DryRun {
                return Ok(compacted);
            }
        }
        let why = last_error.map_or_else(|| "other jobs compact it at the same time".to_owned(), |error| error.message);
        Err(Error::transient(format!("compact {key}: gave up after {LOOKS} attempts, the next run continues: {why}")))
    }

    /// Deletes the raw files of a unit that are due, and returns whether it has new ones to compact.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn tidy(&self, key: &UnitKey) -> Result<Due, Error> {
        let found = self.look(key).await?;
        self.delete_old(key, &found, None).await?;
        Ok(match self.is_ready(key, &found.new_files()) {
            false => Due::Nothing,
            true if found.parquet.is_empty() && (self.clock)() > key.unit.end_seconds() + OVERDUE_SECONDS => {
                Due::Overdue
            }
            true => Due::Files,
        })
    }

    fn is_ready(&self, key: &UnitKey, new: &[&Listed]) -> bool {
        let Some(newest) = new.iter().map(|raw| raw.modified).max() else { return false };
        self.timing == Timing::Now || is_settled(key.unit, newest, (self.clock)())
    }

    /// The rows of `new`, each record once, without those that the unit's Parquet files have.
    async fn merge(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        found: &Found,
        new: &[&Listed],
        watch: &(dyn Fn() + Sync),
    ) -> Result<Merged, Error> {
        let mut known = HashSet::new();
        for file in &found.parquet {
            known.extend(self.ids(key, file).await?);
        }
        let mut merged = Merged { rows: Rows::default(), ids: Vec::new() };
        let gets: Vec<_> = new.iter().map(|raw| self.raw(key, raw)).collect();
        let mut files = stream::iter(gets).buffered(CONCURRENCY);
        while let Some(file) = files.try_next().await? {
            // Another job has deleted it, because its rows were in Parquet files for a day.
            let Some((raw, body)) = file else { continue };
            let ids = merged.rows.read(&body, of.schema, &of.columns, |id| known.contains(id));
            let ids = ids.map_err(|why| {
                let path = self.raw_key(key, &raw.name);
                Error::poison(format!("read s3://{}/{path} with the current schema: {why}", self.archive.bucket))
            })?;
            merged.ids.push((raw, ids));
            if merged.rows.memory_bytes() > self.memory_bytes {
                let megabytes = self.memory_bytes / 1_000_000;
                return Err(Error::config(format!(
                    "compact {key}: its rows take more than {megabytes} MB; raise the function's memory until this unit is compacted, and set ARCHIVE_UNIT to a shorter unit for those to come"
                )));
            }
            watch();
        }
        merged.rows.sort();
        Ok(merged)
    }

    /// Puts the next Parquet file, unless another job was faster or too much time has passed.
    async fn publish(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        found: &Found,
        merged: Merged,
    ) -> Result<Published, Error> {
        let name = format!("{}-{:03}.parquet", key.unit, found.next_number());
        let path = self.parquet_key(key, &name);
        let now = (self.clock)();
        let effective = match self.timing {
            Timing::Settled => now + EFFECTIVE_AFTER_SECONDS,
            Timing::Now => now,
        };
        let raw_files: Vec<String> = merged.ids.iter().map(|(raw, _)| raw.name.clone()).collect();
        let facts = FileFacts { unit: &key.unit.to_string(), effective, raw_files: &raw_files };
        let body = parquet_file(of.schema, &of.columns, &facts, &merged.rows);
        let body = body.map_err(|why| Error::poison(format!("compact {key}: write its Parquet file: {why}")))?;
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let file = ParquetFile {
            key: path.clone(),
            bytes: count(body.len()),
            rows: count(merged.rows.len()),
            raw_files: count(raw_files.len()),
            raw_bytes: merged.ids.iter().map(|(raw, _)| raw.bytes).sum(),
            raw_rows: count(merged.ids.iter().map(|(_, ids)| ids.len()).sum()),
        };
        if self.effect == Effect::DryRun {
            return Ok(Published::File(file));
        }
        if self.timing == Timing::Settled && (self.clock)() > effective - LEAST_LEFT_SECONDS {
            return Ok(Published::LookAgain(Some(Error::transient("writing its Parquet file took too long"))));
        }
        Ok(match self.archive.put_new(&path, body).await? {
            Put::Created => Published::File(file),
            Put::LookAgain(error) => Published::LookAgain(error),
        })
    }
}

enum Published {
    File(ParquetFile),
    LookAgain(Option<Error>),
}
