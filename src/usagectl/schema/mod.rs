//! `usagectl schema`: what follows from the schemas of pipelines. `glue` makes Athena's tables of them, `check` says which
//! changes are safe, `infer` drafts a new one.

mod athena;
mod check;
mod columns;
mod draft;
mod glue;
mod infer;

use clap::{Args, Subcommand};

use crate::shell::console::Done;
use crate::shell::options::Options;

/// Make Athena's tables of schemas, check changes of schemas, draft a schema
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
    pub fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.command {
            Command::Glue(command) => command.run(options),
            Command::Check(command) => command.run(options),
            Command::Infer(command) => command.run(options),
        }
    }
}
