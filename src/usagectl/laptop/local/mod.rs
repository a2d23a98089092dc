//! `usagectl local`: a table or stream, the event source mappings of it and of the ledger, and the function on this machine,
//! until Ctrl-C or until all of a generated load is counted.
//!
//! `settings` holds the mappings' options and `rejected` those for rejected records. `run` builds and runs everything: each
//! `mapping` with its stream from `stream` and its function from `target`. `live` shows progress in the rows of `screen`, `page` is the
//! live page, `control` accepts changes, `refused` and `archived` refuse options and schemas that can't work, `alarms` evaluates those of the template, `alerts` counts those of the pipeline, `load` writes records and proves the result, and `ending` says what a stopped run leaves behind.

mod alarms;
mod alerts;
mod archived;
mod control;
mod ending;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod live;
mod load;
mod mapping;
mod page;
mod panel;
mod reach;
mod refused;
mod rejected;
mod run;
mod screen;
mod settings;
mod status;
mod stream;
mod target;
mod telemetry;
mod trend;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use laptop::emulators::Ports;
use laptop::proof::{FaultInjector, FaultProfile, RequestedFaults};
use tokio::signal::unix::{SignalKind, signal};
use usage_aggregator::pipeline::{Pipeline, Stream};
use usage_aggregator::telemetry::Telemetry;

use crate::laptop::serve;
use crate::shell::console::{Done, UsageError};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::{Sample, Variables};
use crate::shell::remembered::remember;
use crate::shell::resource_names::{stream_name, table_name};
use crate::shell::running::Running;
use crate::shell::workplace::Start;
use control::Control;
use load::LoadOptions;
use reach::Reach;
use rejected::{RejectionOptions, failure_buckets};
use run::LocalRun;
use settings::MappingOptions;

/// Run the table, stream, event source mappings and function on this machine, with optional faults
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Local {
    /// Start over: first delete all tables, objects, streams and checkpoints in the data folder
    #[arg(long)]
    fresh: bool,
    /// How changes reach the function [default: as the pipeline specifies]
    #[arg(long, value_name = "KIND")]
    stream: Option<StreamChoice>,
    /// Table or Kinesis stream to read, created if missing [default: the pipeline's first source]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Partition key and sort key for creating the table [default: those the first record type matches]
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    keys: Vec<String>,
    /// Hours after which stream records are trimmed
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..))]
    retention: u32,
    /// Invoke the function at this endpoint instead of in this process, for example a running `cargo lambda watch`
    #[arg(long, value_name = "URL")]
    invoke: Option<String>,
    /// Write the function's environment variables to this file as NAME=VALUE lines when everything is ready
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
    /// Timeout of the function in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
    /// Failure destination: s3://BUCKET, a queue URL, a folder, or none
    #[arg(long, value_name = "DESTINATION", default_value = "s3://failures")]
    on_failure: String,
    /// Faults to inject: `none`, `all`, or a list like `crash=2,lose=5,split=10s`; see `usagectl faults --help`
    #[arg(long, value_name = "FAULTS", default_value = "none")]
    faults: RequestedFaults,
    /// Seconds to run before the first fault
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    faults_after: u64,
    /// Seed for the faults
    #[arg(long, value_name = "N", default_value_t = 1)]
    fault_seed: u64,
    /// Export the function's traces and log records to this OpenTelemetry endpoint, such as that of `usagectl traces`
    #[arg(long, value_name = "URL", conflicts_with = "invoke")]
    otlp: Option<String>,
    /// What exports to it, once it has started.
    #[arg(skip)]
    telemetry: Option<Arc<Telemetry>>,
    #[command(flatten)]
    rejected: RejectionOptions,
    #[command(flatten)]
    ports: PortOptions,
    #[command(flatten)]
    mapping: MappingOptions,
    #[command(flatten)]
    load: LoadOptions,
}

/// How changes reach the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StreamChoice {
    /// DynamoDB Streams
    Dynamodb,
    /// Messages in a Kinesis stream
    Kinesis,
    /// Kinesis Data Streams for DynamoDB: a table's changes through a Kinesis stream
    KinesisForDynamodb,
}

#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Ports (0 picks a free port)")]
struct PortOptions {
    /// Port for DynamoDB
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dynamodb_port: u16,
    /// Port for S3
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    s3_port: u16,
    /// Port for Kinesis
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    kinesis_port: u16,
    /// Port for CloudWatch
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    cloudwatch_port: u16,
    /// Port for EventBridge
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    eventbridge_port: u16,
    /// Port for the control endpoint
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control_port: u16,
}

const EXAMPLES: &str = "\
Examples:
  Run the orders pipeline until Ctrl-C:
    usagectl local
  Write 5,000 records under every kind of fault, then check the result:
    usagectl local --fresh --simulate orders --records 5000 --faults all
  Serve DynamoDB on a fixed port; run `usagectl simulate orders` in another shell:
    usagectl local --dynamodb-port 8000
  Run the Kinesis race:
    usagectl local --pipeline alleycat --simulate alleycat --duration 5m
  Deliver a table's changes through Kinesis, some of them twice and out of order:
    usagectl local --fresh --stream kinesis-for-dynamodb --faults repeat=10
  Run the binary that is deployed:
    usagectl local --invoke http://127.0.0.1:9000 --env-file env &
    cargo lambda watch --env-file env
  Show each invocation as a waterfall; run `usagectl traces` in another shell:
    usagectl local --simulate orders --otlp http://localhost:4318
  Change the mapping's settings:
    usagectl local --filter '{\"eventName\":[\"INSERT\"]}' --batch-size 10 --batching-window 2
  Read the stream of a table in a DynamoDB that is already running:
    usagectl local --dynamodb-endpoint http://127.0.0.1:8000 --source orders

A restarted run resumes from its checkpoints. With --simulate, the run ends once everything written
is counted, and reports whether the counts are exact; --forever keeps it running. The exit code is
1 if anything was lost or counted twice. Other commands find the services through the data folder.";

impl Local {
    /// Builds and runs everything until it is stopped or the load is counted.
    pub async fn run(mut self, options: &Options) -> anyhow::Result<Done> {
        let options = &options.forgetting(self.fresh);
        self.refuse(&self.variables(options).with_metrics_sink("none").config()?)?;
        let quiet = Duration::from_secs(self.faults_after);
        let profile = self.faults.profile.clone();
        let initial = if quiet.is_zero() { profile.clone() } else { FaultProfile::default() };
        let reach = self.reach(options)?;
        reach.check(&self.faults.named).map_err(|mistake| UsageError(format!("--faults: {mistake}")))?;
        let page = page::open(options, &failure_buckets(&self.on_failure, &self.variables(options)))?;
        let control = Control::new(FaultInjector::new(initial, self.fault_seed), reach, page);
        self.telemetry = telemetry::start(self.otlp.as_deref(), options).await?;
        let run = LocalRun::build(&self, options, &control).await?;
        run.begin(options)?;
        remember(&options.data, &run.variables, Some(&run.source_name))?;
        let url = control.serve(self.ports.control_port).await?;
        self.announce(&run, options, &url)?;
        // Registered before the run is announced, because from then on it may be stopped.
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        live::print_start(&run, options, &url)?;

        let mut stop = control.stop.subscribe();
        let stopped = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        };
        let work = async {
            let proof = tokio::select! {
                () = stopped => None,
                proof = self.load.run(&run, options, &control) => Some(proof?),
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
        let mappings = async {
            tokio::select! {
                ended = run.run(&control) => ended,
                never = faults => never,
            }
        };
        let view = live::watch(&run, options, &control);
        let page = page::watch(&run, &control);
        let (proof, (), (), ()) = futures::try_join!(work, mappings, view, page)?;
        live::print_result(&run, options, &control, proof.as_ref()).await
    }

    /// Lets other commands find the services.
    fn announce(&self, run: &LocalRun, options: &Options, url: &str) -> anyhow::Result<()> {
        let Some(services) = run.place.services() else { return Ok(()) };
        let mut running = Running::new(services, Some(url.to_owned()));
        running.mapping = Some(run.mapping.running.clone());
        running.fold = run.folding.as_ref().map(|folding| folding.running.clone());
        running.write(&options.data)?;
        let Some(path) = &self.env_file else { return Ok(()) };
        serve::write_environment(path, &serve::environment(services, &run.variables))
    }

    /// Whether the run exports telemetry, for which it starts logging itself.
    pub fn exports(&self) -> bool {
        self.otlp.is_some()
    }

    fn ports(&self) -> Ports {
        let PortOptions { dynamodb_port, s3_port, kinesis_port, cloudwatch_port, eventbridge_port, .. } = self.ports;
        Ports {
            dynamodb: dynamodb_port,
            s3: s3_port,
            cloudwatch: cloudwatch_port,
            kinesis: kinesis_port,
            eventbridge: eventbridge_port,
        }
    }

    fn reach(&self, options: &Options) -> anyhow::Result<Reach> {
        let pipeline = self.variables(options).with_metrics_sink("none").config()?.pipeline;
        let (stream, counts) = (self.stream_choice(&pipeline), pipeline.snapshot.is_some());
        Ok(Reach { stream, counts, poison: self.load.has_poison(), in_process: self.invoke.is_none() })
    }

    /// Whether the run starts with empty data.
    fn start(&self) -> Start {
        if self.fresh { Start::Fresh } else { Start::Continue }
    }

    /// The function's environment variables.
    fn variables(&self, options: &Options) -> Variables {
        self.rejected.set(Variables::new(options, &Sample::default()), &self.on_failure)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    fn stream_choice(&self, pipeline: &Pipeline) -> StreamChoice {
        self.stream.unwrap_or(match pipeline.stream {
            Stream::DynamoDb => StreamChoice::Dynamodb,
            Stream::Kinesis => StreamChoice::Kinesis,
        })
    }

    fn source_name(&self, pipeline: &Pipeline, kind: StreamChoice) -> Result<String, UsageError> {
        let named = self.source.as_ref().or(pipeline.sources.first()).ok_or_else(|| {
            UsageError("the pipeline lists no source: choose the table or stream to read with --source".to_owned())
        })?;
        let checked = match kind {
            StreamChoice::Kinesis => stream_name(named),
            // The Kinesis stream of a table has the table's name.
            StreamChoice::Dynamodb | StreamChoice::KinesisForDynamodb => table_name(named),
        };
        checked.map_err(|mistake| UsageError(format!("--source: {mistake}")))
    }
}
