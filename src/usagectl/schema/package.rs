//! `usagectl package`: puts the function, a pipeline, and a template for exactly that pipeline into a folder that `sam deploy` or
//! `aws cloudformation package` can deploy. `template` writes the template, which carries the pipeline, and `folder` the files.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::pipeline::{Folder, Pipeline};

use self::folder::{Output, Parts};
use self::template::{Own, packaged};
use super::glue::pipeline_resources;
use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::options::Options;

mod folder;
mod template;

/// Package the function with your own pipeline, ready to deploy
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Package {
    /// Folder to write; a package that is already there is replaced
    #[arg(long, value_name = "DIR", default_value = "build/package")]
    out: PathBuf,
    /// Take the template and the built functions from here: this repository, or an unpacked release
    #[arg(long, value_name = "DIR", default_value = ".")]
    from: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  usagectl package --pipeline-dir path/to/mine
  usagectl package --pipeline-dir path/to/mine --from usage-aggregator-0.1.0-arm64 --out build/mine
  usagectl package --out build/shipped        All shipped pipelines

`make deploy PIPELINE_DIR=path/to/mine` runs this, checks the pipeline against the deployed
one, and deploys the folder. The name of the pipeline's folder becomes the name of the
pipeline. The function isn't built again: `make build` builds it, and a release contains it.";

impl Package {
    /// Writes the package, and prints what is in it.
    ///
    /// # Errors
    /// If the pipeline is invalid, or if the template or a function is missing.
    pub fn run(self, options: &Options) -> anyhow::Result<Done> {
        if let Some(name) = &options.pipeline {
            return Err(UsageError(format!(
                "--pipeline: every package without --pipeline-dir contains {name} and the other shipped pipelines; choose one when you deploy, with the parameter Pipeline={name}"
            ))
            .into());
        }
        let pipeline = options.pipeline_dir.as_deref().map(read).transpose()?;
        let parts = Parts::find(&self.from)?;
        let own = pipeline.as_ref().map(|(folder, pipeline)| own(folder, pipeline)).transpose()?;
        let architecture = parts.function.architecture()?;
        let template = packaged(&parts.template, architecture, own.as_ref())
            .with_context(|| format!("write a template from {}", parts.template_path.display()))?;
        let output = Output::open(&self.out)?;
        output.write(&parts, &template, pipeline.as_ref().map(|(folder, _)| folder))?;
        let name = pipeline.as_ref().map(|(folder, _)| folder.name.as_str());
        if options.json {
            console::print(&json!({ "out": self.out, "pipeline": name, "architecture": architecture }).to_string())?;
        } else {
            console::print(&text(&self.out, pipeline.as_ref().map(|(_, pipeline)| pipeline), architecture))?;
            console::note(&next_step(&self.out, name));
        }
        Ok(Done::Well)
    }
}

fn read(path: &Path) -> anyhow::Result<(Folder, Pipeline)> {
    let folder = Folder::read(path).with_context(|| format!("read the pipeline in {}", path.display()))?;
    let pipeline =
        Pipeline::parse(&folder).map_err(|mistakes| UsageError(format!("{}: {mistakes}", path.display())))?;
    let is_valid = !folder.name.is_empty() && folder.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !is_valid {
        return Err(UsageError(format!(
            "the folder's name `{}` can't be the name of a deployed pipeline; rename it to letters, digits, and hyphens",
            console::plain(&folder.name)
        ))
        .into());
    }
    Ok((folder, pipeline))
}

fn own<'p>(folder: &'p Folder, pipeline: &'p Pipeline) -> anyhow::Result<Own<'p>> {
    Ok(Own { folder, pipeline, resources: pipeline_resources(folder)? })
}

fn text(out: &Path, pipeline: Option<&Pipeline>, architecture: &str) -> String {
    let what = match pipeline {
        None => "all shipped pipelines".to_owned(),
        Some(pipeline) => {
            let archived = pipeline.routes.iter().filter(|route| route.archive.is_some()).count();
            format!(
                "the pipeline {} ({}, {} in Athena)",
                pipeline.name,
                counted(pipeline.routes.len(), "record type"),
                counted(archived, "table")
            )
        }
    };
    format!("{}: {what}, for {architecture}", out.display())
}

fn next_step(out: &Path, name: Option<&str>) -> String {
    let pipeline = name.map(|name| format!(" Pipeline={name}")).unwrap_or_default();
    format!(
        "deploy it: sam deploy --stack-name STACK --capabilities CAPABILITY_IAM --template-file {}/template.yaml --resolve-s3 --parameter-overrides Release=$(date +%s){pipeline}\nFor a new stack, add --guided. For an existing one, that would propose the template's defaults in place of the stack's parameters.",
        out.display()
    )
}
