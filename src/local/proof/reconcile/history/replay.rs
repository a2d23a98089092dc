//! Replays the histories: what each step found, and what it left.

use anyhow::Context;
use serde_json::{Map, Value};

use super::count::count;
use super::gap::gap;
use super::steps::{Broken, page};
use super::{Histories, Sinks, Step};
use stream_types::Timestamp;
use usage_aggregator::plan::backfill;
use usage_aggregator::record::{Change, Image, Item, Remover};
use usage_compact::steps::provable::has_differences;
use usage_compact::steps::{Unlinked, image};

/// An item as its last step left it.
struct Left {
    /// The item.
    item: String,
    /// What it then was.
    image: Item<'static>,
    /// The step, if the item existed at the cut, and a backfill opened measures with it without writing another row.
    opens: Option<Step>,
    /// When the item was this, in microseconds, if that isn't known from its changes.
    shown_at: Option<i64>,
}

/// Replays every history into the expected counters. Returns the reasons why some can't be replayed.
pub(super) fn replay(histories: &Histories<'_>, sinks: &mut Sinks<'_, '_>) -> anyhow::Result<Vec<String>> {
    let mut broken = Broken::default();
    // In pages, because sums are written to the same file in between.
    let mut after: Option<Step> = None;
    let mut left: Option<Left> = None;
    loop {
        let steps = page(sinks.totals, after.as_ref())?;
        if steps.is_empty() {
            break;
        }
        after = steps.last().cloned();
        for step in steps {
            let continues = left.as_ref().is_some_and(|left| left.item == step.item);
            if !continues || is_counted(histories, step.at()?) {
                open(histories, left.as_mut(), sinks)?;
            }
            let before = left.take().filter(|_| continues);
            left = one(histories, &step, before, sinks, &mut broken)?;
        }
    }
    open(histories, left.as_mut(), sinks)?;
    sinks.totals.settle()?;
    Ok(broken.reasons())
}

/// Whether records of this time are counted.
fn is_counted(histories: &Histories<'_>, at: Timestamp) -> bool {
    histories.site.count_from().is_none_or(|first| at >= first)
}

/// Opens the measures of an item that existed at the cut, and has its row from the change before it.
fn open(histories: &Histories<'_>, left: Option<&mut Left>, sinks: &mut Sinks<'_, '_>) -> anyhow::Result<()> {
    let opens = left.and_then(|left| Some((left.opens.take()?, left.image.clone())));
    let (Some((step, image)), Some(cut)) = (opens, histories.cuts.count_from()) else { return Ok(()) };
    let opening = Step { event: backfill::COUNTED.to_owned(), created_at: cut.micros(), ..step };
    let insertion = Change::Insert { new: Image::Carried(image.clone()) };
    let additions = opening.additions((histories.site.pipeline, Some(cut)), insertion, &image)?;
    sinks.continuity.expect_unarchived(histories.site, &opening, cut, &additions)?;
    count(histories.site, &opening, cut, (&additions, true), sinks)
}

/// Counts one step, and returns what it left.
fn one(
    histories: &Histories<'_>,
    step: &Step,
    before: Option<Left>,
    sinks: &mut Sinks<'_, '_>,
    broken: &mut Broken,
) -> anyhow::Result<Option<Left>> {
    let Histories { site, columns, .. } = histories;
    sinks.continuity.see(&step.id);
    let Some(columns) = columns.get(step.record_type.as_str()) else { return Ok(None) };
    let row: Map<String, Value> = serde_json::from_str(&step.image).context("read a row")?;
    let (new, created_at) = (image(&row, columns), step.at()?);
    let left = |image: Item<'static>| Left { item: step.item.clone(), image, opens: None, shown_at: None };
    if step.event == backfill::ARCHIVED {
        return Ok(Some(Left { shown_at: Some(step.created_at), ..left(new) }));
    }
    let removed = step.event == "REMOVE";
    if !is_counted(histories, created_at) {
        let stream = columns.source("stream_arn").and_then(|field| row.get(field)).and_then(Value::as_str);
        let opens = histories.cuts.opens(stream).then(|| step.clone());
        return Ok((!removed).then(|| Left { opens, ..left(new) }));
    }
    // What an export shows may have changed before the time that it is of.
    let old = before.filter(|left| left.shown_at.is_none_or(|at| at <= step.created_at)).map(|left| left.image);
    let expired = columns.source("expired").and_then(|field| row.get(field)) == Some(&Value::Bool(true));
    let by = if expired { Remover::TimeToLive } else { Remover::Caller };
    let change = match step.change(old, &new, by, site.pipeline.routes.iter().any(has_differences)) {
        Ok(change) => change,
        Err(what) => {
            gap(site, step, &new, what.text(), sinks.totals, broken)?;
            let is_left = !removed || what == Unlinked::SecondInsertion;
            return Ok(is_left.then(|| left(new)));
        }
    };
    let doing = || format!("count {} {}", step.record_type, step.item);
    let additions = step.additions((site.pipeline, site.count_from()), change, &new).with_context(doing)?;
    sinks.continuity.compare(site, step, created_at, &additions)?;
    let counts = !histories.corrections.is_void(created_at, &step.id);
    count(site, step, created_at, (&additions, counts), sinks).with_context(doing)?;
    Ok((!removed).then(|| left(new)))
}
