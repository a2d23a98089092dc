//! `usagectl cost`: estimates cost per million records and per month, from a deployment's metrics or from assumptions.
//! `model` is the cost model, `ledger` the capacity that append and fold use, `indicators` that of indicators, `prices` the price list, `measured` reads
//! CloudWatch, `assumed` predicts a load, and `bill` formats the estimate.

pub(super) mod assumed;
mod bill;
pub mod fixed;
pub mod indicators;
pub mod ledger;
pub(super) mod measured;
pub mod model;
pub mod prices;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::deployment::assume::Assumptions;
use crate::deployment::{error_as_json, tune};
use crate::shell::console::{self, Done};
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::{Access, Deployment, Place, Where};
use bill::{Basis, Bill};
use fixed::Fixed;
use measured::{Measured, Settings};
use model::Load;
use prices::Prices;

/// Estimate cost per million records and per month
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cost {
    /// Assume this load, on its own or in place of measurements: records=1e6/day,batch=1000,entities=50
    #[arg(long, value_name = "NAME=VALUE,…", default_value = "", hide_default_value = true)]
    assume: String,
    /// How far back to read metrics [default: 7d; with --local 3h, the most it keeps]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    span: Option<Duration>,
    /// TOML file with prices that override the built-in ones, in the format of src/usagectl/deployment/cost/prices.toml
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
}

const EXAMPLES: &str = "\
Examples:
  usagectl cost --stack usage-aggregator
  usagectl cost --stack usage-aggregator --assume batch=5000
  usagectl cost --assume records=1e6/day,batch=1000,entities=50,windows=3
  usagectl cost --local --json

Assumptions and their defaults:
  records=1e6/day   rate of records (/s, /min, /h, /day or /month)
  batch=1000        the most records per batch; a batch has fewer if fewer arrive
  window=1s         batching window, in which records are collected
  shards=1          shards of the stream
  entities=200      combinations of entity and resource
  groups=…          counters per batch; then all batches have `batch` records, as in a backlog
  windows=3         windows per counter
  fold=30s          fold window, in which new pages are collected
  files=1           archive files per batch: record types times dates
  duration=…        duration of an invocation; modeled by default
  memory=256        memory of the function in MB
  arch=arm64        or x86_64
  log=2000          bytes logged per invocation
  row=62            bytes per record in the archive
  deltas=1          counters per record, for the comparison
  targets=0         targets of indicators whose items change; a batch recomputes each at most once
  items=10          items that the query of a target finds
  item=500          bytes per item
  metrics=emf       or cloudwatch (PutMetricData), or none";

const NAMES: [&str; 19] = [
    "records", "batch", "window", "shards", "entities", "groups", "windows", "fold", "files", "duration", "memory",
    "arch", "log", "row", "deltas", "metrics", "targets", "items", "item",
];

const HOUR_SECONDS: i32 = 3_600;
const WEEK: Duration = Duration::from_hours(7 * 24);
/// How long the embedded CloudWatch keeps metrics.
const LOCAL_SPAN: Duration = Duration::from_hours(3);

impl Cost {
    /// Runs the command.
    ///
    /// # Errors
    /// When the command line is invalid, or the deployment can't be read.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        error_as_json(options, self.estimate(options).await)
    }

    async fn estimate(&self, options: &Options) -> anyhow::Result<Done> {
        let assumed = Assumptions::parse("--assume", &self.assume, &NAMES)?;
        let prices = Prices::read(self.prices.as_deref())?;
        self.place.check_or_assumed(!assumed.is_empty(), "--assume")?;
        let bill = if self.place.is_nowhere() {
            let predicted = assumed::predict(&assumed)?;
            let (load, fixed) = assumed::replace(&assumed, predicted.load, Fixed::default())?;
            Bill::new(load, fixed, &prices, None, Basis::Assumed { fewer_arrive: predicted.fewer_arrive })
        } else {
            self.measured(options, &assumed, &prices).await?
        };
        console::print(&if options.json { bill.json() } else { bill.text() })?;
        Ok(Done::Well)
    }

    async fn measured(&self, options: &Options, assumed: &Assumptions, prices: &Prices) -> anyhow::Result<Bill> {
        let deployment = self.place.open(options).await?;
        let here = matches!(deployment.place, Place::Here(_));
        let span = self.span.unwrap_or(if here { LOCAL_SPAN } else { WEEK });
        let period = if span <= LOCAL_SPAN { 60 } else { HOUR_SECONDS };
        let measured = Measured::read(&deployment, span, period).await?;
        let pipeline = deployment.variables(options, Access::Read).await?.with_metrics_sink("none").config()?.pipeline;
        // A pipeline that only archives has no counters.
        let windows = pipeline.snapshot.as_ref().map_or(0, |snapshot| snapshot.windows.len());
        let mut defaults = Load::assumed(u32::try_from(windows).unwrap_or(u32::MAX).into());
        if windows == 0 {
            defaults.groups = 0.0;
        }
        if let Some(window) = tune::gather::fold_window(&deployment, options).await? {
            defaults.fold_seconds = window;
        }
        let settings = Settings::read(&deployment, self.place.stack.as_deref()).await?;
        let memory_gb = settings.map_or(defaults.memory_gb, |settings| settings.memory_gb);
        let fold_memory_gb = settings.map_or(model::FOLD_MEMORY_GB, |settings| settings.fold_memory_gb);
        // A local run lasts minutes: its rate is over the time that it had records.
        let seconds = if here { measured.busy_seconds } else { span.as_secs_f64() };
        let mut load = measured.load(&defaults, memory_gb, seconds);
        let mut fixed = Fixed::default();
        if let Some(settings) = settings {
            (load.architecture, load.puts_metrics) = (settings.architecture, settings.puts_metrics);
            fixed = settings.fixed;
        }
        if assumed.text("batch").is_some() && assumed.text("groups").is_none() {
            load = assumed::with_batches(assumed, load, &self.mapping(&deployment, options).await)?;
        }
        let (load, fixed) = assumed::replace(assumed, load, fixed)?;
        // A load other than the measured one can only be estimated by the model.
        let totals = assumed.is_empty().then(|| measured.totals(memory_gb, fold_memory_gb));
        let basis = Basis::Measured { span, records: measured.records, invocations: measured.invocations };
        Ok(Bill::new(load, fixed, prices, totals, basis))
    }

    /// The settings and shards that limit how many records arrive for a batch; the template's where they can't be read.
    async fn mapping(&self, deployment: &Deployment, options: &Options) -> (tune::settings::Settings, f64) {
        let settings = tune::gather::settings(deployment, options).await.unwrap_or(tune::settings::DEFAULTS);
        let shards = tune::shards::shards(deployment).await.ok().flatten().unwrap_or(1.0);
        (settings, shards)
    }
}
