//! Checks snapshots, archive and failure destination against the truth: the ledgers of simulations, or the archive.
//!
//! Everything passes through a temporary SQLite file (`expected_totals`), record by record and page by page, so that its
//! size doesn't matter. Expected totals come from `truth` or `history`; `snapshots`, `archive` and `failures` read what is
//! there; `corrections` adds what people corrected, and `recounts` recounts what isn't a sum; `indicators` recomputes those of the table; `report` compares. While a mapping runs, `waiting` tells records that wait from records that are lost.

mod archive;
mod compare;
mod continuity;
mod corrections;
mod cuts;
mod derived;
mod expected_totals;
mod failures;
mod history;
mod indicators;
mod recounts;
mod report;
mod snapshots;
mod truth;
mod waiting;
mod windows;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use compare::compare;
use continuity::Continuity;

use usage_aggregator::clients::Clients;
use usage_aggregator::config::{ArchivePlace, Tables};
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::Timestamp;
use usage_aggregator::window::Zone;
use usage_compact::steps::provable;

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
    /// When it is checked: snapshots that have expired by then aren't compared.
    pub now: Timestamp,
}

impl Site<'_> {
    /// The time zone of the windows.
    fn zone(&self) -> Zone {
        self.pipeline.snapshot.as_ref().map_or(Zone::UTC, |snapshot| snapshot.zone)
    }

    /// The first minute that is counted; `None` if everything is.
    fn count_from(&self) -> Option<Timestamp> {
        self.tables.and_then(|tables| tables.count_from)
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

/// Checks once. Rejected records may be in any of `failures`, and aren't checked without one. `watch` is called for each snapshot and each file that is read.
///
/// # Errors
/// When something can't be read; [`Unprovable`] when the archive can't serve as the reference.
pub async fn reconcile(
    site: &Site<'_>,
    truth: &Truth,
    failures: &[Destination],
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
    let compared = compare(site, &Truth::Archive, &[], Continuity::new(Some(counted)), watch).await?;
    Ok((compared.report, compared.gaps))
}

/// Checks again until everything agrees, or for as long as `patience`, because the mapping may still be running.
///
/// # Errors
/// As [`reconcile`].
pub async fn reconcile_within(
    patience: Duration,
    site: &Site<'_>,
    truth: &Truth,
    failures: &[Destination],
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

#[cfg(test)]
mod tests;
