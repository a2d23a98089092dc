//! `usagectl local`: a table or stream, its event source mapping and the function on this machine, until Ctrl-C, or
//! until the load that was asked for is counted.
//!
//! `settings` are the mapping's options, `stage` builds what runs, `live` shows it, `control` lets it be changed, `load`
//! writes to it and proves it right in the end.

mod control;
mod live;
mod load;
mod measured;
mod reach;
mod settings;
mod stage;
mod status;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use laptop::emulators::Ports;
use laptop::proof::{FaultInjector, FaultProfile, RequestedFaults};
use tokio::signal::unix::{SignalKind, signal};
use usage_aggregator::pipeline::Stream;

use crate::laptop::serve;
use crate::shell::choice::{Sample, Variables};
use crate::shell::console::{Done, UsageError};
use crate::shell::folder::MAPPINGS;
use crate::shell::options::Options;
use crate::shell::running::Running;
use control::Control;
use load::LoadOptions;
use reach::Reach;
use settings::MappingOptions;
use stage::Stage;

/// Run table, stream, event source mapping and function on this machine, with faults on demand
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Local {
    /// Start over: delete tables, objects, streams and checkpoints in the data folder first
    #[arg(long)]
    fresh: bool,
    /// Where changes come from; by default as the pipeline says
    #[arg(long, value_name = "KIND")]
    stream: Option<StreamChoice>,
    /// Table or Kinesis stream to read, made if it isn't there; by default the pipeline's first source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Partition and sort key of the table, if it has to be made; by default what the first record type matches
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    keys: Vec<String>,
    /// Hours after which stream records are trimmed
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    retention: u32,
    /// Invoke the function behind this endpoint, such as a running `cargo lambda watch`, instead of in this process
    #[arg(long, value_name = "URL")]
    invoke: Option<String>,
    /// Write the function's variables to this file as NAME=VALUE lines once all is ready
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// The function's timeout in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Destination of records that are given up: s3://BUCKET, a queue's URL, a folder, or none
    #[arg(long, value_name = "DESTINATION", default_value = "s3://failures")]
    on_failure: String,
    /// What goes wrong: `none`, `all`, or such as `crash=2,lose=5,split=10s`; see `usagectl faults --help`
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    faults: RequestedFaults,
    /// Seconds without faults at first
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    faults_after: u64,
    /// Seed of the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    fault_seed: u64,
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    mapping: MappingOptions,
    #[command(flatten)]
    load: LoadOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StreamChoice {
    /// DynamoDB Streams
    Dynamodb,
    /// Kinesis messages
    Kinesis,
    /// Kinesis Data Streams for DynamoDB: a table's changes by way of a Kinesis stream
    KinesisForDynamodb,
}

/// Ports of the loopback interface; 0 is a free one.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Ports (0: a free one)")]
struct PortOptions {
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dynamodb_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    s3_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    kinesis_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    cloudwatch_port: u16,
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control_port: u16,
}

const EXAMPLES: &str = "\
Examples:
  usagectl local                                         orders, until Ctrl-C
  usagectl local --fresh --simulate orders --records 5000 --faults all
  usagectl local --dynamodb-port 8000                    then, elsewhere: usagectl simulate orders
  usagectl local --pipeline alleycat --simulate alleycat --duration 5m
  usagectl local --stream kinesis-for-dynamodb --faults repeat=10
  usagectl local --invoke http://127.0.0.1:9000 --env-file env &
  cargo lambda watch --env-file env                      the very binary that is deployed
  usagectl local --filter '{\"eventName\":[\"INSERT\"]}' --batch-size 10 --batching-window 2
  usagectl local --dynamodb-endpoint http://127.0.0.1:8000 --source orders

Started again, it goes on from its checkpoint. With --simulate it ends when all that was written
is counted, and says whether that is exact; --forever keeps it running. Exit code 1 when something
was lost or counted twice. Its data folder's other commands find it by themselves.";

impl Local {
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let quiet = Duration::from_secs(self.faults_after);
        let profile = self.faults.profile.clone();
        let at_first = if quiet.is_zero() { profile.clone() } else { FaultProfile::default() };
        let reach = self.reach(options)?;
        reach.check(&self.faults.named).map_err(|mistake| UsageError(format!("--faults: {mistake}")))?;
        let control = Control::new(FaultInjector::new(at_first, self.fault_seed), reach);
        let stage = Stage::build(&self, options, &control).await?;
        let url = control.serve(self.ports.control_port).await?;
        if let Some(services) = stage.place.services() {
            let mut running = Running::new(services, Some(url.clone()));
            running.mapping = Some(stage.mapped.clone());
            running.write(&options.data)?;
            if let Some(path) = &self.env_file {
                serve::write_environment(path, &serve::environment(services, &stage.variables))?;
            }
        }
        // Before anybody is told that it runs, and may end it.
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        live::introduce(&stage, options, &url)?;

        let mut stop = control.stop.subscribe();
        let asked = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        };
        let work = async {
            let proof = tokio::select! {
                () = asked => None,
                proof = self.load.run(&stage, options, &control) => Some(proof?),
            };
            control.stop.send_replace(true);
            anyhow::Ok(proof)
        };
        let faults = async {
            if !quiet.is_zero() {
                tokio::time::sleep(quiet).await;
                control.faults.set(profile);
            }
            std::future::pending::<anyhow::Result<()>>().await
        };
        let mapping = async {
            tokio::select! {
                ended = stage.run(&control) => ended,
                never = faults => never,
            }
        };
        let view = live::watch(&stage, options, &control);
        let (proof, (), ()) = futures::try_join!(work, mapping, view)?;
        live::conclude(&stage, options, &control, proof.as_ref())
    }

    fn ports(&self) -> Ports {
        let PortOptions { dynamodb_port, s3_port, kinesis_port, cloudwatch_port, .. } = self.ports;
        Ports { dynamodb: dynamodb_port, s3: s3_port, kinesis: kinesis_port, cloudwatch: cloudwatch_port }
    }

    /// Where changes come from: as was asked for, else as the pipeline says.
    fn stream(&self, options: &Options) -> anyhow::Result<StreamChoice> {
        if let Some(stream) = self.stream {
            return Ok(stream);
        }
        let variables = Variables::new(options, &Sample::default()).with_metrics_sink("none");
        Ok(match variables.config()?.pipeline.stream {
            Stream::DynamoDb => StreamChoice::Dynamodb,
            Stream::Kinesis => StreamChoice::Kinesis,
        })
    }

    fn reach(&self, options: &Options) -> anyhow::Result<Reach> {
        let stream = self.stream(options)?;
        Ok(Reach { stream, poison: self.load.has_poison(), in_process: self.invoke.is_none() })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }

    /// Where checkpoints are: a file for each stream that is read.
    fn checkpoints(&self, options: &Options, source: &str, kind: StreamChoice) -> PathBuf {
        let kind = match kind {
            StreamChoice::Dynamodb => "dynamodb",
            StreamChoice::Kinesis => "kinesis",
            StreamChoice::KinesisForDynamodb => "kinesis-for-dynamodb",
        };
        options.data.join(MAPPINGS).join(format!("{kind}-{source}.json"))
    }
}
