//! Compacts one unit. Any number of jobs may do so at the same time, and each may die anywhere: a Parquet file is put only if its
//! number is free, and a raw file is deleted only when all of its rows have been seen in Parquet files for a day.

use std::sync::Arc;

use usage_aggregator::archive::RecordSchema;
use usage_aggregator::error::Error;

use crate::columns::Columns;
use crate::found::{DELETE_AFTER_SECONDS, Found};
use crate::merge::{Merged, Planned};
use crate::store::{Archive, Listed, Put};
use crate::work::{UnitKey, is_settled};
use crate::write::{FileFacts, parquet_file};

/// From when on a file counts: all queries that start then see it, because it was put long before.
const EFFECTIVE_AFTER_SECONDS: i64 = 30 * 60;
/// A file that would be put later than this before it counts is not put.
const LEAST_LEFT_SECONDS: i64 = 10 * 60;
/// A unit is overdue if nothing of it is compacted this long after its end, which is an hour after it is compacted in any case.
const OVERDUE_SECONDS: i64 = 4 * 3_600;
/// Files of a unit that is compacted are overdue this long after they arrived.
const LATE_OVERDUE_SECONDS: i64 = 3_600;
/// How often a job may find that another one was faster, or that its put failed, before it leaves the unit to the next job.
const ATTEMPTS: usize = 20;
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
    /// Raw files that should have been compacted long ago.
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
    /// The memory for the rows of one Parquet file, and for the ids of the unit's rows that are compacted already.
    pub memory_bytes: usize,
}

/// A record type whose rows can be compacted.
#[derive(Debug)]
pub struct RecordType<'s> {
    pub(crate) schema: &'s RecordSchema,
    pub(crate) columns: Columns,
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

impl Compactor {
    /// Compacts a unit, and deletes the raw files that are due. `watch` is called after each raw file that was read.
    ///
    /// # Errors
    /// If a call fails, a file can't be read with the current schema, or the ids of the compacted rows don't fit into memory. Whatever
    /// has been done is consistent, and the next call continues.
    pub async fn compact(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        watch: &(dyn Fn() + Sync),
    ) -> Result<Compacted, Error> {
        let mut compacted = Compacted::default();
        let mut planned = Planned::default();
        let mut last_error = None;
        let mut attempts = 0;
        while attempts < ATTEMPTS {
            let found = self.look(key).await?;
            let new: Vec<&Listed> = found.new_files().into_iter().filter(|raw| !planned.has(raw)).collect();
            if !self.is_ready(key, &found, &new) {
                compacted.waiting = u64::try_from(new.len()).unwrap_or(u64::MAX);
                compacted.deleted = self.delete_old(key, &found, None).await?;
                return Ok(compacted);
            }
            let merged = self.merge(of, key, &found, &planned, watch).await?;
            if merged.rows.len() == 0 {
                compacted.deleted = self.delete_old(key, &found, Some(&merged.ids)).await?;
                return Ok(compacted);
            }
            let number = found.next_number() + planned.files;
            if self.effect == Effect::DryRun {
                planned.add(&merged);
            }
            match self.publish(of, key, number, merged).await? {
                Published::File(file) => compacted.files.push(file),
                Published::LookAgain(error) => {
                    attempts += 1;
                    last_error = error.or(last_error);
                }
            }
        }
        let why = last_error.map_or_else(|| "other jobs compact it at the same time".to_owned(), |error| error.message);
        Err(Error::transient(format!(
            "compact {key}: gave up after {ATTEMPTS} attempts, the next run continues: {why}"
        )))
    }

    /// Deletes the raw files of a unit that are due, and returns whether it has new ones to compact.
    ///
    /// # Errors
    /// If a call fails.
    pub async fn tidy(&self, key: &UnitKey) -> Result<Due, Error> {
        let found = self.look(key).await?;
        self.delete_old(key, &found, None).await?;
        let new = found.new_files();
        Ok(match self.is_ready(key, &found, &new) {
            false => Due::Nothing,
            true if (self.clock)() > overdue_at(key, &found, &new) => Due::Overdue,
            true => Due::Files,
        })
    }

    fn is_ready(&self, key: &UnitKey, found: &Found, new: &[&Listed]) -> bool {
        let Some(newest) = new.iter().map(|raw| raw.modified).max() else { return false };
        // More of a unit that has a Parquet file can make another one at once.
        let newest = if found.parquet.is_empty() { newest } else { i64::MIN };
        self.timing == Timing::Now || is_settled(key.unit, newest, (self.clock)())
    }

    /// Puts the Parquet file with this number, unless another job was faster or too much time has passed.
    async fn publish(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        number: u32,
        merged: Merged,
    ) -> Result<Published, Error> {
        let name = format!("{}-{number:03}.parquet", key.unit);
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

/// From when on these new files are overdue.
fn overdue_at(key: &UnitKey, found: &Found, new: &[&Listed]) -> i64 {
    let Some(effective) = found.parquet.iter().map(|file| file.footer.effective).max() else {
        return key.unit.end_seconds() + OVERDUE_SECONDS;
    };
    // Until then, they wait to be deleted if all of their rows are compacted already.
    let kept_until = effective + DELETE_AFTER_SECONDS;
    let oldest = new.iter().map(|raw| raw.modified).min().unwrap_or(i64::MAX);
    kept_until.max(oldest).saturating_add(LATE_OVERDUE_SECONDS)
}

enum Published {
    File(ParquetFile),
    LookAgain(Option<Error>),
}
