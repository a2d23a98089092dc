//! Walks from a window down to the minutes in which a group has usage, and reads their records. What the ledger no longer has is
//! named, with what it adds up to.

use std::collections::BTreeMap;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use stream_types::Decimal;
use usage_aggregator::fold::{Folder, PageRecord, Pages, Standing, StateValue};
use usage_aggregator::ledger::{Aggregate, Level, WindowKey};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::usage::{CounterKey, Segment};

/// Minutes that are read at once.
const CONCURRENT_READS: usize = 8;

/// Sums by measure.
pub(super) type Sums = BTreeMap<String, Decimal>;

/// What is behind a number.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What the window's state says.
    pub own: Vec<StateValue>,
    /// The records, by minute.
    pub records: Vec<(Segment, PageRecord)>,
    /// What the ledger no longer has.
    pub gaps: Vec<Gap>,
    /// Windows that have changed since those above them were folded, and minutes with pages that wait to be folded.
    pub unfolded: Vec<WindowKey>,
}

/// A part of the window whose records are gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// The window in which they are missing.
    pub window: WindowKey,
    /// What is gone: states of windows below, or pages.
    pub gone: Vec<String>,
    /// What they add up to.
    pub sums: Sums,
}

/// Reads what is behind the values of a group in a window.
pub(super) async fn walk(
    folder: &Folder,
    snapshot: &Snapshot,
    window: WindowKey,
    key: &CounterKey,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut minutes: Vec<((WindowKey, Option<Segment>), Sums)> = Vec::new();
    if window.level == Level::Minute {
        found.own = folder.values(snapshot, window, key, None).await.context("read the ledger")?;
        minutes.push(((window, None), sums(&found.own)));
    }
    let mut open = if window.level == Level::Minute { Vec::new() } else { vec![(window, Sums::new())] };
    while let Some((parent, _)) = open.pop() {
        let below = folder.below(snapshot, parent, key, None).await.context("read the ledger")?;
        let own = sums(&below.own);
        let mut rest = own.clone();
        for (child, values) in below.children {
            let values: Sums =
                values.into_iter().filter(|(measure, _)| own.contains_key(measure)).filter_map(known).collect();
            subtract(&mut rest, &values);
            match child.level {
                Level::Minute => minutes.push(((child, event_hour(parent)), values)),
                _ => open.push((child, values)),
            }
        }
        if !below.gone.is_empty() {
            rest.retain(|_, sum| !sum.is_zero());
            let gone = below.gone.iter().map(|window| window.text()).collect();
            found.gaps.push(Gap { window: parent, gone, sums: rest });
        }
        found.unfolded.extend(below.newer);
        if parent == window {
            found.own = below.own;
        }
    }
    let reads: Vec<_> = minutes.into_iter().map(|(window, sums)| minute(folder, key, window, sums)).collect();
    let mut reading = stream::iter(reads).buffered(CONCURRENT_READS);
    while let Some((window, records, gap, is_unfolded)) = reading.try_next().await? {
        let at = Segment::at(window.start());
        found.records.extend(records.into_iter().map(|record| (at, record)));
        found.gaps.extend(gap);
        found.unfolded.extend(is_unfolded.then_some(window));
    }
    found.records.sort_by_key(|(minute, record)| (*minute, record.id.short()));
    found.gaps.retain(|gap| !gap.sums.is_empty());
    found.gaps.sort_by_key(|gap| gap.window.start());
    found.unfolded.sort_unstable();
    found.unfolded.dedup();
    Ok(found)
}

/// A minute's records, what is gone, and whether pages wait to be folded.
type Minute = (WindowKey, Vec<PageRecord>, Option<Gap>, bool);

/// The hour of a piece, whose minutes belong to another one.
fn event_hour(parent: WindowKey) -> Option<Segment> {
    (parent.level == Level::Piece).then(|| Segment::at(parent.start()))
}

async fn minute(
    folder: &Folder,
    key: &CounterKey,
    (window, hour): (WindowKey, Option<Segment>),
    mut rest: Sums,
) -> anyhow::Result<Minute> {
    let read = folder.records(Segment::at(window.start()), Pages::FoldedOf(key, hour), None).await;
    let read = read.with_context(|| format!("read the pages of {window}"))?;
    for record in read.records.iter().filter(|record| record.standing == Standing::Counted) {
        subtract(&mut rest, &record.amounts.iter().cloned().collect());
    }
    rest.retain(|_, sum| !sum.is_zero());
    let gone: Vec<String> = read.gone.iter().map(|page| format!("page {:016x}", page.name)).collect();
    let gap = (!gone.is_empty()).then_some(Gap { window, gone, sums: rest });
    Ok((window, read.records, gap, !read.unfolded.is_empty()))
}

fn known((measure, value): (String, Option<String>)) -> Option<(String, Decimal)> {
    Some((measure, Decimal::parse(&value?).ok()?))
}

fn sums(values: &[StateValue]) -> Sums {
    let sums = values.iter().filter(|value| value.aggregate == Aggregate::Sum);
    sums.filter_map(|value| known((value.measure.clone(), value.value.clone()))).collect()
}

fn subtract(sums: &mut Sums, less: &Sums) {
    for (measure, amount) in less {
        let sum = sums.entry(measure.clone()).or_default();
        *sum = sum.checked_sub(*amount).unwrap_or(*sum);
    }
}

/// What the records that count add up to; `None` for a sum that needs more than 38 digits.
pub(super) fn counted<'f>(records: impl Iterator<Item = &'f PageRecord>) -> BTreeMap<String, Option<Decimal>> {
    let mut sums: BTreeMap<String, Option<Decimal>> = BTreeMap::new();
    for record in records.filter(|record| record.standing == Standing::Counted) {
        for (measure, amount) in &record.amounts {
            let sum = sums.entry(measure.clone()).or_insert(Some(Decimal::ZERO));
            *sum = sum.and_then(|sum| sum.checked_add(*amount).ok());
        }
    }
    sums
}
