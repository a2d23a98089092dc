//! Expected totals from the archive itself: each item's history from its rows, and the deltas of each step.
//!
//! The deltas are computed by the pipeline, so this proves the sums and that no record counts twice, but not the rules. Measures
//! that aren't sums are passed to `recounts`. A row of a backfill comes before all others of its item: it only opens measures
//! with a baseline, and is the old image of the next row.

mod count;
mod gap;
mod replay;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use serde_json::Value;

use super::continuity::Continuity;
use super::corrections::Corrections;
use super::cuts::Cuts;
use super::expected_totals::ExpectedTotals;
use super::recounts::Recounts;
use super::{Site, Unprovable};
use replay::replay;
use usage_compact::steps::{RowFields, Step};

/// Stores a row of the archive until all rows are there.
pub(super) fn keep(
    record_type: &str,
    row: &Value,
    columns: &RowFields,
    site: &Site<'_>,
    totals: &ExpectedTotals,
) -> anyhow::Result<()> {
    let Some(route) = site.pipeline.routes.iter().find(|route| route.record_type == record_type) else { return Ok(()) };
    if route.counters.is_empty() {
        return Ok(());
    }
    let step = Step::of(route, row, columns)?;
    let mut statement =
        totals.connection().prepare_cached("INSERT OR IGNORE INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let Step { item, digits, sequence, id, record_type, event, created_at, image } = step;
    statement.execute(params![item, digits, sequence, id, record_type, event, created_at, image])?;
    Ok(())
}

/// What histories are replayed for.
pub(super) struct Histories<'h> {
    pub site: &'h Site<'h>,
    pub columns: &'h BTreeMap<&'h str, RowFields>,
    pub corrections: &'h Corrections,
    /// Where the stream's counting begins, if items that existed before opened measures.
    pub cuts: &'h Cuts,
    /// The measures that the archive doesn't determine.
    pub without: &'h BTreeSet<String>,
}

/// Expects the counters that the histories in the archive add up to. Returns what they don't determine, if only some counters
/// are checked; those are excluded.
pub(super) fn expect(histories: &Histories<'_>, sinks: &mut Sinks<'_, '_>) -> anyhow::Result<Vec<String>> {
    let broken = replay(histories, sinks)?;
    if !broken.is_empty() && histories.site.period.is_none() {
        return Err(Unprovable(broken).into());
    }
    sinks.totals.forget(histories.without)?;
    Ok(broken)
}

/// What histories are replayed into.
pub(super) struct Sinks<'t, 'c> {
    pub totals: &'t mut ExpectedTotals,
    pub continuity: &'t mut Continuity<'c>,
    pub recounts: &'t mut Recounts,
    /// Whether sums are expected; otherwise, only the other measures are.
    pub has_sums: bool,
}
