//! Turns records into a [`Plan`]: a value that describes everything a batch will do before anything is done. A plan can
//! be printed, compared and committed. Making one is pure and needs no clock.

pub mod backfill;
mod drafts;
mod entity;
mod event;
mod own;
mod partition;
mod recent;
mod route;
mod size;
mod tally;
mod targets;

use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasherDefault;
use std::ops::ControlFlow;

use crate::archive::{self, ArchiveUnit, FileDraft, Partition, UnitLength};
use crate::decode::Decoded;
use crate::outline::OutlinedRecord;
use crate::pipeline::{Pipeline, Route};
use crate::record::{Code, Fault, IdHasher, ImageOf, RecordId, Rejection};
use crate::time::Timestamp;
use crate::usage::{Counting, Delta, Effect, Group, KeyNumber, Segment, check_keys};
use backfill::Backfill;
use drafts::Drafts;
pub use entity::Evidence;
use event::MAX_QUARANTINED;
pub use event::{OnRejection, plan_event, plan_event_in_phases};
use partition::{archived_image, partition_date};
pub use recent::Recent;
use size::check_size;
use tally::Disposition;
pub use tally::Tally;
pub use targets::Target;
use targets::Targets;

/// Everything that a batch will do.
#[derive(Debug, Default)]
pub struct Plan {
    /// The number of records that this plan covers: all records of the batch, or those before the rejected one.
    pub records: usize,
    /// The first record that can't be processed. Neither this record nor any after it has an effect, except that the targets
    /// which it asks for are recomputed.
    pub rejected: Option<Rejection>,
    /// Rejected records that don't end the plan, in the order of the batch. They have no effect either.
    pub quarantined: Vec<Quarantined>,
    /// Records that ask for a target which can't be named, the first for each target. They count all the same.
    pub refused: Vec<Quarantined>,
    /// What is counted, in the order of first appearance.
    pub groups: Vec<Group>,
    /// What is archived, by record type and partition.
    pub files: BTreeMap<(String, Partition), FileDraft>,
    /// The targets of indicators that are recomputed, in the order in which they are first asked for.
    pub targets: Vec<Target>,
    /// The records by kind and effect.
    pub tally: Tally,
    /// What the batch shows about entities, if rejected records are quarantined.
    pub evidence: Evidence,
}

/// A rejected record that doesn't end the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The position of the record in the batch.
    pub record: usize,
    /// Why it can't be processed.
    pub rejection: Rejection,
}

/// What a plan depends on besides the records and the pipeline.
#[derive(Debug, Clone, Default)]
pub struct PlanContext {
    /// Records older than this can no longer be proven new, because their minute's pages may have expired.
    pub horizon: Option<Timestamp>,
    /// Records newer than this have a time in the future, which only a producer can make up.
    pub newest: Option<Timestamp>,
    /// Records older than this are archived but not counted.
    pub count_from: Option<Timestamp>,
    /// The table of the snapshots. It may also be the source table; only changes of snapshots are left out of the
    /// counting.
    pub usage_table: Option<String>,
    /// The table of the ledger, whose changes are never counted.
    pub ledger_table: Option<String>,
    /// How much creation time a unit covers.
    pub unit_length: UnitLength,
    /// Whether a rejected record ends the plan.
    pub on_rejection: OnRejection,
}

/// Builds a plan while records are read.
#[derive(Debug)]
pub struct Planner<'p> {
    pipeline: &'p Pipeline,
    context: &'p PlanContext,
    plan: Plan,
    seen: HashSet<RecordId, BuildHasherDefault<IdHasher>>,
    counting: Counting<'p>,
    /// The index of each group in the plan, by the number of its key and its segment.
    group_indexes: Vec<BTreeMap<Segment, usize>>,
    drafts: Drafts<'p>,
    targets: Targets,
    /// The record type that the current record takes.
    route: Option<&'p str>,
}

impl<'p> Planner<'p> {
    /// Starts a plan without records.
    pub fn new(pipeline: &'p Pipeline, context: &'p PlanContext) -> Self {
        let (plan, counting) = (Plan::default(), Counting::new(pipeline, context.count_from));
        Planner {
            pipeline,
            context,
            plan,
            seen: HashSet::default(),
            counting,
            group_indexes: Vec::new(),
            drafts: Drafts::default(),
            targets: Targets::default(),
            route: None,
        }
    }

    /// Plans the next record. Breaks at a rejected record unless it is quarantined: no later record may have an effect.
    pub fn next(&mut self, record: Decoded<'_>) -> ControlFlow<()> {
        let planned = record.and_then(|record| {
            self.plan(self.plan.records, &record).map_err(|fault| Rejection {
                sequence: record.sequence.clone().into_owned(),
                user_record: record.user_record,
                route: self.route.map(str::to_owned),
                fault,
            })
        });
        match planned {
            Ok(()) => {
                self.plan.records += 1;
                ControlFlow::Continue(())
            }
            Err(rejection) if self.context.on_rejection != OnRejection::End => {
                self.plan.quarantined.push(Quarantined { record: self.plan.records, rejection });
                self.plan.records += 1;
                // The whole batch is rejected then, whatever comes.
                match self.plan.quarantined.len() > MAX_QUARANTINED {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            }
            Err(rejection) => {
                self.plan.rejected = Some(rejection);
                ControlFlow::Break(())
            }
        }
    }

    /// Returns the plan of all records so far.
    pub fn planned(self) -> Plan {
        Plan { files: self.drafts.files(), targets: self.targets.into_list(), ..self.plan }
    }

    fn plan(&mut self, index: usize, record: &OutlinedRecord<'_>) -> Result<(), Fault> {
        #[cfg(test)]
        tests::panic_if_asked(record);
        self.route = None;
        let disposition = self.effects(index, record)?;
        self.plan.tally.add(index, record, disposition);
        Ok(())
    }

    fn effects(&mut self, index: usize, record: &OutlinedRecord<'_>) -> Result<Disposition, Fault> {
        if self.is_self_written(record) {
            return Ok(Disposition::SelfWritten);
        }
        // A record that is rejected below is marked as seen, too: its repetitions share its fate.
        if !self.seen.insert(record.id) {
            return Ok(Disposition::Repeated);
        }
        let backfill = Backfill::of(record);
        // The records of a backfill are of no change.
        let asks = backfill.is_none() && !self.pipeline.indicators.is_empty() && self.ask(index, record)?;
        let Some(of_others) = self.of_others(record, backfill) else {
            return Ok(if asks { Disposition::Effective } else { Disposition::IndicatorWrite });
        };
        let record = &*of_others;
        let routed = self.route(record)?;
        self.route = routed.as_ref().map(|(route, _)| route.record_type.as_str());
        let deltas = self.deltas(record, routed.as_ref(), backfill)?;
        self.check(record, &deltas)?;
        let archived = match routed {
            Some((route, _)) if backfill.is_none_or(|backfill| backfill.archives) => {
                self.archive(index, record, route)?
            }
            _ => false,
        };
        let counted = !deltas.is_empty();
        self.plan.tally.adjusted += usize::from(counted && self.counting.is_adjusted());
        self.count(index, record, deltas);
        Ok(if asks || counted || archived { Disposition::Effective } else { Disposition::Skipped })
    }

    /// Checks that `deltas` of `record` can be counted.
    fn check(&self, record: &OutlinedRecord<'_>, deltas: &[Delta]) -> Result<(), Fault> {
        if deltas.is_empty() {
            return Ok(());
        }
        if self.context.horizon.is_some_and(|horizon| record.created_at < horizon) {
            let message =
                "is older than the horizon, so its minute's pages may have expired and it can't be proven new";
            return Err(Fault::new(Code::TooOld, "ApproximateCreationDateTime", message));
        }
        if self.context.newest.is_some_and(|newest| record.created_at > newest) {
            let message = "is more than 5 minutes in the future; check the clock of the program that wrote it";
            return Err(Fault::new(Code::TooNew, "ApproximateCreationDateTime", message));
        }
        check_size(&self.counting, deltas)?;
        let segment = Segment::containing(record.created_at);
        for delta in deltas {
            let checked =
                self.group_indexes.get(delta.key.index()).is_some_and(|segments| segments.contains_key(&segment));
            let unchecked = self.pipeline.snapshot.as_ref().filter(|_| !checked).zip(self.counting.key(delta.key));
            if let Some((snapshot, key)) = unchecked {
                let hour = self.counting.event_hour(delta.key);
                let at = hour.and_then(|hour| Timestamp::from_seconds(hour.start())).unwrap_or(record.created_at);
                check_keys(snapshot, key, at)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, index: usize, record: &OutlinedRecord<'_>, route: &'p Route) -> Result<bool, Fault> {
        let event = record.change.event();
        let Some(archive) = route.archive.as_ref().filter(|archive| archive.events.contains(&event)) else {
            return Ok(false);
        };
        let Some((name, image)) = archived_image(record, archive.image) else { return Ok(false) };
        let ImageOf::Carried(item) = image else {
            let message = "is archived but isn't in the stream; set the view type to NEW_AND_OLD_IMAGES";
            return Err(Fault::new(Code::ImageNotCarried, name, message));
        };
        let within = |fault: Fault| fault.within(name);
        let date = partition_date(record, item, &archive.partition_date).map_err(within)?;
        let unit = ArchiveUnit::containing(record.created_at, self.context.unit_length);
        let Some(draft) = self.drafts.of(&route.record_type, Partition { date, unit }) else { return Ok(false) };
        let pushed = draft.push(index, |out| archive::encode_outline(&archive.schema, record, item, out));
        pushed.map(|()| true).map_err(within)
    }

    fn count(&mut self, index: usize, record: &OutlinedRecord<'_>, deltas: Vec<Delta>) {
        let segment = Segment::containing(record.created_at);
        for Delta { key, amounts } in deltas {
            let group_index = self.group_index(key, segment);
            if let Some(group) = self.plan.groups.get_mut(group_index) {
                group.effects.push(Effect { record: index, id: record.id, amounts });
            }
        }
    }

    /// The index in the plan of the group for a key and `segment`; adds the group if it is new.
    fn group_index(&mut self, number: KeyNumber, segment: Segment) -> usize {
        if self.group_indexes.len() <= number.index() {
            self.group_indexes.resize_with(number.index() + 1, BTreeMap::new);
        }
        let next = self.plan.groups.len();
        let indexes = self.group_indexes.get_mut(number.index());
        let index = indexes.map_or(next, |indexes| *indexes.entry(segment).or_insert(next));
        if index == next {
            let key = self.counting.key(number).cloned().unwrap_or_default();
            let event_hour = self.counting.event_hour(number);
            self.plan.groups.push(Group { key, segment, event_hour, effects: Vec::new() });
        }
        index
    }
}

#[cfg(test)]
pub(crate) mod tests;
