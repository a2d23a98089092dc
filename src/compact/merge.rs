//! Reads a unit's new raw files into memory, as many as fit. The rest makes further Parquet files.

use std::collections::HashSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use usage_aggregator::error::Error;

use crate::compactor::{CONCURRENCY, Compactor, RecordType};
use crate::found::Found;
use crate::rows::{Id, Rows};
use crate::store::Listed;
use crate::work::UnitKey;

/// What an id takes in a set: 17 bytes in a table that is at least 7/16 full.
const KNOWN_ID_BYTES: usize = 40;

/// The rows of new raw files.
pub(crate) struct Merged {
    pub rows: Rows,
    /// The ids in each raw file that was read.
    pub ids: Vec<(Listed, Vec<Id>)>,
}

/// What a dry run would have put.
#[derive(Debug, Default)]
pub(crate) struct Planned {
    /// How many Parquet files.
    pub files: u32,
    raw_files: HashSet<String>,
    ids: HashSet<Id>,
}

impl Planned {
    pub(crate) fn add(&mut self, merged: &Merged) {
        self.files += 1;
        self.raw_files.extend(merged.ids.iter().map(|(raw, _)| raw.name.clone()));
        self.ids.extend(merged.ids.iter().flat_map(|(_, ids)| ids));
    }

    pub(crate) fn has(&self, raw: &Listed) -> bool {
        self.raw_files.contains(&raw.name)
    }
}

impl Compactor {
    /// The rows of `new`, each record once, without those that the unit's Parquet files have. It ends when the memory is full.
    pub(crate) async fn merge(
        &self,
        of: &RecordType<'_>,
        key: &UnitKey,
        found: &Found,
        planned: &Planned,
        watch: &(dyn Fn() + Sync),
    ) -> Result<Merged, Error> {
        let known = self.known(key, found, planned).await?;
        let known_bytes = (known.len() + planned.ids.len()) * KNOWN_ID_BYTES;
        let mut merged = Merged { rows: Rows::default(), ids: Vec::new() };
        let new = found.new_files().into_iter().filter(|raw| !planned.has(raw));
        let gets: Vec<_> = new.map(|raw| self.raw(key, raw)).collect();
        let mut files = stream::iter(gets).buffered(CONCURRENCY);
        while let Some(file) = files.try_next().await? {
            // Another job has deleted it, because its rows were in Parquet files for a day.
            let Some((raw, body)) = file else { continue };
            let is_known = |id: &Id| known.contains(id) || planned.ids.contains(id);
            let ids = merged.rows.read(&body, of.schema, &of.columns, is_known);
            let ids = ids.map_err(|why| {
                let path = self.raw_key(key, &raw.name);
                Error::poison(format!("read s3://{}/{path} with the current schema: {why}", self.archive.bucket))
            })?;
            merged.ids.push((raw, ids));
            watch();
            // A file without new rows isn't named by any Parquet file, so reading continues until there is something to put.
            if merged.rows.len() > 0 && known_bytes + merged.rows.memory_bytes() > self.memory_bytes {
                break;
            }
        }
        merged.rows.sort();
        Ok(merged)
    }

    /// The ids in the unit's Parquet files.
    async fn known(&self, key: &UnitKey, found: &Found, planned: &Planned) -> Result<HashSet<Id>, Error> {
        let mut known = HashSet::new();
        let mut files = found.parquet.iter();
        loop {
            if (known.len() + planned.ids.len()) * KNOWN_ID_BYTES > self.memory_bytes {
                let megabytes = self.memory_bytes / 1_000_000;
                return Err(Error::config(format!(
                    "compact {key}: the ids of its compacted rows take more than {megabytes} MB; raise the function's memory until this unit is compacted, and set ARCHIVE_UNIT to a shorter unit for those to come"
                )));
            }
            let Some(file) = files.next() else { return Ok(known) };
            known.extend(self.ids(key, file).await?);
        }
    }
}
