//! Expected totals beside those that were found, in a temporary SQLite file, so that their number isn't limited by memory.

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use rusqlite::{Connection, OptionalExtension, params};

use super::windows::Period;
use stream_types::Decimal;

/// Sums that are kept in memory before they are added to the file.
const PENDING_SUMS: usize = 20_000;

/// One counter in one window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Counter {
    /// The values of the pipeline's group variables, as a JSON array.
    pub group: String,
    pub window: &'static str,
    /// The window's short text.
    pub start: String,
    pub measure: String,
}

/// The expected and found totals.
pub(super) struct ExpectedTotals {
    connection: Connection,
    /// Sums, or nothing if one would have more than 38 digits.
    pending: HashMap<Counter, Option<Decimal>>,
    /// Counted records by group and hour, before they are added to the file.
    pending_records: HashMap<(String, String), u64>,
}

/// Counters that differ.
pub(super) const DIFFERING: &str = "unsure = 0 AND expired = 0 AND expected IS NOT found";

/// Excludes a counter from the comparison.
const DOUBT: &str = "INSERT INTO counters (grp, window, start, measure, unsure) VALUES (?1, ?2, ?3, ?4, 1)
                     ON CONFLICT DO UPDATE SET unsure = 1";

const SCHEMA: &str = "
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE counters (
    grp TEXT, window TEXT, start TEXT, measure TEXT, expected TEXT, found TEXT, unsure INTEGER NOT NULL DEFAULT 0,
    expired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (grp, window, start, measure)) WITHOUT ROWID;
CREATE TABLE recounts (
    grp TEXT, window TEXT, start TEXT, measure TEXT, value BLOB NOT NULL,
    PRIMARY KEY (grp, window, start, measure)) WITHOUT ROWID;
CREATE TABLE doubted (grp TEXT, window TEXT, start TEXT, PRIMARY KEY (grp, window, start)) WITHOUT ROWID;
CREATE TABLE counted_records (grp TEXT, hour TEXT, records INTEGER NOT NULL, PRIMARY KEY (grp, hour)) WITHOUT ROWID;
CREATE TABLE archived (
    type TEXT, item TEXT, expected INTEGER NOT NULL DEFAULT 0, unsure INTEGER NOT NULL DEFAULT 0,
    found INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (type, item)) WITHOUT ROWID;
CREATE TABLE rows (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE poison (
    item TEXT PRIMARY KEY, expected INTEGER NOT NULL DEFAULT 0, found INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE contributions (type TEXT, item TEXT, grp TEXT, PRIMARY KEY (type, item, grp)) WITHOUT ROWID;
CREATE TABLE history (
    item TEXT, digits INTEGER, sequence TEXT, id TEXT, type TEXT, event TEXT, created_at INTEGER, image TEXT,
    PRIMARY KEY (item, digits, sequence, id)) WITHOUT ROWID;
BEGIN;";

impl ExpectedTotals {
    /// Empty totals, in an unnamed file that SQLite deletes by itself.
    pub(super) fn new() -> anyhow::Result<ExpectedTotals> {
        let connection = Connection::open("").context("open a temporary SQLite file")?;
        connection.execute_batch(SCHEMA).context("prepare the temporary SQLite file")?;
        Ok(ExpectedTotals { connection, pending: HashMap::new(), pending_records: HashMap::new() })
    }

    /// The tables, for queries.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Adds to a counter's expected value. A sum of more than 38 digits isn't published, so its counter isn't compared.
    pub(super) fn expect(&mut self, counter: Counter, amount: Decimal) -> anyhow::Result<()> {
        let sum = self.pending.entry(counter).or_insert(Some(Decimal::ZERO));
        *sum = sum.and_then(|sum| sum.checked_add(amount).ok());
        if self.pending.len() >= PENDING_SUMS { self.settle() } else { Ok(()) }
    }

    /// Expects a text, or none, in the attribute of a group in a window that starts here.
    pub(super) fn expect_text(
        &self,
        [group, window, start]: [&str; 3],
        attribute: &str,
        text: Option<&str>,
    ) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO counters (grp, window, start, measure, expected) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET expected = excluded.expected",
        )?;
        statement.execute(params![group, window, start, attribute, text.map(normalized)])?;
        Ok(())
    }

    /// Excludes a counter from the comparison.
    pub(super) fn doubt(&mut self, counter: &Counter) -> anyhow::Result<()> {
        let Counter { group, window, start, measure } = counter;
        let mut statement = self.connection.prepare_cached(DOUBT)?;
        statement.execute(params![group, window, start, measure])?;
        Ok(())
    }

    /// Excludes all counters of a group in a window from the comparison.
    pub(super) fn doubt_group(&mut self, group: &str, window: &str, start: &str) -> anyhow::Result<()> {
        let sql = "INSERT OR IGNORE INTO doubted VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute([group, window, start])?;
        Ok(())
    }

    /// Excludes all counters of a group from the comparison.
    pub(super) fn doubt_group_everywhere(&mut self, group: &str) -> anyhow::Result<()> {
        self.doubt_group(group, "", "")
    }

    /// Forgets what isn't in the period, and excludes the counters of groups that are in doubt.
    pub(super) fn keep_only(&self, period: &Period) -> anyhow::Result<()> {
        let prefixes = serde_json::to_string(&period.prefixes().collect::<Vec<_>>())?;
        for (table, time) in [("counters", "start"), ("counted_records", "hour")] {
            let sql = format!(
                "DELETE FROM {table} WHERE NOT EXISTS (
                     SELECT 1 FROM json_each(?1) AS prefix WHERE substr({time}, 1, length(prefix.value)) = prefix.value)"
            );
            self.connection.execute(&sql, [&prefixes])?;
        }
        let doubted = "UPDATE counters SET unsure = 1 WHERE (grp, window, start) IN (SELECT * FROM doubted)
                           OR (grp, '', '') IN (SELECT * FROM doubted)";
        self.connection.execute(doubted, [])?;
        Ok(())
    }

    /// Excludes the counters of windows whose snapshots have expired from the comparison: they may be gone.
    pub(super) fn leave_out_expired(&self, has_expired: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare("SELECT DISTINCT start FROM counters")?;
        let mut starts: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        starts.retain(|start| has_expired(start));
        let expired = "UPDATE counters SET expired = 1 WHERE start IN (SELECT value FROM json_each(?1))";
        self.connection.execute(expired, [serde_json::to_string(&starts)?])?;
        Ok(())
    }

    /// Counts a record that adds to a group in an hour.
    pub(super) fn count_record(&mut self, group: &str, hour: &str) -> anyhow::Result<()> {
        *self.pending_records.entry((group.to_owned(), hour.to_owned())).or_default() += 1;
        if self.pending_records.len() >= PENDING_SUMS { self.settle() } else { Ok(()) }
    }

    /// Writes pending sums to the file. Must be called before any query.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        let mut read = self.connection.prepare_cached(
            "SELECT expected FROM counters WHERE grp = ?1 AND window = ?2 AND start = ?3 AND measure = ?4",
        )?;
        let mut write = self.connection.prepare_cached(
            "INSERT INTO counters (grp, window, start, measure, expected) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET expected = excluded.expected",
        )?;
        let mut doubt = self.connection.prepare_cached(DOUBT)?;
        for (Counter { group, window, start, measure }, amount) in self.pending.drain() {
            let key = params![group, window, start, measure];
            let before: Option<Option<String>> = read.query_row(key, |row| row.get(0)).optional()?;
            let before = before.flatten().map(|text| Decimal::parse(&text)).transpose().context("read a sum")?;
            match amount.and_then(|amount| before.unwrap_or_default().checked_add(amount).ok()) {
                Some(sum) => write.execute(params![group, window, start, measure, sum.to_string()])?,
                None => doubt.execute(key)?,
            };
        }
        let mut count = self.connection.prepare_cached(
            "INSERT INTO counted_records VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET records = records + excluded.records",
        )?;
        for ((group, hour), records) in self.pending_records.drain() {
            count.execute(params![group, hour, records])?;
        }
        Ok(())
    }

    /// Deletes the expected values of measures.
    pub(super) fn forget(&mut self, measures: &BTreeSet<String>) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare("DELETE FROM counters WHERE measure = ?1")?;
        measures.iter().try_for_each(|measure| statement.execute([measure]).map(drop))?;
        Ok(())
    }

    /// Records a counter's found value. A counter that is found twice gets both values, which equal nothing.
    pub(super) fn find(&mut self, counter: &Counter, number: &str) -> anyhow::Result<()> {
        let Counter { group, window, start, measure } = counter;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO counters (grp, window, start, measure, found) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET found =
                 CASE WHEN found IS NULL THEN excluded.found ELSE found || ' and ' || excluded.found END",
        )?;
        statement.execute(params![group, window, start, measure, number])?;
        Ok(())
    }

    /// Adds to the rows that an item must have, or may have.
    pub(super) fn expect_row(&mut self, record_type: &str, item: &str, rows: u64, unsure: u64) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO archived (type, item, expected, unsure) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET expected = expected + excluded.expected, unsure = unsure + excluded.unsure",
        )?;
        statement.execute(params![record_type, item, rows, unsure])?;
        Ok(())
    }

    /// Records that an item adds to a group.
    pub(super) fn contribute(&mut self, record_type: &str, item: &str, group: &str) -> anyhow::Result<()> {
        let sql = "INSERT OR IGNORE INTO contributions VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute([record_type, item, group])?;
        Ok(())
    }

    /// Records a row's id, and returns whether it is new.
    pub(super) fn is_new_row(&mut self, record_type: &str, id: &str) -> anyhow::Result<bool> {
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO rows VALUES (?1)")?;
        Ok(statement.execute([format!("{record_type} {id}")])? == 1)
    }

    /// Counts a row that was found for an item.
    pub(super) fn find_row(&mut self, record_type: &str, item: &str) -> anyhow::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO archived (type, item, found) VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET found = found + 1",
        )?;
        statement.execute([record_type, item])?;
        Ok(())
    }

    /// Records an item that must be in the failure destination.
    pub(super) fn expect_poison(&mut self, item: &str) -> anyhow::Result<()> {
        let sql =
            "INSERT INTO poison (item, expected) VALUES (?1, 1) ON CONFLICT DO UPDATE SET expected = expected + 1";
        self.connection.prepare_cached(sql)?.execute([item])?;
        Ok(())
    }

    /// Records an item that is in the failure destination.
    pub(super) fn find_poison(&mut self, item: &str) -> anyhow::Result<()> {
        let sql = "INSERT INTO poison (item, found) VALUES (?1, 1) ON CONFLICT DO UPDATE SET found = found + 1";
        self.connection.prepare_cached(sql)?.execute([item])?;
        Ok(())
    }

    /// Records an item that is quarantined.
    pub(super) fn find_quarantined(&mut self, item: &str) -> anyhow::Result<()> {
        let sql = "INSERT INTO poison (item, quarantined) VALUES (?1, 1)
                   ON CONFLICT DO UPDATE SET quarantined = quarantined + 1";
        self.connection.prepare_cached(sql)?.execute([item])?;
        Ok(())
    }
}

/// A number as it is usually written, because a number can be written in several ways; any other text as it is.
pub(super) fn normalized(text: &str) -> String {
    Decimal::parse(text).map_or_else(|_| text.to_owned(), |number| number.to_string())
}
