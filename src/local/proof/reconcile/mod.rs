//! Holds snapshots, archive and failure destination against the truth: the ledgers of simulations, or the archive.
//!
//! All passes through a temporary SQLite file (`totals`) record by record and page by page, whatever its size. What must
//! be comes from `truth` or `history`, what is from `snapshots`, `archive` and `failures`; `report` compares.

mod archive;
mod columns;
mod expected_totals;
mod failures;
mod history;
mod image;
mod provable;
mod report;
mod snapshots;
mod truth;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use tokio::time::Instant;

use columns::Columns;
use expected_totals::ExpectedTotals;
use truth::Ledgers;

use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Tables};
use usage_aggregator::pipeline::Pipeline;

pub use archive::bucket_exists;
pub use failures::Destination;
pub use report::{Archived, Counted, Difference, LISTED_DIFFERENCES, Poison, Report};

/// How long to wait between two comparisons.
const PAUSE: Duration = Duration::from_millis(500);

/// What is compared: a pipeline, and where its effects are.
#[derive(Debug, Clone, Copy)]
pub struct Site<'s> {
    pub clients: &'s Clients,
    pub pipeline: &'s Pipeline,
    /// Where the pipeline counts.
    pub tables: Option<&'s Tables>,
    /// Where it archives.
    pub archive: Option<&'s ArchivePlace>,
}

/// What to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// The records of simulations.
    Ledgers(Vec<PathBuf>),
    /// The archive, each row once.
    Archive,
}

/// Why the archive is no proof of what snapshots must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the archive can't tell what snapshots must be: {}", .0.join("; "))]
pub struct Unprovable(pub Vec<String>);

/// Compares once. `watch` is called for each snapshot and each file that is read.
///
/// # Errors
/// When something can't be read; [`Unprovable`] when the archive can't be the truth.
pub async fn reconcile(
    site: &Site<'_>,
    truth: &Truth,
    failures: Option<&Destination>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<Report> {
    let columns = site.pipeline.schemas().map(|(name, schema)| Ok((name, Columns::new(schema)?)));
    let columns: BTreeMap<&str, Columns> = columns.collect::<anyhow::Result<_>>()?;
    let mut totals = ExpectedTotals::new()?;
    let mut report = Report::default();
    let mut without = BTreeSet::new();
    let believed = match truth {
        Truth::Ledgers(paths) => {
            let ledgers = truth::read(paths, site, &columns, &mut totals)?;
            report.unsure_records = ledgers.unsure_records;
            report.poison_records = ledgers.poison_records;
            Believed::Ledgers(ledgers)
        }
        Truth::Archive => {
            let gaps = provable::gaps(site.pipeline, &columns);
            if !gaps.fatal.is_empty() {
                return Err(Unprovable(gaps.fatal).into());
            }
            report.unprovable = gaps.measures.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            without.extend(gaps.measures.into_keys());
            Believed::Archive
        }
    };
    if let Some(place) = site.archive {
        let (repeated_rows, files) = read_archive(site, place, &columns, &believed, &mut totals, watch).await?;
        report.compare_rows(&totals, repeated_rows, files)?;
    }
    if matches!(believed, Believed::Archive) {
        let broken = history::replay(site, &columns, &mut totals)?;
        if !broken.is_empty() {
            return Err(Unprovable(broken).into());
        }
        totals.forget(&without)?;
    }
    if let (Some(tables), Some(snapshot)) = (site.tables, &site.pipeline.snapshot) {
        snapshots::read(site, &tables.usage, snapshot, &without, &mut totals, watch).await?;
        report.compare_counters(&totals)?;
    }
    if let (Some(destination), Believed::Ledgers(ledgers)) = (failures, &believed) {
        failures::read(&site.clients.s3, destination, &ledgers.targets, &mut totals).await?;
        report.compare_poison(&totals)?;
    }
    Ok(report)
}

/// Compares until all agrees, or for as long as `patience`: the mapping may still be at work.
///
/// # Errors
/// As [`reconcile`].
pub async fn reconcile_within(
    patience: Duration,
    site: &Site<'_>,
    truth: &Truth,
    failures: Option<&Destination>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<Report> {
    let end = Instant::now() + patience;
    loop {
        let report = reconcile(site, truth, failures, watch).await?;
        if report.agrees() || Instant::now() + PAUSE > end {
            return Ok(report);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Destination {
    /// The bucket that `usagectl local` gives the mapping for what it gives up.
    pub const USUAL_BUCKET: &'static str = "failures";

    /// The usual bucket, if it is there.
    ///
    /// # Errors
    /// When that can't be told.
    pub async fn usual(clients: &Clients) -> anyhow::Result<Option<Destination>> {
        let exists = bucket_exists(&clients.s3, Self::USUAL_BUCKET).await?;
        Ok(exists.then(|| Destination { bucket: Self::USUAL_BUCKET.to_owned(), prefix: String::new() }))
    }
}

enum Believed {
    Ledgers(Ledgers),
    Archive,
}

/// Enters every row once; gives how many came again, and the number of files.
async fn read_archive(
    site: &Site<'_>,
    place: &ArchivePlace,
    columns: &BTreeMap<&str, Columns>,
    believed: &Believed,
    totals: &mut ExpectedTotals,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<(u64, u64)> {
    let mut repeated_rows = 0;
    let nothing = BTreeSet::new();
    let each = |record_type: &str, row: Value| {
        // Another pipeline's rows, in the same bucket.
        let Some(columns) = columns.get(record_type) else { return Ok(()) };
        let id = columns.source("record_id").and_then(|field| row.get(field)).and_then(Value::as_str);
        let id = id.with_context(|| {
            format!(
                "find the record id of a row: the schema of {record_type} needs a field with \"source\": \"record_id\""
            )
        })?;
        if !totals.is_new_row(record_type, id)? {
            repeated_rows += 1;
            return Ok(());
        }
        let names = match believed {
            Believed::Ledgers(ledgers) => ledgers.key_names.get(record_type).unwrap_or(&nothing),
            Believed::Archive => &nothing,
        };
        let item = columns.item(names, |_, field| row.get(field).map(plain_text));
        totals.find_row(record_type, &item)?;
        if matches!(believed, Believed::Archive) {
            totals.expect_row(record_type, &item, 1, 0)?;
            history::keep(record_type, &row, columns, site, totals)?;
        }
        Ok(())
    };
    let files = archive::read(&site.clients.s3, place, each, watch).await?;
    Ok((repeated_rows, files))
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
