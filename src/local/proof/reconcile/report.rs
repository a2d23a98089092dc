//! The result of a check: counts, and the first differences.

use anyhow::Context;
use rusqlite::{Connection, Row};
use serde::Serialize;

use super::expected_totals::{DIFFERING, ExpectedTotals};
use super::indicators::Indicators;
use super::waiting::{LACKING_COUNTER, MISSING_POISON, MISSING_ROW, Waiting};
use super::windows;
use stream_types::Decimal;
use usage_aggregator::window::Zone;

/// How many differences are listed. The others are only counted.
pub const LISTED_DIFFERENCES: usize = 50;

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Counters, if the pipeline counts.
    pub counted: Option<Counted>,
    /// Rows, if the pipeline archives.
    pub archived: Option<Archived>,
    /// Rejected records, if a failure destination was checked.
    pub poison: Option<Poison>,
    /// Targets of indicators, if the pipeline has indicators and its table was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indicators: Option<Indicators>,
    /// Records that had to be rejected, according to the truth.
    pub poison_records: u64,
    /// Records with an unknown hour or arrival.
    pub unsure_records: u64,
    /// How many differences there are.
    pub difference_count: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// Records that are missing because they wait. What they explain is not a difference.
    pub waiting: Option<Waiting>,
    /// What the truth doesn't determine. Everything else was checked.
    pub unprovable: Vec<String>,
    /// Measures that aren't sums and aren't compared: the archive doesn't determine them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// Records that add to counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// How many records add to counters that were checked.
    pub records: u64,
    /// How many of them have only counters that agree.
    pub agreeing_records: u64,
    /// Counters that were checked.
    pub counters: u64,
    /// Counters that unsure records may have added to, which aren't checked.
    pub unsure_counters: u64,
    /// Windows with counters that aren't checked because their snapshots have expired.
    pub expired_windows: u64,
    /// Counters that differ in groups to which no record adds.
    pub foreign_counters: u64,
}

/// Records that have a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Archived {
    /// How many records must have a row.
    pub records: u64,
    /// How many of them have one.
    pub agreeing_records: u64,
    /// Rows that are also in another file.
    pub repeated_rows: u64,
    /// Files that were read.
    pub files: u64,
}

/// Records that had to be rejected, which are in quarantine or in the failure destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Poison {
    /// How many records must be in either.
    pub records: u64,
    /// How many of them are.
    pub found_records: u64,
    /// How many of those are in quarantine.
    pub quarantined_records: u64,
    /// How many are in both: a batch with quarantined records was discarded as a whole.
    pub in_both_records: u64,
}

/// One difference between the truth and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum Difference {
    /// A counter has another value, is missing, or is unexpected.
    Counter {
        /// The values of the pipeline's group variables: entity, resource, and any others.
        group: Vec<String>,
        /// The window's name.
        window: String,
        /// When the window starts.
        window_start: String,
        /// The measure's name.
        measure: String,
        /// `None` if the counter is unexpected.
        expected: Option<String>,
        /// `None` if the counter is missing.
        found: Option<String>,
        /// Found minus expected.
        difference: Option<String>,
    },
    /// An item has too few or too many rows.
    Rows {
        /// The record type.
        record_type: String,
        /// The item's key.
        item: String,
        /// The expected number of rows.
        expected: u64,
        /// The number of rows found.
        found: u64,
    },
    /// A value of an indicator isn't what the items of the table give.
    Indicator {
        /// The name of the indicator.
        indicator: String,
        /// The key of the target.
        target: String,
        /// The name of the value.
        value: String,
        /// What the items give, in DynamoDB's notation; `None` if they give nothing.
        expected: Option<String>,
        /// What the target has; `None` if it has nothing.
        found: Option<String>,
    },
    /// A rejected record is missing from quarantine and failure destination, or is unexpected there.
    Poison {
        /// The item's key.
        item: String,
        /// How often the item must be there.
        expected: u64,
        /// How often the item was found.
        found: u64,
    },
}

impl Report {
    /// Whether nothing differs and nothing waits.
    pub fn agrees(&self) -> bool {
        self.difference_count == 0 && self.waiting.is_none()
    }

    /// The condition without what a record that waits explains.
    fn unexplained(&self, condition: &str, explained: &str) -> String {
        match self.waiting {
            Some(Waiting { records: 1.., .. }) => format!("({condition}) AND NOT ({explained})"),
            _ => condition.to_owned(),
        }
    }

    /// Compares the expected and found counters.
    pub(super) fn compare_counters(&mut self, totals: &ExpectedTotals, zone: Zone) -> anyhow::Result<()> {
        let connection = totals.connection();
        // The short name of a window is a prefix of those of its hours, but for weeks and the total.
        let has = |which: &str| {
            format!(
                "EXISTS (SELECT 1 FROM counters WHERE counters.grp = counted_records.grp AND {which}
                     AND (window IN ('week', 'total') OR substr(counted_records.hour, 1, length(start)) = start))"
            )
        };
        let is_checked = format!("({} OR NOT {})", has("expired = 0"), has("expired = 1"));
        let records = format!("SELECT coalesce(sum(records), 0) FROM counted_records WHERE {is_checked}");
        let counters = |which: &str| number(connection, &format!("SELECT count(*) FROM counters WHERE {which}"));
        let lacking = if self.archived.is_some() { LACKING_COUNTER } else { "TRUE" };
        let differing = match self.waiting {
            // Any counter may lack the records of a page that isn't folded.
            Some(Waiting { pages: 1.., .. }) => "FALSE".to_owned(),
            _ => self.unexplained(DIFFERING, lacking),
        };
        let foreign = "expected IS NULL AND grp NOT IN (SELECT grp FROM counters WHERE expected IS NOT NULL)";
        let expired = "SELECT count(*) FROM (SELECT DISTINCT window, start FROM counters WHERE expired = 1)";
        self.counted = Some(Counted {
            records: number(connection, &records)?,
            agreeing_records: number(connection, &format!("{records} AND NOT {}", has(DIFFERING)))?,
            counters: counters("unsure = 0 AND expired = 0")?,
            unsure_counters: counters("unsure = 1 AND expired = 0")?,
            expired_windows: number(connection, expired)?,
            foreign_counters: counters(&format!("{differing} AND {foreign}"))?,
        });
        let differing = format!("FROM counters WHERE {differing}");
        self.list(connection, &differing, "grp, window, start, measure, expected, found", |row| counter(row, zone))
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
        let differing = self.unexplained("found < expected OR found > expected + unsure", MISSING_ROW);
        let differing = format!("FROM archived WHERE {differing}");
        self.list(connection, &differing, "type, item, expected, found", |row| {
            let (record_type, item) = (row.get(0)?, row.get(1)?);
            Ok(Difference::Rows { record_type, item, expected: row.get(2)?, found: row.get(3)? })
        })
    }

    pub(super) fn compare_poison(&mut self, totals: &ExpectedTotals) -> anyhow::Result<()> {
        let connection = totals.connection();
        let count =
            |which: &str| number(connection, &format!("SELECT count(*) FROM poison WHERE expected > 0 {which}"));
        self.poison = Some(Poison {
            records: count("")?,
            found_records: count("AND found + quarantined > 0")?,
            quarantined_records: count("AND quarantined > 0")?,
            in_both_records: count("AND found > 0 AND quarantined > 0")?,
        });
        let differing = self.unexplained("(expected > 0) <> (found + quarantined > 0)", MISSING_POISON);
        let differing = format!("FROM poison WHERE {differing}");
        self.list(connection, &differing, "item, expected, found + quarantined", |row| {
            Ok(Difference::Poison { item: row.get(0)?, expected: row.get(1)?, found: row.get(2)? })
        })
    }

    /// Counts all differences, and lists the first ones.
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

fn counter(row: &Row<'_>, zone: Zone) -> anyhow::Result<Difference> {
    let (group, start): (String, String) = (row.get(0)?, row.get(2)?);
    let (expected, found): (Option<String>, Option<String>) = (row.get(4)?, row.get(5)?);
    Ok(Difference::Counter {
        group: serde_json::from_str(&group).context("read a group")?,
        window: row.get(1)?,
        window_start: windows::start(&start, zone),
        measure: row.get(3)?,
        difference: difference(expected.as_deref(), found.as_deref()),
        expected,
        found,
    })
}

/// Found minus expected, if each is a number or missing.
fn difference(expected: Option<&str>, found: Option<&str>) -> Option<String> {
    let number = |text: Option<&str>| Decimal::parse(text.unwrap_or("0")).ok();
    Some(number(found)?.checked_sub(number(expected)?).ok()?.to_string())
}

fn number(connection: &Connection, question: &str) -> anyhow::Result<u64> {
    connection.query_row(question, [], |row| row.get(0)).context("query the temporary SQLite file")
}
