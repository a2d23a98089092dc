//! The command line of `usagectl`: parses it, dispatches to the file of the command, and turns the outcome into an exit code. `groups`
//! orders the commands in the help by task, and `generated` writes shell completions and man pages.

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use crate::answers::{alerts, correct, prove, reconcile, why};
use crate::deployment::redrive;
#[cfg(feature = "deployment")]
use crate::deployment::{backfill, cost, doctor, tune, watch};
use crate::event::{explain, invoke};
use crate::indicators;
use crate::laptop::{bench, faults, local, serve, simulate, traces};
use crate::ledger;
use crate::results::{cat, compact, export, snapshots, usage};
use crate::schema;
use crate::shell::console::{self, Closed, Done, UsageError};
use crate::shell::failure;
use crate::shell::options::Options;
use crate::shell::{remembered, running};

mod generated;
mod groups;

/// Run the usage aggregator on a laptop, inspect its results, and operate a deployed stack
#[derive(Debug, Parser)]
#[command(name = "usagectl", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(schema::Init),
    Explain(explain::Explain),
    Invoke(invoke::Invoke),
    Local(Box<local::Local>),
    Simulate(simulate::Simulate),
    Traces(traces::Traces),
    Faults(faults::Faults),
    Serve(serve::Serve),
    Bench(bench::Bench),
    Schema(schema::Schema),
    Pipeline(schema::Pipelines),
    Package(schema::Package),
    Snapshots(snapshots::Snapshots),
    Usage(usage::Usage),
    Alerts(Box<alerts::Alerts>),
    Why(Box<why::Why>),
    Cat(cat::Cat),
    Export(Box<export::Export>),
    Compact(Box<compact::Compact>),
    Indicators(Box<indicators::Indicators>),
    Reconcile(reconcile::Reconcile),
    Prove(Box<prove::Prove>),
    Correct(Box<correct::Correct>),
    Ledger(Box<ledger::Ledger>),
    #[cfg(feature = "deployment")]
    Doctor(Box<doctor::Doctor>),
    Redrive(Box<redrive::Redrive>),
    #[cfg(feature = "deployment")]
    Backfill(Box<backfill::Backfill>),
    #[cfg(feature = "deployment")]
    Watch(watch::Watch),
    #[cfg(feature = "deployment")]
    Tune(Box<tune::Tune>),
    #[cfg(feature = "deployment")]
    Cost(Box<cost::Cost>),
    Completions(generated::Completions),
    Man(generated::Man),
}

const EXAMPLES: &str = "\
Examples:
  usagectl explain events/insert.json       Show what the function would do with an event
  usagectl invoke events/insert.json        Run the function, with all data in .usage/
  usagectl snapshots --plot amount          Plot what was counted
  usagectl init --table NAME                Draft a pipeline for your own table
  usagectl local --pipeline-dir DIR         Run it; later commands with this data folder remember it
  usagectl cat data-pipeline/avro/order/    Print what was archived
  usagectl simulate orders                  Write load to a running table
  usagectl traces                           Print the traces of a local run as waterfalls
  usagectl reconcile                        Check that everything was counted exactly once
  usagectl why 7 orders 2026-11 --local     Show the records behind a number
  usagectl alerts --local --firing          List who has reached a limit
  usagectl indicators check --local         Compare indicators with the items of the table
  usagectl correct list --local             List corrections, with authors and reasons
  usagectl redrive --local                  Replay failed batches
  usagectl doctor --stack NAME              Diagnose a deployment
  usagectl watch --stack NAME               Serve the live page of a deployment

Exit codes:
  0  Success
  1  Something failed, or a record was rejected
  2  The command line, an endpoint or the pipeline is invalid. Some commands use it for more, as
     their help says: doctor for a problem";

/// Runs the command on the command line and returns its exit code.
pub async fn run() -> ExitCode {
    match groups::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(line) => run_line(line).await,
        Err(error) => match groups::left_out(&error) {
            Some(command) => {
                let remedy = "build all commands with `make usagectl`";
                console::note(&format!("error: this usagectl was built without the command `{command}`: {remedy}"));
                ExitCode::from(2)
            }
            None => error.exit(),
        },
    }
}

async fn run_line(Cli { command, mut options }: Cli) -> ExitCode {
    // With --otlp, a local run starts logging itself.
    if !matches!(&command, Command::Local(local) if local.exports()) {
        console::log_to_stderr(&options);
    }
    options.remembered = remembered::recall(&options);
    // `local` and `serve` start their own services; other commands use those of a running one.
    if !matches!(command, Command::Local(_) | Command::Serve(_)) {
        running::join(&mut options);
    }
    let done = match command {
        Command::Invoke(command) => command.run(&options).await,
        Command::Explain(command) => command.run(&options),
        Command::Cat(command) => command.run(&options).await,
        Command::Compact(command) => command.run(&options).await,
        Command::Snapshots(command) => command.run(&options).await,
        Command::Ledger(command) => command.run(&options).await,
        Command::Correct(command) => command.run(&options).await,
        Command::Why(command) => command.run(&options).await,
        Command::Prove(command) => command.run(&options).await,
        Command::Local(command) => command.run(&options).await,
        Command::Faults(command) => command.run(&options).await,
        Command::Init(command) => command.run(&options).await,
        Command::Schema(command) => command.run(&options),
        Command::Pipeline(command) => command.run(&options).await,
        Command::Package(command) => command.run(&options),
        Command::Serve(command) => command.run(&options).await,
        Command::Simulate(command) => command.run(&options).await,
        Command::Traces(command) => command.run(&options).await,
        Command::Reconcile(command) => command.run(&options).await,
        Command::Redrive(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Backfill(command) => command.run(&options).await,
        Command::Bench(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Doctor(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Watch(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Tune(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Cost(command) => command.run(&options).await,
        Command::Usage(command) => command.run(&options).await,
        Command::Export(command) => command.run(&options).await,
        Command::Alerts(command) => command.run(&options).await,
        Command::Indicators(command) => command.run(&options).await,
        Command::Completions(command) => command.run(&options),
        Command::Man(command) => command.run(&options),
    };
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::WithFailures) => ExitCode::from(1),
        Ok(Done::WithProblems) => ExitCode::from(2),
        // The reader of the output stopped reading, for example `| head`.
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            console::note(&format!("error: {}", failure::describe(&error)));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
