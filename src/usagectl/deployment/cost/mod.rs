//! `usagectl cost`: what a million records and a month cost, from a deployment's figures or from assumptions. `model` is the
//! arithmetic, `prices` the price list, `measured` what CloudWatch says, `bill` how it looks.

mod bill;
mod fixed;
mod measured;
pub mod model;
pub mod prices;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::deployment::assume::{Assumptions, MONTH_SECONDS};
use crate::shell::console::{self, Done, UsageError};
use crate::shell::durations::duration;
use crate::shell::options::Options;
use crate::stack::{Place, Where};
use bill::{Basis, Bill};
use fixed::Fixed;
use measured::{Measured, Settings};
use model::{Architecture, Load, groups_of};
use prices::Prices;

/// Say what a million records and a month cost
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cost {
    /// What to assume, alone or in place of what was measured, such as records=1e6/day,batch=1000,entities=50
    #[arg(long, value_name = "NAME=VALUE,…", default_value = "", hide_default_value = true)]
    assume: String,
    /// How far back to look [default: 7d; with --local 3h, which is all that it remembers]
    #[arg(long, value_name = "SPAN", value_parser = duration)]
    span: Option<Duration>,
    /// Prices that replace those that are compiled in; a TOML file such as src/usagectl/deployment/cost/prices.toml
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

Assumptions, with what is taken for each that isn't given:
  records=1e6/day   records of a day (/s, /min, /h, /month)
  batch=1000        records of an invocation
  entities=50       entities that a batch's records are of, or groups=50, its counters
  windows=3         windows of each counter
  files=1           archive files of a batch: record types times dates
  duration=200ms    of an invocation
  memory=256        megabytes of the function
  arch=arm64        or x86_64
  log=2000          bytes that an invocation logs
  row=62            bytes of a record in the archive
  deltas=1          counters that a record adds to, for what it is compared with
  metrics=emf       or cloudwatch (PutMetricData), none";

const NAMES: [&str; 13] = [
    "records", "batch", "entities", "groups", "windows", "files", "duration", "memory", "arch", "log", "row", "deltas",
    "metrics",
];

const HOUR_SECONDS: i32 = 3_600;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// What the embedded CloudWatch remembers.
const LOCAL_SPAN: Duration = Duration::from_secs(3 * 3_600);

impl Cost {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let assumed = Assumptions::parse("--assume", &self.assume, &NAMES)?;
        let prices = Prices::read(self.prices.as_deref())?;
        let nowhere = !self.place.local && self.place.stack.is_none() && self.place.names == Default::default();
        let bill = if nowhere && !assumed.is_empty() {
            let (load, fixed) = assume(&assumed, Load::assumed(3.0), Fixed::default())?;
            Bill::new(load, fixed, &prices, None, Basis::Assumed)
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
        let pipeline = deployment.variables(options).await.with_metrics_sink("none").config()?.pipeline;
        // A pipeline that only archives has no counters.
        let windows = pipeline.snapshot.as_ref().map_or(0, |snapshot| snapshot.windows.len());
        let mut defaults = Load::assumed(u32::try_from(windows).unwrap_or(u32::MAX).into());
        if windows == 0 {
            defaults.groups = 0.0;
        }
        let settings = Settings::read(&deployment, self.place.stack.as_deref()).await?;
        let memory_gb = settings.map_or(defaults.memory_gb, |settings| settings.memory_gb);
        // A run of some minutes is a rate, not a share of a week.
        let seconds = if here { measured.busy_seconds } else { span.as_secs_f64() };
        let mut load = measured.load(&defaults, memory_gb, seconds);
        let mut fixed = Fixed::default();
        if let Some(settings) = settings {
            (load.architecture, load.puts_metrics) = (settings.architecture, settings.puts_metrics);
            fixed = settings.fixed;
        }
        let (load, fixed) = assume(assumed, load, fixed)?;
        // Figures of another load than the one that was measured can only come from the model.
        let seen = assumed.is_empty().then(|| measured.seen(memory_gb));
        let basis = Basis::Measured { span, records: measured.records, invocations: measured.invocations };
        Ok(Bill::new(load, fixed, prices, seen, basis))
    }
}

/// The load with what is assumed in place of what was known.
fn assume(given: &Assumptions, load: Load, fixed: Fixed) -> Result<(Load, Fixed), UsageError> {
    let batch = given.number("batch")?.unwrap_or(load.batch).max(1.0);
    let groups = match (given.number("groups")?, given.number("entities")?) {
        (Some(groups), _) => groups,
        (None, Some(entities)) => groups_of(batch, entities),
        (None, None) if given.text("batch").is_some() => groups_of(batch, model::entities_of(load.batch, load.groups)),
        (None, None) => load.groups,
    };
    let architecture = match given.text("arch") {
        None => load.architecture,
        Some("arm64") => Architecture::Arm64,
        Some("x86_64") => Architecture::X86,
        Some(other) => return Err(UsageError(format!("--assume: arch={other} is neither arm64 nor x86_64"))),
    };
    let (puts_metrics, own_metrics) = match given.text("metrics") {
        None => (load.puts_metrics, fixed.own_metrics),
        Some("emf") => (false, true),
        Some("cloudwatch") => (true, true),
        Some("none") => (false, false),
        Some(other) => return Err(UsageError(format!("--assume: metrics={other} is none of emf, cloudwatch, none"))),
    };
    let load = Load {
        rate: given.rate("records")?.unwrap_or(load.rate),
        batch,
        groups: groups.min(batch),
        windows: given.number("windows")?.unwrap_or(load.windows),
        files: given.number("files")?.unwrap_or(load.files),
        seconds: given.seconds("duration")?.unwrap_or(load.seconds),
        memory_gb: given.number("memory")?.map_or(load.memory_gb, |megabytes| megabytes / 1_024.0),
        architecture,
        log_bytes: given.bytes("log")?.unwrap_or(load.log_bytes),
        row_bytes: given.bytes("row")?.unwrap_or(load.row_bytes),
        deltas: given.number("deltas")?.unwrap_or(load.deltas),
        puts_metrics,
    };
    if load.rate * MONTH_SECONDS > 1e15 {
        return Err(UsageError("--assume: records is more than anything writes".to_owned()));
    }
    Ok((load, Fixed { own_metrics, ..fixed }))
}
