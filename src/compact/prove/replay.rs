//! Compares the rows of an hour with what the ledger counted, item by item.

use anyhow::Context;
use serde_json::{Map, Value};
use usage_aggregator::error::Error;
use usage_aggregator::plan::backfill;
use usage_aggregator::record::{Change, Event, Image, Item, Remover};

use super::counted::{Counted, of_additions};
use super::found::Doubt;
use super::heads::Heads;
use super::keys::is_of_one_item;
use super::{ArchiveDifference, ArchiveWrong, Proof, Prover};
use crate::steps::provable::has_differences;
use crate::steps::{Step, Unlinked, first_bytes, image};

/// An item before a step.
enum Before {
    /// No row of it is known.
    Unknown,
    /// It was removed.
    Gone,
    Was(Item<'static>),
}

/// Compares these steps, which are in order, and remembers the last one of each item.
pub(super) fn replay(
    prover: &Prover<'_>,
    hour: &str,
    steps: Vec<Step>,
    heads: &mut Heads,
    counted: &mut Counted,
    proof: &mut Proof,
) -> Result<(), Error> {
    for step in steps {
        let wrong = compare(prover, &step, heads, counted, proof).map_err(|error| {
            Error::poison(format!("count {} at {} from its row: {error:#}", step.record_type, step.sequence))
        })?;
        proof.records += 1;
        let doubt = wrong.and_then(|_| doubt(prover, &step, heads));
        if let Some(why) = doubt {
            proof.doubt(why);
        } else if let Some(what) = wrong {
            proof.add(ArchiveDifference {
                hour: hour.to_owned(),
                record_type: step.record_type.clone(),
                sequence: step.sequence.clone(),
                record_id: step.id.clone(),
                what,
            });
        }
        if !is_backfilled(&step) {
            heads.put_if_later(&step);
        }
    }
    Ok(())
}

fn is_backfilled(step: &Step) -> bool {
    [backfill::WHOLE, backfill::ARCHIVED].contains(&step.event.as_str())
}

/// Why a difference of a step isn't certain, if it isn't.
fn doubt(prover: &Prover<'_>, step: &Step, heads: &Heads) -> Option<Doubt> {
    let is_early = |created_at: i64| created_at < prover.known.certain_from.micros();
    let head = heads.get(step).filter(|_| prover.needs_old);
    if is_early(step.created_at) || head.is_some_and(|head| is_early(head.created_at)) {
        return Some(Doubt::Definition);
    }
    (!is_of_one_item(step) && follows(prover, step)).then_some(Doubt::Items)
}

/// Whether what a step counts follows from the row before it.
fn follows(prover: &Prover<'_>, step: &Step) -> bool {
    let route = prover.pipeline.routes.iter().find(|route| route.record_type == step.record_type);
    route.is_some_and(has_differences)
}

/// What is wrong with a step, if anything is.
fn compare(
    prover: &Prover<'_>,
    step: &Step,
    heads: &Heads,
    counted: &mut Counted,
    proof: &mut Proof,
) -> anyhow::Result<Option<ArchiveWrong>> {
    let found = first_bytes(&step.id).and_then(|id| counted.take(id));
    let is_early = prover.known.count_from.is_some_and(|first| step.created_at < first.micros());
    if is_early || is_backfilled(step) {
        return Ok(None);
    }
    if found.is_some_and(|mark| mark.is_of_other) {
        proof.other_generation += 1;
        return Ok(None);
    }
    let Some(fields) = prover.fields.get(step.record_type.as_str()) else { return Ok(None) };
    let row: Map<String, Value> = serde_json::from_str(&step.image).context("read the row")?;
    let new = image(&row, fields);
    let before = match heads.get(step).filter(|head| head.is_before(step)) {
        None => Before::Unknown,
        Some(head) => match &head.image {
            None => Before::Gone,
            Some(text) => Before::Was(image(&serde_json::from_str(text).context("read the row before it")?, fields)),
        },
    };
    let expired = fields.source("expired").and_then(|field| row.get(field)) == Some(&Value::Bool(true));
    let by = if expired { Remover::TimeToLive } else { Remover::Caller };
    let old = if let Before::Was(item) = &before { Some(item.clone()) } else { None };
    // What an item was before is known only if the rows are of one item.
    let needs_old = prover.needs_old && (is_of_one_item(step) || follows(prover, step));
    let change = match (step.change(old, &new, by, needs_old), before) {
        (Ok(change), _) => change,
        (Err(Unlinked::NoInsertion), Before::Unknown) => {
            proof.unlinked += 1;
            return Ok(None);
        }
        // The insertion after the removal has no row.
        (Err(Unlinked::NoInsertion), Before::Gone) if !archives(prover, step, Event::Insert) => {
            proof.unlinked += 1;
            return Ok(None);
        }
        // What follows from the row before it.
        (Err(Unlinked::OtherItem), Before::Was(item)) => Change::Remove { old: Image::Carried(item), by },
        (Err(Unlinked::SecondInsertion), _) if !archives(prover, step, Event::Remove) => {
            Change::Insert { new: Image::Carried(new.clone()) }
        }
        (Err(_), _) => return Ok(Some(ArchiveWrong::ChangeMissing)),
    };
    let additions = step.additions((prover.pipeline, prover.known.count_from), change, &new)?;
    let expected = of_additions(prover, &additions);
    Ok(match found {
        Some(mark) if mark.sum != expected => Some(ArchiveWrong::Discontinuous),
        None if expected != 0 => Some(ArchiveWrong::NotCounted),
        _ => None,
    })
}

/// Whether each such change of the step's record type has a row.
fn archives(prover: &Prover<'_>, step: &Step, event: Event) -> bool {
    let route = prover.pipeline.routes.iter().find(|route| route.record_type == step.record_type);
    route.is_some_and(|route| route.events.contains(&event))
}
