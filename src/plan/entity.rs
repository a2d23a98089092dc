//! Whose records a batch rejects. A broken release rejects records of many entities, an attacker those of few: a batch of which too
//! many records are rejected is quarantined all the same if other entities have records that this release accepts.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Plan;
use super::recent::{MIN_RECORDS, Recent};
use crate::decode::{Event, ItemReader};
use crate::outline::{Outline, WrittenItems};
use crate::pipeline::{Pipeline, Routed};
use crate::record::ImageOf;

/// 3: of two entities, neither is a minority.
const MIN_ENTITIES: usize = 3;

/// Whose a record is: what the first counter of its record type counts for or, without a counter, the first variable that it
/// matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entity {
    /// The index in [`Pipeline::routes`].
    pub(super) record_type: usize,
    /// The first bytes of the hash of its name.
    pub(super) name: [u8; 16],
}

/// An entity, and whether a record of it was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) entity: Entity,
    pub(super) rejected: bool,
}

/// What a batch shows about entities; [`Recent`] remembers it.
#[derive(Debug, Default)]
pub struct Evidence {
    pub(super) seen: Vec<Seen>,
    /// Whether the limit of rejected records was exceeded, but only by few entities.
    pub(super) rejects_few: bool,
}

impl Entity {
    /// The entity of an item, unless its record type or its name is unknown, or all items of the record type have the same.
    pub(super) fn of(pipeline: &Pipeline, keys: Outline<'_>, image: ImageOf<Outline<'_>>) -> Option<Entity> {
        let Routed::To(route, mut bindings) = pipeline.route_outline(keys, image) else { return None };
        if let ImageOf::Carried(item) = image {
            route.bind_present(&mut bindings, item);
        }
        let template = route.counters.first().and_then(|counter| counter.group.first());
        let slots: Vec<usize> = template.map_or_else(|| vec![0], |template| template.slots().collect());
        if slots.is_empty() || slots.iter().any(|slot| bindings.value(*slot).is_empty()) {
            return None;
        }
        let name = template
            .map_or_else(|| bindings.value(0).to_owned(), |template| template.render(|slot| bindings.value(slot)));
        let record_type = pipeline.routes.iter().position(|other| std::ptr::eq(other, route))?;
        Some(Entity { record_type, name: *blake3::hash(name.as_bytes()).as_bytes().first_chunk()? })
    }
}

/// The entities of a batch.
#[derive(Debug, Default)]
pub(super) struct Entities {
    /// Each entity, and whether a record of it is rejected.
    rejected: BTreeMap<Entity, bool>,
    /// The number of rejected records by record type.
    rejected_records: BTreeMap<usize, usize>,
    /// The number of rejected records whose entity is unknown.
    unknown: usize,
}

impl Entities {
    /// The entities of one in `step` records of a batch, if the plan rejects it or it has an effect.
    pub(super) fn of(batch: &Event<'_>, plan: &Plan, pipeline: &Pipeline, step: usize) -> Entities {
        let mut entities = Entities::default();
        let mut reader = ItemReader::default();
        for (position, raw) in batch.records().iter().enumerate().step_by(step) {
            let rejected = plan.quarantined.binary_search_by_key(&position, |quarantined| quarantined.record).is_ok();
            if !rejected && plan.tally.effective.binary_search(&position).is_err() {
                continue;
            }
            // The record may be one that makes the function panic.
            let entity = catch_unwind(AssertUnwindSafe(|| {
                let (keys, image) = reader.read(raw)?;
                let (keys, item) = (WrittenItems::of(&keys), image.item().map(WrittenItems::of));
                let image = item.as_ref().map_or(ImageOf::NotCarried, |item| ImageOf::Carried(item.outline()));
                Entity::of(pipeline, keys.outline(), image)
            }));
            entities.add(entity.ok().flatten(), rejected);
        }
        entities
    }

    fn add(&mut self, entity: Option<Entity>, rejected: bool) {
        match entity {
            Some(entity) => {
                *self.rejected.entry(entity).or_default() |= rejected;
                *self.rejected_records.entry(entity.record_type).or_default() += usize::from(rejected);
            }
            None => self.unknown += usize::from(rejected),
        }
    }

    /// Whether at most `limit_percent` of the entities have rejected records. Entities of fewer than 20 in a batch are judged
    /// together with those before it. Only the record type with the most rejected records counts, so that records of other types
    /// don't hide that it is broken. Each rejected record whose entity is unknown counts as an entity of its own.
    pub(super) fn rejects_few(&self, recent: &Recent, limit_percent: usize) -> bool {
        let most = self.rejected_records.iter().max_by_key(|(_, records)| **records);
        let Some((&record_type, _)) = most else { return false };
        let of_batch = self.rejected.iter().filter(|(entity, _)| entity.record_type == record_type);
        let mut outcomes: Vec<bool> = of_batch.map(|(_, rejected)| *rejected).collect();
        outcomes.extend((0..self.unknown).map(|_| true));
        let before = recent.entities(record_type).filter(|seen| !self.rejected.contains_key(&seen.entity));
        outcomes.extend(before.take(MIN_RECORDS.saturating_sub(outcomes.len())).map(|seen| seen.rejected));
        let rejected = outcomes.iter().filter(|rejected| **rejected).count();
        outcomes.len() >= MIN_ENTITIES && rejected * 100 <= outcomes.len() * limit_percent
    }

    pub(super) fn into_evidence(self, rejects_few: bool) -> Evidence {
        let seen = self.rejected.into_iter().map(|(entity, rejected)| Seen { entity, rejected }).collect();
        Evidence { seen, rejects_few }
    }
}
