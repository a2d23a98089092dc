//! Counts a step of a history by the rules of the pipeline, or puts its counters in doubt.

use anyhow::Context;

use super::steps::Broken;
use super::{Sinks, Step};
use crate::proof::reconcile::expected_totals::{Counter, ExpectedTotals};
use crate::proof::reconcile::{Site, windows};
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::Routed;
use usage_aggregator::plan::backfill;
use usage_aggregator::record::{Change, ChangeRecord, Image, Item, Origin, RecordId, SequenceNumber};
use usage_aggregator::usage::{CounterAdditions, additions, openings};
use usage_aggregator::window::Window;

/// Reports a step whose deltas can't be derived. If only one period is checked, a step before it matters no longer, and one in
/// it puts the counters of its group in doubt.
pub(super) fn gap(
    site: &Site<'_>,
    step: &Step,
    image: &Item<'static>,
    what: &str,
    totals: &mut ExpectedTotals,
    broken: &mut Broken,
) -> anyhow::Result<()> {
    if let Some(period) = site.period {
        let created_at = step.at()?;
        if !period.contains(&windows::local(created_at, site.zone())) {
            return Ok(());
        }
        let insertion = Change::Insert { new: Image::Carried(image.clone()) };
        for addition in additions_of(site, step, insertion, image)? {
            let group = serde_json::to_string(&addition.key.0)?;
            for window in site.pipeline.snapshot.iter().flat_map(|snapshot| &snapshot.windows) {
                totals.doubt_group(
                    &group,
                    window.name(),
                    &windows::containing(*window, addition.at(created_at), site.zone()),
                )?;
            }
        }
    }
    broken.add(step, what);
    Ok(())
}

/// Adds what a step counts to the expected counters.
pub(super) fn count(
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

/// What the pipeline counts for a step; only measures with a baseline for one of a backfill.
pub(super) fn additions_of(
    site: &Site<'_>,
    step: &Step,
    change: Change<'static>,
    image: &Item<'static>,
) -> anyhow::Result<Vec<CounterAdditions>> {
    let record = ChangeRecord {
        // Rows are already distinct, and counting doesn't use it.
        id: RecordId([0; 16]),
        sequence: SequenceNumber::parse(step.sequence.clone()).context("read the row's sequence number")?,
        event_id: "".into(),
        user_record: None,
        created_at: step.at()?,
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
    Ok(match step.event.as_str() {
        backfill::WHOLE | backfill::COUNTED => openings(site.pipeline, &record, route, &bindings)?,
        _ => additions(site.pipeline, &record, route, &bindings)?,
    })
}
