//! `usagectl`, the operator's and the laptop's tool: reads the command line, dispatches, and turns what came of it into
//! an exit code. One file per command; `workplace` opens what the commands work on.

mod amounts;
mod assume;
mod bench;
mod cat;
mod changes;
mod choice;
mod console;
mod cost;
mod differences;
mod doctor;
mod explain;
mod faults;
mod folder;
mod invoke;
mod json;
mod local;
mod options;
mod plot;
mod reconcile;
mod redrive;
mod report;
mod running;
mod schema;
mod serve;
mod simulate;
mod snapshot_items;
mod snapshots;
mod span;
mod stack;
mod table;
mod tally;
mod touched;
mod tune;
mod usage;
mod workplace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use console::{Closed, Done, UsageError};
use options::Options;

/// Runs the usage aggregator on a laptop, and shows what it does and holds.
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
    Snapshots(snapshots::Snapshots),
    Local(Box<local::Local>),
    Faults(faults::Faults),
    Schema(schema::Schema),
    Serve(serve::Serve),
    Simulate(simulate::Simulate),
    Reconcile(reconcile::Reconcile),
    Redrive(Box<redrive::Redrive>),
    Bench(bench::Bench),
    Doctor(Box<doctor::Doctor>),
    Tune(Box<tune::Tune>),
    Cost(Box<cost::Cost>),
    Usage(usage::Usage),
}

const EXAMPLES: &str = "\
Examples:
  usagectl explain events/insert.json       what the function would do with an event
  usagectl invoke events/insert.json        run it, with all data in .usage/
  usagectl snapshots --plot amount          what has been counted
  usagectl cat data-pipeline/avro/order/    what has been archived
  usagectl simulate orders                  load for a running table
  usagectl reconcile                        whether all of it was counted once
  usagectl redrive --local                  what the mapping gave up, once more
  usagectl doctor --stack NAME              what is wrong with a deployment

Exit codes:
  0  all good
  1  something failed, or a record was rejected
  2  the command line, an endpoint or the pipeline is wrong, or the doctor found a problem";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { command, mut options } = Cli::parse();
    console::log_to_stderr(&options);
    // `local` and `serve` have services of their own; the others work with those of one that runs.
    if !matches!(command, Command::Local(_) | Command::Serve(_)) {
        running::join(&mut options);
    }
    let done = match command {
        Command::Invoke(command) => command.run(&options).await,
        Command::Explain(command) => command.run(&options),
        Command::Cat(command) => command.run(&options).await,
        Command::Snapshots(command) => command.run(&options).await,
        Command::Local(command) => command.run(&options).await,
        Command::Faults(command) => command.run(&options).await,
        Command::Schema(command) => command.run(&options),
        Command::Serve(command) => command.run(&options).await,
        Command::Simulate(command) => command.run(&options).await,
        Command::Reconcile(command) => command.run(&options).await,
        Command::Redrive(command) => command.run(&options).await,
        Command::Bench(command) => command.run(&options).await,
        Command::Doctor(command) => command.run(&options).await,
        Command::Tune(command) => command.run(&options).await,
        Command::Cost(command) => command.run(&options).await,
        Command::Usage(command) => command.run(&options).await,
    };
    match done {
        Ok(Done::Well) => ExitCode::SUCCESS,
        Ok(Done::WithFailures) => ExitCode::from(1),
        Ok(Done::WithProblems) => ExitCode::from(2),
        // Whoever read the output has seen enough.
        Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            console::note(&format!("error: {error:#}"));
            ExitCode::from(if error.is::<UsageError>() { 2 } else { 1 })
        }
    }
}
