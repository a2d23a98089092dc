//! `usagectl tune`: proposes parameters of the template for a load, and predicts their effect. `gather` reads a deployment,
//! `model` predicts how a load behaves under some settings, `row` and `rules` recommend settings, `fold` judges the fold
//! function, `plan` decides what to change, `report` formats it.

mod fold;
mod fold_window;
pub(super) mod gather;
pub mod model;
pub mod plan;
mod report;
pub mod row;
pub mod rules;
pub mod settings;
pub(super) mod shards;
#[cfg(test)]
mod tests;

use std::time::Duration;

use clap::Args;

use crate::deployment::assume::Assumptions;
use crate::deployment::cost::indicators::IndicatorLoad;
use crate::deployment::cost::prices::Prices;
use crate::deployment::error_as_json;
use crate::shell::console::{self, Done};
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::{Access, Place, Where};
use model::Load;
use report::Report;
use settings::{DEFAULTS, Settings};

/// Propose batch size, windows, concurrency, memory and timeout for a load
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Tune {
    /// Assume this load, on its own or in place of measurements: rate=5000/s,entities=200,shards=2
    #[arg(long, value_name = "NAME=VALUE,…", default_value = "", hide_default_value = true)]
    what_if: String,
    /// How far back to read metrics [default: 24h; with --local 3h, the most it keeps]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    span: Option<Duration>,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl tune --stack usage-aggregator
  usagectl tune --stack usage-aggregator --what-if rate=5000/s
  usagectl tune --what-if rate=1000/s,entities=1000,windows=2,shards=2,latency=1s
  usagectl tune --what-if rate=1000/s,entities=5000,freshness=5m
  usagectl tune --local --json

Assumptions and their defaults, where nothing was measured:
  rate=100/s        rate of records in the busiest minute (/s, /min, /h or /day)
  entities=200      combinations of entity and resource
  size=700          bytes per record in an event
  shards=1          shards of the stream
  latency=…         goal for the time from a change to its acknowledgment; below 1s is real time
  freshness=…       goal for the time from a change to its snapshots, which limits the fold window
  windows=3         windows per counter
  files=1           archive files per batch: record types times dates
  source=dynamodb   or kinesis, which is polled once per second
  targets=0         targets of indicators whose items change; a batch recomputes each at most once
  items=10          items that the query of a target finds
  item=500          bytes per item

This command changes nothing; it prints the `make deploy` command that applies the changes.";

const NAMES: [&str; 12] = [
    "rate",
    "entities",
    "size",
    "shards",
    "latency",
    "freshness",
    "windows",
    "files",
    "source",
    "targets",
    "items",
    "item",
];

const DAY: Duration = Duration::from_hours(24);
/// How long the embedded CloudWatch keeps metrics.
const LOCAL_SPAN: Duration = Duration::from_hours(3);

impl Tune {
    /// Runs the command.
    ///
    /// # Errors
    /// When the command line is invalid, or the deployment can't be read.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.propose(options).await)
    }

    async fn propose(&self, options: &Options) -> anyhow::Result<Done> {
        let given = Assumptions::parse("--what-if", &self.what_if, &NAMES)?;
        self.place.check_or_assumed(!given.is_empty(), "--what-if")?;
        let (load, settings, here) = if self.place.is_nowhere() {
            (Load::assumed(3.0), DEFAULTS, false)
        } else {
            self.measured(options).await?
        };
        let kinesis = given.text("source").map(|source| match source {
            "kinesis" => Ok(1.0),
            "dynamodb" => Ok(0.25),
            other => Err(console::UsageError(format!("--what-if: source={other} is neither dynamodb nor kinesis"))),
        });
        let load = Load {
            rate: given.rate("rate")?.unwrap_or(load.rate),
            entities: given.number("entities")?.unwrap_or(load.entities).max(1.0),
            record_bytes: given.bytes("size")?.unwrap_or(load.record_bytes),
            shards: given.number("shards")?.unwrap_or(load.shards).ceil(),
            goal: given.seconds("latency")?,
            freshness: given.seconds("freshness")?,
            windows: given.number("windows")?.unwrap_or(load.windows),
            files: given.number("files")?.unwrap_or(load.files),
            poll_seconds: kinesis.transpose()?.unwrap_or(load.poll_seconds),
            indicators: IndicatorLoad {
                targets: given.number("targets")?.unwrap_or(load.indicators.targets),
                items: given.number("items")?.unwrap_or(load.indicators.items),
                item_bytes: given.bytes("item")?.unwrap_or(load.indicators.item_bytes),
            },
            observed: load.observed,
        };
        let plan = plan::plan(&load, &settings, &Prices::read(None)?);
        let stack = self.place.stack.as_deref();
        let report = Report { load: &load, now: &settings, plan: &plan, here, stack };
        console::print(&if options.json { report.json() } else { report.text() })?;
        Ok(Done::Well)
    }

    /// The load and settings of a deployment, and whether it is on this machine.
    async fn measured(&self, options: &Options) -> anyhow::Result<(Load, Settings, bool)> {
        let deployment = self.place.open(options).await?;
        let here = matches!(deployment.place, Place::Here(_));
        let settings = gather::settings(&deployment, options).await?;
        let pipeline = deployment.variables(options, Access::Read).await?.with_metrics_sink("none").config()?.pipeline;
        let windows = pipeline.snapshot.map_or(1, |snapshot| snapshot.windows.len());
        let mut load = Load::assumed(u32::try_from(windows).unwrap_or(u32::MAX).into());
        if deployment.names.source_arn.as_deref().is_some_and(|arn| arn.contains(":kinesis:")) {
            load.poll_seconds = 1.0;
        }
        load.shards = shards::shards(&deployment).await?.unwrap_or(load.shards);
        let span = self.span.unwrap_or(if here { LOCAL_SPAN } else { DAY });
        Ok((gather::load(&deployment, span, load, &settings).await?, settings, here))
    }
}
