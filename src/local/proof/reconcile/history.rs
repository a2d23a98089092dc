//! Expected totals from the archive itself: each item's history from its rows, and the deltas of each step.
//!
//! The deltas are computed by the pipeline, so this proves the sums and that no record counts twice, but not the rules. Measures
//! that aren't sums are passed to `recounts`.

mod gap;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use rusqlite::params;
use serde_json::{Map, Value};

use super::columns::Columns;
use super::continuity::Continuity;
use super::corrections::Corrections;
use super::expected_totals::{Counter, ExpectedTotals};
use super::image::image;
use super::provable::has_differences;
use super::recounts::Recounts;
use super::windows;
use super::{Site, Unprovable};
use gap::gap;
pub(super) use steps::Step;
use steps::{Broken, page};
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::Routed;
use usage_aggregator::record::{Change, ChangeRecord, Image, Item, Origin, RecordId, Remover, SequenceNumber};
use usage_aggregator::usage::{CounterAdditions, additions};
use usage_aggregator::window::Window;

/// Stores a row of the archive until all rows are there.
pub(super) fn keep(
    record_type: &str,
    row: &Value,
    columns: &Columns,
    site: &Site<'_>,
    totals: &ExpectedTotals,
) -> anyhow::Result<()> {
    let Some(route) = site.pipeline.routes.iter().find(|route| route.record_type == record_type) else { return Ok(()) };
    if route.counters.is_empty() {
        return Ok(());
    }
    let text = |source: &str| columns.source(source).and_then(|field| row.get(field)).and_then(Value::as_str);
    let (sequence, event) = (text("sequence_number"), text("event_name"));
    let sequence = sequence.context("find the row's sequence number")?.trim_start_matches('0');
    let created_at = created_at(row, columns).context("find the row's time")?;
    let matched: BTreeMap<&str, &Value> =
        route.matched_attributes().filter_map(|name| Some((name, row.get(columns.attribute(name)?.0)?))).collect();
    let mut statement =
        totals.connection().prepare_cached("INSERT OR IGNORE INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let id = text("record_id").unwrap_or_default();
    let event = event.context("find the row's event")?;
    statement.execute(params![
        serde_json::to_string(&matched)?,
        sequence.len(),
        sequence,
        id,
        record_type,
        event,
        created_at.micros(),
        row.to_string()
    ])?;
    Ok(())
}

/// What histories are replayed for.
pub(super) struct Histories<'h> {
    pub site: &'h Site<'h>,
    pub columns: &'h BTreeMap<&'h str, Columns>,
    pub corrections: &'h Corrections,
    /// The measures that the archive doesn't determine.
    pub without: &'h BTreeSet<String>,
}

/// Expects the counters that the histories in the archive add up to. Returns what they don't determine, if only some counters
/// are checked; those are excluded.
pub(super) fn expect(
    Histories { site, columns, corrections, without }: &Histories<'_>,
    sinks: &mut Sinks<'_, '_>,
) -> anyhow::Result<Vec<String>> {
    let broken = replay(site, columns, corrections, sinks)?;
    if !broken.is_empty() && site.period.is_none() {
        return Err(Unprovable(broken).into());
    }
    sinks.totals.forget(without)?;
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

/// Replays every history into the expected counters. Returns the reasons why some can't be replayed.
fn replay(
    site: &Site<'_>,
    columns: &BTreeMap<&str, Columns>,
    corrections: &Corrections,
    sinks: &mut Sinks<'_, '_>,
) -> anyhow::Result<Vec<String>> {
    let replay = Replay { site, columns, corrections };
    let mut broken = Broken::default();
    // In pages, because sums are written to the same file in between.
    let mut after: Option<Step> = None;
    let mut before: Option<(String, Item<'static>)> = None;
    loop {
        let steps = page(sinks.totals, after.as_ref())?;
        if steps.is_empty() {
            break;
        }
        for step in &steps {
            let old = before.take().filter(|(item, _)| *item == step.item).map(|(_, image)| image);
            before = one(&replay, step, old, sinks, &mut broken)?.map(|image| (step.item.clone(), image));
        }
        after = steps.into_iter().next_back();
    }
    sinks.totals.settle()?;
    Ok(broken.reasons())
}

/// What histories are replayed with.
#[derive(Clone, Copy)]
struct Replay<'r> {
    site: &'r Site<'r>,
    columns: &'r BTreeMap<&'r str, Columns>,
    corrections: &'r Corrections,
}

/// Counts one step, and returns the state after it.
fn one(
    replay: &Replay<'_>,
    step: &Step,
    old: Option<Item<'static>>,
    sinks: &mut Sinks<'_, '_>,
    broken: &mut Broken,
) -> anyhow::Result<Option<Item<'static>>> {
    let Replay { site, columns, corrections } = *replay;
    sinks.continuity.see(&step.id);
    let Some(columns) = columns.get(step.record_type.as_str()) else { return Ok(None) };
    let row: Map<String, Value> = serde_json::from_str(&step.image).context("read a row")?;
    let new = image(&row, columns);
    let expired = columns.source("expired").and_then(|field| row.get(field)) == Some(&Value::Bool(true));
    let by = if expired { Remover::TimeToLive } else { Remover::Caller };
    let carried = |item: &Item<'static>| Image::Carried(item.clone());
    let needs_old = site.pipeline.routes.iter().any(has_differences);
    let change = match (step.event.as_str(), old) {
        ("INSERT", None) => Change::Insert { new: carried(&new) },
        ("INSERT", Some(_)) if !needs_old => Change::Insert { new: carried(&new) },
        ("MODIFY", Some(old)) => Change::Modify { old: Image::Carried(old), new: carried(&new) },
        ("MODIFY", None) if !needs_old => Change::Modify { old: Image::NotCarried, new: carried(&new) },
        ("REMOVE", Some(old)) if old == new => Change::Remove { old: carried(&new), by },
        ("REMOVE", _) if !needs_old => Change::Remove { old: carried(&new), by },
        ("INSERT", Some(_)) => {
            gap(site, step, &new, "a second insertion", sinks.totals, broken)?;
            return Ok(Some(new));
        }
        (_, None) => {
            gap(site, step, &new, "no insertion before it", sinks.totals, broken)?;
            return Ok((step.event != "REMOVE").then_some(new));
        }
        (_, Some(_)) => {
            gap(site, step, &new, "the removed item isn't the item that was inserted", sinks.totals, broken)?;
            return Ok(None);
        }
    };
    let removed = matches!(change, Change::Remove { .. });
    let doing = || format!("count {} {}", step.record_type, step.item);
    let created_at = Timestamp::from_micros(step.created_at).context("read the row's time")?;
    if site.tables.and_then(|tables| tables.count_from).is_none_or(|first| created_at >= first) {
        let mut additions = additions_of(site, step, change, &new).with_context(doing)?;
        // The windows before COUNT_FROM belong to another counter.
        let first = site.tables.and_then(|tables| tables.count_from);
        additions.retain(|one| first.is_none_or(|first| one.at(created_at) >= first));
        sinks.continuity.compare(site, step, created_at, &additions)?;
        let counts = !corrections.is_void(created_at, &step.id);
        count(site, step, created_at, (&additions, counts), sinks).with_context(doing)?;
    }
    Ok((!removed).then_some(new))
}

fn count(
    site: &Site<'_>,
    step: &Step,
    created_at: Timestamp,
    (additions, counts): (&[CounterAdditions], bool),
    sinks: &mut Sinks<'_, '_>,
) -> anyhow::Result<()> {
    let lengths = site.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.windows);
    for (index, counter) in additions.iter().enumerate() {
        let (group, at) = (serde_json::to_string(&counter.key.0)?, counter.at(created_at));
        if index == 0 && counts && sinks.has_sums {
            sinks.totals.count_record(&group, &windows::containing(Window::Hour, at, site.zone()))?;
        }
        for window in lengths.clone() {
            let start = windows::containing(*window, at, site.zone());
            for addition in &*counter.amounts {
                let (group, start, measure) = (group.clone(), start.clone(), addition.measure.to_string());
                let counter = Counter { group, window: window.name(), start, measure };
                match addition.amount() {
                    // A record that was taken back still names its counters, which are 0 without others.
                    Some(amount) if sinks.has_sums => {
                        sinks.totals.expect(counter, if counts { amount } else { Decimal::ZERO })?;
                    }
                    Some(_) => {}
                    None => sinks.recounts.say(sinks.totals, counter, addition, &step.sequence, counts)?,
                }
            }
        }
    }
    Ok(())
}

/// What the pipeline counts for a step.
fn additions_of(
    site: &Site<'_>,
    step: &Step,
    change: Change<'static>,
    image: &Item<'static>,
) -> anyhow::Result<Vec<CounterAdditions>> {
    let created_at = Timestamp::from_micros(step.created_at).context("read the row's time")?;
    let record = ChangeRecord {
        // Rows are already distinct, and counting doesn't use it.
        id: RecordId([0; 16]),
        sequence: SequenceNumber::parse(step.sequence.clone()).context("read the row's sequence number")?,
        event_id: "".into(),
        user_record: None,
        created_at,
        source: Origin { stream_arn: "".into(), name: "".into() },
        // Everything that a match uses is in the image too.
        keys: Item::default(),
        change,
    };
    let image = Image::Carried(image.clone());
    let Routed::To(route, bindings) = site.pipeline.route(&record.keys, &image) else { return Ok(Vec::new()) };
    if !route.events.contains(&record.change.event()) {
        return Ok(Vec::new());
    }
    Ok(additions(site.pipeline, &record, route, &bindings)?)
}

/// When the record of a row was written.
pub(super) fn created_at(row: &Value, columns: &Columns) -> Option<Timestamp> {
    columns.source("created_at").and_then(|field| row.get(field)).and_then(instant)
}

/// The time of a row: RFC 3339 text, or a number of microseconds.
fn instant(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => Timestamp::parse(text),
        value => Timestamp::from_micros(value.as_i64()?),
    }
}
