//! Object container files whose bytes and names depend only on their rows: not on the clock, on randomness or on hash
//! order. The plan decides which rows share a file, and `bucket` stores the files.

use bytes::Bytes;

use super::bucket::Object;
use super::codec::Codec;
use super::schema::RecordSchema;
use super::unit::Partition;
use super::wire;
use crate::error::Error;
use crate::record::Fault;
use crate::time::Date;

/// The uncompressed size at which a block ends: the default of Avro's Java library, within the 2 KiB to 2 MiB that the
/// specification suggests.
const BLOCK_SIZE_BYTES: usize = 64_000;

/// The rows of a future file: one record type, partition date and unit, in the order of the batch.
#[derive(Debug, Clone)]
pub struct FileDraft {
    record_type: String,
    partition: Partition,
    buffer: Vec<u8>,
    rows: Vec<Row>,
}

/// One row: the position of its record in the batch, and where the row ends in the buffer.
#[derive(Debug, Clone, Copy)]
struct Row {
    record_index: usize,
    end: usize,
}

/// A finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvroFile {
    /// The key of the object, derived from the content.
    pub key: String,
    /// The content of the file.
    pub body: Bytes,
    /// The positions in the batch of the records with rows in this file, ascending.
    pub records: Vec<usize>,
    /// The record type of all rows.
    pub record_type: String,
    /// The partition date of all rows.
    pub date: Date,
}

impl AvroFile {
    /// The object to put.
    pub fn object(&self) -> Object<'_> {
        Object { key: &self.key, body: &self.body, content_type: "avro/binary" }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.records.len()
    }

    /// The position in the batch of the first record with a row in this file.
    pub fn first_record(&self) -> usize {
        self.records.first().copied().unwrap_or_default()
    }
}

impl FileDraft {
    /// Starts a file without rows.
    pub fn new(record_type: impl Into<String>, partition: Partition) -> Self {
        FileDraft { record_type: record_type.into(), partition, buffer: Vec::new(), rows: Vec::new() }
    }

    /// Adds the row that `write` appends for the record at position `record_index` of the batch. Rows must be added in
    /// the order of their records.
    ///
    /// # Errors
    /// The fault that `write` returns. The draft is then unchanged.
    pub fn push(
        &mut self,
        record_index: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        debug_assert!(self.rows.last().is_none_or(|row| row.record_index <= record_index), "rows out of order");
        let start = self.buffer.len();
        if let Err(fault) = write(&mut self.buffer) {
            self.buffer.truncate(start);
            return Err(fault);
        }
        self.rows.push(Row { record_index, end: self.buffer.len() });
        Ok(())
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Finishes a file with the rows whose records come before position `before` of the batch. `None` if there are no
    /// such rows.
    ///
    /// # Errors
    /// If a block can't be compressed because there is not enough memory.
    pub fn seal(
        &self,
        schema: &RecordSchema,
        codec: Codec,
        prefix: &str,
        before: usize,
    ) -> Result<Option<AvroFile>, Error> {
        let count = self.rows.partition_point(|row| row.record_index < before);
        let rows = self.rows.get(..count).unwrap_or_default();
        if rows.is_empty() {
            return Ok(None);
        }
        let body = container(schema, codec, &self.buffer, rows)?;
        Ok(Some(AvroFile {
            key: key(prefix, &self.record_type, self.partition, &body),
            body: body.into(),
            records: rows.iter().map(|row| row.record_index).collect(),
            record_type: self.record_type.clone(),
            date: self.partition.date,
        }))
    }
}

/// `prefix/avro/type/partition_date=YYYY-MM-DD/YYYY-MM-DDTHH-hash.avro`. The only data from records are the date and the
/// unit, which were parsed.
fn key(prefix: &str, record_type: &str, Partition { date, unit }: Partition, body: &[u8]) -> String {
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    let hash = blake3::hash(body).to_hex();
    let hash = hash.get(..32).unwrap_or_default();
    format!("{prefix}{slash}avro/{record_type}/partition_date={date}/{unit}-{hash}.avro")
}

/// Builds an Avro object container file: a header, then blocks, each followed by the sync marker.
fn container(schema: &RecordSchema, codec: Codec, buffer: &[u8], rows: &[Row]) -> Result<Vec<u8>, Error> {
    let end = rows.last().map_or(0, |row| row.end);
    let content = buffer.get(..end).unwrap_or_default();
    let sync = sync_marker(schema, codec, content);
    let mut body = header(schema, codec, sync);
    let (mut start, mut count) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        count += 1;
        if row.end - start >= BLOCK_SIZE_BYTES || index + 1 == rows.len() {
            write_block(&mut body, count, codec, buffer.get(start..row.end).unwrap_or_default(), sync)?;
            (start, count) = (row.end, 0);
        }
    }
    Ok(body)
}

/// A hash of everything in the file, so that the same rows always give the same bytes.
fn sync_marker(schema: &RecordSchema, codec: Codec, content: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [schema.json().as_bytes(), codec.name().as_bytes(), content] {
        let mut length = Vec::new();
        wire::count(&mut length, part.len());
        hasher.update(&length);
        hasher.update(part);
    }
    let mut marker = [0; 16];
    hasher.finalize_xof().fill(&mut marker);
    marker
}

/// The magic bytes, the metadata in a fixed order, and the sync marker.
fn header(schema: &RecordSchema, codec: Codec, sync: [u8; 16]) -> Vec<u8> {
    let mut out = b"Obj\x01".to_vec();
    let metadata = [("avro.schema", schema.json()), ("avro.codec", codec.name())];
    wire::count(&mut out, metadata.len());
    for (key, value) in metadata {
        wire::bytes(&mut out, key.as_bytes());
        wire::bytes(&mut out, value.as_bytes());
    }
    wire::count(&mut out, 0);
    out.extend_from_slice(&sync);
    out
}

fn write_block(body: &mut Vec<u8>, count: usize, codec: Codec, rows: &[u8], sync: [u8; 16]) -> Result<(), Error> {
    let compressed = codec.compress(rows)?;
    wire::count(body, count);
    wire::bytes(body, &compressed);
    body.extend_from_slice(&sync);
    Ok(())
}
