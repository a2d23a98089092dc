//! What the job reads of foreign files, for the fuzzer, which can't reach it without a bucket.

use bytes::Bytes;
use usage_aggregator::archive::RecordSchema;

use crate::columns::Columns;
use crate::footer::Footer;
use crate::rows::Rows;

/// The number of different record ids in a Parquet file, as a job reads them.
///
/// # Errors
/// If the file is damaged, or was not written by this package.
pub fn parquet_ids(file: &[u8]) -> Result<usize, String> {
    let footer = Footer::read(file)?;
    let part = |range: std::ops::Range<u64>| {
        let range = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        file.get(range).map(Bytes::copy_from_slice)
    };
    let parts = footer.id_ranges().into_iter().map(part).collect::<Option<Vec<_>>>();
    footer.ids(parts.ok_or("a range lies outside the file")?).map(|ids| ids.len())
}

/// The number of rows in a raw file, as a job reads them.
///
/// # Errors
/// If the file is damaged, or can't be read with the schema.
pub fn raw_rows(file: &[u8], schema: &RecordSchema) -> Result<usize, String> {
    let columns = Columns::of(schema).map_err(|mistakes| mistakes.join("; "))?;
    Rows::default().read(file, schema.parsed(), &columns, |_| false).map(|ids| ids.len())
}
