//! Explains why a record fails again, by planning it here with the function's own code: the fault's code, field and message,
//! and what to change. Item contents are never printed.

use std::sync::Arc;

use event_source_mapping::{Clock, SourceRecord};
use serde::Serialize;
use usage_aggregator::config::Config;
use usage_aggregator::decode::Event;
use usage_aggregator::pipeline::{Pipeline, Routed};
use usage_aggregator::plan::plan_event;
use usage_aggregator::record::{Code, Fault};

use super::delivery::{Failure, event_of};
use super::ownership::Target;
use crate::shell::console::plain;
use crate::shell::pipeline_choice::Variables;

/// Explains records that fail again.
pub(super) struct Explainer {
    plans: Result<Plans, String>,
    /// How to find a record in the function's log.
    log: String,
    /// How to find a notice in the fold function's log.
    fold_log: String,
    clock: Clock,
}

/// The configurations that records are planned with.
struct Plans {
    whole: Config,
    /// The same without the archive: if this one accepts a record, the Avro schema doesn't.
    counting: Config,
    folder: String,
}

/// Why a record fails again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Explanation {
    pub code: Option<&'static str>,
    pub field: Option<String>,
    pub reason: String,
    pub change: String,
}

impl Explainer {
    /// An explainer with the pipeline of `variables`; `log` and `fold_log` are the functions' log groups, if they have one.
    pub(super) fn new(variables: &Variables, log: Option<&str>, fold_log: Option<&str>) -> anyhow::Result<Explainer> {
        let look = |group: Option<&str>| match group {
            Some(group) => format!("look for its sequence number in the log group {group}"),
            None => "look for its sequence number in the function's log, here with --verbose".to_owned(),
        };
        Ok(Explainer {
            plans: Plans::new(variables).map_err(|error| format!("{error:#}")),
            log: look(log),
            fold_log: look(fold_log),
            clock: Clock::system()?,
        })
    }

    /// Explains why `record` isn't durable.
    pub(super) fn explain(&self, target: Target, record: &Arc<SourceRecord>, failure: &Failure) -> Explanation {
        let found = |code, field, reason, change| Explanation { code, field, reason, change };
        if *failure == Failure::TooLarge {
            let change = "make the item smaller, or change the stream's view type".to_owned();
            return found(None, None, "the record alone exceeds the 6 MB limit of an invocation".to_owned(), change);
        }
        let reported = match failure {
            Failure::Failed(message) => format!("the function failed: {message}"),
            Failure::Named | Failure::TooLarge => "the function reports it as failed".to_owned(),
        };
        if target == Target::Fold {
            return found(
                None,
                None,
                reported,
                format!("{}, or sweep its minute with `usagectl ledger sweep`", self.fold_log),
            );
        }
        let plans = match &self.plans {
            Ok(plans) => plans,
            Err(error) => {
                let change =
                    format!("{}; or explain it here with --pipeline or --pipeline-dir ({})", self.log, plain(error));
                return found(None, None, reported, change);
            }
        };
        let event = event_of(std::slice::from_ref(record));
        match plans.fault(&event, &self.clock) {
            Ok(Some((fault, change))) => {
                found(Some(fault.code.name()), Some(plain(&fault.field)), plain(&fault.message), change)
            }
            Ok(None) => {
                found(None, None, format!("{reported}; planning it on this machine succeeds"), self.log.clone())
            }
            Err(error) => found(
                None,
                None,
                format!("failed to {}", plain(&error)),
                "nothing: it isn't a stream record".to_owned(),
            ),
        }
    }
}

impl Plans {
    fn new(variables: &Variables) -> anyhow::Result<Plans> {
        let config = || variables.clone().with_metrics_sink("none").config();
        let (whole, mut counting) = (config()?, config()?);
        counting.pipeline.routes.iter_mut().for_each(|route| route.archive = None);
        let named = |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.to_owned());
        let shipped = named("PIPELINE").map(|name| format!("schemas/{name}"));
        let folder = shipped.or_else(|| named("PIPELINE_DIR")).unwrap_or_default();
        Ok(Plans { whole, counting, folder })
    }

    /// The fault of the one record in `event`, and what to change.
    fn fault(&self, event: &str, clock: &Clock) -> Result<Option<(Fault, String)>, String> {
        let planned = |config: &Config| {
            let context = config.plan_context(clock.now());
            plan_event(event.as_bytes(), &config.pipeline, &context).map_err(|error| error.to_string())
        };
        let (event, whole) = planned(&self.whole)?;
        let Some(rejection) = whole.rejected else { return Ok(None) };
        let counts = planned(&self.counting)?.1.rejected.is_none();
        let change =
            self.change(rejection.fault.code, counts, record_type(&event, whole.records, &self.whole.pipeline));
        Ok(Some((rejection.fault, change)))
    }

    /// What to change. `counts` is true if the record could be counted, and only the archive rejects it.
    fn change(&self, code: Code, counts: bool, record_type: Option<String>) -> String {
        let folder = &self.folder;
        match code {
            Code::TooOld => {
                "nothing: it is older than HORIZON_DAYS, so it may have been counted before; count it by hand (docs/operations.md)"
                    .to_owned()
            }
            Code::TooNew => {
                "the clock of the program that writes the record; redrive the record once its time has passed".to_owned()
            }
            Code::ImageNotCarried | Code::UnknownViewType => {
                "the stream's view type: it must be NEW_AND_OLD_IMAGES".to_owned()
            }
            Code::Unmatched => format!("{folder}/pipeline.toml: add a record type for it, or set unmatched = \"skip\""),
            Code::MissingAttribute | Code::InvalidValue | Code::InvalidNumber | Code::InvalidKey => {
                match record_type.filter(|_| counts) {
                    Some(name) => format!("{folder}/{name}.avsc, or the program that writes the item"),
                    None => format!("{folder}/pipeline.toml, or the program that writes the item"),
                }
            }
            _ => "nothing: it isn't a valid stream record".to_owned(),
        }
    }
}

/// The type of the record at `position`. Only an aggregated Kinesis record has more than one record.
fn record_type(event: &Event<'_>, position: usize, pipeline: &Pipeline) -> Option<String> {
    let mut scratch = Vec::new();
    let record = event.records().get(position)?.decode(&mut scratch).ok()?;
    match pipeline.route(&record.keys, record.newest_image()) {
        Routed::To(route, _) | Routed::NeedsImage(route) => Some(route.record_type.clone()),
        Routed::Nowhere => None,
    }
}

#[cfg(test)]
mod tests;
