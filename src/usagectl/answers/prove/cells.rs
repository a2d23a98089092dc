//! The values of every counter of a window: in the snapshots, in the states of the ledger, and added up from its pages.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use laptop::proof::reconcile::CountedRecords;
use laptop::proof::rows::Row;
use stream_types::Decimal;
use usage_aggregator::fold::{PageRecord, Pages, Standing};
use usage_aggregator::ledger::{Level, PageKind, WindowKey, is_expiring};
use usage_aggregator::time::{DAY_SECONDS, Timestamp};
use usage_aggregator::usage::Segment;
use usage_aggregator::window::{Window, Zone};

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
    /// The windows with counters whose snapshots, or whose states, have expired and may be gone, so that they aren't compared.
    pub expired_windows: BTreeSet<WindowKey>,
    /// The records of the pages, without corrections.
    pub records: CountedRecords,
    /// How many of them another generation of the measures counted.
    pub of_other_generations: usize,
    /// Minutes whose pages may have expired.
    pub expired: usize,
    /// Minutes with pages that wait to be folded.
    pub unfolded: Vec<WindowKey>,
}

/// What a state says of a value that would need more than 38 digits, or that it gave up.
pub(super) const NOT_KNOWN: &str = "not known";

/// The windows of snapshots in a window that have begun, and whose states can't have expired.
pub(super) fn windows(ledger: &Open, window: WindowKey, now: Timestamp) -> BTreeSet<WindowKey> {
    let levels: Vec<Level> = ledger.snapshot.windows.iter().map(|window| Level::of(*window)).collect();
    let mut windows = BTreeSet::new();
    for hour in hours(ledger, window, now) {
        let of_hour = levels.iter().map(|level| hour.within(*level));
        // A week may begin before the month.
        windows.extend(of_hour.filter(|of| window.start() <= of.start() && of.end() <= window.end()));
    }
    // A snapshot may live longer than the state that it was written from.
    windows.retain(|window| is_kept(ledger, *window, now));
    windows
}

/// Whether the state of a window can't have expired.
fn is_kept(ledger: &Open, window: WindowKey, now: Timestamp) -> bool {
    let expires_at = ledger.folder.ledger.expires_at(window);
    expires_at.is_none_or(|expires_at| expires_at - DAY_SECONDS > now.seconds())
}

/// The hours of a window that have begun, and those in which a record may count before they do.
fn hours(ledger: &Open, window: WindowKey, now: Timestamp) -> impl Iterator<Item = WindowKey> + use<> {
    let latest = now.seconds() + ledger.config.pipeline.early_seconds();
    let hour = move |start: i64| Some(WindowKey::minute(Segment::at(start), window.zone()).within(Level::Hour));
    let hours = std::iter::successors(hour(window.start()), move |before| hour(before.end()));
    hours.take_while(move |hour| hour.start() < window.end() && hour.start() <= latest)
}

/// Whether an hour of which the pages may have expired had any usage, or may have had some: if its own state may have expired, that of
/// its day says so, and after that the one of its month, which never expires.
async fn had_usage(ledger: &Open, hour: WindowKey, now: Timestamp) -> anyhow::Result<bool> {
    let mut windows = [Level::Hour, Level::Day].map(|level| hour.within(level)).into_iter();
    let window = windows.find(|window| is_kept(ledger, *window, now)).unwrap_or(hour.within(Level::Month));
    let states = ledger.folder.ledger.states(window, None).await;
    Ok(!states.with_context(|| format!("read the state of {window}"))?.is_empty())
}

/// Whether the function accepts no more records that count in a window. What was written before KEEP_DAYS was raised may have
/// expired then, whatever it is now.
fn is_past(ledger: &Open, window: WindowKey, now: Timestamp) -> bool {
    let last = Segment::at(window.end() - 1 + ledger.folder.ledger.late_days * DAY_SECONDS);
    is_expiring(last, ledger.folder.horizon_days, now)
}

/// Whether the minutes of an hour that has none have expired, although KEEP_DAYS says now that they are kept.
async fn has_expired(ledger: &Open, hour: WindowKey, now: Timestamp) -> anyhow::Result<bool> {
    let has_lost = async || {
        let lost = ledger.folder.has_lost(hour, None).await;
        lost.with_context(|| format!("read the states of {hour} and of the windows that it is in"))
    };
    Ok(is_past(ledger, hour, now) && has_lost().await?)
}

/// Reads the states and pages of a window.
pub(super) async fn read(
    ledger: &Open,
    window: WindowKey,
    windows: &BTreeSet<WindowKey>,
    now: Timestamp,
) -> anyhow::Result<Cells> {
    let mut cells = Cells::default();
    let mut unpublished = BTreeSet::new();
    for window in windows {
        let shown = ledger
            .folder
            .show(Some(&ledger.snapshot), *window, None)
            .await
            .with_context(|| format!("read the state of {window}"))?;
        let groups = shown.states.into_iter().flat_map(|state| state.groups);
        for group in groups.filter(|group| group.key.is_of(&ledger.snapshot)) {
            let cell = |measure| Cell { window: *window, group: group.key.0.clone(), measure };
            for (measure, value) in group.values {
                cells.states.insert(cell(measure), value.map_or_else(|| NOT_KNOWN.to_owned(), plain_number));
            }
            unpublished.extend(group.unpublished.into_iter().map(|(measure, _)| cell(measure)));
        }
    }
    let mut sums: BTreeMap<Cell, Option<Decimal>> = BTreeMap::new();
    let mut incomplete = BTreeSet::new();
    for hour in hours(ledger, window, now) {
        let has_hour = |window: &&WindowKey| window.start() <= hour.start() && hour.start() < window.end();
        let within: Vec<WindowKey> = windows.iter().filter(has_hour).copied().collect();
        let is_old = is_expiring(Segment::at(hour.start()), ledger.folder.ledger.keep_days, now);
        let minutes = if is_old { BTreeSet::new() } else { minutes(ledger, hour).await? };
        if is_old || minutes.is_empty() && has_expired(ledger, hour, now).await? {
            cells.records.read_from = hour.end();
            if !is_old || had_usage(ledger, hour, now).await? {
                cells.expired += 60;
                incomplete.extend(within);
            }
            continue;
        }
        for minute in minutes {
            add_minute(ledger, minute, (hour, &within), &mut cells, &mut sums).await?;
        }
    }
    let has_state: BTreeSet<WindowKey> = cells.states.keys().map(|cell| cell.window).collect();
    let is_gone = |window: &&WindowKey| is_past(ledger, **window, now) && !has_state.contains(window);
    cells.expired_windows.extend(incomplete.iter().filter(is_gone));
    cells.added_up = windows.difference(&incomplete).copied().collect();
    let is_compared = |cell: &Cell| {
        cells.added_up.contains(&cell.window)
            && cell.group.len() == ledger.snapshot.group_variables.len()
            && (cells.states.contains_key(cell) || !unpublished.contains(cell))
    };
    let known = sums.into_iter().filter(|(cell, _)| is_compared(cell));
    cells.pages =
        known.map(|(cell, sum)| (cell, sum.map_or_else(|| NOT_KNOWN.to_owned(), |sum| sum.to_string()))).collect();
    Ok(cells)
}

/// The minutes whose records may count in an hour: its own, and those of the hours that say something about it.
async fn minutes(ledger: &Open, hour: WindowKey) -> anyhow::Result<BTreeSet<WindowKey>> {
    let table = &ledger.folder.ledger;
    let reading = || format!("read {hour}");
    let mut minutes = BTreeSet::new();
    for child in table.children(hour, None).await.with_context(reading)? {
        if child.window.level == Level::Piece {
            let below = table.children(child.window, None).await.with_context(reading)?;
            minutes.extend(below.into_iter().map(|item| item.window));
        } else {
            minutes.insert(child.window);
        }
    }
    Ok(minutes)
}

/// Adds the records of a minute that count in an hour to the windows that the hour is in.
async fn add_minute(
    ledger: &Open,
    minute: WindowKey,
    (hour, windows): (WindowKey, &[WindowKey]),
    cells: &mut Cells,
    sums: &mut BTreeMap<Cell, Option<Decimal>>,
) -> anyhow::Result<()> {
    let reading = || format!("read the pages of {minute}");
    let shown = ledger.folder.show(Some(&ledger.snapshot), minute, None).await.with_context(reading)?;
    if shown.pages.iter().any(|page| !page.is_folded) {
        cells.unfolded.push(minute);
    }
    let mut read = ledger.folder.records(Segment::at(minute.start()), Pages::All, None).await.with_context(reading)?;
    let of = |record: &PageRecord| record.event_hour.map_or(minute, |hour| WindowKey::piece(hour, minute));
    read.records.retain(|record| of(record).within(Level::Hour) == hour);
    for record in read.records.iter().filter(|record| record.standing != Standing::Repeated) {
        note(record, &mut cells.records)?;
        let is_of_other = record.kind == PageKind::Usage && record.generation != ledger.config.pipeline.generation;
        cells.of_other_generations += usize::from(is_of_other);
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
fn note(record: &PageRecord, records: &mut CountedRecords) -> anyhow::Result<()> {
    if record.kind != PageKind::Usage {
        return Ok(());
    }
    let own = records.amounts.entry(record.id.short()).or_default();
    for (measure, amount) in &record.amounts {
        // An update whose images count in two hours has an amount in each of them.
        let sum = own.entry((record.key.0.clone(), measure.clone())).or_default();
        *sum = sum.checked_add(*amount).with_context(|| format!("add up {measure} of a record"))?;
    }
    Ok(())
}

/// Reads the snapshots of these windows.
pub(super) async fn read_snapshots(
    counting: &Counting,
    client: &aws_sdk_dynamodb::Client,
    windows: &BTreeSet<WindowKey>,
) -> anyhow::Result<Values> {
    let mut values = Values::new();
    let names = &counting.snapshot.group_variables;
    let zone = counting.snapshot.zone;
    let take = |row: Row| {
        if let Some(window) = window_of(&row, zone).filter(|window| windows.contains(window)) {
            let group: Vec<String> = names.iter().map(|name| row.variable(name).to_owned()).collect();
            for (measure, value) in row.measures {
                values.insert(Cell { window, group: group.clone(), measure }, plain_number(value));
            }
        }
        Ok(())
    };
    counting.read(client, None, take).await?;
    Ok(values)
}

/// A number as it is usually written.
fn plain_number(text: String) -> String {
    Decimal::parse(&text).map_or(text, |number| number.to_string())
}

fn window_of(row: &Row, zone: Zone) -> Option<WindowKey> {
    let window = Window::ALL.into_iter().find(|window| window.name() == row.variable("window"))?;
    Some(WindowKey::containing(Level::of(window), Timestamp::parse(row.start())?, zone))
}
