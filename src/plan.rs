//! Records and routes become a [`Plan`]: a value that says all that a batch will do before anything is done. It can be
//! printed, compared and committed; making it is pure and needs no clock.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;

use crate::archive::{self, FileDraft};
use crate::decode::{Decoded, Event as Batch};
use crate::error::Error;
use crate::outline::{Outline, OutlinedRecord as Record, Tag};
use crate::pipeline::{ArchivedImage, Bindings, PartitionDate, Pipeline, Route, Routed, Unmatched};
use crate::record::{ChangeOf, Code, Event, Fault, ImageOf, RecordId, Rejection};
use crate::time::{Date, Timestamp, Unit};
use crate::usage::{Counting, Delta, Effect, Group, KeyNumber, Segment, check_keys, snapshot_of};

/// All that a batch will do.
#[derive(Debug, Default)]
pub struct Plan {
    /// How many records, from the first on, this plan covers: all, or those before the rejected one.
    pub records: usize,
    /// The record that ends the prefix. Nothing after it is touched.
    pub rejected: Option<Rejection>,
    /// What is counted: in the order of first appearance.
    pub groups: Vec<Group>,
    /// What is archived: by record type and date.
    pub files: BTreeMap<(String, Date), FileDraft>,
    pub tally: Tally,
}

/// The records of a plan by what becomes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Records by kind of event, before anything is skipped.
    pub events: BTreeMap<Event, usize>,
    /// Records that no route takes, that a route doesn't care for, or that are of items of our own.
    pub skipped: usize,
    /// Those of them that are of items of our own.
    pub own: usize,
    /// Records that come a second time within the batch.
    pub repeated: usize,
    /// Positions of the records that have effects.
    pub effective: Vec<usize>,
    /// The creation time of the oldest record.
    pub oldest: Option<Timestamp>,
}

/// What a plan depends on besides the records and the pipeline.
#[derive(Debug, Clone, Default)]
pub struct PlanContext {
    /// Records before this can't be proven new any more: their claims may have expired.
    pub horizon: Option<Timestamp>,
    /// The table of the snapshots. It may be the source as well: only changes of snapshots are nobody's usage.
    pub usage_table: Option<String>,
    /// The table of the claims, whose changes are nobody's usage.
    pub claims_table: Option<String>,
}

/// Reads an event and plans its records, up to the first that is rejected.
///
/// # Errors
/// When the event isn't one of DynamoDB Streams or Kinesis.
pub fn plan_event<'e>(event: &'e [u8], pipeline: &Pipeline, context: &PlanContext) -> Result<(Batch<'e>, Plan), Error> {
    let mut planner = Planner::new(pipeline, context);
    let batch = Batch::read_each(event, |record| planner.next(record))?;
    Ok((batch, planner.planned()))
}

/// Makes a plan of records as they are read, up to the first that can't be decoded, routed, counted or encoded.
#[derive(Debug)]
pub struct Planner<'p> {
    pipeline: &'p Pipeline,
    context: &'p PlanContext,
    plan: Plan,
    seen: HashSet<RecordId, BuildHasherDefault<IdHasher>>,
    counting: Counting<'p>,
    /// The place of each group in the plan, by the number of its key.
    groups: Vec<BTreeMap<Segment, usize>>,
    drafts: Drafts<'p>,
}

/// The files so far, and the place of each by record type and date.
#[derive(Debug, Default)]
struct Drafts<'p> {
    places: HashMap<(&'p str, Date), usize>,
    drafts: Vec<FileDraft>,
    /// What was asked for last: most records are of one type and day.
    last: Option<((&'p str, Date), usize)>,
}

impl<'p> Drafts<'p> {
    fn of(&mut self, record_type: &'p str, date: Date) -> Option<&mut FileDraft> {
        let key = (record_type, date);
        let place = match self.last {
            Some((last, place)) if last == key => place,
            _ => *self.places.entry(key).or_insert_with(|| {
                self.drafts.push(FileDraft::new(record_type, date));
                self.drafts.len() - 1
            }),
        };
        self.last = Some((key, place));
        self.drafts.get_mut(place)
    }

    /// The files that have rows: one that only a rejected record opened is none.
    fn files(self) -> BTreeMap<(String, Date), FileDraft> {
        let mut drafts: Vec<Option<FileDraft>> = self.drafts.into_iter().map(Some).collect();
        let file = |((record_type, date), place): ((&str, Date), usize)| {
            let draft = drafts.get_mut(place)?.take().filter(|draft| draft.rows() > 0)?;
            Some(((record_type.to_owned(), date), draft))
        };
        self.places.into_iter().filter_map(file).collect()
    }
}

/// Record ids are hashes already.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(word) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*word);
        }
    }

    // The length of the id.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'p> Planner<'p> {
    /// A plan without records.
    pub fn new(pipeline: &'p Pipeline, context: &'p PlanContext) -> Self {
        let (plan, counting) = (Plan::default(), Counting::new(pipeline));
        Planner {
            pipeline,
            context,
            plan,
            seen: HashSet::default(),
            counting,
            groups: Vec::new(),
            drafts: Drafts::default(),
        }
    }

    /// Plans the next record. Breaks at the first that is rejected: nothing after it may be touched.
    pub fn next(&mut self, record: Decoded<'_>) -> ControlFlow<()> {
        let planned = record.and_then(|record| {
            let reject = |fault| Rejection { sequence: record.sequence.clone().into_owned(), fault };
            self.plan(self.plan.records, &record).map_err(reject)
        });
        match planned {
            Ok(()) => {
                self.plan.records += 1;
                ControlFlow::Continue(())
            }
            Err(rejection) => {
                self.plan.rejected = Some(rejection);
                ControlFlow::Break(())
            }
        }
    }

    /// The plan of all records so far.
    pub fn planned(self) -> Plan {
        Plan { files: self.drafts.files(), ..self.plan }
    }

    fn plan(&mut self, index: usize, record: &Record<'_>) -> Result<(), Fault> {
        let done = self.effects(index, record)?;
        let tally = &mut self.plan.tally;
        *tally.events.entry(record.change.event()).or_default() += 1;
        tally.oldest = Some(tally.oldest.map_or(record.created_at, |oldest| oldest.min(record.created_at)));
        match done {
            Done::Repeated => tally.repeated += 1,
            Done::Skipped => tally.skipped += 1,
            Done::Own => {
                tally.skipped += 1;
                tally.own += 1;
            }
            Done::Effective => tally.effective.push(index),
        }
        Ok(())
    }

    fn effects(&mut self, index: usize, record: &Record<'_>) -> Result<Done, Fault> {
        if self.is_own(record) {
            return Ok(Done::Own);
        }
        // A record that is rejected below ends the plan, so that it doesn't matter that it is seen.
        if !self.seen.insert(record.id) {
            return Ok(Done::Repeated);
        }
        let (deltas, archived) = match self.route(record)? {
            Some((route, bindings)) => {
                let deltas = self.counting.deltas(record, route, &bindings)?;
                self.check(record, &deltas)?;
                (deltas, self.archive(index, record, route)?)
            }
            None => {
                let deltas = self.counting.reversal(record)?;
                self.check(record, &deltas)?;
                (deltas, false)
            }
        };
        let counted = !deltas.is_empty();
        self.count(index, record, deltas);
        Ok(if counted || archived { Done::Effective } else { Done::Skipped })
    }

    /// Whether this function may have written the item itself. Whatever it writes is a claim or a snapshot, and neither
    /// has an effect, so it never feeds on its own writes, whatever the mapping lets through.
    fn is_own(&self, record: &Record<'_>) -> bool {
        // A plain message has no keys, and its source is a stream, whatever its name.
        let is = |table: &Option<String>| table.as_deref() == Some(&*record.source.name) && !record.keys.is_empty();
        let texts = || record.keys.attributes().map(|(name, value)| Some((name, value.string()?))).collect();
        is(&self.context.claims_table)
            || is(&self.context.usage_table)
                && self.pipeline.snapshot.as_ref().is_some_and(|snapshot| {
                    let keys: Option<Vec<(&str, Cow<'_, str>)>> = texts();
                    keys.is_some_and(|keys| {
                        let keys: Vec<_> = keys.iter().map(|(name, text)| (*name, &**text)).collect();
                        snapshot_of(snapshot, &keys).is_some()
                    })
                })
    }

    /// The route of the newest image, if it cares for this kind of event.
    fn route<'r>(&self, record: &Record<'r>) -> Result<Option<(&'p Route, Bindings<'r>)>, Fault> {
        match self.pipeline.route_outline(record.keys, *record.newest_image()) {
            Routed::To(route, bindings) if route.events.contains(&record.change.event()) => Ok(Some((route, bindings))),
            Routed::To(..) => Ok(None),
            Routed::Nowhere if self.pipeline.unmatched == Unmatched::Skip => Ok(None),
            Routed::Nowhere => Err(Fault::new(Code::Unmatched, "Keys", "no record type of the pipeline matches")),
            Routed::NeedsImage(route) => {
                let needs = format!(
                    "whether it is a `{}` depends on an image that isn't in the stream; it needs view type NEW_AND_OLD_IMAGES",
                    route.record_type
                );
                Err(Fault::new(Code::ImageNotCarried, "StreamViewType", needs))
            }
        }
    }

    /// Whether `deltas` of `record` can be counted.
    fn check(&self, record: &Record<'_>, deltas: &[Delta]) -> Result<(), Fault> {
        if deltas.is_empty() {
            return Ok(());
        }
        if self.context.horizon.is_some_and(|horizon| record.created_at < horizon) {
            let message = "is older than the horizon, so its claims may have expired and it can't be proven new";
            return Err(Fault::new(Code::TooOld, "ApproximateCreationDateTime", message));
        }
        let segment = Segment::containing(record.created_at);
        for delta in deltas {
            let known = self.groups.get(delta.key.place()).is_some_and(|segments| segments.contains_key(&segment));
            let unknown = self.pipeline.snapshot.as_ref().filter(|_| !known).zip(self.counting.key(delta.key));
            if let Some((snapshot, key)) = unknown {
                check_keys(snapshot, key, record.created_at)?;
            }
        }
        Ok(())
    }

    fn archive(&mut self, index: usize, record: &Record<'_>, route: &'p Route) -> Result<bool, Fault> {
        let event = record.change.event();
        let Some(archive) = route.archive.as_ref().filter(|archive| archive.events.contains(&event)) else {
            return Ok(false);
        };
        let Some((name, image)) = archived_image(record, archive.image) else { return Ok(false) };
        let ImageOf::Carried(item) = image else {
            let message = "isn't in the stream, and it is what is archived; it needs view type NEW_AND_OLD_IMAGES";
            return Err(Fault::new(Code::ImageNotCarried, name, message));
        };
        let within = |fault: Fault| fault.within(name);
        let date = partition_date(record, item, &archive.partition_date).map_err(within)?;
        let Some(draft) = self.drafts.of(&route.record_type, date) else { return Ok(false) };
        let pushed = draft.push(index, |out| archive::encode_outline(&archive.schema, record, item, out));
        pushed.map(|()| true).map_err(within)
    }

    fn count(&mut self, index: usize, record: &Record<'_>, deltas: Vec<Delta>) {
        let segment = Segment::containing(record.created_at);
        for Delta { key, amounts } in deltas {
            let place = self.place(key, segment);
            if let Some(group) = self.plan.groups.get_mut(place) {
                group.effects.push(Effect { record: index, id: record.id, amounts });
            }
        }
    }

    /// Where the group of a key and `segment` is in the plan.
    fn place(&mut self, number: KeyNumber, segment: Segment) -> usize {
        if self.groups.len() <= number.place() {
            self.groups.resize_with(number.place() + 1, BTreeMap::new);
        }
        let next = self.plan.groups.len();
        let place = self.groups.get_mut(number.place()).map_or(next, |places| *places.entry(segment).or_insert(next));
        if place == next {
            let key = self.counting.key(number).cloned().unwrap_or_default();
            self.plan.groups.push(Group { key, segment, effects: Vec::new() });
        }
        place
    }
}

enum Done {
    Effective,
    Skipped,
    /// Of an item of our own.
    Own,
    Repeated,
}

/// The image that is archived and its name, where the event has that image at all.
fn archived_image<'r>(record: &Record<'r>, wanted: ArchivedImage) -> Option<(&'static str, ImageOf<Outline<'r>>)> {
    use ArchivedImage::{New, Newest, Old};
    match (wanted, &record.change) {
        (Newest | New, ChangeOf::Insert { new } | ChangeOf::Modify { new, .. }) => Some(("NewImage", *new)),
        (Newest | Old, ChangeOf::Remove { old, .. }) | (Old, ChangeOf::Modify { old, .. }) => Some(("OldImage", *old)),
        (New, ChangeOf::Remove { .. }) | (Old, ChangeOf::Insert { .. }) => None,
    }
}

fn partition_date(record: &Record<'_>, item: Outline<'_>, source: &PartitionDate) -> Result<Date, Fault> {
    let (path, unit) = match source {
        PartitionDate::CreatedAt => return Ok(record.created_at.date()),
        PartitionDate::Attribute { path, unit } => (path, *unit),
    };
    let value = item.at_path(path).ok_or_else(|| {
        Fault::new(Code::MissingAttribute, path.as_str(), "is missing, and it is the date of the partition")
    })?;
    let instant = match value.tag() {
        Tag::S => value.string().and_then(|text| Timestamp::parse(&text)),
        Tag::N => value.number().and_then(|number| Timestamp::from_number(number, unit)),
        _ => None,
    };
    let unit = match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Microseconds => "microseconds",
    };
    instant.map(Timestamp::date).ok_or_else(|| {
        let found = value.type_name();
        let expected = format!(
            "expected a date, an instant with offset, or {unit} since 1970, from 2000 to 2099; found another {found}"
        );
        Fault::new(Code::InvalidValue, path.as_str(), expected)
    })
}

#[cfg(test)]
mod tests;
