//! Tells records that wait for a running mapping from records that are lost.
//!
//! A record that waits has no row in the archive, and the counters of its groups lack it. If no more records are missing than
//! the mapping has not settled, then those that are missing wait, and a counter differs for a good reason if a missing record
//! adds to it. Whatever else differs is a difference. If more are missing, some are lost, and everything is listed.
//!
//! While pages of the ledger wait to be folded, any counter may lack their records, so no counter is a difference.

use anyhow::Context;
use rusqlite::Connection;
use serde::Serialize;

use super::Site;
use super::expected_totals::{DIFFERING, ExpectedTotals};

/// Records that a running mapping has not settled. As many may be missing without being lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsettled {
    /// This many.
    Exactly(u64),
    /// At least this many: the stream has more, which are not read yet.
    AtLeast(u64),
}

/// Records that are missing because they wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// How many of the records that were written are missing. Without an archive, how many the mapping has not settled.
    pub records: u64,
    /// How many pages of the ledger wait to be folded, if counters differ.
    pub pages: u64,
}

/// Rows that wait, if something does.
pub(super) const MISSING_ROW: &str = "found < expected";
/// Counters that a waiting record adds to, if something waits.
pub(super) const LACKING_COUNTER: &str = "grp IN (
    SELECT contributions.grp FROM contributions JOIN archived USING (type, item) WHERE archived.found < archived.expected)";
/// Poison that waits, if something does.
pub(super) const MISSING_POISON: &str = "expected > 0 AND found + quarantined = 0";

/// What waits. `None` if nothing is missing, or if so many records are that some must be lost and no page waits.
pub(super) fn find(totals: &ExpectedTotals, site: &Site<'_>) -> anyhow::Result<Option<Waiting>> {
    let records = match site.unsettled {
        Some(unsettled) => missing_records(totals, unsettled, site.archive.is_some())?,
        None => 0,
    };
    let differing = format!("SELECT count(*) FROM counters WHERE {DIFFERING}");
    let counts = site.tables.is_some() && site.unfolded_pages > 0;
    let pages = if counts && number(totals.connection(), &differing)? > 0 { site.unfolded_pages } else { 0 };
    Ok((records > 0 || pages > 0).then_some(Waiting { records, pages }))
}

/// How many records are missing because they wait; 0 if so many are missing that some must be lost.
fn missing_records(totals: &ExpectedTotals, unsettled: Unsettled, has_archive: bool) -> anyhow::Result<u64> {
    let connection = totals.connection();
    let (Unsettled::Exactly(known) | Unsettled::AtLeast(known)) = unsettled;
    if !has_archive {
        return Ok(known);
    }
    let rows = format!("SELECT coalesce(sum(expected - found), 0) FROM archived WHERE {MISSING_ROW}");
    let poison = format!("SELECT count(*) FROM poison WHERE {MISSING_POISON}");
    let records = number(connection, &rows)? + number(connection, &poison)?;
    let is_plausible = match unsettled {
        Unsettled::Exactly(known) => records <= known,
        Unsettled::AtLeast(_) => true,
    };
    Ok(if is_plausible { records } else { 0 })
}

fn number(connection: &Connection, question: &str) -> anyhow::Result<u64> {
    connection.query_row(question, [], |row| row.get(0)).context("query the temporary SQLite file")
}
