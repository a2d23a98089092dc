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
    Rows::default().read(file, schema, &columns, |_| false).map(|ids| ids.len())
}

/// What a job that gets this event does: the events that it sends in turn.
///
/// # Errors
/// If the job can't be asked for that.
#[cfg(feature = "function")]
pub fn events_of(event: &serde_json::Value, types: &[&str]) -> Result<Vec<Vec<u8>>, String> {
    use crate::event::Event;

    let event = Event::read(event, types).map_err(|error| error.to_string())?;
    let events = match event {
        Event::Due { .. } => Ok(Vec::new()),
        Event::One(unit) => Event::of_unit(&unit).map(|event| vec![event]),
        Event::ProveDay(hours) | Event::Prove(hours) => hours.split(4).into_iter().map(|part| part.event()).collect(),
    };
    events.map_err(|error| error.to_string())
}
