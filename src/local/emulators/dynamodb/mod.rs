//! The embedded DynamoDB: dynoxide, in memory or in one SQLite file.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use dynoxide::Database;

mod endpoint;
pub(super) mod names;
pub(super) mod streams;

#[cfg(feature = "fuzzing")]
pub(super) use endpoint::answered;
pub(super) use endpoint::serve;

/// Opens the database file in `folder`, or an empty database in memory.
pub(super) fn open(folder: Option<&Path>) -> anyhow::Result<Database> {
    let Some(folder) = folder else {
        return Database::memory().context("open a database in memory");
    };
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join("dynamodb.sqlite");
    let name = file.to_str().with_context(|| format!("{} is not UTF-8", file.display()))?;
    let database = Database::new(name).with_context(|| format!("open {name}"))?;
    // Every write to a table with a stream looks up the stream's last record, and every read looks up the next one. Without
    // an index, each of them would scan all records.
    connect(&file)?
        .execute_batch(
            "CREATE INDEX IF NOT EXISTS _stream_records_in_order ON _stream_records (table_name, CAST(sequence_number AS INTEGER));
             CREATE INDEX IF NOT EXISTS _stream_records_by_age ON _stream_records (table_name, created_at)",
        )
        .context("index the streams")?;
    Ok(database)
}

/// A connection to a database's file, besides dynoxide's.
pub(super) fn connect(file: &Path) -> anyhow::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(file).with_context(|| format!("open {}", file.display()))?;
    // The other connection's writes are short.
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
