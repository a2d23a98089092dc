//! Files of the archive, as `usagectl cat` and the compaction read them.

use std::sync::LazyLock;

use bytes::Bytes;
use usage_aggregator::archive::RecordSchema;
use usage_compact::{CompactedFile, fuzzing, readable};

/// Rows that are read of a file: a damaged one may promise any number.
const ROWS: usize = 1_000;

/// An Avro file that a person looks at.
pub(crate) fn avro_file(data: &[u8]) {
    // A Parquet file is the business of another target.
    if data.starts_with(b"Obj") {
        let mut rows = 0;
        let read = readable::read_rows(data, ROWS, |_| {
            rows += 1;
            Ok(())
        });
        assert!(read.is_err() || read.is_ok_and(|count| count == rows));
        _ = readable::read_schema(data);
    }
}

static SCHEMA: LazyLock<Option<RecordSchema>> = LazyLock::new(|| {
    let folder = usage_aggregator::pipeline::shipped("orders")?;
    RecordSchema::parse(folder.files.get("order.avsc")?).ok()
});

/// An Avro file that is compacted.
pub(crate) fn raw_file(data: &[u8]) {
    if let Some(schema) = &*SCHEMA {
        _ = fuzzing::raw_rows(data, schema);
    }
}

/// A Parquet file of compacted rows.
pub(crate) fn parquet_file(data: &[u8]) {
    let Ok(file) = CompactedFile::open(Bytes::copy_from_slice(data)) else { return };
    if let Ok(rows) = file.rows() {
        rows.take(ROWS).take_while(Result::is_ok).for_each(drop);
    }
}

/// The footer of a Parquet file and its record ids, which a compaction reads before it adds rows.
pub(crate) fn parquet_ids(data: &[u8]) {
    _ = fuzzing::parquet_ids(data);
}
