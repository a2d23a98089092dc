//! Why a record fails again, as far as planning it here tells: the fault's code, field and message, and what to change.
//! Never the item's contents.

use std::sync::Arc;

use event_source_mapping::{Clock, SourceRecord, event_of};
use laptop::emulators::sdk_config;
use serde::Serialize;
use usage_aggregator::clients::Clients;
use usage_aggregator::decode::Event;
use usage_aggregator::handler::Handler;
use usage_aggregator::pipeline::{Pipeline, Routed};
use usage_aggregator::record::{Code, Fault};

use super::walk::Why;
use crate::shell::console::plain;
use crate::shell::pipeline_choice::Variables;

/// Plans records that fail again.
pub struct Explainer {
    plans: Result<Plans, String>,
    /// Where the function's log is.
    log: String,
    clock: Clock,
}

/// The function's own plans; their clients are never called.
struct Plans {
    whole: Handler,
    /// The same without its archive, to tell whose fault a value is.
    counting: Handler,
    folder: String,
}

/// What is known of a record that fails again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Explanation {
    pub code: Option<&'static str>,
    pub field: Option<String>,
    pub reason: String,
    pub change: String,
}

impl Explainer {
    /// An explainer by the pipeline of `variables`; `log` is the function's log group, if it has one.
    pub fn new(variables: &Variables, log: Option<&str>) -> anyhow::Result<Explainer> {
        let log = match log {
            Some(group) => format!("look for its sequence number in the log group {group}"),
            None => "look for its sequence number in the function's log, here with --verbose".to_owned(),
        };
        Ok(Explainer {
            plans: Plans::new(variables).map_err(|error| format!("{error:#}")),
            log,
            clock: Clock::system()?,
        })
    }

    /// Explains why `record` remains.
    pub fn explain(&self, record: &Arc<SourceRecord>, why: &Why) -> Explanation {
        let found = |code, field, reason, change| Explanation { code, field, reason, change };
        if *why == Why::TooLarge {
            let change = "the item, or the stream's view type: no invocation takes it".to_owned();
            return found(None, None, "alone it is larger than the 6 MB of an invocation".to_owned(), change);
        }
        let said = match why {
            Why::Failed(message) => format!("the function failed: {message}"),
            Why::Named | Why::TooLarge => "the function names it".to_owned(),
        };
        let plans = match &self.plans {
            Ok(plans) => plans,
            Err(error) => {
                let change =
                    format!("{}; with --pipeline or --pipeline-dir it is explained here ({})", self.log, plain(error));
                return found(None, None, said, change);
            }
        };
        let event = event_of(std::slice::from_ref(record));
        match plans.fault(&event, &self.clock) {
            Ok(Some((fault, change))) => {
                found(Some(fault.code.name()), Some(plain(&fault.field)), plain(&fault.message), change)
            }
            Ok(None) => found(None, None, format!("{said}; planning it here finds no fault"), self.log.clone()),
            Err(error) => {
                found(None, None, format!("failed to {}", plain(&error)), "it is no record of a stream".to_owned())
            }
        }
    }
}

impl Plans {
    fn new(variables: &Variables) -> anyhow::Result<Plans> {
        let handler = || -> anyhow::Result<Handler> {
            let config = variables.clone().with_metrics_sink("none").config()?;
            Ok(Handler::new(config, Clients::new(&sdk_config(None))))
        };
        let (whole, mut counting) = (handler()?, handler()?);
        counting.pipeline.routes.iter_mut().for_each(|route| route.archive = None);
        let named = |wanted| variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
        let shipped = named("PIPELINE").map(|name| format!("schemas/{name}"));
        let folder = shipped.or_else(|| named("PIPELINE_DIR")).unwrap_or_default();
        Ok(Plans { whole, counting, folder })
    }

    /// The fault of the only record of `event`, and what to change.
    fn fault(&self, event: &str, clock: &Clock) -> Result<Option<(Fault, String)>, String> {
        let planned =
            |handler: &Handler| handler.plan(event.as_bytes(), clock.now()).map_err(|error| error.to_string());
        let (event, whole) = planned(&self.whole)?;
        let Some(rejection) = whole.rejected else { return Ok(None) };
        let counts = planned(&self.counting)?.1.rejected.is_none();
        let change = self.change(rejection.fault.code, counts, record_type(&event, &self.whole.pipeline));
        Ok(Some((rejection.fault, change)))
    }

    /// What has to change; `counts` says that only the archive is in the way.
    fn change(&self, code: Code, counts: bool, record_type: Option<String>) -> String {
        let folder = &self.folder;
        match code {
            Code::TooOld => {
                "nothing: it is older than HORIZON_DAYS and can't be proven new; count it by hand (docs/operations.md)"
                    .to_owned()
            }
            Code::ImageNotCarried | Code::UnknownViewType => {
                "the stream's view type: it has to be NEW_AND_OLD_IMAGES".to_owned()
            }
            Code::Unmatched => format!("{folder}/pipeline.toml: a record type for it, or unmatched = \"skip\""),
            Code::Aggregated => "the mapping: enhanced fan-out takes such records apart".to_owned(),
            Code::MissingAttribute | Code::InvalidValue | Code::InvalidNumber | Code::InvalidKey => {
                match record_type.filter(|_| counts) {
                    Some(name) => format!("{folder}/{name}.avsc, or what writes the item"),
                    None => format!("{folder}/pipeline.toml, or what writes the item"),
                }
            }
            _ => "nothing here: the record isn't as a stream makes it".to_owned(),
        }
    }
}

fn record_type(event: &Event<'_>, pipeline: &Pipeline) -> Option<String> {
    let mut scratch = Vec::new();
    let record = event.records().first()?.decode(&mut scratch).ok()?;
    match pipeline.route(&record.keys, record.newest_image()) {
        Routed::To(route, _) | Routed::NeedsImage(route) => Some(route.record_type.clone()),
        Routed::Nowhere => None,
    }
}

#[cfg(test)]
mod tests;
