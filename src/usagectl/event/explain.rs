//! `usagectl explain`: the plan for an event, computed without a table or a bucket. The text is rendered from the JSON that
//! `--json` prints.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use usage_aggregator::archive::Codec;
use usage_aggregator::plan::plan_event;
use usage_aggregator::record::Code;
use usage_aggregator::time::Timestamp;

use crate::event::input::Input;
use crate::event::invoke::{instant, time_of};
use crate::event::report::{Failure, labeled};
use crate::event::skipped::{Nearest, nearest, skipped};
use crate::shell::console::{self, Done, UsageError, plain};
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

/// How many reasons for skipped records are shown.
const SHOWN_REASONS: usize = 10;

const EXAMPLES: &str = "\
Examples:
  usagectl explain events/modify.json
  usagectl explain --json events/poison.json | jq .rejected
  aws s3 cp s3://BUCKET/quarantine/orders/HASH.json - | usagectl explain -

A failure document is what `usagectl redrive` replays: that of a discarded batch or of a quarantined
record. A skipped record is explained by the record type that comes nearest and the attribute that
differs, or by the condition of a measure that it doesn't meet.

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
        let config = Variables::new(options, &sample).with_metrics_sink("none").config()?;
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
            if plan.rejected.as_ref().is_some_and(|rejection| rejection.fault.code == Code::Unmatched)
                && let Some(rejected) = fields.get_mut("rejected").and_then(Value::as_object_mut)
            {
                let nearest = nearest(&event, plan.records, &config.pipeline);
                rejected.insert("nearest".to_owned(), serde_json::to_value(nearest)?);
            }
        }
        Ok(described)
    }
}

/// The plan as text.
fn text(plan: &Value) -> String {
    let mut out = String::new();
    // Writing to a String can't fail.
    let _ = write_plan(&mut out, plan);
    out
}

fn write_plan(out: &mut String, plan: &Value) -> std::fmt::Result {
    let counts = at(plan, "tally");
    let document = at(plan, "document");
    writeln!(
        out,
        "{}: pipeline {}, plan for {} of {} records",
        show(plan, "file"),
        show(plan, "pipeline"),
        show(plan, "records"),
        show(plan, "event_records")
    )?;
    if !document.is_null() {
        writeln!(out, "{}", labeled("document", &show(document, "text")))?;
    }
    let events = pairs(at(counts, "events"), show);
    writeln!(
        out,
        "records   {}; {} effective, {} skipped, {} repeated",
        if events.is_empty() { "none" } else { &events },
        show(counts, "effective"),
        show(counts, "skipped"),
        show(counts, "repeated")
    )?;
    for counter in list(plan, "counters") {
        write_counter(out, counter)?;
    }
    for file in list(plan, "files") {
        writeln!(out, "file      {}: {} rows, {} bytes", show(file, "key"), show(file, "rows"), show(file, "bytes"))?;
    }
    for target in list(plan, "targets") {
        write_target(out, target)?;
    }
    let rejected = at(plan, "rejected");
    if !rejected.is_null() {
        let [code, field, reason] = ["code", "field", "reason"].map(|name| show(rejected, name));
        let name = name(rejected);
        let rejected_text = format!("{name}: {code}: {field}: {reason}; later records are not processed");
        writeln!(out, "{}", labeled("rejected", &rejected_text))?;
        write_nearest(out, at(rejected, "nearest"))?;
    }
    for rejected in list(plan, "quarantined") {
        let [code, field, reason] = ["code", "field", "reason"].map(|name| show(rejected, name));
        let rejected_text = format!("{}: {code}: {field}: {reason}; quarantined", name(rejected));
        writeln!(out, "{}", labeled("rejected", &rejected_text))?;
    }
    write_skipped(out, list(plan, "skipped"))
}

/// The reasons why records are skipped, with the number of records and the first one.
fn write_skipped(out: &mut String, skipped: &[Value]) -> std::fmt::Result {
    // Records that differ only in the value that was found have the same reason.
    let key = |record: &Value| {
        let nearest = at(record, "nearest");
        [at(record, "reason"), at(nearest, "record_type"), at(nearest, "measure"), at(nearest, "attribute")]
            .map(Value::clone)
    };
    let mut reasons: Vec<([Value; 4], Vec<&Value>)> = Vec::new();
    for record in skipped {
        let key = key(record);
        match reasons.iter_mut().find(|(found, _)| *found == key) {
            Some((_, records)) => records.push(record),
            None => reasons.push((key, vec![record])),
        }
    }
    for (_, records) in reasons.iter().take(SHOWN_REASONS) {
        let Some(first) = records.first() else { continue };
        let sequence = name(first);
        let which = match records.len() {
            1 => sequence,
            several => format!("{several} records, the first {sequence}"),
        };
        writeln!(out, "{}", labeled("skipped", &format!("{which}: {}", show(first, "reason"))))?;
        write_nearest(out, at(first, "nearest"))?;
    }
    match reasons.len().saturating_sub(SHOWN_REASONS) {
        0 => Ok(()),
        more => writeln!(out, "{}", labeled("", &format!("… and {more} more reasons (--json lists all)"))),
    }
}

fn write_nearest(out: &mut String, nearest: &Value) -> std::fmt::Result {
    match serde_json::from_value::<Option<Nearest>>(nearest.clone()) {
        Ok(Some(nearest)) => writeln!(out, "{}", labeled("", &nearest.text())),
        _ => Ok(()),
    }
}

fn write_counter(out: &mut String, counter: &Value) -> std::fmt::Result {
    let records = list(counter, "records");
    let first = records.first().map(|record| show(record, "id")).unwrap_or_default();
    let more = if records.len() > 1 { format!(" and {} more", records.len() - 1) } else { String::new() };
    writeln!(
        out,
        "counter   {}, minute {}, record {first}{more}",
        pairs(at(counter, "key"), show),
        show(counter, "minute")
    )?;
    if let Some(error) = at(counter, "windows").get("error").and_then(Value::as_str) {
        let text = format!("no windows: {error}; such a sum isn't published (metric Overflow)");
        writeln!(out, "{}", labeled("", &text))?;
    }
    for window in list(counter, "windows") {
        writeln!(
            out,
            "          {:<6}{}  {}",
            show(window, "window"),
            show(window, "start"),
            [pairs(at(window, "adds"), signed), pairs(at(window, "takes"), show)]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(", ")
        )?;
    }
    Ok(())
}

/// A target of an indicator, and which records ask for it.
fn write_target(out: &mut String, target: &Value) -> std::fmt::Result {
    let asked =
        |because: &str| list(target, "records").iter().filter(|record| at(record, "because") == because).count();
    let because = match (asked("item"), asked("target")) {
        (items, 0) => format!("{} of its items", changes(items)),
        (0, own) => format!("{} of the target itself", changes(own)),
        (items, own) => format!("{} of its items and {} of the target itself", changes(items), changes(own)),
    };
    let (name, key) = (show(target, "indicator"), pairs(at(target, "key"), show));
    let units = at(target, "minimum_read_units").as_f64().unwrap_or_default();
    writeln!(out, "indicator {name} of {key}, because of {because}; at least {units} read units")
}

fn changes(count: usize) -> String {
    format!("{count} change{}", if count == 1 { "" } else { "s" })
}

/// `amount +129.9, orders -1`
fn pairs(object: &Value, value: fn(&Value, &str) -> String) -> String {
    let names = object.as_object().into_iter().flat_map(Map::keys);
    names.map(|name| format!("{} {}", plain(name), value(object, name))).collect::<Vec<_>>().join(", ")
}

fn signed(value: &Value, name: &str) -> String {
    let number = show(value, name);
    if number.starts_with('-') { number } else { format!("+{number}") }
}

fn at<'v>(value: &'v Value, name: &str) -> &'v Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    at(value, name).as_array().map_or(&[], Vec::as_slice)
}

/// The sequence number of a record, and which user record of an aggregated Kinesis record it is.
fn name(record: &Value) -> String {
    let sequence = show(record, "sequence_number");
    match at(record, "user_record") {
        Value::Null => sequence,
        index => format!("{sequence}, user record {index}"),
    }
}

/// A string or number as text.
fn show(value: &Value, name: &str) -> String {
    match at(value, name) {
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}
