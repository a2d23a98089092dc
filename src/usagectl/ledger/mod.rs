//! `usagectl ledger`: looks into the ledger, and repairs what was derived from it. `show` describes a window, `sweep` folds
//! what no notice arrived for, and `rebuild` writes states again, or snapshots whose states are gone.

mod audit;
mod from_archive;
mod identity;
mod range;
mod repair;
mod show;

use clap::{Args, Subcommand};
use usage_aggregator::config::Config;
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::pipeline::Snapshot;

pub(crate) use audit::put_audits;
pub(crate) use identity::{author, is_same_author, lasting};
pub(crate) use range::window;
pub(crate) use repair::refused_text;

use crate::shell::console::{Done, UsageError};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;
use crate::stack::{Access, Deployment, Where};

/// Look into the ledger, and repair what was derived from it
#[derive(Debug, Args)]
pub struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(show::Show),
    Sweep(repair::Sweep),
    Rebuild(repair::Rebuild),
}

impl Ledger {
    /// Runs the command.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.command {
            Command::Show(show) => show.run(options).await,
            Command::Sweep(sweep) => sweep.run(options).await,
            Command::Rebuild(rebuild) => rebuild.run(options).await,
        }
    }
}

/// A ledger that is open.
pub(crate) struct Open {
    /// Reads and writes the ledger and usage tables.
    pub(crate) folder: Folder,
    /// The layout of the snapshots.
    pub(crate) snapshot: Snapshot,
    /// The function's configuration, without that layout.
    pub(crate) config: Config,
    /// The variables that it was made of.
    pub(crate) variables: Variables,
    /// Keeps the embedded services of a data folder running: without them, every request would wait for an answer.
    pub(crate) deployment: Deployment,
}

/// The ledger and usage tables of a deployment, and the layout of its snapshots.
pub(crate) async fn open(place: &Where, options: &Options, access: Access) -> anyhow::Result<Open> {
    let deployment = place.open(options).await?;
    let variables = deployment.variables(options, access).await?.with_metrics_sink("none");
    let mut config = variables.config()?;
    let folder = folder(&config, &deployment.clients().dynamodb);
    let Some((folder, snapshot)) = folder.zip(config.pipeline.snapshot.take()) else {
        let (name, remedy) = (&config.pipeline.name, "choose another with --pipeline");
        return Err(UsageError(format!("pipeline {name} counts nothing, so it has no ledger; {remedy}")).into());
    };
    Ok(Open { folder, snapshot, config, variables, deployment })
}
