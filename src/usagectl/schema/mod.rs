//! `usagectl schema`: works on the Avro schemas of pipelines. `glue` generates Athena tables, `check` finds unsafe changes, and
//! `infer` drafts a pipeline from records. `usagectl pipeline check` finds unsafe changes of pipelines.

mod athena;
mod check;
mod columns;
mod draft;
mod glue;
mod infer;
mod pipeline;

use clap::{Args, Subcommand};

pub use self::pipeline::Pipelines;

use crate::shell::console::Done;
use crate::shell::options::Options;

/// Generate Athena tables from schemas, check schema changes, or draft a schema
#[derive(Debug, Args)]
pub struct Schema {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Glue(glue::Glue),
    Check(check::Check),
    Infer(infer::Infer),
}

impl Schema {
    /// Runs the subcommand.
    pub fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.command {
            Command::Glue(command) => command.run(options),
            Command::Check(command) => command.run(options),
            Command::Infer(command) => command.run(options),
        }
    }
}
