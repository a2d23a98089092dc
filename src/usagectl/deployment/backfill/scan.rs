//! Scans the table into files like those of an export, so that a command that is killed continues with the same items.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde_json::json;

use super::pace::Pace;
use crate::shell::json::item;

/// A scan of a table.
pub(super) struct Scan<'s> {
    pub(super) client: aws_sdk_dynamodb::Client,
    pub(super) table: &'s str,
    /// How many parts are scanned at once.
    pub(super) segments: u32,
    pub(super) pace: &'s Pace,
    pub(super) bar: &'s ProgressBar,
}

impl Scan<'_> {
    /// Writes the table's items to a file for each segment. Returns the files, and the number of items.
    ///
    /// # Errors
    /// If the table can't be read, or a file can't be written.
    pub(super) async fn take(&self, folder: &Path) -> anyhow::Result<(Vec<PathBuf>, u64)> {
        let segments = (0..self.segments).map(|segment| self.segment(segment, folder));
        let segments: Vec<_> = segments.collect();
        let concurrent = segments.len().max(1);
        let parts: Vec<(PathBuf, u64)> = stream::iter(segments).buffered(concurrent).try_collect().await?;
        let (files, counts): (Vec<_>, Vec<u64>) = parts.into_iter().unzip();
        Ok((files, counts.into_iter().sum()))
    }

    async fn segment(&self, segment: u32, folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
        let path = folder.join(format!("scan-{segment:03}.json.gz"));
        let part = path.with_extension("part");
        let writing = || format!("write {}", path.display());
        let mut file = GzEncoder::new(std::fs::File::create(&part).with_context(writing)?, Compression::fast());
        let (mut from, mut found) = (None, 0);
        loop {
            // Consistent, so that an item is never older than the stream.
            let scan = self.client.scan().table_name(self.table).consistent_read(true);
            let scan = scan.segment(i32::try_from(segment)?).total_segments(i32::try_from(self.segments)?);
            let page = scan.set_exclusive_start_key(from).send().await;
            let page = page.with_context(|| format!("scan {} (dynamodb:Scan)", self.table))?;
            let items = page.items.unwrap_or_default();
            for image in &items {
                writeln!(file, "{}", json!({ "Item": item(image) })).with_context(writing)?;
            }
            let count = u64::try_from(items.len())?;
            found += count;
            self.bar.inc(count);
            self.pace.take(items.len()).await;
            match page.last_evaluated_key {
                Some(key) if !key.is_empty() => from = Some(key),
                _ => break,
            }
        }
        file.finish().with_context(writing)?;
        std::fs::rename(&part, &path).with_context(writing)?;
        Ok((path, found))
    }
}
