//! Plans the records of an event, even if some of them are rejected or make the planner panic.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::entity::Entities;
use super::recent::{MIN_RECORDS, Recent};
use super::{Plan, PlanContext, Planner};
use crate::decode::Event;
use crate::error::Error;
use crate::outline::OutlinedRecord;
use crate::pipeline::Pipeline;
use crate::record::{Code, Fault, Rejection};

/// What a rejected record means for the records after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OnRejection {
    /// The plan ends before the rejected record, so that Lambda delivers it and the records after it again.
    #[default]
    End,
    /// The rejected record is quarantined, and the plan continues after it.
    Quarantine {
        /// The maximum share of rejected records, and of entities with rejected records, in percent. If both are above it, the
        /// whole batch is rejected.
        limit_percent: usize,
        /// The records and entities before this batch.
        recent: Recent,
    },
}

/// If more records of a batch than this make the planner panic, the whole batch is rejected: the function is broken, and
/// each panic costs planning the batch again.
const MAX_PANICS: usize = 20;

/// Reads an event and plans its records, up to the first one that is rejected and not quarantined.
///
/// # Errors
/// If the event isn't a DynamoDB Streams or Kinesis event.
pub fn plan_event<'e>(event: &'e [u8], pipeline: &Pipeline, context: &PlanContext) -> Result<(Event<'e>, Plan), Error> {
    plan_event_in_phases(event, pipeline, context, || {})
}

/// Plans an event as [`plan_event`] does, and calls `switch` whenever reading stops for planning, and whenever it
/// continues. A record is planned as soon as it is read, so these phases alternate. The first one is reading.
///
/// # Errors
/// As for [`plan_event`].
pub fn plan_event_in_phases<'e>(
    event: &'e [u8],
    pipeline: &Pipeline,
    context: &PlanContext,
    mut switch: impl FnMut(),
) -> Result<(Event<'e>, Plan), Error> {
    let mut context = Cow::Borrowed(context);
    let mut rejected = BTreeMap::new();
    let mut panics = 0;
    loop {
        let (batch, attempt) = attempt(event, Planner::new(pipeline, &context), &rejected, &mut switch)?;
        match attempt {
            Ok(plan) if batch.fails_on_rejection() && !plan.quarantined.is_empty() => {
                context.to_mut().on_rejection = OnRejection::End;
            }
            Ok(plan) => {
                let plan = within_limit(&batch, plan, pipeline, &context.on_rejection);
                return Ok((batch, plan));
            }
            Err(_) if panics == MAX_PANICS => {
                let plan = nothing(
                    &batch,
                    Code::Panicked,
                    format!(
                        "more than {MAX_PANICS} of them make the function panic; deploy the last version that worked"
                    ),
                );
                return Ok((batch, plan));
            }
            // How far the planner got with this record is unknown, so everything is planned again without it.
            Err(Panicked { position }) => {
                panics += 1;
                rejected.insert(position, Fault::panicked());
            }
        }
    }
}

/// 10,000: the largest batch of an event source mapping. An aggregated Kinesis record of 1 MiB may have 175,000 messages; if that many
/// are rejected, neither the function's memory nor a document for each of them is worth it, so the whole batch is.
pub(super) const MAX_QUARANTINED: usize = 10_000;

/// The entity of one in 500 records is remembered: enough to know 20 soon, and too few to matter.
const SAMPLE: usize = 500;

/// Replaces a plan that quarantines too large a share of its batch by one that does nothing: a broken release must not
/// move the whole stream into the failure bucket. A batch of fewer than 20 records is judged together with the records
/// before it. If the rejected records are those of few entities, the release isn't broken, and they must not stop the others.
fn within_limit(batch: &Event<'_>, plan: Plan, pipeline: &Pipeline, on_rejection: &OnRejection) -> Plan {
    let OnRejection::Quarantine { limit_percent, recent } = on_rejection else { return plan };
    let (earlier, earlier_rejected) = recent.last(MIN_RECORDS.saturating_sub(plan.records));
    let (records, rejected) = (earlier + plan.records, earlier_rejected + plan.quarantined.len());
    match plan.quarantined.first() {
        Some(first) if plan.quarantined.len() > MAX_QUARANTINED => {
            let message = format!("more than {MAX_QUARANTINED} of them are rejected; the first is {}", first.rejection);
            nothing(batch, Code::TooManyRejected, message)
        }
        Some(first) if records >= MIN_RECORDS && rejected * 100 > records * limit_percent => {
            let entities = Entities::of(batch, &plan, pipeline, 1);
            if entities.rejects_few(recent, *limit_percent) {
                return Plan { evidence: entities.into_evidence(true), ..plan };
            }
            let message = format!(
                "{rejected} of {records} are rejected, more than QUARANTINE_LIMIT_PERCENT={limit_percent} allows; check \
                 what was deployed last, or raise the limit if the records are bad; the first is {}",
                first.rejection
            );
            nothing(batch, Code::TooManyRejected, message)
        }
        _ => {
            let evidence = Entities::of(batch, &plan, pipeline, SAMPLE).into_evidence(false);
            Plan { evidence, ..plan }
        }
    }
}

/// A plan without records: the whole batch is rejected.
fn nothing(batch: &Event<'_>, code: Code, message: String) -> Plan {
    let sequence = batch.records().first().map(|raw| raw.sequence.clone().into_owned());
    let fault = Fault::new(code, "Records", message);
    let rejected = sequence.map(|sequence| Rejection { sequence, user_record: None, route: None, fault });
    Plan { rejected, ..Plan::default() }
}

/// The record at this position made the planner panic.
struct Panicked {
    position: usize,
}

fn attempt<'e>(
    event: &'e [u8],
    mut planner: Planner<'_>,
    rejected: &BTreeMap<usize, Fault>,
    switch: &mut impl FnMut(),
) -> Result<(Event<'e>, Result<Plan, Panicked>), Error> {
    let mut position = 0;
    let mut panicked = None;
    let batch = Event::read_each(event, |record| {
        let record = record.and_then(|record| match rejected.get(&position) {
            Some(fault) => {
                let OutlinedRecord { sequence, user_record, .. } = record;
                Err(Rejection { sequence: sequence.into_owned(), user_record, route: None, fault: fault.clone() })
            }
            None => Ok(record),
        });
        switch();
        let planned = catch_unwind(AssertUnwindSafe(|| planner.next(record)));
        switch();
        if planned.is_err() {
            panicked = Some(position);
        }
        position += 1;
        planned.unwrap_or(ControlFlow::Break(()))
    })?;
    switch();
    let planned = match panicked {
        Some(position) => Err(Panicked { position }),
        None => Ok(planner.planned()),
    };
    switch();
    Ok((batch, planned))
}
