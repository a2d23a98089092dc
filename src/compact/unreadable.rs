//! Which raw files of a unit can't be read. Compaction ends at the first one, and people want to know all of them.

use futures::stream::{self, StreamExt, TryStreamExt};
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::error::Error;

use crate::columns::Columns;
use crate::compactor::{CONCURRENCY, Compactor};
use crate::rows::Rows;
use crate::work::UnitKey;

impl Compactor {
    /// The raw files of a unit that no Parquet file names and that can't be read with the schema: the path of each, and why.
    ///
    /// # Errors
    /// If a call fails, or if a Parquet file of the unit can't be read.
    pub async fn unreadable(&self, schema: &RecordSchema, key: &UnitKey) -> Result<Vec<String>, Error> {
        let columns = Columns::of(schema).map_err(|mistakes| Error::config(mistakes.join("\n")))?;
        let found = self.look(key).await?;
        let gets: Vec<_> = found.new_files().into_iter().map(|raw| self.raw(key, raw)).collect();
        let mut files = stream::iter(gets).buffered(CONCURRENCY);
        let mut unreadable = Vec::new();
        while let Some(file) = files.try_next().await? {
            let Some((raw, body)) = file else { continue };
            // No row is kept.
            if let Err(why) = Rows::default().read(&body, schema, &columns, |_| true) {
                let path = self.raw_key(key, &raw.name);
                unreadable.push(format!("read s3://{}/{path} with the current schema: {why}", self.archive.bucket));
            }
        }
        Ok(unreadable)
    }
}
