//! What a unit has: its raw files, its Parquet files with their footers, and which raw files are no longer needed.

use std::collections::HashSet;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use usage_aggregator::error::Error;
use usage_aggregator::time::DAY_SECONDS;

use crate::compactor::{CONCURRENCY, Compactor, Effect};
use crate::footer::{Footer, footer_bytes};
use crate::rows::Id;
use crate::store::Listed;
use crate::work::UnitKey;

/// Raw files are deleted this long after the files that have their rows began to count.
pub(crate) const DELETE_AFTER_SECONDS: i64 = DAY_SECONDS;
/// The end of a Parquet file that is fetched at first: usually all of the footer.
const TAIL_BYTES: u64 = 64 * 1024;

/// What a unit has.
pub(crate) struct Found {
    pub raw: Vec<Listed>,
    pub parquet: Vec<Existing>,
}

/// A Parquet file of the unit.
pub(crate) struct Existing {
    pub number: u32,
    pub name: String,
    pub footer: Footer,
}

impl Found {
    /// The raw files that no Parquet file names.
    pub(crate) fn new_files(&self) -> Vec<&Listed> {
        let is_named = |name: &String| self.parquet.iter().any(|file| file.footer.raw_files.contains(name));
        self.raw.iter().filter(|raw| !is_named(&raw.name)).collect()
    }

    /// The number of the next Parquet file.
    pub(crate) fn next_number(&self) -> u32 {
        self.parquet.iter().map(|file| file.number + 1).max().unwrap_or_default()
    }
}

impl Compactor {
    /// Raw files first: one that a job deletes in between has its rows in the Parquet files that are listed then.
    pub(crate) async fn look(&self, key: &UnitKey) -> Result<Found, Error> {
        let raw = self.archive.list(&self.archive.key(&key.raw())).await?;
        let listed = self.archive.list(&self.archive.key(&key.parquet())).await?;
        let mut parquet = Vec::new();
        for file in listed {
            if let Some(number) = number_of(&file.name) {
                let footer = self.footer(key, &file).await?;
                parquet.push(Existing { number, name: file.name, footer });
            }
        }
        Ok(Found { raw, parquet })
    }

    async fn footer(&self, key: &UnitKey, file: &Listed) -> Result<Footer, Error> {
        let path = self.parquet_key(key, &file.name);
        let unreadable = |why: String| Error::poison(format!("read s3://{}/{path}: {why}", self.archive.bucket));
        let tail_from = |length: u64| file.bytes.saturating_sub(length)..file.bytes;
        let mut tail = self.archive.get(&path, tail_from(TAIL_BYTES)).await?;
        let needed = footer_bytes(&tail).map_err(unreadable)?;
        if needed > tail.len() {
            tail = self.archive.get(&path, tail_from(u64::try_from(needed).unwrap_or(u64::MAX))).await?;
        }
        Footer::read(&tail).map_err(unreadable)
    }

    pub(crate) async fn raw(&self, key: &UnitKey, raw: &Listed) -> Result<Option<(Listed, Bytes)>, Error> {
        let body = self.archive.get_if_there(&self.raw_key(key, &raw.name)).await?;
        Ok(body.map(|body| (raw.clone(), body)))
    }

    pub(crate) async fn ids(&self, key: &UnitKey, file: &Existing) -> Result<HashSet<Id>, Error> {
        let path = self.parquet_key(key, &file.name);
        let mut parts = Vec::new();
        for range in file.footer.id_ranges() {
            parts.push(self.archive.get(&path, range).await?);
        }
        let unreadable = |why: String| Error::poison(format!("read s3://{}/{path}: {why}", self.archive.bucket));
        file.footer.ids(parts).map_err(unreadable)
    }

    /// Deletes the raw files that are named in Parquet files which have counted for a day, and those of which all rows are in such
    /// files, where the `ids` of new files are known.
    pub(crate) async fn delete_old(
        &self,
        key: &UnitKey,
        found: &Found,
        ids: Option<&[(Listed, Vec<Id>)]>,
    ) -> Result<Vec<String>, Error> {
        let now = (self.clock)();
        let old: Vec<&Existing> =
            found.parquet.iter().filter(|file| now - file.footer.effective >= DELETE_AFTER_SECONDS).collect();
        if old.is_empty() {
            return Ok(Vec::new());
        }
        let is_named = |name: &String| old.iter().any(|file| file.footer.raw_files.contains(name));
        let mut due: Vec<&String> = found.raw.iter().map(|raw| &raw.name).filter(|name| is_named(name)).collect();
        if let Some(ids) = ids.filter(|ids| !ids.is_empty()) {
            let mut present = HashSet::new();
            for file in &old {
                present.extend(self.ids(key, file).await?);
            }
            due.extend(
                ids.iter().filter(|(_, ids)| ids.iter().all(|id| present.contains(id))).map(|(raw, _)| &raw.name),
            );
        }
        let deleted: Vec<String> = due.into_iter().map(|name| self.raw_key(key, name)).collect();
        if self.effect == Effect::Commit {
            let deletes: Vec<_> = deleted.iter().map(|key| self.archive.delete(key)).collect();
            stream::iter(deletes).buffer_unordered(CONCURRENCY).try_collect::<Vec<()>>().await?;
        }
        Ok(deleted)
    }

    pub(crate) fn raw_key(&self, key: &UnitKey, name: &str) -> String {
        self.archive.key(&format!("{}{name}", folder(&key.raw())))
    }

    pub(crate) fn parquet_key(&self, key: &UnitKey, name: &str) -> String {
        self.archive.key(&format!("{}{name}", folder(&key.parquet())))
    }
}

/// The folder of `a/b/c-`: `a/b/`.
fn folder(start: &str) -> &str {
    start.rfind('/').and_then(|slash| start.get(..=slash)).unwrap_or_default()
}

/// The number of `2026-11-28T08-012.parquet`.
fn number_of(name: &str) -> Option<u32> {
    name.strip_suffix(".parquet")?.rsplit_once('-')?.1.parse().ok()
}
