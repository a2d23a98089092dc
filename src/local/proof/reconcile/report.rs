//! What a comparison came to: counts, and the differences as far as a person reads them.

use anyhow::Context;
use rusqlite::{Connection, Row};
use serde::Serialize;

use super::expected_totals::ExpectedTotals;
use super::windows;
use stream_types::Decimal;

/// The differences that are listed; the rest is counted.
pub const LISTED_DIFFERENCES: usize = 50;

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Where the pipeline counts.
    pub counted: Option<Counted>,
    /// Where the pipeline archives.
    pub archived: Option<Archived>,
    /// Where a failure destination was looked at.
    pub poison: Option<Poison>,
    /// Records that had to be rejected, by the truth.
    pub poison_records: u64,
    /// Records whose hour or arrival nobody knows.
    pub unsure_records: u64,
    pub difference_count: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// What the truth can't say; all else was compared.
    pub unprovable: Vec<String>,
}

/// Records that add to counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    pub records: u64,
    /// Those of them all of whose counters agree.
    pub agreeing_records: u64,
    pub counters: u64,
    /// Counters that unsure records may have added to, which are not compared.
    pub unsure_counters: u64,
}

/// Records that have a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Archived {
    pub records: u64,
    pub agreeing_records: u64,
    /// Rows that are in another file, too.
    pub repeated_rows: u64,
    pub files: u64,
}

/// Records in the failure destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Poison {
    pub records: u64,
    pub found_records: u64,
}

/// One thing that isn't as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Difference {
    Counter {
        /// The values of the pipeline's group variables: entity, resource, and what else it has.
        group: Vec<String>,
        window: String,
        window_start: String,
        measure: String,
        /// None where nobody expected the counter.
        expected: Option<String>,
        /// None where there is no counter.
        found: Option<String>,
        difference: Option<String>,
    },
    Rows {
        record_type: String,
        item: String,
        expected: u64,
        found: u64,
    },
    Poison {
        item: String,
        expected: u64,
        found: u64,
    },
}

impl Report {
    /// Whether nothing differs.
    pub fn agrees(&self) -> bool {
        self.difference_count == 0
    }

    /// Counts and lists what `totals` have on both sides.
    pub(super) fn compare_counters(&mut self, totals: &ExpectedTotals) -> anyhow::Result<()> {
        let connection = totals.connection();
        self.counted = Some(Counted {
            records: number(connection, "SELECT coalesce(sum(records), 0) FROM tally")?,
            // A window's short text is the beginning of those of its hours.
            agreeing_records: number(
                connection,
                "SELECT coalesce(sum(records), 0) FROM tally WHERE NOT EXISTS (
                     SELECT 1 FROM counters WHERE counters.grp = tally.grp AND unsure = 0 AND expected IS NOT found
                     AND substr(tally.hour, 1, length(start)) = start)",
            )?,
            counters: number(connection, "SELECT count(*) FROM counters WHERE unsure = 0")?,
            unsure_counters: number(connection, "SELECT count(*) FROM counters WHERE unsure = 1")?,
        });
        let differing = "FROM counters WHERE unsure = 0 AND expected IS NOT found";
        self.list(connection, differing, "grp, window, start, measure, expected, found", counter)
    }

    pub(super) fn compare_rows(
        &mut self,
        totals: &ExpectedTotals,
        repeated_rows: u64,
        files: u64,
    ) -> anyhow::Result<()> {
        let connection = totals.connection();
        self.archived = Some(Archived {
            records: number(connection, "SELECT coalesce(sum(expected), 0) FROM archived")?,
            agreeing_records: number(connection, "SELECT coalesce(sum(min(expected, found)), 0) FROM archived")?,
            repeated_rows,
            files,
        });
        let differing = "FROM archived WHERE found < expected OR found > expected + unsure";
        self.list(connection, differing, "type, item, expected, found", |row| {
            let (record_type, item) = (row.get(0)?, row.get(1)?);
            Ok(Difference::Rows { record_type, item, expected: row.get(2)?, found: row.get(3)? })
        })
    }

    pub(super) fn compare_poison(&mut self, totals: &ExpectedTotals) -> anyhow::Result<()> {
        let connection = totals.connection();
        self.poison = Some(Poison {
            records: number(connection, "SELECT count(*) FROM poison WHERE expected > 0")?,
            found_records: number(connection, "SELECT count(*) FROM poison WHERE expected > 0 AND found > 0")?,
        });
        self.list(connection, "FROM poison WHERE (expected > 0) <> (found > 0)", "item, expected, found", |row| {
            Ok(Difference::Poison { item: row.get(0)?, expected: row.get(1)?, found: row.get(2)? })
        })
    }

    /// Counts all differences, and lists as many as there is room for.
    fn list(
        &mut self,
        connection: &Connection,
        from: &str,
        columns: &str,
        difference: impl Fn(&Row<'_>) -> anyhow::Result<Difference>,
    ) -> anyhow::Result<()> {
        self.difference_count += number(connection, &format!("SELECT count(*) {from}"))?;
        let room = LISTED_DIFFERENCES.saturating_sub(self.differences.len());
        let mut statement = connection.prepare(&format!("SELECT {columns} {from} ORDER BY 1, 2, 3 LIMIT {room}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            self.differences.push(difference(row)?);
        }
        Ok(())
    }
}

fn counter(row: &Row<'_>) -> anyhow::Result<Difference> {
    let (group, start): (String, String) = (row.get(0)?, row.get(2)?);
    let (expected, found): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
    Ok(Difference::Counter {
        group: serde_json::from_str(&group).context("read a group")?,
        window: row.get(1)?,
        window_start: windows::start(&start),
        measure: row.get(3)?,
        difference: difference(expected.as_deref(), found.as_deref()),
        expected,
        found,
    })
}

/// Found minus expected, where both are numbers or missing.
fn difference(expected: Option<&str>, found: Option<&str>) -> Option<String> {
    let number = |text: Option<&str>| Decimal::parse(text.unwrap_or("0")).ok();
    Some(number(found)?.checked_sub(number(expected)?).ok()?.to_string())
}

fn number(connection: &Connection, question: &str) -> anyhow::Result<u64> {
    connection.query_row(question, [], |row| row.get(0)).context("ask the temporary SQLite file")
}
