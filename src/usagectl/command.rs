//! The command line of `usagectl`: parses it, dispatches to the file of the command, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::answers::{alerts, correct, prove, why};
use crate::deployment::redrive;
#[cfg(feature = "deployment")]
use crate::deployment::{backfill, cost, doctor, tune};
use crate::event::{explain, invoke};
use crate::indicators;
use crate::laptop::{bench, faults, local, serve, simulate, traces};
use crate::ledger;
use crate::results::{cat, compact, export, reconcile, snapshots, usage};
use crate::schema;
use crate::shell::console::{self, Closed, Done, UsageError};
use crate::shell::failure;
use crate::shell::options::Options;
use crate::shell::running;

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
    Invoke(invoke::Invoke),
    Explain(explain::Explain),
    Cat(cat::Cat),
    Compact(Box<compact::Compact>),
    Snapshots(snapshots::Snapshots),
    Local(Box<local::Local>),
    Faults(faults::Faults),
    Schema(schema::Schema),
    Pipeline(schema::Pipelines),
    Serve(serve::Serve),
    Simulate(simulate::Simulate),
    Traces(traces::Traces),
    Reconcile(reconcile::Reconcile),
    Redrive(Box<redrive::Redrive>),
    #[cfg(feature = "deployment")]
    Backfill(Box<backfill::Backfill>),
    Bench(bench::Bench),
    #[cfg(feature = "deployment")]
    Doctor(Box<doctor::Doctor>),
    #[cfg(feature = "deployment")]
    Tune(Box<tune::Tune>),
    #[cfg(feature = "deployment")]
    Cost(Box<cost::Cost>),
    Usage(usage::Usage),
    Export(Box<export::Export>),
    Alerts(Box<alerts::Alerts>),
    Indicators(Box<indicators::Indicators>),
    Ledger(Box<ledger::Ledger>),
    Correct(Box<correct::Correct>),
    Why(Box<why::Why>),
    Prove(Box<prove::Prove>),
}

const EXAMPLES: &str = "\
Examples:
  usagectl explain events/insert.json       Show what the function would do with an event
  usagectl invoke events/insert.json        Run the function, with all data in .usage/
  usagectl snapshots --plot amount          Plot what was counted
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

Exit codes:
  0  Success
  1  Something failed, or a record was rejected
  2  The command line, an endpoint or the pipeline is invalid, or doctor found a problem";

/// Runs the command on the command line and returns its exit code.
pub async fn run() -> ExitCode {
    let Cli { command, mut options } = Cli::parse();
    // With --otlp, a local run starts logging itself.
    if !matches!(&command, Command::Local(local) if local.exports()) {
        console::log_to_stderr(&options);
    }
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
        Command::Schema(command) => command.run(&options),
        Command::Pipeline(command) => command.run(&options),
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
        Command::Tune(command) => command.run(&options).await,
        #[cfg(feature = "deployment")]
        Command::Cost(command) => command.run(&options).await,
        Command::Usage(command) => command.run(&options).await,
        Command::Export(command) => command.run(&options).await,
        Command::Alerts(command) => command.run(&options).await,
        Command::Indicators(command) => command.run(&options).await,
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
