//! `usagectl invoke`: runs the real handler on event files, one after another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use usage_aggregator::handler::Invocation;
use usage_aggregator::time::{DAY_SECONDS, Timestamp};

use crate::event::alerts;
use crate::event::changed_snapshots;
use crate::event::changes::Changes;
use crate::event::input::Input;
use crate::event::report::Report;
use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables, is_chosen};
use crate::shell::remembered::remember;
use crate::shell::workplace::{Site, Start, Uses, Workplace};
use laptop::proof::rows::RowReader;

/// Run the function on events and show the response, changed snapshots, files and metrics
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Invoke {
    /// Files with an event from DynamoDB Streams or Kinesis, or failure documents that contain one; `-` reads one from stdin
    #[arg(required = true, value_name = "EVENT.json")]
    events: Vec<PathBuf>,
    /// Start over: first delete all tables and objects in the data folder
    #[arg(long)]
    fresh: bool,
    /// Time of the invocation [default: now, or the event's own time if that is in the future or more than a day ago]
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    now: Option<Timestamp>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl invoke events/insert.json       Run it again to see duplicates skipped
  usagectl invoke --fresh events/*.json    Start over with several events
  usagectl invoke --json events/poison.json | jq .rejected
  aws s3 cp s3://BUCKET/quarantine/orders/HASH.json - | usagectl invoke -
  usagectl invoke --s3-endpoint http://127.0.0.1:9000 events/insert.json

The exit code is 0 only if every event was processed and no record was rejected.";

/// The timeout of an invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Invoke {
    /// Runs the function on each event and prints a report.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let options = &options.forgetting(self.fresh);
        // Checked before anything is opened or cleared: an invalid pipeline or variable fails every event.
        let variables = Variables::new(options, &Sample::default());
        variables.clone().with_metrics_sink("none").config()?;
        let start = if self.fresh { Start::Fresh } else { Start::Continue };
        let place = Workplace::open(options, Uses::Everything, start).await?;
        if place.services().is_some() && is_chosen(options) {
            remember(&options.data, &variables, None)?;
        }
        let mut used = BTreeSet::new();
        let progress = console::progress(self.events.len());
        let mut reports = Vec::new();
        for path in &self.events {
            progress.set_message(path.display().to_string());
            let report = self.invoke(path, options, &place, &mut used).await?;
            let text = if options.json { serde_json::to_string(&report)? } else { report.text() };
            progress.suspend(|| console::print(&text))?;
            progress.inc(1);
            reports.push(report);
        }
        progress.finish_and_clear();
        // Events can be of several pipelines: only one that all of them had is remembered, unless it would be used anyway.
        if let (Some(one), 1, true) = (used.first(), used.len(), place.services().is_some())
            && *one != variables
        {
            remember(&options.data, one, None)?;
        }
        if !options.json && reports.len() > 1 {
            console::print(&total(&reports))?;
        }
        Ok(if reports.iter().all(Report::is_good) { Done::Well } else { Done::WithFailures })
    }

    /// Invokes the function with one file. Only a mistake in the options ends the command; other errors go into the report.
    /// Adds the variables that choose the event's pipeline to `used`.
    async fn invoke(
        &self,
        path: &Path,
        options: &Options,
        place: &Workplace,
        used: &mut BTreeSet<Variables>,
    ) -> anyhow::Result<Report> {
        let mut report = Report { file: path.display().to_string(), ..Report::default() };
        let done = match Input::read(path) {
            Ok(input) => {
                let sample = Sample::of(&input.event);
                let variables = Variables::new(options, &sample);
                used.insert(variables.clone());
                self.try_invoke(path, input, (&sample, variables), place, &mut report).await
            }
            Err(error) => Err(error),
        };
        match done {
            Err(error) if error.is::<UsageError>() => return Err(error),
            Err(error) => report.error = Some(error.into()),
            Ok(()) => {}
        }
        Ok(report)
    }

    async fn try_invoke(
        &self,
        path: &Path,
        input: Input,
        (sample, variables): (&Sample, Variables),
        place: &Workplace,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        report.document = input.described();
        let bytes = input.event;
        // Snapshots are written before the response, so that they can be shown.
        let site = place.site(variables.with([("FRESHNESS", "now".to_owned())])).await?;
        report.pipeline.clone_from(&site.handler.pipeline().name);
        report.metrics_note = place.metrics_note();
        let now = time_of(self.now, sample, path)?;
        let deadline = Some(tokio::time::Instant::now() + TIMEOUT);
        let invocation = Invocation { request_id: "usagectl".to_owned(), now, deadline };
        invoke_at(place, &site, &bytes, &invocation, report).await
    }
}

async fn invoke_at(
    place: &Workplace,
    site: &Site,
    bytes: &[u8],
    invocation: &Invocation,
    report: &mut Report,
) -> anyhow::Result<()> {
    let plan = site.handler.plan(bytes, invocation.now).ok().map(|(_, plan)| plan);
    let counted = plan.as_ref().zip(site.handler.pipeline().snapshot.as_ref()).zip(site.tables.as_ref());
    let keys = counted.map(|((plan, snapshot), _)| changed_snapshots::keys(snapshot, plan)).unwrap_or_default();
    let table = counted.map(|(_, tables)| tables.usage.as_str()).unwrap_or_default();
    let before = changed_snapshots::read(&place.clients.dynamodb, table, &keys).await?;
    let windows = plan.as_ref().map(|plan| alerts::windows(site.handler.pipeline(), plan)).unwrap_or_default();
    let known = alerts::read(site.ledger.as_ref(), &windows).await?;
    place.services().iter().for_each(|services| services.metrics().clear());

    match site.handler.append(bytes, invocation).await {
        Ok(outcome) => report.take(outcome),
        Err(error) => report.error = Some(error.into()),
    }

    let after = changed_snapshots::read(&place.clients.dynamodb, table, &keys).await?;
    report.take_items(&keys, &after);
    report.changes = counted.map(|((_, snapshot), _)| Changes::new(&RowReader::new(snapshot), &keys, &before, &after));
    let put = alerts::read(site.ledger.as_ref(), &windows).await?;
    report.alerts = put.into_iter().filter(|(id, _)| !known.contains_key(id)).map(|(_, alert)| alert).collect();
    let points = place.services().map(|services| services.metrics().points()).unwrap_or_default();
    report.metrics = points.into_iter().map(|point| (point.name, point.values.iter().sum())).collect();
    Ok(())
}

/// The time of an invocation: as given, or now, or the event's own time if that is in the future or more than a day ago.
pub fn time_of(given: Option<Timestamp>, sample: &Sample, path: &Path) -> anyhow::Result<Timestamp> {
    if let Some(given) = given {
        return Ok(given);
    }
    let clock = event_source_mapping::now().context("set the time of the invocation with --now")?;
    match sample.newest {
        Some(newest) if !(clock.seconds() - DAY_SECONDS..=clock.seconds()).contains(&newest.seconds()) => {
            let path = path.display();
            console::note(&format!(
                "note: {path} was created at {newest}; using that as the time of the invocation (set another with --now)"
            ));
            Ok(newest)
        }
        _ => Ok(clock),
    }
}

/// Parses the value of `--now`.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "expected a time like 2026-11-21T03:00:00Z, from 2000 to 2099".to_owned())
}

fn total(reports: &[Report]) -> String {
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    format!(
        "total: {}, {}, {} durable, {} repeated, {} skipped, {} rejected, {} failed",
        counted(reports.len(), "event"),
        counted(sum(|report| report.records), "record"),
        sum(|report| report.durable),
        sum(|report| report.repeated),
        sum(|report| report.skipped),
        sum(|report| report.rejected.len() + report.quarantined.len()),
        sum(|report| usize::from(report.error.is_some())),
    )
}
