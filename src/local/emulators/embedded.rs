//! The stream of a table in the embedded DynamoDB, read in this process, as AWS would show it: with AWS's names and sizes,
//! without records of writes that changed nothing, and trimmed when records are a day old.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use dynoxide::actions::describe_table::DescribeTableRequest;
use dynoxide::actions::get_records::Record;
use dynoxide::types::Item;
use dynoxide::{Database, DynoxideError};
use rusqlite::OptionalExtension;

use super::dynamodb::names::StreamName;
use super::dynamodb::streams;
use super::{REGION, dynamodb};
use event_source_mapping::sources::{LambdaChange, LambdaIdentity, LambdaRecord, parse_sequence, to_raw_json};
use event_source_mapping::{Page, PageEnd, Position, ReadError, Shard, Source, SourceRecord, StreamKind};
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// The stream of one table.
#[derive(Clone)]
pub struct EmbeddedStream {
    database: Database,
    /// The database's file, through which the stream can be trimmed.
    file: Option<PathBuf>,
    name: StreamName,
}

impl EmbeddedStream {
    /// The latest stream of `table`.
    ///
    /// # Errors
    /// When the table doesn't exist or has no stream.
    pub fn open(database: &Database, table: &str) -> anyhow::Result<EmbeddedStream> {
        let request = DescribeTableRequest { table_name: table.to_owned() };
        let described = database.describe_table(request).with_context(|| format!("find the table {table}"))?;
        let enable = || anyhow!("the table {table} has no stream: enable one with NEW_AND_OLD_IMAGES");
        let arn = described.table.latest_stream_arn.ok_or_else(enable)?;
        let name = StreamName::of(&arn).with_context(|| format!("read the label of the stream {arn}"))?;
        let file = database.db_path().ok().flatten().map(PathBuf::from);
        Ok(EmbeddedStream { database: database.clone(), file, name })
    }

    /// The stream of `table` in the database in `folder`, which another process may have open.
    ///
    /// # Errors
    /// When the database can't be opened, or the table doesn't exist or has no stream.
    pub fn open_in(folder: &Path, table: &str) -> anyhow::Result<EmbeddedStream> {
        EmbeddedStream::open(&dynamodb::open(Some(folder))?, table)
    }

    /// Deletes the records that were created before `horizon`, and returns how many. A database in memory keeps all.
    ///
    /// # Errors
    /// When the database's file can't be written.
    pub fn trim(&self, horizon: Timestamp) -> anyhow::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let connection = dynamodb::connect(file)?;
        connection.execute_batch(TRIMMED).context("prepare the stream's trimming")?;
        let old = "table_name = ?1 AND created_at < ?2";
        // The mark first: if the process dies in between, it is safer to report an existing record as trimmed than a
        // trimmed record as existing.
        let mark = format!(
            "INSERT OR REPLACE INTO usagectl_trimmed SELECT ?1, MAX(CAST(sequence_number AS INTEGER)) \
             FROM _stream_records WHERE {old} HAVING COUNT(*) > 0"
        );
        connection
            .execute(&mark, (&self.name.table, horizon.seconds()))
            .context("save how far the stream is trimmed")?;
        let delete = format!("DELETE FROM _stream_records WHERE {old}");
        connection.execute(&delete, (&self.name.table, horizon.seconds())).context("trim the stream")
    }

    /// The sequence number of the last record that was trimmed.
    fn trimmed(&self) -> anyhow::Result<Option<SequenceNumber<'static>>> {
        let Some(file) = &self.file else { return Ok(None) };
        let connection = dynamodb::connect(file)?;
        connection.execute_batch(TRIMMED)?;
        let sql = "SELECT sequence_number FROM usagectl_trimmed WHERE table_name = ?1";
        let last: Option<i64> = connection.query_row(sql, [&self.name.table], |row| row.get(0)).optional()?;
        Ok(last.and_then(|last| SequenceNumber::parse(streams::public(last))))
    }

    fn read_blocking(&self, position: &Position, limit: usize) -> Result<Page, ReadError> {
        if let Some(trimmed) = self.trimmed()? {
            match position {
                Position::At(sequence) if *sequence <= trimmed => return Err(ReadError::Trimmed),
                Position::After(sequence) if *sequence < trimmed && sequence.as_str() != "0" => {
                    return Err(ReadError::Trimmed);
                }
                _ => {}
            }
        }
        let (kind, sequence_number) = match position {
            Position::Latest => ("LATEST", None),
            Position::At(sequence) => ("AT_SEQUENCE_NUMBER", Some(sequence.as_str().to_owned())),
            Position::After(sequence) if sequence.as_str() != "0" => {
                ("AFTER_SEQUENCE_NUMBER", Some(sequence.as_str().to_owned()))
            }
            // DynamoDB Streams has no AT_TIMESTAMP.
            Position::TrimHorizon | Position::After(_) | Position::AtTimestamp(_) => ("TRIM_HORIZON", None),
        };
        let name = &self.name;
        let start = streams::start(&self.database, name, kind, sequence_number).map_err(|error| self.error(error))?;
        if *position == Position::Latest {
            // The current end of the stream, rather than wherever it is at the next read.
            let is_empty = start == name.before_first();
            let next = if is_empty { Position::TrimHorizon } else { after(start)? };
            return Ok(Page { records: Vec::new(), next, end: PageEnd::CaughtUp });
        }
        let found = streams::read(&self.database, name, start, limit).map_err(|error| self.error(error))?;
        let next = if found.last > start { after(found.last)? } else { position.clone() };
        let end = if found.is_full { PageEnd::MoreAvailable } else { PageEnd::CaughtUp };
        let records = found.records.into_iter().map(|record| self.record(record)).collect::<Result<_, _>>()?;
        Ok(Page { records, next, end })
    }

    /// Why the stream can't be read.
    fn error(&self, error: DynoxideError) -> ReadError {
        let stream = &self.name.arn;
        if !matches!(error, DynoxideError::ResourceNotFoundException(_)) {
            return ReadError::Other(anyhow!("read the stream {stream}: {error}"));
        }
        tracing::warn!(
            stream,
            "the stream no longer exists: it was disabled, or its table was deleted; restart `usagectl local` to read the table's new stream"
        );
        ReadError::Gone
    }

    fn record(&self, record: Record) -> anyhow::Result<Arc<SourceRecord>> {
        let Record { event_id, event_name, dynamodb, user_identity, .. } = record;
        let image = |image: &Option<Item>| image.as_ref().map(to_raw_json).transpose();
        let record = LambdaRecord {
            event_id,
            event_name,
            event_version: "1.1",
            event_source: "aws:dynamodb",
            aws_region: REGION,
            dynamodb: LambdaChange {
                approximate_creation_date_time: dynamodb.approximate_creation_date_time,
                // Sorted by name, so that the same keys are the same text.
                keys: to_raw_json(&dynamodb.keys.iter().collect::<BTreeMap<_, _>>())?,
                new_image: image(&dynamodb.new_image)?,
                old_image: image(&dynamodb.old_image)?,
                sequence_number: dynamodb.sequence_number,
                size_bytes: dynamodb.size_bytes,
                stream_view_type: dynamodb.stream_view_type,
            },
            user_identity: user_identity
                .map(|identity| LambdaIdentity { kind: identity.identity_type, principal_id: identity.principal_id }),
            event_source_arn: &self.name.arn,
        };
        let mut record: SourceRecord = record.try_into()?;
        record.created_at = exact_time(&record);
        Ok(Arc::new(record))
    }
}

/// The position after the record that dynoxide stores with this number.
fn after(number: i64) -> anyhow::Result<Position> {
    Ok(Position::After(parse_sequence(&streams::public(number))?))
}

/// When a change happened. The event has whole seconds, as in AWS, but the embedded DynamoDB numbers its records by microseconds, so no two
/// changes of a table have the same time.
fn exact_time(record: &SourceRecord) -> Timestamp {
    let exact = streams::stored(record.sequence.as_str()).and_then(Timestamp::from_micros);
    exact.unwrap_or(record.created_at)
}

/// The table of how far each stream has been trimmed.
const TRIMMED: &str =
    "CREATE TABLE IF NOT EXISTS usagectl_trimmed (table_name TEXT PRIMARY KEY, sequence_number INTEGER NOT NULL)";

#[async_trait::async_trait]
impl Source for EmbeddedStream {
    fn kind(&self) -> StreamKind {
        StreamKind::DynamoDb
    }

    fn arn(&self) -> &str {
        &self.name.arn
    }

    async fn shards(&self) -> anyhow::Result<Vec<Shard>> {
        Ok(vec![Shard { id: self.name.shard.clone(), parents: Vec::new() }])
    }

    async fn read(&self, shard: &str, position: &Position, limit: usize) -> Result<Page, ReadError> {
        if shard != self.name.shard {
            return Err(ReadError::Gone);
        }
        // SQLite blocks the thread, and waits for writers.
        let (stream, position) = (self.clone(), position.clone());
        tokio::task::spawn_blocking(move || stream.read_blocking(&position, limit)).await.map_err(anyhow::Error::new)?
    }
}

#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod tests;
