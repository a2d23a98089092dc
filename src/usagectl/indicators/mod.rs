//! `usagectl indicators`: recomputes the indicators of a table that existed before them, compares what is stored with what the items
//! give, and shows one target.
//!
//! `open` finds the table and its pipeline, `projected` what its indexes lack, `scan` all targets, and `examine` compares one. `budget` keeps to a share of the table's
//! capacity, `folder` lets a rebuild that was stopped continue, and `filter` makes the filter of the mapping. The values are computed by the function's own code.

mod budget;
mod check;
mod examine;
mod filter;
mod folder;
mod open;
mod projected;
mod rebuild;
mod scan;
mod show;
mod text;

use clap::{Args, Subcommand};

use crate::shell::console::Done;
use crate::shell::options::Options;

/// Rebuild, check, or show the indicators that the pipeline keeps on items of the source table
#[derive(Debug, Args)]
pub struct Indicators {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(Box<check::Check>),
    Rebuild(Box<rebuild::Rebuild>),
    Show(Box<show::Show>),
    Filter(filter::Filter),
}

impl Indicators {
    /// Runs the command.
    ///
    /// # Errors
    /// If the table can't be read or written.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.action {
            Action::Check(check) => check.run(options).await,
            Action::Rebuild(rebuild) => rebuild.run(options).await,
            Action::Show(show) => show.run(options).await,
            Action::Filter(filter) => filter.run(options),
        }
    }
}
