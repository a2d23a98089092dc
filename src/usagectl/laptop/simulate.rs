//! `usagectl simulate`: realistic load for a running table or stream, and a ledger of it for `reconcile`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use laptop::proof::load::{Amount, ProfileName, Shape, Simulation, Target, Written};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::durations::duration;
use crate::shell::options::{Endpoint, Options};
use crate::shell::resource_names::{stream_name, table_name};
use crate::shell::workplace::{Start, Uses, Workplace, kinesis_client};

/// Write realistic load to a running table or stream, and record it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// What to simulate
    profile: Profile,
    /// Changes a second; 0 for as many as go [default: 100, or one for each racer]
    #[arg(long, value_name = "N/s", value_parser = rate)]
    rate: Option<u32>,
    /// How long to go on [default: 10s, or 5m for the race]
    #[arg(long, value_name = "SPAN", value_parser = duration, conflicts_with = "records")]
    duration: Option<Duration>,
    /// How many changes to write instead
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Customers, limited entities or racers [default: 100, 50 or 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    entities: Option<u32>,
    /// How unlike the entities are: Zipf's exponent, 0 for all alike
    #[arg(long, value_name = "S", default_value_t = 0.0, value_parser = exponent)]
    skew: f64,
    /// The same seed gives the same changes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Of 100 changes, how many are orders that must be rejected, such as 0.1
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    poison: f64,
    /// Writes under way at once; one item's are in order
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    concurrency: u16,
    /// How long to try a write when the endpoint is down
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = duration)]
    patience: Duration,
    /// Table to write to [default: orders or rate-limits]
    #[arg(long, value_name = "NAME", conflicts_with = "stream", value_parser = table_name)]
    table: Option<String>,
    /// Kinesis stream to write to [default: alleycat]
    #[arg(long, value_name = "NAME", value_parser = stream_name)]
    stream: Option<String>,
    /// Where to record what is written [default: simulated/PROFILE.jsonl in the data folder]
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
}

/// The profiles by their names.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Profile {
    /// Customers, orders and order lines in one table
    Orders,
    /// Rate-limiter buckets in zae-limiter's format
    Bucket,
    /// A race's messages to a Kinesis stream
    Alleycat,
}

impl From<Profile> for ProfileName {
    fn from(profile: Profile) -> ProfileName {
        match profile {
            Profile::Orders => ProfileName::Orders,
            Profile::Bucket => ProfileName::Bucket,
            Profile::Alleycat => ProfileName::Alleycat,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  usagectl simulate orders --duration 1m --rate 200/s --poison 1
  usagectl simulate bucket --records 10000 --rate 0 --entities 20 --skew 1.1
  usagectl simulate alleycat               1,000 racers, 300,000 messages in five minutes

It goes on where the ledger ends, after finishing what an earlier run had begun. Ctrl-C ends it in order.";

impl Simulate {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let simulation = self.simulation()?;
        let target = self.target(simulation.profile, options).await?;
        let name = simulation.profile.name();
        let ledger = self.ledger.unwrap_or_else(|| options.ledgers().join(format!("{name}.jsonl")));
        let progress = bar(&simulation);
        let started = Instant::now();
        let watch = |written: &Written| show(&progress, written);
        let mut interrupts = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let stop = async {
            // The other end is dropped only with this future.
            let _ = told.await;
        };
        let interrupted = async {
            interrupts.recv().await;
            progress.suspend(|| console::note("ending in order; Ctrl-C again ends at once"));
            let _ = tell.send(());
            interrupts.recv().await;
        };
        let written = tokio::select! {
            written = simulation.run(&target, &ledger, &watch, stop) => written?,
            () = interrupted => bail!("end in order: interrupted; another run with {} finishes what was begun", ledger.display()),
        };
        progress.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        let summary = json!({
            "profile": name, "target": target.name(), "ledger": ledger, "seed": simulation.shape.seed, "seconds": seconds,
        });
        console::print(&if options.json { json_line(summary, written)? } else { text(&target, &written, seconds) })?;
        if !options.json {
            console::note(&format!(
                "recorded in {}; `usagectl reconcile` holds it against the snapshots",
                ledger.display()
            ));
        }
        Ok(Done::Well)
    }

    fn simulation(&self) -> Result<Simulation, UsageError> {
        let profile = ProfileName::from(self.profile);
        if self.poison > 0.0 && profile != ProfileName::Orders {
            return Err(UsageError(format!("--poison is for orders; {} has nothing to reject", profile.name())));
        }
        let usual = Simulation::new(profile);
        let entities = self.entities.unwrap_or(usual.shape.entities);
        // Each racer sends one message a second, however many there are.
        let usual_rate = if profile == ProfileName::Alleycat { entities } else { usual.rate_per_second };
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
            ..usual
        })
    }

    async fn target(&self, profile: ProfileName, options: &Options) -> anyhow::Result<Target> {
        let usual = profile.target();
        match (profile.table(usual), &self.table, &self.stream) {
            (Some(_), _, Some(_)) => {
                Err(UsageError(format!("--stream: {} are items of a table; give --table", profile.name())).into())
            }
            (None, Some(_), _) => Err(UsageError("--table: alleycat are messages; give --stream".to_owned()).into()),
            (Some(_), table, None) => {
                if options.dynamodb()? == Endpoint::Embedded {
                    let why = "an embedded DynamoDB would end with this command";
                    let remedy =
                        "start `usagectl local` or `usagectl serve` first and give its --dynamodb-endpoint URL";
                    return Err(UsageError(format!("{why}: {remedy}")).into());
                }
                let place = Workplace::open(options, Uses::Tables, Start::Continue).await?;
                let name = table.clone().unwrap_or_else(|| usual.to_owned());
                Ok(Target::Table { client: place.clients.dynamodb.clone(), name })
            }
            (None, None, stream) => {
                let name = stream.clone().unwrap_or_else(|| usual.to_owned());
                Ok(Target::Stream { client: kinesis_client(options).await?, name })
            }
        }
    }
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
        message.push_str(&format!(", {} repeated attempts", written.retries));
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
        (written.unsure, "unsure"),
        (written.finished_for_earlier_run, "begun by an earlier run"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if written.retries > 0 {
        text.push_str(&format!(", {}", number(written.retries, "repeated attempt")));
    }
    text
}

/// Reads `100` or `100/s`.
fn rate(text: &str) -> Result<u32, String> {
    text.trim_end_matches("/s").parse().map_err(|_| "expected a whole number a second, such as 100/s".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected 0 to 100".to_owned())
}

/// Zipf's exponent: beyond 10 the first is the only one.
fn exponent(text: &str) -> Result<f64, String> {
    let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
    exponent.ok_or_else(|| "expected a number from 0 to 10".to_owned())
}
