//! Why records of an event are skipped: which record type comes nearest, and what differs; or why the one that matches does
//! nothing. Each record is planned on its own with the function's code.

use serde::{Deserialize, Serialize};
use usage_aggregator::decode::Event;
use usage_aggregator::pipeline::{Mismatch, Pipeline, Routed};
use usage_aggregator::plan::{Plan, PlanContext, plan_event};
use usage_aggregator::record::ChangeRecord;

/// A skipped record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    /// Its position in the event.
    pub record: usize,
    pub sequence_number: String,
    /// Its position in an aggregated Kinesis record, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_record: Option<usize>,
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why a record is skipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Reason {
    /// In words, without what `nearest` has.
    pub reason: String,
    /// The nearest record type, if none matches; or the measure of the one that matches whose condition isn't met.
    pub nearest: Option<Nearest>,
}

/// The record type that comes nearest to a record, and the first attribute that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Nearest {
    pub record_type: String,
    /// The key of `[[record]]` that has the requirement: `match` or `where`.
    pub section: String,
    /// The measure that has the requirement, if it isn't the record type's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measure: Option<String>,
    pub attribute: String,
    pub expected: String,
    /// Null if the item doesn't have the attribute.
    pub found: Option<String>,
}

impl Nearest {
    /// `nearest: order, whose `match` needs pk to be CUSTOMER#{customer}, but pk is USER#7`
    pub(super) fn text(&self) -> String {
        let Nearest { record_type, section, measure, attribute, expected, found } = self;
        let found = found.as_ref().map_or_else(|| "is missing".to_owned(), |found| format!("is {found}"));
        let whose = match measure {
            None => format!("nearest: {record_type}, whose `{section}`"),
            Some(measure) => format!("`{section}` of its measure {measure}"),
        };
        format!("{whose} needs {attribute} to be {expected}, but {attribute} {found}")
    }
}

impl From<Mismatch<'_>> for Nearest {
    fn from(mismatch: Mismatch<'_>) -> Nearest {
        let Mismatch { record_type, section, measure, attribute, expected, found } = mismatch;
        let [record_type, section, attribute] = [record_type, section, attribute].map(str::to_owned);
        Nearest { record_type, section, measure, attribute, expected, found }
    }
}

/// The skipped ones of the records that the plan of an event covers.
pub(super) fn skipped(event: &Event<'_>, plan: &Plan, pipeline: &Pipeline, context: &PlanContext) -> Vec<Skipped> {
    let mut skipped = Vec::new();
    let has_no_effect = |index: usize| plan.tally.effective.binary_search(&index).is_err();
    let covered = event.records().iter().enumerate().take(plan.records);
    for (index, raw) in covered.filter(|(index, _)| has_no_effect(*index)) {
        let alone = format!(r#"{{"Records":[{}]}}"#, raw.json_alone());
        let Ok((event, plan)) = plan_event(alone.as_bytes(), pipeline, context) else { continue };
        let (1, [alone]) = (plan.tally.skipped, event.records()) else { continue };
        let mut scratch = Vec::new();
        let Ok(record) = alone.decode(&mut scratch) else { continue };
        let because = |reason: &str| Reason { reason: reason.to_owned(), nearest: None };
        let reason = match (plan.tally.self_written, plan.tally.indicator_writes) {
            (0, 0) => reason(&record, pipeline),
            (0, _) => because("only an indicator has changed"),
            _ => because("the function wrote this item itself"),
        };
        let (sequence_number, user_record) = (raw.sequence.to_string(), raw.user_record());
        skipped.push(Skipped { record: index, sequence_number, user_record, reason });
    }
    skipped
}

/// The record type that comes nearest to the record at `index`, which none matches.
pub(super) fn nearest(event: &Event<'_>, index: usize, pipeline: &Pipeline) -> Option<Nearest> {
    let mut scratch = Vec::new();
    let record = event.records().get(index)?.decode(&mut scratch).ok()?;
    pipeline.nearest(&record.keys, record.newest_image()).map(Nearest::from)
}

fn reason(record: &ChangeRecord<'_>, pipeline: &Pipeline) -> Reason {
    let event = record.change.event();
    match pipeline.route(&record.keys, record.newest_image()) {
        Routed::To(route, _) | Routed::NeedsImage(route) => {
            let name = &route.record_type;
            if !route.events.contains(&event) {
                return Reason { reason: format!("record type {name} ignores {} events", event.name()), nearest: None };
            }
            let reason = format!("record type {name} matches, but nothing that it counts or archives has changed");
            let unmet = pipeline.unmet(route, record.newest_image());
            Reason { reason, nearest: unmet.map(Nearest::from) }
        }
        Routed::Nowhere => {
            let nearest = pipeline.nearest(&record.keys, record.newest_image());
            Reason { reason: "no record type matches".to_owned(), nearest: nearest.map(Nearest::from) }
        }
    }
}
