//! `usagectl pipeline check`: reports what a change of a pipeline does to the counters and files that exist. Reads both versions and
//! prints what `changes` finds. `deployed` reads the version that a stack runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use usage_aggregator::pipeline::{Folder, Pipeline};

use self::changes::changes;
use self::definition::Definition;
use super::check::{Finding, Verdict, report};
use crate::shell::console::{self, Done, UsageError, plain};
use crate::shell::options::Options;

mod changes;
mod counters;
mod definition;
#[cfg(feature = "deployment")]
mod deployed;

/// Check what a change of a pipeline does to the counters and files that exist
#[derive(Debug, Args)]
pub struct Pipelines {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

impl Pipelines {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If a pipeline can't be read or is invalid.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        match self.command {
            Command::Check(command) => command.run(options).await,
        }
    }
}

/// Check which changes between two pipelines, or two folders of pipelines, are safe
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
struct Check {
    /// The pipeline in use: its folder, or a folder of pipelines. With --stack, leave it out
    #[arg(value_name = "OLD", required = true)]
    old: PathBuf,
    /// The new pipeline, or folder of pipelines
    #[cfg_attr(feature = "deployment", arg(value_name = "NEW", required_unless_present = "stack"))]
    #[cfg_attr(not(feature = "deployment"), arg(value_name = "NEW", required = true))]
    new: Option<PathBuf>,
    /// Compare with the pipeline that this CloudFormation stack runs, with the AWS credentials and region of the environment
    #[cfg(feature = "deployment")]
    #[arg(long, value_name = "NAME", conflicts_with = "new")]
    stack: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl pipeline check old/orders schemas/orders
  usagectl pipeline check /tmp/release/schemas schemas
  usagectl pipeline check --stack NAME path/to/mine

A change is safe if the counters and snapshots that exist keep their meaning and are still
updated, and if old and new files can be read together (as `usagectl schema check` reports).
`generation` must rise with every change of what is counted. The exit code is 1 if a change is
unsafe.";

impl Check {
    async fn run(self, options: &Options) -> anyhow::Result<Done> {
        #[cfg(feature = "deployment")]
        if let Some(stack) = &self.stack {
            return deployed::check(stack, &self.old, options).await;
        }
        let new = self.new.as_deref().unwrap_or(&self.old);
        let (old, new) = (pipelines(&self.old, in_use)?, pipelines(new, definition)?);
        let done = report(&old, &new, findings, if options.json { json } else { line })?;
        if !options.json {
            console::note(&format!("compared {}", console::counted(new.len(), "pipeline")));
        }
        Ok(done)
    }
}

/// What a pipeline says, whose place the text names in errors.
type Define = fn(Folder, &str) -> anyhow::Result<Definition>;

/// The pipeline in a folder, under an empty name, or all pipelines in the folders of a folder.
fn pipelines(path: &Path, define: Define) -> anyhow::Result<BTreeMap<String, Definition>> {
    if path.join("pipeline.toml").exists() {
        return Ok(BTreeMap::from([(String::new(), read(path, define)?)]));
    }
    let mut pipelines = BTreeMap::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("list {}", path.display()))? {
        let folder = entry.with_context(|| format!("list {}", path.display()))?.path();
        if folder.join("pipeline.toml").exists() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            pipelines.insert(name, read(&folder, define)?);
        }
    }
    if pipelines.is_empty() {
        let shown = path.display();
        return Err(UsageError(format!("find a pipeline in {shown}: no pipeline.toml in it or in its folders")).into());
    }
    Ok(pipelines)
}

fn read(path: &Path, define: Define) -> anyhow::Result<Definition> {
    let folder = Folder::read(path).with_context(|| format!("read the pipeline in {}", path.display()))?;
    define(folder, &path.display().to_string())
}

/// The definition of the pipeline in `folder`, which `shown` names in errors.
fn definition(folder: Folder, shown: &str) -> anyhow::Result<Definition> {
    // All mistakes of an invalid pipeline are reported with their lines.
    Pipeline::parse(&folder).map_err(|mistakes| UsageError(format!("{shown}: {mistakes}")))?;
    Ok(Definition::of(folder))
}

/// The same for the pipeline in use. An earlier version may have accepted what this one refuses, and the new pipeline must still be compared
/// with it.
fn in_use(folder: Folder, shown: &str) -> anyhow::Result<Definition> {
    if let Err(mistakes) = Pipeline::parse(&folder) {
        console::note(&format!(
            "this version refuses the pipeline in use ({shown}), and compares what it says all the same: {mistakes}"
        ));
    }
    Ok(Definition::of(folder))
}

fn findings(old: Option<&Definition>, new: Option<&Definition>) -> Vec<Finding> {
    match (old, new) {
        (Some(old), Some(new)) => changes(old, new),
        (Some(_), None) => vec![Finding::new(
            "",
            "the pipeline was removed",
            Verdict::Unsafe,
            "a function that runs it would not start; keep it as long as one does",
        )],
        (None, _) => vec![Finding::new("", "the pipeline is new", Verdict::Safe, "nothing was counted by it yet")],
    }
}

fn line(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    let place: Vec<&str> = [name, path.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    let place = if place.is_empty() { "the pipeline".to_owned() } else { place.join(": ") };
    plain(&format!("{:<7} {place}: {change}: {reason}", verdict.name()))
}

fn json(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    json!({ "pipeline": name, "part": path, "change": change, "verdict": verdict.name(), "reason": reason }).to_string()
}

#[cfg(test)]
mod tests;
