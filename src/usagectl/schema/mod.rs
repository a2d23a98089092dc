//! `usagectl schema`: works on the Avro schemas of pipelines. `glue` generates Athena tables, `check` finds unsafe changes, and
//! `infer` drafts a pipeline from records. `usagectl init` asks for records, and shows what the draft does with them. `usagectl pipeline
//! check` finds unsafe changes of pipelines, and `usagectl package` puts a pipeline and the function into a folder that can be deployed.

mod athena;
mod check;
mod columns;
mod draft;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod glue;
mod infer;
mod init;
mod literal;
mod package;
mod pipeline;

use clap::{Args, Subcommand};

use self::check::{Verdict, compare};
pub use self::init::Init;
pub use self::package::Package;
pub use self::pipeline::Pipelines;

use usage_aggregator::archive::RecordSchema;

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

/// The changes between two schemas that keep rows of one from being read together with rows of the other, each with the field, the
/// reason and what to do instead.
pub fn unsafe_changes(old: &RecordSchema, new: &RecordSchema) -> Vec<String> {
    let findings = compare(old.parsed(), new.parsed()).into_iter();
    let is_unsafe = findings.filter(|finding| finding.verdict == Verdict::Unsafe);
    is_unsafe.map(|finding| format!("{}: {}: {}", finding.path, finding.change, finding.reason)).collect()
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
