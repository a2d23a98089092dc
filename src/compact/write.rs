//! Writes the Parquet file of a unit.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use usage_aggregator::archive::RecordSchema;

use crate::columns::Columns;
use crate::rows::Rows;
use crate::shred::Shredder;

/// 100,000: enough for good compression, and few enough that the statistics of a group rule out most groups.
const GROUP_ROWS: usize = 100_000;

/// The key of the names of raw files in the footer's metadata, one a line.
pub(crate) const RAW_FILES: &str = "usage.raw_files";
/// The key of the second from which on the file counts.
pub(crate) const EFFECTIVE_KEY: &str = "usage.effective";
/// The key under which Java's Parquet library, too, keeps the Avro schema.
pub(crate) const AVRO_SCHEMA: &str = "parquet.avro.schema";

/// What a Parquet file says about all of its rows.
#[derive(Debug)]
pub(crate) struct FileFacts<'f> {
    pub unit: &'f str,
    /// In seconds since the epoch.
    pub effective: i64,
    /// The names of the raw files whose records are in this file or in those before it.
    pub raw_files: &'f [String],
}

/// The file with these rows, which are sorted.
///
/// # Errors
/// If a row doesn't fit its schema.
pub(crate) fn parquet_file(
    schema: &RecordSchema,
    columns: &Columns,
    facts: &FileFacts<'_>,
    rows: &Rows,
) -> Result<Bytes, String> {
    let text = |error: ParquetError| error.to_string();
    let properties = Arc::new(properties(schema, columns, facts));
    let mut file = SerializedFileWriter::new(Vec::new(), columns.parquet().map_err(text)?, properties).map_err(text)?;
    let mut start = 0;
    while start < rows.len() {
        let mut shredder = Shredder::new(&columns.columns);
        let count = GROUP_ROWS.min(rows.len() - start);
        rows.decode(schema.parsed(), [start, count], |row| shredder.push(row).map_err(|misfit| misfit.0))?;
        write_group(&mut file, shredder, facts, count).map_err(text)?;
        start += count;
    }
    file.into_inner().map(Bytes::from).map_err(text)
}

fn write_group(
    file: &mut SerializedFileWriter<Vec<u8>>,
    mut shredder: Shredder<'_>,
    facts: &FileFacts<'_>,
    count: usize,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        if index < shredder.leaves() {
            shredder.write(index, &mut column)?;
        } else if index == shredder.leaves() {
            let units = vec![ByteArray::from(facts.unit); count];
            column.typed::<ByteArrayType>().write_batch(&units, None, None)?;
        } else {
            column.typed::<Int64Type>().write_batch(&vec![facts.effective; count], None, None)?;
        }
        column.close()?;
        index += 1;
    }
    group.close().map(drop)
}

fn properties(schema: &RecordSchema, columns: &Columns, facts: &FileFacts<'_>) -> WriterProperties {
    let metadata = [
        (RAW_FILES, facts.raw_files.join("\n")),
        (EFFECTIVE_KEY, facts.effective.to_string()),
        (AVRO_SCHEMA, schema.json().to_owned()),
    ];
    let sorting = |index: usize| SortingColumn {
        column_idx: i32::try_from(columns.first_leaf(index)).unwrap_or_default(),
        descending: false,
        nulls_first: false,
    };
    let sorting_columns = columns.sorted_by.map(|index| vec![sorting(index)]);
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_key_value_metadata(Some(metadata.map(|(key, value)| KeyValue::new(key.to_owned(), value)).into()))
        .set_sorting_columns(sorting_columns)
        .build()
}
