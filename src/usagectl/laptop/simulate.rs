//! `usagectl simulate`: writes realistic load to a running table or stream, and records it in a ledger for `reconcile`. `own` is the load of
//! your own table, and `profile` has the names of loads.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::ProgressBar;
use laptop::proof::load::{Amount, Load, ProfileName, Shape, Simulation, Target, Written};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use self::own::own_table;
use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::durations::duration;
use crate::shell::options::{Endpoint, Options};
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::resource_names::{stream_name, table_name};
use crate::shell::workplace::{Start, Uses, Workplace, kinesis_client};

pub mod own;
mod profile;

pub use self::profile::Profile;

/// Write realistic load to a running table or stream, and record it for `reconcile`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// Kind of load [default: own, if --pipeline-dir or the data folder chooses your own pipeline]
    profile: Option<Profile>,
    /// Event with sample items of your table, for the load `own` [default: sample.json in the pipeline's folder]
    #[arg(long, value_name = "EVENT.json")]
    sample: Option<PathBuf>,
    /// Records per second; 0 for no limit [default: 100, or one per racer]
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<u32>,
    /// How long to write [default: 10s, or 5m for alleycat]
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "records")]
    duration: Option<Duration>,
    /// Number of records to write, instead of a duration
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Number of customers, rate-limited entities, racers, tenants, groups or other entities [default: 100, 50, 1000, 20,
    /// 20 or 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    entities: Option<u32>,
    /// Skew across entities: Zipf exponent, 0 for uniform
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = exponent)]
    skew: f64,
    /// Seed; the same seed writes the same records
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Percentage of orders or API requests that the function must reject, for example 0.1
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    poison: f64,
    /// Number of concurrent writes; writes to the same item stay in order
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// Messages per Kinesis record, aggregated as by the Kinesis Producer Library
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    aggregate: u16,
    /// How long to retry a write while the endpoint is down
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    patience: Duration,
    /// Table to write to [default: orders, rate-limits, api-usage, findings, or the first source of your pipeline]
    #[arg(long, value_name = "NAME", conflicts_with = "stream", value_parser = table_name)]
    table: Option<String>,
    /// Kinesis stream to write to [default: alleycat]
    #[arg(long, value_name = "NAME", value_parser = stream_name)]
    stream: Option<String>,
    /// File to record the load in [default: simulated/PROFILE.jsonl in the data folder]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl simulate orders --duration 1m --rate 200/s --poison 1
  usagectl simulate bucket --records 10000 --rate 0 --entities 20 --skew 1.1
  usagectl simulate api-usage              20 tenants send requests and change subscriptions
  usagectl simulate findings               Vulnerabilities of 20 groups, from report to removal
  usagectl simulate alleycat               1,000 racers send 300,000 messages in 5 minutes
  usagectl simulate --pipeline-dir mine    Write items like those in mine/sample.json

A run first finishes the writes that an earlier run left unfinished, then continues the ledger.
Ctrl-C stops after the writes in progress; a second Ctrl-C stops immediately.";

impl Simulate {
    /// Writes the load and reports how much was written.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let simulation = self.simulation(self.load(options).await?)?;
        let target = self.target(&simulation.load, options).await?;
        let name = simulation.load.name();
        let ledger = self.ledger.unwrap_or_else(|| options.ledgers().join(format!("{name}.jsonl")));
        let progress = bar(&simulation);
        let started = Instant::now();
        let watch = |written: &Written| show(&progress, written);
        let mut interrupts = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let (stop_sender, stop_receiver) = tokio::sync::oneshot::channel::<()>();
        let stop = async {
            // The sender is dropped only together with this future.
            let _ = stop_receiver.await;
        };
        let interrupted = async {
            interrupts.recv().await;
            progress.suspend(|| console::note("finishing the writes in progress (Ctrl-C again to stop immediately)"));
            let _ = stop_sender.send(());
            interrupts.recv().await;
        };
        let written = tokio::select! {
            written = simulation.run(&target, &ledger, &watch, stop) => written?,
            () = interrupted => bail!("interrupted before all writes finished: another run with {} finishes them", ledger.display()),
        };
        progress.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let summary = json!({
            "profile": name, "target": target.name(), "ledger": ledger, "seed": simulation.shape.seed, "seconds": seconds,
        });
        console::print(&if options.json { json_line(summary, written)? } else { text(&target, &written, seconds) })?;
        if !options.json {
            console::note(&format!(
                "recorded in {}; check the snapshots against it with `usagectl reconcile`",
                ledger.display()
            ));
        }
        Ok(Done::Well)
    }

    /// The load that is requested, or that of the own pipeline.
    async fn load(&self, options: &Options) -> anyhow::Result<Load> {
        let variables = Variables::new(options, &Sample::default());
        match self.profile.map(Profile::shipped) {
            Some(Some(profile)) if self.sample.is_none() => Ok(Load::Shipped(profile)),
            Some(Some(profile)) => {
                Err(UsageError(format!("--sample works with own only; {} needs none", profile.name())).into())
            }
            None if !own::is_own(&variables) => {
                let names = ProfileName::ALL.map(ProfileName::name).join(", ");
                let remedy = "or choose your own pipeline with --pipeline-dir";
                Err(UsageError(format!("no load specified: expected one of {names}, {remedy}")).into())
            }
            Some(None) | None => {
                let client = table_client(options).await?;
                let table = own_table(&variables, self.sample.as_deref(), &client, self.table.as_deref()).await?;
                Ok(Load::Own(table))
            }
        }
    }

    fn simulation(&self, load: Load) -> Result<Simulation, UsageError> {
        let name = load.name();
        if self.poison > 0.0 && !load.has_poison() {
            return Err(UsageError(format!(
                "--poison works with orders and api-usage only; {name} has no records to reject"
            )));
        }
        let is_race = matches!(load, Load::Shipped(ProfileName::Alleycat));
        if self.aggregate > 1 && !is_race {
            return Err(UsageError(format!("--aggregate works with alleycat only; {name} writes to a table")));
        }
        let usual = Simulation::new(load);
        let entities = self.entities.unwrap_or(usual.shape.entities);
        // Each racer sends one message per second.
        let usual_rate = if is_race { entities } else { usual.rate_per_second };
        let amount = match (self.records, self.duration) {
            (Some(records), _) => Amount::Records(records),
            (None, Some(duration)) => Amount::Duration(duration),
            (None, None) => usual.amount,
        };
        Ok(Simulation {
            shape: Shape { entities, skew: self.skew, seed: self.seed, poison_percent: self.poison },
            rate_per_second: self.rate.unwrap_or(usual_rate),
            amount,
            concurrency: usize::from(self.concurrency),
            patience: self.patience,
            aggregate: usize::from(self.aggregate),
            ..usual
        })
    }

    async fn target(&self, load: &Load, options: &Options) -> anyhow::Result<Target> {
        let usual = load.target();
        match (load.table(usual), &self.table, &self.stream) {
            (Some(_), _, Some(_)) => {
                Err(UsageError(format!("--stream: {} writes to a table; use --table", load.name())).into())
            }
            (None, Some(_), _) => {
                Err(UsageError("--table: alleycat writes to a Kinesis stream; use --stream".to_owned()).into())
            }
            (Some(_), table, None) => {
                let name = table.clone().unwrap_or_else(|| usual.to_owned());
                Ok(Target::Table { client: table_client(options).await?, name })
            }
            (None, None, stream) => {
                let name = stream.clone().unwrap_or_else(|| usual.to_owned());
                Ok(Target::Stream { client: kinesis_client(options).await?, name })
            }
        }
    }
}

/// A client of the DynamoDB that is running.
async fn table_client(options: &Options) -> anyhow::Result<aws_sdk_dynamodb::Client> {
    if options.dynamodb()? == Endpoint::Embedded {
        let why = "no DynamoDB is running";
        let remedy = "start `usagectl local` or `usagectl serve` first, or set --dynamodb-endpoint URL";
        return Err(UsageError(format!("{why}: {remedy}")).into());
    }
    let place = Workplace::open(options, Uses::Tables, Start::Continue).await?;
    Ok(place.clients.dynamodb.clone())
}

fn bar(simulation: &Simulation) -> ProgressBar {
    match simulation.records().map(usize::try_from) {
        Some(Ok(records)) => console::progress(records),
        _ => console::spinner("records"),
    }
}

fn show(progress: &ProgressBar, written: &Written) {
    progress.set_position(written.records);
    let mut message = format!("records, {:.0}/s", progress.per_sec());
    if written.retries > 0 {
        message.push_str(&format!(", {} retries", written.retries));
    }
    progress.set_message(message);
}

fn json_line(mut summary: Value, written: Written) -> anyhow::Result<String> {
    if let (Some(summary), Value::Object(written)) = (summary.as_object_mut(), serde_json::to_value(written)?) {
        summary.extend(written);
    }
    Ok(summary.to_string())
}

fn text(target: &Target, written: &Written, seconds: f64) -> String {
    let number = |count: u64, what: &str| counted(usize::try_from(count).unwrap_or(usize::MAX), what);
    let mut text = format!("{} to {} in {seconds:.1} s", number(written.records, "record"), target.name());
    for (count, what) in [
        (written.poison, "to be rejected"),
        (written.unsure, "uncertain"),
        (written.finished_for_earlier_run, "finished for an earlier run"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if written.retries > 0 {
        text.push_str(&format!(", retries: {}", written.retries));
    }
    text
}

/// Parses `100` or `100/s`.
fn rate(text: &str) -> Result<u32, String> {
    text.trim_end_matches("/s").parse().map_err(|_| "expected records per second, like 100 or 100/s".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected a percentage from 0 to 100".to_owned())
}

/// Parses a Zipf exponent. Above 10, practically all load goes to the first entity.
fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| "expected a number from 0 to 10".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_load_are_checked() {
        assert_eq!((rate("100"), rate("200/s"), rate("0")), (Ok(100), Ok(200), Ok(0)));
        for wrong in ["", "-1", "1.5", "fast", "100/m"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((percent("0.1"), percent("100"), exponent("1.1")), (Ok(0.1), Ok(100.0), Ok(1.1)));
        for wrong in ["-1", "101", "NaN", "some"] {
            assert!(percent(wrong).is_err() && exponent(wrong).is_err(), "{wrong}");
        }
    }
}
