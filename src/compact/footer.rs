//! The footer of a Parquet file, and the record ids in it, from the parts of the file that have them.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use crate::rows::{Id, id_of};
use crate::thrift;
use crate::write::{AVRO_SCHEMA, EFFECTIVE_KEY, RAW_FILES};

/// The end of a Parquet file: the footer's length, and `PAR1`.
const END_BYTES: usize = 8;
/// Ids that are read at once.
const BATCH: usize = 10_000;

/// What is wrong with a file if [`thrift::has_whole_pages`] isn't true of a column.
pub(crate) const DAMAGED_PAGE: &str = "the header of a page is damaged";

/// What the footer of a Parquet file says.
#[derive(Debug)]
pub(crate) struct Footer {
    /// The second from which on the file counts.
    pub effective: i64,
    /// The names of its raw files.
    pub raw_files: HashSet<String>,
    /// The index of the column with the record ids.
    record_id: usize,
    metadata: ParquetMetaData,
}

/// The bytes of the footer and of what follows it, from the end of a file; more of the end if `tail` is too short.
pub(crate) fn footer_bytes(tail: &[u8]) -> Result<usize, String> {
    let Some((length, b"PAR1")) = tail
        .split_last_chunk::<4>()
        .map(|(rest, magic)| (rest, magic.as_slice()))
        .and_then(|(rest, magic)| Some((*rest.last_chunk::<4>()?, <&[u8; 4]>::try_from(magic).ok()?)))
    else {
        return Err("it is not a Parquet file".to_owned());
    };
    usize::try_from(u32::from_le_bytes(length)).map(|length| length + END_BYTES).map_err(|error| error.to_string())
}

/// The footer at the end of a file, as far as that can be told before the library reads it.
pub(crate) fn whole_footer(tail: &[u8]) -> Result<&[u8], String> {
    let start = tail.len().checked_sub(footer_bytes(tail)?);
    let footer = start.and_then(|start| tail.get(start..tail.len() - END_BYTES)).ok_or("its footer is cut off")?;
    if thrift::is_whole(footer) { Ok(footer) } else { Err("its footer is damaged".to_owned()) }
}

impl Footer {
    /// Reads the footer from the end of a file, which has all of it.
    pub(crate) fn read(tail: &[u8]) -> Result<Footer, String> {
        let metadata = ParquetMetaDataReader::decode_metadata(whole_footer(tail)?);
        let metadata = metadata.map_err(|error| error.to_string())?;
        check_ranges(&metadata)?;
        let value = |key: &str| {
            let entries = metadata.file_metadata().key_value_metadata()?;
            entries.iter().find(|entry| entry.key == key)?.value.clone()
        };
        let written = (value(RAW_FILES), value(EFFECTIVE_KEY), value(AVRO_SCHEMA));
        let (Some(raw_files), Some(effective), Some(schema)) = written else {
            return Err("it was not written by usage-compact".to_owned());
        };
        let effective = effective.parse().map_err(|_| format!("{EFFECTIVE_KEY} is {effective:?}"))?;
        let name = record_id_field(&schema).ok_or("its schema has no record id")?;
        let leaves = metadata.file_metadata().schema_descr().columns();
        let record_id = leaves.iter().position(|leaf| leaf.path().parts() == [name.as_str()]);
        let record_id = record_id.ok_or_else(|| format!("it has no column {name}"))?;
        Ok(Footer { effective, raw_files: raw_files.lines().map(str::to_owned).collect(), record_id, metadata })
    }

    /// Where the record ids are in the file.
    pub(crate) fn id_ranges(&self) -> Vec<Range<u64>> {
        let range = |(start, length): (u64, u64)| start..start + length;
        self.metadata.row_groups().iter().map(|group| range(group.column(self.record_id).byte_range())).collect()
    }

    /// The record ids, from the bytes of [`Footer::id_ranges`].
    pub(crate) fn ids(&self, parts: Vec<Bytes>) -> Result<HashSet<Id>, String> {
        if !parts.iter().all(|part| thrift::has_whole_pages(part)) {
            return Err(DAMAGED_PAGE.to_owned());
        }
        let starts = self.id_ranges().into_iter().map(|range| range.start);
        let parts = Arc::new(Parts(starts.zip(parts).collect()));
        let mut ids = HashSet::new();
        for group in self.metadata.row_groups() {
            let column = group.column(self.record_id);
            let rows = usize::try_from(group.num_rows()).unwrap_or_default();
            let pages = SerializedPageReader::new(Arc::clone(&parts), column, rows, None);
            let pages = pages.map_err(|error| error.to_string())?;
            let ColumnReader::ByteArrayColumnReader(mut reader) =
                get_column_reader(column.column_descr_ptr(), Box::new(pages))
            else {
                return Err("its record ids have another type".to_owned());
            };
            loop {
                let (mut values, mut levels) = (Vec::new(), Vec::new());
                let read = reader.read_records(BATCH, Some(&mut levels), None, &mut values);
                if read.map_err(|error| error.to_string())?.0 == 0 {
                    break;
                }
                for value in values {
                    ids.insert(id_of(value.data()).ok_or("a row has no record id")?);
                }
            }
        }
        Ok(ids)
    }
}

/// Checks where the columns are, since the library panics at negative offsets.
pub(crate) fn check_ranges(metadata: &ParquetMetaData) -> Result<(), String> {
    let mut columns = metadata.row_groups().iter().flat_map(|group| group.columns());
    let is_range = |start: i64, length: i64| start >= 0 && length >= 0 && start.checked_add(length).is_some();
    let is_valid = columns.all(|column| {
        let starts = [Some(column.data_page_offset()), column.dictionary_page_offset()];
        starts.into_iter().flatten().all(|start| is_range(start, column.compressed_size()))
    });
    if is_valid { Ok(()) } else { Err("its footer has a column at a negative offset".to_owned()) }
}

/// The name of the field with the record id.
fn record_id_field(schema: &str) -> Option<String> {
    let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
    let is_id = |field: &&serde_json::Value| field.get("source").is_some_and(|source| source == "record_id");
    let field = schema.get("fields")?.as_array()?.iter().find(is_id)?;
    field.get("name")?.as_str().map(str::to_owned)
}

/// Parts of a file by where they start.
#[derive(Debug)]
struct Parts(BTreeMap<u64, Bytes>);

impl Parts {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let missing = || ParquetError::General(format!("byte {start} wasn't fetched"));
        let (part_start, part) = self.0.range(..=start).next_back().ok_or_else(missing)?;
        let skipped = usize::try_from(start - part_start).map_err(|_| missing())?;
        if skipped > part.len() { Err(missing()) } else { Ok(part.slice(skipped..)) }
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(start, part)| start + u64::try_from(part.len()).unwrap_or_default())
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let part = self.from(start)?;
        if part.len() < length {
            return Err(ParquetError::General(format!("{length} bytes from {start} on weren't fetched")));
        }
        Ok(part.slice(..length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(file: &'static [u8], reason: &str) {
        assert_eq!(Footer::read(file).unwrap_err(), reason);
        assert_eq!(crate::CompactedFile::open(Bytes::from_static(file)).map(drop), Err(reason.to_owned()));
    }

    #[test]
    fn regression_a_list_that_states_billions_of_elements_is_an_error() {
        let file = include_bytes!("../../tests/fuzz/corpus/parquet_file/billions-of-booleans");
        refused(file, "its footer is damaged");
    }

    #[test]
    fn regression_a_column_at_a_negative_offset_is_an_error() {
        let file = include_bytes!("../../tests/fuzz/corpus/parquet_ids/negative-offset");
        refused(file, "its footer has a column at a negative offset");
    }

    #[test]
    fn regression_a_page_header_that_states_billions_of_elements_is_an_error() {
        let at = |byte: u64| usize::try_from(byte).unwrap();
        let ids = |file: &[u8]| {
            let footer = Footer::read(file).unwrap();
            let part = |range: Range<u64>| Bytes::copy_from_slice(&file[at(range.start)..at(range.end)]);
            footer.ids(footer.id_ranges().into_iter().map(part).collect()).map(|ids| ids.len())
        };
        let mut file = include_bytes!("../../tests/fuzz/corpus/parquet_ids/d-0").to_vec();
        assert!(ids(&file).is_ok_and(|ids| ids > 0));
        let start = at(Footer::read(&file).unwrap().id_ranges()[0].start);
        // A field that the library doesn't know: a list of six lists that have two billion booleans each.
        let header = [&[0x99, 0x69][..], &[0xF1, 0xFF, 0xFF, 0xFF, 0xFF, 0x07].repeat(6)].concat();
        file[start..start + header.len()].copy_from_slice(&header);
        assert_eq!(ids(&file), Err(DAMAGED_PAGE.to_owned()));
        let rows = crate::CompactedFile::open(file.into()).unwrap();
        assert_eq!(rows.rows().map(drop), Err(DAMAGED_PAGE.to_owned()));
    }
}
