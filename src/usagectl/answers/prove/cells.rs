//! The values of every counter of a window: in the snapshots, in the states of the ledger, and added up from its pages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use laptop::proof::reconcile::CountedRecords;
use laptop::proof::rows::Row;
use stream_types::Decimal;
use usage_aggregator::fold::{PageRecord, Pages, Standing};
use usage_aggregator::ledger::{Level, PageKind, WindowKey, is_expiring};
use usage_aggregator::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Window;

use crate::ledger::Open;
use crate::results::snapshot_items::Counting;

/// A counter in a window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub window: WindowKey,
    pub group: Vec<String>,
    pub measure: String,
}

/// The values of counters.
pub(super) type Values = BTreeMap<Cell, String>;

/// What a window has.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// What the states say.
    pub states: Values,
    /// What the pages add up to; only of windows of which all pages are there.
    pub pages: Values,
    /// The windows of snapshots whose pages were added up.
    pub added_up: BTreeSet<WindowKey>,
    /// What the snapshots say.
    pub snapshots: Values,
    /// The records of the pages, without corrections.
    pub records: CountedRecords,
    /// Minutes whose pages may have expired.
    pub expired: usize,
    /// Minutes with pages that wait to be folded.
    pub unfolded: Vec<WindowKey>,
}

/// The windows of snapshots in a window that have begun, and whose states can't have expired.
pub(super) fn windows(ledger: &Open, window: WindowKey, now: Timestamp) -> BTreeSet<WindowKey> {
    let levels: Vec<Level> = ledger.snapshot.windows.iter().map(|window| Level::of(*window)).collect();
    let mut windows = BTreeSet::new();
    let mut start = window.start();
    while start < window.end() && start <= now.seconds() {
        let at = Timestamp::from_seconds(start);
        let own = levels.iter().filter(|level| **level <= window.level);
        windows.extend(own.filter_map(|level| Some(WindowKey::containing(*level, at?))));
        start += HOUR_SECONDS;
    }
    // A snapshot may live longer than the state that it was written from.
    let keep_days = ledger.folder.ledger.keep_days;
    windows.retain(|window| window.expires_at(keep_days) - DAY_SECONDS > now.seconds());
    windows
}

/// Whether an hour of which the pages may have expired had any usage. The state of its day outlives its own.
async fn had_usage(ledger: &Open, hour: WindowKey) -> anyhow::Result<bool> {
    for window in [Some(hour), hour.parent()].into_iter().flatten() {
        let states = ledger.folder.ledger.states(window, None).await;
        if !states.with_context(|| format!("read the state of {window}"))?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads the states and pages of a window.
pub(super) async fn read(
    ledger: &Open,
    window: WindowKey,
    windows: &BTreeSet<WindowKey>,
    now: Timestamp,
) -> anyhow::Result<Cells> {
    let mut cells = Cells::default();
    for window in windows {
        let shown = ledger.folder.show(*window, None).await.with_context(|| format!("read the state of {window}"))?;
        for (key, values) in shown.states.into_iter().flat_map(|state| state.groups) {
            for (measure, value) in values {
                let cell = Cell { window: *window, group: key.0.clone(), measure };
                cells.states.insert(cell, value.unwrap_or_else(|| "not known".to_owned()));
            }
        }
    }
    let mut sums: BTreeMap<Cell, Option<Decimal>> = BTreeMap::new();
    let mut incomplete = BTreeSet::new();
    let mut start = window.start();
    while start < window.end() && start <= now.seconds() {
        let hour = WindowKey::containing(Level::Hour, Timestamp::from_seconds(start).context("read the window")?);
        let within: Vec<WindowKey> =
            windows.iter().filter(|window| window.start() <= start && start < window.end()).copied().collect();
        start += HOUR_SECONDS;
        if is_expiring(Segment::at(hour.start()), ledger.folder.ledger.keep_days, now) {
            if had_usage(ledger, hour).await? {
                cells.expired += 60;
                incomplete.extend(within);
            }
            continue;
        }
        let minutes = ledger.folder.ledger.children(hour, None).await.with_context(|| format!("read {hour}"))?;
        let minutes: BTreeSet<WindowKey> = minutes.into_iter().map(|item| item.window).collect();
        for minute in minutes {
            add_minute(ledger, minute, &within, &mut cells, &mut sums).await?;
        }
    }
    cells.added_up = windows.difference(&incomplete).copied().collect();
    let known = sums.into_iter().filter(|(cell, _)| cells.added_up.contains(&cell.window));
    cells.pages =
        known.map(|(cell, sum)| (cell, sum.map_or_else(|| "not known".to_owned(), |sum| sum.to_string()))).collect();
    Ok(cells)
}

/// Adds the records of a minute to the windows that it is in.
async fn add_minute(
    ledger: &Open,
    minute: WindowKey,
    windows: &[WindowKey],
    cells: &mut Cells,
    sums: &mut BTreeMap<Cell, Option<Decimal>>,
) -> anyhow::Result<()> {
    let reading = || format!("read the pages of {minute}");
    let shown = ledger.folder.show(minute, None).await.with_context(reading)?;
    if shown.pages.iter().any(|page| !page.is_folded) {
        cells.unfolded.push(minute);
    }
    let read = ledger.folder.records(Segment::at(minute.start()), Pages::All, None).await.with_context(reading)?;
    for record in read.records.iter().filter(|record| record.standing != Standing::Repeated) {
        note(record, &mut cells.records);
        let counts = record.standing == Standing::Counted;
        for window in windows {
            for (measure, amount) in &record.amounts {
                let cell = Cell { window: *window, group: record.key.0.clone(), measure: measure.clone() };
                let sum = sums.entry(cell).or_insert(Some(Decimal::ZERO));
                // A record that was taken back names its counters, too.
                let amount = if counts { *amount } else { Decimal::ZERO };
                *sum = sum.and_then(|sum| sum.checked_add(amount).ok());
            }
        }
    }
    // What only copies name is 0.
    for record in read.records.iter().filter(|record| record.standing == Standing::Repeated) {
        for window in windows {
            for (measure, _) in &record.amounts {
                let cell = Cell { window: *window, group: record.key.0.clone(), measure: measure.clone() };
                sums.entry(cell).or_insert(Some(Decimal::ZERO));
            }
        }
    }
    Ok(())
}

/// Notes what was counted for a record of the stream.
fn note(record: &PageRecord, records: &mut CountedRecords) {
    if record.kind != PageKind::Usage {
        return;
    }
    let own = records.0.entry(record.id.short()).or_default();
    for (measure, amount) in &record.amounts {
        own.insert((record.key.0.clone(), measure.clone()), *amount);
    }
}

/// Reads the snapshots of these windows.
pub(super) async fn read_snapshots(
    counting: &Counting,
    client: &aws_sdk_dynamodb::Client,
    windows: &BTreeSet<WindowKey>,
) -> anyhow::Result<Values> {
    let mut values = Values::new();
    let names = &counting.snapshot.group_variables;
    let take = |row: Row| {
        if let Some(window) = window_of(&row).filter(|window| windows.contains(window)) {
            let group: Vec<String> = names.iter().map(|name| row.variable(name).to_owned()).collect();
            for (measure, value) in row.measures {
                let value = Decimal::parse(&value).map_or(value, |value| value.to_string());
                values.insert(Cell { window, group: group.clone(), measure }, value);
            }
        }
        Ok(())
    };
    counting.read(client, None, take).await?;
    Ok(values)
}

fn window_of(row: &Row) -> Option<WindowKey> {
    let window = Window::ALL.into_iter().find(|window| window.name() == row.variable("window"))?;
    Some(WindowKey::containing(Level::of(window), Timestamp::parse(row.start())?))
}
