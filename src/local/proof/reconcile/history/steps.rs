//! The rows of the archive in the order of their items' histories, and the items whose histories are incomplete.

use anyhow::Context;
use rusqlite::{Row, params};
use usage_compact::steps::Step;

use super::ExpectedTotals;

/// How many items with incomplete histories a report names.
const NAMED_ITEMS: usize = 3;

/// Items whose histories are incomplete.
#[derive(Debug, Default)]
pub(super) struct Broken {
    count: u64,
    named: Vec<String>,
}

impl Broken {
    pub(super) fn add(&mut self, step: &Step, what: &str) {
        self.count += 1;
        if self.named.len() < NAMED_ITEMS {
            self.named.push(format!("{} {}: {what} at {}", step.record_type, step.item, step.sequence));
        }
    }

    pub(super) fn reasons(self) -> Vec<String> {
        let more = self.count - u64::try_from(self.named.len()).unwrap_or(self.count);
        let rest = (more > 0).then(|| format!("and {more} more"));
        self.named.into_iter().chain(rest).collect()
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Step> {
    Ok(Step {
        item: row.get(0)?,
        digits: row.get(1)?,
        sequence: row.get(2)?,
        id: row.get(3)?,
        record_type: row.get(4)?,
        event: row.get(5)?,
        created_at: row.get(6)?,
        image: row.get(7)?,
    })
}

/// The next rows by item and sequence number.
pub(super) fn page(totals: &ExpectedTotals, after: Option<&Step>) -> anyhow::Result<Vec<Step>> {
    let mut statement = totals.connection().prepare_cached(
        "SELECT * FROM history WHERE (item, digits, sequence, id) > (?1, ?2, ?3, ?4)
         ORDER BY item, digits, sequence, id LIMIT 1000",
    )?;
    let start = after.map_or(("", 0, "", ""), |step| (&step.item, step.digits, &step.sequence, &step.id));
    let steps = statement.query_map(params![start.0, start.1, start.2, start.3], read)?;
    steps.collect::<Result<_, _>>().context("read the histories")
}
