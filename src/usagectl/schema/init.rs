//! `usagectl init`: from a table, or from a file of its items, to a pipeline that runs. `question` asks for what the command line
//! doesn't say, `items` reads the table, `sample` makes an event of its items. The draft itself is that of `usagectl schema infer`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::pipeline::{Folder, Pipeline};

use self::question::{Answers, Origin, answers};
use self::sample::{Sample, of_file, of_items};
use super::draft::draft;
use super::infer::{read, write};
use crate::event::explain::Explain;
use crate::event::read_event;
use crate::shell::console::{self, Done, UsageError, counted};
use crate::shell::options::Options;
use crate::shell::quote::quoted;

mod items;
mod question;
pub(super) mod sample;

/// The event in the drafted folder.
const SAMPLE: &str = "sample.json";

/// Draft a pipeline for your own table, and show what it does with a sample
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Init {
    /// File with a Lambda event, the output of `aws dynamodb scan`, or a file of a table export; `-` reads it from stdin
    #[arg(value_name = "RECORDS.json", conflicts_with = "table")]
    records: Option<PathBuf>,
    /// Read a sample of this table instead: from the running `usagectl local` or `serve`, or else from the AWS account of the environment
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Number of items to read from the table
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    items: u16,
    /// Create this folder, whose name becomes the name of the pipeline [default: the name of the table]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Name of the table that the items in the file are from [default: the name of the folder]
    #[arg(long, value_name = "NAME", conflicts_with = "table")]
    source: Option<String>,
    /// Key attributes of the items in the file, partition key first (tables and events name their keys)
    #[arg(long, value_name = "PK,SK", value_delimiter = ',', conflicts_with = "table")]
    key: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl init                                     Asks for a table or a file
  usagectl init --table visits --out pipelines/visits
  usagectl init event.json --out pipelines/visits
  aws dynamodb scan --table-name visits --max-items 500 | usagectl init - --out pipelines/visits

The folder gets a pipeline.toml, a schema for each record type, and sample.json, an event with up to
20 of the items. The draft counts the changes of each record type; docs/pipelines.md describes what
else can be counted. Nothing is written to the table.";

impl Init {
    /// Drafts the pipeline, explains the sample, and prints how to run it.
    ///
    /// # Errors
    /// If the items can't be read, no pipeline describes them, or the folder exists.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let Answers { origin, out } = answers(self.records.as_deref(), self.table.as_deref(), self.out.as_deref())?;
        if out.exists() {
            let shown = out.display();
            return Err(UsageError(format!("{shown} already exists: choose another folder with --out DIR")).into());
        }
        let sample = match &origin {
            Origin::Table(table) => {
                let found = items::read(table, self.items, options).await?;
                of_items(&found.keys, &found.items, table)?
            }
            Origin::File(path) => {
                let bytes = read_event(path)?;
                let name = self.source.clone().unwrap_or_else(|| name_of(&out));
                of_file(&bytes, &self.key, &name)
                    .map_err(|why| UsageError(format!("draft from {}: {why}", path.display())))?
            }
        };
        let folder = drafted(&sample, &out, &origin)?;
        write(&out, &folder)?;
        let event = out.join(SAMPLE);
        std::fs::write(&event, sample.excerpt()?).with_context(|| format!("write {}", event.display()))?;
        self.finish(options, &out, &event, &sample)
    }

    /// Shows what the pipeline does with the sample, and what to do next.
    fn finish(&self, options: &Options, out: &Path, event: &Path, sample: &Sample) -> anyhow::Result<Done> {
        let chosen = Options { pipeline: None, pipeline_dir: Some(out.to_owned()), ..options.clone() };
        let done = Explain::of(event).run(&chosen)?;
        let (folder, file) = (quoted(&out.to_string_lossy()), quoted(&event.to_string_lossy()));
        let next = format!("usagectl invoke --fresh --pipeline-dir {folder} {file} && usagectl snapshots");
        if options.json {
            let source = &sample.source;
            console::print(
                &json!({ "pipeline_dir": out, "sample": event, "source": source, "next": next }).to_string(),
            )?;
            return Ok(done);
        }
        console::note(&format!(
            "drafted {} from {}; commit {file} only if the items that it contains aren't confidential",
            out.display(),
            counted(sample.count, "item")
        ));
        console::print(&format!(
            "\nReview {}/pipeline.toml, and count the sample:\n  {next}\nRun it with a table, its stream, and load like the sample:\n  usagectl local --fresh --pipeline-dir {folder} --simulate own\nDeploy it:\n  make deploy PIPELINE_DIR={folder} STACK=NAME",
            out.display()
        ))?;
        Ok(done)
    }
}

fn name_of(out: &Path) -> String {
    out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn drafted(sample: &Sample, out: &Path, origin: &Origin) -> anyhow::Result<Folder> {
    let mut scratch = Vec::new();
    let failed = |why: String| UsageError(format!("draft from {origin}: {why}"));
    let input = read(&sample.event, &mut scratch, &[]).map_err(failed)?;
    let (files, mut notes) = draft(&input.samples, &input.source);
    notes.splice(0..0, sample.notes.iter().cloned().chain(input.notes));
    notes.iter().for_each(|note| console::note(&format!("note: {note}")));
    let folder = Folder { name: name_of(out), files };
    Pipeline::parse(&folder).map_err(|mistakes| {
        failed(format!("no pipeline describes these items; drafted files would have these mistakes:\n{mistakes}"))
    })?;
    Ok(folder)
}
