//! Checks snapshots, archive and failure destination against the truth: the ledgers of simulations, or the archive.
//!
//! Everything passes through a temporary SQLite file (`expected_totals`), record by record and page by page, so that its
//! size doesn't matter. Expected totals come from `truth` or `history`; `snapshots`, `archive` and `failures` read what is
//! there; `corrections` adds what people corrected, and `recounts` recounts what isn't a sum; `indicators` recomputes those of the table; `report` compares. While a mapping runs, `waiting` tells records that wait from records that are lost.

mod archive;
mod columns;
mod continuity;
mod corrections;
mod cuts;
mod derived;
mod expected_totals;
mod failures;
mod history;
mod image;
mod indicators;
mod provable;
mod recounts;
mod report;
mod snapshots;
mod truth;
mod waiting;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use columns::Columns;
use continuity::Continuity;
use corrections::Corrections;
use cuts::Cuts;
use expected_totals::ExpectedTotals;
use history::{Histories, Sinks};
use recounts::Recounts;
use truth::Ledgers;

use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Tables};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::window::Zone;

pub use archive::bucket_exists;
pub use continuity::{CountedRecords, GapKind, Gaps, RecordGap};
pub use derived::{Derived, DerivedSnapshot, derive};
pub use failures::Destination;
pub use indicators::Indicators;
pub use report::{Archived, Counted, Difference, LISTED_DIFFERENCES, Poison, Report};
pub use waiting::{Unsettled, Waiting};
pub use windows::Period;

/// How long to wait between two comparisons.
pub const PAUSE: Duration = Duration::from_millis(500);

/// What is checked: a pipeline, and where its results are.
#[derive(Debug, Clone, Copy)]
pub struct Site<'s> {
    /// The clients to read with.
    pub clients: &'s Clients,
    /// The pipeline.
    pub pipeline: &'s Pipeline,
    /// The tables, if the pipeline counts.
    pub tables: Option<&'s Tables>,
    /// The archive, if the pipeline archives.
    pub archive: Option<&'s ArchivePlace>,
    /// The records that a running mapping has not settled, if it has any.
    pub unsettled: Option<Unsettled>,
    /// The pages of the ledger that wait to be folded.
    pub unfolded_pages: u64,
    /// The only window to check against the archive; `None` for all.
    pub period: Option<&'s Period>,
}

impl Site<'_> {
    /// The time zone of the windows.
    fn zone(&self) -> Zone {
        self.pipeline.snapshot.as_ref().map_or(Zone::UTC, |snapshot| snapshot.zone)
    }
}

/// What to check against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// The ledgers of simulations.
    Ledgers(Vec<PathBuf>),
    /// The distinct rows of the archive.
    Archive,
}

/// Why the archive doesn't determine what snapshots must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshots can't be derived from the archive: {}", .0.join("; "))]
pub struct Unprovable(pub Vec<String>);

/// Checks once. `watch` is called for each snapshot and each file that is read.
///
/// # Errors
/// When something can't be read; [`Unprovable`] when the archive can't serve as the reference.
pub async fn reconcile(
    site: &Site<'_>,
    truth: &Truth,
    failures: Option<&Destination>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<Report> {
    compare(site, truth, failures, Continuity::new(None), watch).await.map(|compared| compared.report)
}

/// Checks against the archive, and each record of it against what the ledger counted for it.
///
/// # Errors
/// As [`reconcile`].
pub async fn prove(
    site: &Site<'_>,
    counted: &CountedRecords,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<(Report, Gaps)> {
    let compared = compare(site, &Truth::Archive, None, Continuity::new(Some(counted)), watch).await?;
    Ok((compared.report, compared.gaps))
}

/// The result of a comparison, and what it was made of.
struct Compared {
    report: Report,
    gaps: Gaps,
    totals: ExpectedTotals,
    /// The items whose histories in the archive are incomplete.
    broken: Vec<String>,
}

async fn compare(
    site: &Site<'_>,
    truth: &Truth,
    failures: Option<&Destination>,
    mut continuity: Continuity<'_>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<Compared> {
    let columns = site.pipeline.schemas().map(|(name, schema)| Ok((name, Columns::new(schema)?)));
    let columns: BTreeMap<&str, Columns> = columns.collect::<anyhow::Result<_>>()?;
    let mut totals = ExpectedTotals::new()?;
    let mut report = Report::default();
    let mut without = BTreeSet::new();
    let cuts = Cuts::read(site).await?;
    let mut gaps = provable::gaps(site.pipeline, &columns);
    cuts.add_gaps(site.pipeline, &columns, &mut gaps);
    let mut recounts = Recounts::new(site, &gaps);
    let believed = believe(truth, site, &columns, &mut totals, &mut report, gaps, &mut without)?;
    let kinds = || site.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.kinds);
    for (name, _) in kinds().filter(|(name, _)| !recounts.has(name)) {
        skip(name, site, &mut report, &mut without);
    }
    let mut archived = None;
    if let Some(place) = site.archive {
        let keeps = matches!(believed, Believed::Archive) || !recounts.is_empty();
        let reading = archive::Reading { columns: &columns, believed: &believed, keeps };
        archived = Some(archive::find_rows(site, place, &reading, &mut totals, watch).await?);
    }
    let corrections = Corrections::read(site).await?;
    let scope = Histories { site, columns: &columns, corrections: &corrections, cuts: &cuts, without: &without };
    corrections.expect_added(site, &mut totals)?;
    let has_sums = matches!(believed, Believed::Archive);
    let mut sinks = Sinks { totals: &mut totals, continuity: &mut continuity, recounts: &mut recounts, has_sums };
    let mut broken = Vec::new();
    let unrecounted = match &believed {
        Believed::Archive => {
            broken = history::expect(&scope, &mut sinks)?;
            report.unprovable.extend_from_slice(&broken);
            false
        }
        Believed::Ledgers(_) if sinks.recounts.is_empty() => false,
        Believed::Ledgers(_) => is_unprovable(history::expect(&scope, &mut sinks))?,
    };
    if !has_sums {
        corrections.expect_taken_back(site, &mut totals)?;
    }
    if let Some(snapshot) = &site.pipeline.snapshot {
        let left = if unrecounted { recounts.names() } else { recounts.finish(snapshot, &totals)? };
        left.iter().for_each(|name| skip(name, site, &mut report, &mut without));
        if let Some(tables) = site.tables {
            snapshots::read(site, &tables.usage, snapshot, &without, &mut totals, watch).await?;
        }
    }
    if let Some(period) = site.period {
        totals.keep_only(period)?;
    }
    let poison_is_known = find_poison(site, failures, &believed, &mut totals).await?;
    report.waiting = waiting::find(&totals, site)?;
    if let Some((repeated_rows, files)) = archived {
        report.compare_rows(&totals, repeated_rows, files)?;
    }
    if site.tables.is_some() && site.pipeline.snapshot.is_some() {
        report.compare_counters(&totals, site.zone())?;
    }
    if poison_is_known {
        report.compare_poison(&totals)?;
    }
    // The archive doesn't say which table it is of.
    if let (Believed::Ledgers(ledgers), false) = (&believed, site.pipeline.indicators.is_empty()) {
        for table in &ledgers.targets {
            indicators::compare(&site.clients.dynamodb, table, site.pipeline, &mut report).await?;
        }
    }
    Ok(Compared { report, gaps: continuity.finish(), totals, broken })
}

/// Reads the ledgers, or finds out what the archive doesn't determine.
fn believe(
    truth: &Truth,
    site: &Site<'_>,
    columns: &BTreeMap<&str, Columns>,
    totals: &mut ExpectedTotals,
    report: &mut Report,
    gaps: provable::Gaps,
    without: &mut BTreeSet<String>,
) -> anyhow::Result<Believed> {
    match truth {
        Truth::Ledgers(paths) => {
            let ledgers = truth::read(paths, site, columns, totals)?;
            report.unsure_records = ledgers.unsure_records;
            report.poison_records = ledgers.poison_records;
            Ok(Believed::Ledgers(ledgers))
        }
        Truth::Archive if !gaps.fatal.is_empty() => Err(Unprovable(gaps.fatal).into()),
        Truth::Archive => {
            report.unprovable = gaps.measures.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
            without.extend(gaps.measures.into_keys());
            Ok(Believed::Archive)
        }
    }
}

/// Names a measure that isn't compared.
fn skip(name: &str, site: &Site<'_>, report: &mut Report, without: &mut BTreeSet<String>) {
    let kind = site.pipeline.snapshot.as_ref().and_then(|snapshot| snapshot.kinds.get(name));
    if let Some(kind) = kind {
        report.skipped.push(format!("{name} ({})", kind.aggregate.name()));
        without.extend(kind.attributes(name));
    }
}

/// Whether the archive turned out not to determine anything.
fn is_unprovable(expected: anyhow::Result<Vec<String>>) -> anyhow::Result<bool> {
    match expected {
        Ok(_) => Ok(false),
        Err(error) if error.is::<Unprovable>() => Ok(true),
        Err(error) => Err(error),
    }
}

/// Checks again until everything agrees, or for as long as `patience`, because the mapping may still be running.
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
    /// The bucket to which `usagectl local` sends discarded and quarantined records.
    pub const USUAL_BUCKET: &'static str = "failures";

    /// The usual bucket, if it exists.
    ///
    /// # Errors
    /// When S3 doesn't say.
    pub async fn usual(clients: &Clients) -> anyhow::Result<Option<Destination>> {
        let exists = bucket_exists(&clients.s3, Self::USUAL_BUCKET).await?;
        Ok(exists.then(|| Destination { bucket: Self::USUAL_BUCKET.to_owned(), prefix: String::new() }))
    }
}

/// Reads the rejected records of a destination, and returns whether there are any to compare.
async fn find_poison(
    site: &Site<'_>,
    failures: Option<&Destination>,
    believed: &Believed,
    totals: &mut ExpectedTotals,
) -> anyhow::Result<bool> {
    let (Some(destination), Believed::Ledgers(ledgers)) = (failures, believed) else { return Ok(false) };
    let place = failures::Place { destination, pipeline: &site.pipeline.name, sources: &ledgers.targets };
    place.read(&site.clients.s3, totals).await?;
    Ok(true)
}

enum Believed {
    Ledgers(Ledgers),
    Archive,
}

#[cfg(test)]
mod tests;
