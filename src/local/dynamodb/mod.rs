//! The embedded DynamoDB: dynoxide, in memory or in one SQLite file.

use std::path::Path;

use anyhow::Context;
use dynoxide::Database;
use tokio::net::TcpListener;

/// Opens the database file in `folder`, or an empty database in memory.
pub(super) fn open(folder: Option<&Path>) -> anyhow::Result<Database> {
    let Some(folder) = folder else {
        return Database::memory().context("open a database in memory");
    };
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let file = folder.join("dynamodb.sqlite");
    let name = file.to_str().with_context(|| format!("{} is not UTF-8", file.display()))?;
    Database::new(name).with_context(|| format!("open {name}"))
}

/// Serves `database` over HTTP until the runtime ends.
pub(super) async fn serve(listener: TcpListener, database: Database) {
    // No signal: the end of the runtime drops the server and its connections, whatever they wait for.
    if let Err(error) = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await {
        tracing::error!(%error, "the embedded DynamoDB ended");
    }
}

#[cfg(test)]
mod tests;
