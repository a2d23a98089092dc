//! The snapshots that follow from the rows of the archive, beside those that are stored.

use std::collections::BTreeMap;

use anyhow::Context;
use rusqlite::Row;
use stream_types::Decimal;

use super::continuity::Continuity;
use super::expected_totals::ExpectedTotals;
use super::recounts::Recounts;
use super::{Site, Truth, compare};
use usage_aggregator::fold::Recount;
use usage_aggregator::pipeline::Snapshot;

/// What follows from the archive.
#[derive(Debug)]
pub struct Derived {
    /// Every snapshot of the period that follows from the rows or is stored, by group, window and start.
    pub snapshots: Vec<DerivedSnapshot>,
    /// Measures that the archive doesn't determine, so that no snapshot is known as a whole.
    pub unknown_measures: Vec<String>,
    /// The items whose rows are incomplete.
    pub broken: Vec<String>,
}

/// The snapshot of a group in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedSnapshot {
    /// The values of the pipeline's group variables.
    pub group: Vec<String>,
    /// The short name of the window, such as `2026-11`.
    pub window: String,
    /// The values that follow from the rows, by measure.
    pub values: Vec<(String, Recount)>,
    /// The attributes: what follows from the rows, and what is stored.
    pub attributes: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Whether rows of its items are missing.
    pub is_doubtful: bool,
}

impl DerivedSnapshot {
    /// Whether it is stored as it follows from the rows.
    pub fn agrees(&self) -> bool {
        !self.is_doubtful && self.attributes.values().all(|(derived, stored)| derived == stored)
    }
}

/// Derives the snapshots of a period from the archive.
///
/// # Errors
/// When something can't be read; [`super::Unprovable`] when the archive determines nothing.
pub async fn derive(site: &Site<'_>, watch: &(dyn Fn() + Sync)) -> anyhow::Result<Derived> {
    let compared = compare(site, &Truth::Archive, &[], Continuity::new(None), watch).await?;
    let gaps = compared.broken;
    let mut unknown_measures = compared.report.skipped;
    unknown_measures.extend(compared.report.unprovable.into_iter().filter(|reason| !gaps.contains(reason)));
    let snapshots = match &site.pipeline.snapshot {
        Some(snapshot) => snapshots(&compared.totals, snapshot)?,
        None => Vec::new(),
    };
    Ok(Derived { snapshots, unknown_measures, broken: gaps })
}

/// A row of the expected and found counters.
struct Counter {
    key: [String; 3],
    measure: String,
    expected: Option<String>,
    found: Option<String>,
    is_unsure: bool,
}

impl Counter {
    fn read(row: &Row<'_>) -> rusqlite::Result<Counter> {
        Ok(Counter {
            key: [row.get(0)?, row.get(1)?, row.get(2)?],
            measure: row.get(3)?,
            expected: row.get(4)?,
            found: row.get(5)?,
            is_unsure: row.get(6)?,
        })
    }
}

fn snapshots(totals: &ExpectedTotals, layout: &Snapshot) -> anyhow::Result<Vec<DerivedSnapshot>> {
    let mut statement = totals.connection().prepare(
        "SELECT grp, window, start, measure, expected, found, unsure FROM counters ORDER BY grp, window, start, measure",
    )?;
    let mut snapshots: Vec<([String; 3], DerivedSnapshot)> = Vec::new();
    for counter in statement.query_map([], Counter::read)? {
        let Counter { key, measure, expected, found, is_unsure } = counter.context("read the counters")?;
        if snapshots.last().is_none_or(|(last, _)| *last != key) {
            let (values, attributes, is_doubtful) = (Vec::new(), BTreeMap::new(), false);
            let group = serde_json::from_str(&key[0]).context("read a group")?;
            let window = key[2].clone();
            snapshots.push((key.clone(), DerivedSnapshot { group, window, values, attributes, is_doubtful }));
        }
        let Some((_, snapshot)) = snapshots.last_mut() else { continue };
        snapshot.is_doubtful |= is_unsure;
        let is_sum = layout.kinds.iter().all(|(name, kind)| !kind.attributes(name).contains(&measure));
        if let Some(sum) = expected.as_ref().filter(|_| is_sum) {
            snapshot.values.push((measure.clone(), Recount::sum(Decimal::parse(sum).context("read a sum")?)));
        }
        snapshot.attributes.insert(measure, (expected, found));
    }
    for ([group, window, start], snapshot) in &mut snapshots {
        for (measure, kind) in &layout.kinds {
            let value = Recounts::value(totals, [group, window, start, measure], kind.aggregate)?;
            snapshot.values.extend(value.map(|value| (measure.clone(), value)));
        }
    }
    Ok(snapshots.into_iter().map(|(_, snapshot)| snapshot).collect())
}
