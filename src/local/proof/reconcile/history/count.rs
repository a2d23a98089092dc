//! Counts a step of a history by the rules of the pipeline.

use anyhow::Context;

use super::{Sinks, Step};
use crate::proof::counted_record::counted_record;
use crate::proof::reconcile::expected_totals::Counter;
use crate::proof::reconcile::{Site, windows};
use stream_types::{Decimal, Timestamp};
use usage_aggregator::pipeline::Routed;
use usage_aggregator::plan::backfill;
use usage_aggregator::record::{Change, Image, Item, SequenceNumber};
use usage_aggregator::usage::{CounterAdditions, additions, openings};
use usage_aggregator::window::Window;

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
    let sequence = SequenceNumber::parse(step.sequence.clone()).context("read the row's sequence number")?;
    let record = counted_record(change, sequence, step.at()?);
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
