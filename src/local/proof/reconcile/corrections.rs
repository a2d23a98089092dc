//! What people corrected: neither a simulation nor the archive knows of it, so it is added to what is expected.

use std::collections::BTreeSet;

use anyhow::Context;

use super::Site;
use super::expected_totals::{Counter, ExpectedTotals};
use super::windows;
use stream_types::{Decimal, Timestamp};
use usage_aggregator::ledger::{Aggregate, LedgerTable, PageKind, Registered, is_expiring};
use usage_aggregator::usage::{Cell, Segment};

/// The corrections and voids in the ledger whose pages were put.
#[derive(Debug, Default)]
pub(super) struct Corrections {
    registered: Vec<Registered>,
    /// The minutes and the first 8 bytes of the ids of records that were taken back.
    void: BTreeSet<(Segment, u64)>,
}

impl Corrections {
    /// The corrections in the ledger of a pipeline that counts.
    pub(super) async fn read(site: &Site<'_>) -> anyhow::Result<Corrections> {
        let Some(ledger) = ledger(site) else { return Ok(Corrections::default()) };
        let mut registered = Vec::new();
        for one in ledger.registered(None).await.context("read the corrections")? {
            if is_put(&ledger, &one, site.now).await? {
                registered.push(one);
            }
        }
        let void = registered.iter().filter(|one| matches!(one.kind, PageKind::Void(..))).flat_map(ids).collect();
        Ok(Corrections { registered, void })
    }

    /// Whether the record of this time with this id, as the archive has it, was taken back.
    pub(super) fn is_void(&self, created_at: Timestamp, record_id: &str) -> bool {
        let id = record_id.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        id.is_some_and(|id| self.void.contains(&(Segment::containing(created_at), id)))
    }

    /// Expects what the corrections add.
    pub(super) fn expect_added(&self, site: &Site<'_>, totals: &mut ExpectedTotals) -> anyhow::Result<()> {
        for one in self.registered.iter().filter(|one| matches!(one.kind, PageKind::Correction(..))) {
            // One that was taken back still names its counters.
            each(one, site, |id, counter, amount| {
                totals.expect(counter, if self.void.contains(&id) { Decimal::ZERO } else { amount })
            })?;
        }
        totals.settle()
    }

    /// Expects that what was taken back doesn't count: for a truth whose records have no ids.
    pub(super) fn expect_taken_back(&self, site: &Site<'_>, totals: &mut ExpectedTotals) -> anyhow::Result<()> {
        let is_correction = |one: &&Registered| matches!(one.kind, PageKind::Correction(..));
        // Those that aren't expected at all, or that another void has taken back already.
        let mut done: BTreeSet<(Segment, u64)> = self.registered.iter().filter(is_correction).flat_map(ids).collect();
        for one in self.registered.iter().filter(|one| matches!(one.kind, PageKind::Void(..))) {
            each(one, site, |id, counter, amount| match done.contains(&id) {
                true => Ok(()),
                false => totals.expect(counter, Decimal::ZERO.checked_sub(amount)?),
            })?;
            done.extend(ids(one));
        }
        totals.settle()
    }
}

/// Whether the page of a correction was put: the command that registered it may not have ended.
async fn is_put(ledger: &LedgerTable, one: &Registered, now: Timestamp) -> anyhow::Result<bool> {
    let minute = one.page.minute;
    if one.is_put || is_expiring(minute, ledger.keep_days, now) {
        return Ok(one.is_put);
    }
    let names = ledger.page_names(minute, 0..ledger.buckets, None).await.context("read the ledger")?;
    Ok(names.iter().any(|page| page.name == one.page.name))
}

/// The ledger of a pipeline that counts.
pub(super) fn ledger(site: &Site<'_>) -> Option<LedgerTable> {
    let (tables, snapshot) = (site.tables?, site.pipeline.snapshot.as_ref()?);
    Some(LedgerTable {
        client: site.clients.dynamodb.clone(),
        name: tables.ledger.clone(),
        pipeline: site.pipeline.name.clone(),
        buckets: tables.buckets,
        id_bytes: tables.id_bytes,
        keep_days: tables.keep_days,
        late_days: site.pipeline.late_days(),
        windows: snapshot.windows.clone(),
        zone: snapshot.zone,
    })
}

/// The minute and the first 8 bytes of the id of each record of a correction or void.
fn ids(one: &Registered) -> Vec<(Segment, u64)> {
    one.content.short_ids().map(|id| (one.page.minute, id)).collect()
}

/// Passes each amount of a correction or void to `take`, once for each counter that it is in, with its record.
fn each(
    one: &Registered,
    site: &Site<'_>,
    mut take: impl FnMut((Segment, u64), Counter, Decimal) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let Some(snapshot) = &site.pipeline.snapshot else { return Ok(()) };
    for group in &one.content.groups {
        let key = group.key.counter_key().context("read a correction")?;
        // Another definition of the pipeline counted it.
        if !key.is_of(snapshot) {
            continue;
        }
        let key = serde_json::to_string(&key.0)?;
        let minute = group.key.event_hour().unwrap_or(one.page.minute);
        let at = Timestamp::from_seconds(minute.start()).context("read the minute of a correction")?;
        for (row, id) in group.ids.iter().enumerate() {
            let id = one.content.short_id(*id);
            for (column, measure) in group.columns.iter().zip(one.content.measures.iter()) {
                // The others aren't compared.
                let amount = column.value(row).and_then(Cell::number).filter(|_| measure.aggregate == Aggregate::Sum);
                let Some(amount) = amount else { continue };
                for window in &snapshot.windows {
                    let counter = Counter {
                        group: key.clone(),
                        window: window.name(),
                        start: windows::containing(*window, at, snapshot.zone),
                        measure: measure.name.to_string(),
                    };
                    take((one.page.minute, id), counter, amount)?;
                }
            }
        }
    }
    Ok(())
}
