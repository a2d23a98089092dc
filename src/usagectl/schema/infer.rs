//! `usagectl schema infer`: drafts a pipeline from an event file or from the output of `aws dynamodb scan`. This file reads the
//! items and writes the files; `draft` generates the text.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use usage_aggregator::decode::{Event, attribute};
use usage_aggregator::pipeline::{Folder, Pipeline};
use usage_aggregator::record::{Change, Item};

use super::draft::{Sample, draft};
use crate::event::read_event;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;

/// Draft a pipeline.toml and its schemas from an event or from the items of a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Infer {
    /// File with a Lambda event or the output of `aws dynamodb scan`; `-` reads it from stdin
    #[arg(value_name = "RECORDS.json")]
    records: PathBuf,
    /// Create this folder and write the files there, instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Key attribute of the table's items; repeat for a sort key (events name their keys)
    #[arg(long, value_name = "NAME", default_values = ["pk", "sk"])]
    key: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema infer events/mixed.json --out schemas/mine
  aws dynamodb scan --table-name orders --max-items 500 | usagectl schema infer - --out schemas/mine
  usagectl explain --pipeline-dir schemas/mine events/mixed.json

The draft is based only on the records given. Review it, then add what to count (docs/pipelines.md).";

/// The output of `aws dynamodb scan` and `query`.
#[derive(Deserialize)]
struct Scanned<'a> {
    #[serde(rename = "Items", borrow)]
    items: Vec<&'a RawValue>,
}

impl Infer {
    /// Drafts the files, and prints or writes them.
    pub(super) fn run(self, _: &Options) -> anyhow::Result<Done> {
        let bytes = read_event(&self.records)?;
        let name = self.out.as_deref().and_then(Path::file_name).map_or("draft".into(), |name| name.to_string_lossy());
        let mut scratch = Vec::new();
        let (files, notes) = match serde_json::from_slice::<Scanned<'_>>(&bytes) {
            Ok(scanned) => {
                let samples: Result<Vec<_>, _> = scanned.items.iter().map(|item| self.of_item(item.get())).collect();
                draft(&samples?)
            }
            Err(_) => self.of_event(&bytes, &mut scratch)?,
        };
        notes.iter().for_each(|note| console::note(&format!("note: {note}")));
        let folder = Folder { name: name.into_owned(), files };
        // A draft that the function rejects is a bug here, or comes from records that no pipeline can describe.
        Pipeline::parse(&folder).map_err(|mistakes| UsageError(mistakes.to_string()))?;
        match &self.out {
            Some(path) => write(path, &folder)?,
            None => {
                for (name, text) in &folder.files {
                    console::print(&format!("--- {name}\n{}", text.trim_end()))?;
                }
            }
        }
        Ok(Done::Well)
    }

    fn of_item<'a>(&self, text: &'a str) -> anyhow::Result<Sample<'a>> {
        let item = attribute::item(text)
            .map_err(|fault| UsageError(format!("read an item: {}: {}", fault.field, fault.message)))?;
        let keys = self.key.iter().filter(|key| item.attribute(key).is_some()).cloned().collect();
        Ok(Sample { keys, item })
    }

    fn of_event(
        &self,
        bytes: &[u8],
        scratch: &mut Vec<Vec<u8>>,
    ) -> anyhow::Result<(std::collections::BTreeMap<String, String>, Vec<String>)> {
        let event = Event::read(bytes).map_err(|error| UsageError(error.to_string()))?;
        scratch.resize_with(event.records().len(), Vec::new);
        let mut samples = Vec::new();
        for (raw, scratch) in event.records().iter().zip(scratch) {
            let Ok(record) = raw.decode(scratch) else { continue };
            let keys = record.keys.0.iter().map(|(name, _)| name.to_string()).collect();
            if let Some(item) = newest(record.change) {
                samples.push(Sample { keys, item });
            }
        }
        if samples.is_empty() {
            bail!("find an item image in {}: none of its records has one", self.records.display());
        }
        Ok(draft(&samples))
    }
}

fn newest(change: Change<'_>) -> Option<Item<'_>> {
    use usage_aggregator::record::Image;
    match change {
        Change::Insert { new } | Change::Modify { new, .. } | Change::Remove { old: new, .. } => match new {
            Image::Carried(item) => Some(item),
            Image::NotCarried => None,
        },
    }
}

fn write(path: &Path, folder: &Folder) -> anyhow::Result<()> {
    let shown = path.display();
    // Never writes into an existing folder.
    std::fs::create_dir(path).with_context(|| format!("create the folder {shown}, which must not exist yet"))?;
    for (name, text) in &folder.files {
        std::fs::write(path.join(name), text).with_context(|| format!("write {shown}/{name}"))?;
    }
    console::print(&format!("{shown}: {}", folder.files.keys().cloned().collect::<Vec<_>>().join(", ")))
}
