//! One comparison: reads what is believed, the archive, and the snapshots, and reports what differs.

use std::collections::{BTreeMap, BTreeSet};

use super::continuity::{Continuity, Gaps};
use super::corrections::Corrections;
use super::cuts::Cuts;
use super::expected_totals::ExpectedTotals;
use super::failures::{self, Destination};
use super::history::{self, Histories, Sinks};
use super::recounts::Recounts;
use super::report::Report;
use super::truth::{self, Ledgers};
use super::{Site, Truth, Unprovable, archive, indicators, provable, snapshots, waiting};
use usage_aggregator::ledger::WindowKey;
use usage_aggregator::pipeline::Pipeline;
use usage_compact::steps::RowFields;

/// The result of a comparison, and what it was made of.
pub(super) struct Compared {
    pub(super) report: Report,
    pub(super) gaps: Gaps,
    pub(super) totals: ExpectedTotals,
    /// The items whose histories in the archive are incomplete.
    pub(super) broken: Vec<String>,
}

/// What is believed while the results are compared.
pub(super) enum Believed {
    Ledgers(Ledgers),
    Archive,
}

/// Compares the results with the truth. `watch` is called for each snapshot and each file that is read.
///
/// # Errors
/// When something can't be read; [`Unprovable`] when the archive can't serve as the reference.
pub(super) async fn compare(
    site: &Site<'_>,
    truth: &Truth,
    failures: &[Destination],
    mut continuity: Continuity<'_>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<Compared> {
    let columns = columns_of(site.pipeline)?;
    let mut totals = ExpectedTotals::new()?;
    let mut report = Report::default();
    let mut without = BTreeSet::new();
    let cuts = Cuts::read(site).await?;
    let mut gaps = provable::gaps(site.pipeline, &columns);
    cuts.add_gaps(site.pipeline, &columns, &mut gaps);
    let mut recounts = Recounts::new(site, &gaps);
    let believed = believe(truth, site, &columns, &mut totals, &mut report, gaps, &mut without)?;
    let kinds = site.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.kinds);
    for (name, _) in kinds.filter(|(name, _)| !recounts.has(name)) {
        skip(name, site, &mut report, &mut without);
    }
    let has_sums = matches!(believed, Believed::Archive);
    let reading = archive::Reading { columns: &columns, believed: &believed, keeps: has_sums || !recounts.is_empty() };
    let archived = match site.archive {
        Some(place) => Some(archive::find_rows(site, place, &reading, &mut totals, watch).await?),
        None => None,
    };
    let corrections = Corrections::read(site).await?;
    let scope = Histories { site, columns: &columns, corrections: &corrections, cuts: &cuts, without: &without };
    corrections.expect_added(site, &mut totals)?;
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
    let left = match &site.pipeline.snapshot {
        Some(snapshot) if !unrecounted => recounts.finish(snapshot, &totals)?,
        _ => recounts.names(),
    };
    left.iter().for_each(|name| skip(name, site, &mut report, &mut without));
    if let (Some(snapshot), Some(tables)) = (&site.pipeline.snapshot, site.tables) {
        snapshots::read(site, &tables.usage, snapshot, &without, &mut totals, watch).await?;
    }
    if let Some(period) = site.period {
        totals.keep_only(period)?;
    }
    if let Some(snapshot) = &site.pipeline.snapshot {
        let span = |start: &str| WindowKey::parse(start, snapshot.zone).and_then(WindowKey::span);
        totals.leave_out_expired(|start| span(start).is_some_and(|span| snapshot.has_expired(span, site.now)))?;
    }
    let poison_is_known = find_poison(site, failures, &believed, &mut totals).await?;
    report.waiting = waiting::find(&totals, site)?;
    list_differences(site, &totals, (archived, poison_is_known), &mut report)?;
    compare_indicators(site, &believed, &mut report).await?;
    Ok(Compared { report, gaps: continuity.finish(), totals, broken })
}

/// Lists what differs. Poison and rows are compared if they were read.
fn list_differences(
    site: &Site<'_>,
    totals: &ExpectedTotals,
    (archived, poison_is_known): (Option<(u64, u64)>, bool),
    report: &mut Report,
) -> anyhow::Result<()> {
    if let Some((repeated_rows, files)) = archived {
        report.compare_rows(totals, repeated_rows, files)?;
    }
    if site.tables.is_some() && site.pipeline.snapshot.is_some() {
        report.compare_counters(totals, site.zone())?;
    }
    if poison_is_known {
        report.compare_poison(totals)?;
    }
    Ok(())
}

/// Compares indicators with the items of the tables that the load wrote to. The archive doesn't say which table it is of.
async fn compare_indicators(site: &Site<'_>, believed: &Believed, report: &mut Report) -> anyhow::Result<()> {
    if let (Believed::Ledgers(ledgers), false) = (believed, site.pipeline.indicators.is_empty()) {
        for table in &ledgers.targets {
            indicators::compare(&site.clients.dynamodb, table, site.pipeline, report).await?;
        }
    }
    Ok(())
}

fn columns_of(pipeline: &Pipeline) -> anyhow::Result<BTreeMap<&str, RowFields>> {
    pipeline.schemas().map(|(name, schema)| Ok((name, RowFields::new(schema)?))).collect()
}

/// Reads the ledgers, or finds out what the archive doesn't determine.
fn believe(
    truth: &Truth,
    site: &Site<'_>,
    columns: &BTreeMap<&str, RowFields>,
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

/// Reads the rejected records of the destinations, and returns whether there are any to compare.
async fn find_poison(
    site: &Site<'_>,
    failures: &[Destination],
    believed: &Believed,
    totals: &mut ExpectedTotals,
) -> anyhow::Result<bool> {
    let Believed::Ledgers(ledgers) = believed else { return Ok(false) };
    for destination in failures {
        let place = failures::Place { destination, pipeline: &site.pipeline.name, sources: &ledgers.targets };
        place.read(&site.clients.s3, totals).await?;
    }
    Ok(!failures.is_empty())
}
