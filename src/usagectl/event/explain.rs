//! `usagectl explain`: the plan for an event, computed without a table or a bucket. `plan_text` renders it as text.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use usage_aggregator::archive::Codec;
use usage_aggregator::decode::Event;
use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::plan::plan_event;
use usage_aggregator::record::{Code, Rejection};
use usage_aggregator::time::Timestamp;

use crate::event::input::Input;
use crate::event::invoke::{instant, time_of};
use crate::event::plan_text::{at, list, text};
use crate::event::report::Failure;
use crate::event::skipped::{nearest, skipped};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};

/// Show what the function would do with an event, without doing it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Explain {
    /// Files with an event from DynamoDB Streams or Kinesis, or failure documents that contain one; `-` reads one from stdin
    #[arg(required = true, value_name = "EVENT.json")]
    events: Vec<PathBuf>,
    /// Time of the invocation [default: now, or the event's own time if that is in the future or more than a day ago]
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    now: Option<Timestamp>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl explain events/modify.json
  usagectl explain --json events/poison.json | jq .quarantined
  REJECTED_RECORDS=fail usagectl explain events/poison.json
  aws s3 cp s3://BUCKET/quarantine/orders/HASH.json - | usagectl explain -

A failure document is what `usagectl redrive` replays: that of a discarded batch or of a quarantined
record. A skipped record is explained by the record type that comes nearest and the attribute that
differs, or by the condition of a measure that it doesn't meet.

A rejected record is shown with the reason, as one that goes into quarantine while the others are
processed. With REJECTED_RECORDS=fail, nothing after it is processed.

The exit code is 1 if the function would reject a record or fail.";

impl Explain {
    /// The plan for one event.
    pub fn of(event: &Path) -> Explain {
        Explain { events: vec![event.to_owned()], now: None }
    }

    /// Prints the plan for each event.
    pub fn run(self, options: &Options) -> anyhow::Result<Done> {
        let mut done = Done::Well;
        for path in &self.events {
            match self.plan(path, options) {
                Ok(plan) => {
                    let text = if options.json { plan.to_string() } else { text(&plan) };
                    console::print(&text)?;
                    if !at(&plan, "rejected").is_null() || !list(&plan, "quarantined").is_empty() {
                        done = Done::WithFailures;
                    }
                }
                Err(error) if error.is::<UsageError>() => return Err(error),
                Err(error) => {
                    let failure = Failure::from(error);
                    match options.json {
                        true => console::print(&json!({ "file": path, "error": failure }).to_string())?,
                        false => console::note(&format!("error: {}: {}", path.display(), failure.message)),
                    }
                    done = Done::WithFailures;
                }
            }
        }
        Ok(done)
    }

    fn plan(&self, path: &Path, options: &Options) -> anyhow::Result<Value> {
        let input = Input::read(path)?;
        let sample = Sample::of(&input.event);
        let config = planned_with(Variables::new(options, &sample)).config()?;
        let (prefix, codec) = config
            .archive
            .as_ref()
            .map_or((String::new(), Codec::Zstandard), |place| (place.prefix.clone(), place.codec));
        let context = config.plan_context(time_of(self.now, &sample, path)?);
        let (event, plan) = plan_event(&input.event, &config.pipeline, &context)?;
        let mut described = plan.describe(&config.pipeline, &prefix, codec)?;
        if let Value::Object(fields) = &mut described {
            fields.insert("file".to_owned(), path.display().to_string().into());
            fields.insert("event_records".to_owned(), event.records().len().into());
            fields.insert("document".to_owned(), input.described());
            let skipped = skipped(&event, &plan, &config.pipeline, &context);
            fields.insert("skipped".to_owned(), serde_json::to_value(skipped)?);
            let ended = plan.rejected.iter().map(|rejection| (plan.records, rejection));
            let quarantined = plan.quarantined.iter().map(|quarantined| (quarantined.record, &quarantined.rejection));
            let described = fields.get_mut("rejected").filter(|rejected| !rejected.is_null());
            add_nearest(described.into_iter(), ended, &event, &config.pipeline)?;
            let described = fields.get_mut("quarantined").and_then(Value::as_array_mut);
            add_nearest(described.into_iter().flatten(), quarantined, &event, &config.pipeline)?;
        }
        Ok(described)
    }
}

/// The variables of a function that stores rejected records and continues, as the template's does, unless REJECTED_RECORDS says
/// otherwise. Nothing is stored, so any bucket will do.
fn planned_with(variables: Variables) -> Variables {
    let set = [("REJECTED_RECORDS", "quarantine"), ("FAILURE_BUCKET", "failures")];
    let set = set.map(|(name, default)| (name, variables.value(name).unwrap_or_else(|| default.to_owned())));
    variables.with(set).with_metrics_sink("none")
}

/// Adds the nearest record type to those of the `described` rejections that no type matches. `rejected` has the same ones, with
/// the positions of their records.
fn add_nearest<'v>(
    described: impl Iterator<Item = &'v mut Value>,
    rejected: impl Iterator<Item = (usize, &'v Rejection)>,
    event: &Event<'_>,
    pipeline: &Pipeline,
) -> anyhow::Result<()> {
    for (described, (record, rejection)) in described.zip(rejected) {
        if rejection.fault.code == Code::Unmatched
            && let Some(fields) = described.as_object_mut()
        {
            fields.insert("nearest".to_owned(), serde_json::to_value(nearest(event, record, pipeline))?);
        }
    }
    Ok(())
}
