//! `usagectl schema infer`: drafts a pipeline from an event, from items of a table, or from a table export. `read` finds the
//! items, `draft` generates the text, and this file writes it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::pipeline::{Folder, Pipeline};

pub(super) use self::read::read;
use super::draft::draft;
use crate::event::read_event;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;

mod key;
mod read;

/// Draft a pipeline.toml and its schemas from an event or from the items of a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Infer {
    /// File with a Lambda event, the output of `aws dynamodb scan`, `query` or `get-item`, or a file of a table export; `-`
    /// reads it from stdin
    #[arg(value_name = "RECORDS.json")]
    records: PathBuf,
    /// Create this folder and write the files there, instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Key attributes of the table's items, partition key first (events name their keys)
    #[arg(long, value_name = "PK,SK", value_delimiter = ',')]
    key: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema infer events/mixed.json --out schemas/mine
  aws dynamodb scan --table-name orders --max-items 500 | usagectl schema infer - --out schemas/mine
  usagectl schema infer scan.json --key deviceId,ts --out schemas/mine
  aws s3 cp s3://BUCKET/AWSDynamoDB/ID/data/FILE.json.gz - | usagectl schema infer - --key PK,SK
  usagectl explain --pipeline-dir schemas/mine events/mixed.json

Files can be compressed with gzip. The draft is based only on the records given: it takes all of
them. Review it, then add what to count (docs/pipelines.md).";

impl Infer {
    /// Drafts the files, and prints or writes them.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let bytes = read_event(&self.records)?;
        let name = self.out.as_deref().and_then(Path::file_name).map_or("draft".into(), |name| name.to_string_lossy());
        let mut scratch = Vec::new();
        let input = read(&bytes, &mut scratch, &self.key)
            .map_err(|why| UsageError(format!("draft from {}: {why}", self.records.display())))?;
        let (files, mut notes) = draft(&input.samples, &input.source);
        notes.splice(0..0, input.notes);
        notes.iter().for_each(|note| console::note(&format!("note: {note}")));
        let folder = Folder { name: name.into_owned(), files };
        Pipeline::parse(&folder).map_err(|mistakes| {
            UsageError(format!(
                "draft from {}: no pipeline describes these records; drafted files would have these mistakes:\n{mistakes}",
                self.records.display()
            ))
        })?;
        match &self.out {
            Some(path) => {
                write(path, &folder)?;
                let names: Vec<&String> = folder.files.keys().collect();
                console::print(&match options.json {
                    true => json!({ "out": path, "files": names }).to_string(),
                    false => {
                        format!("{}: {}", path.display(), folder.files.keys().cloned().collect::<Vec<_>>().join(", "))
                    }
                })?;
            }
            None if options.json => console::print(&json!({ "files": folder.files }).to_string())?,
            None => {
                for (name, text) in &folder.files {
                    console::print(&format!("--- {name}\n{}", text.trim_end()))?;
                }
            }
        }
        Ok(Done::Well)
    }
}

/// Creates a folder with the files of a draft.
pub(super) fn write(path: &Path, folder: &Folder) -> anyhow::Result<()> {
    let shown = path.display();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), std::fs::create_dir_all).with_context(|| format!("create the folder that {shown} is in"))?;
    // Never writes into an existing folder.
    std::fs::create_dir(path).with_context(|| format!("create the folder {shown}, which must not exist yet"))?;
    for (name, text) in &folder.files {
        std::fs::write(path.join(name), text).with_context(|| format!("write {shown}/{name}"))?;
    }
    Ok(())
}
