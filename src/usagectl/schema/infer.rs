//! `usagectl schema infer`: a first draft of a pipeline from records: an event file, or what `aws dynamodb scan` prints.
//! It reads the items and writes the files; `draft` makes the text.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use usage_aggregator::decode::{Event, attribute};
use usage_aggregator::pipeline::{Folder, Pipeline};
use usage_aggregator::record::{Change, Item};

use super::draft::{Sample, draft};
use crate::event::invoke::read_event;
use crate::shell::console::{self, Done, UsageError};
use crate::shell::options::Options;

/// Draft a pipeline.toml and its schemas from an event, or from a table's items
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Infer {
    /// A Lambda event, or the JSON of `aws dynamodb scan`; `-` reads from stdin
    #[arg(value_name = "RECORDS.json")]
    records: PathBuf,
    /// Write the files into this new folder instead of printing them
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The key attributes of a table's items; an event says them itself
    #[arg(long, value_name = "NAME", default_values = ["pk", "sk"])]
    key: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema infer events/mixed.json --out schemas/mine
  aws dynamodb scan --table-name orders --max-items 500 | usagectl schema infer - --out schemas/mine
  usagectl explain --pipeline-dir schemas/mine events/mixed.json

It is a draft: it knows only what the records show. Read it, and say what is counted (docs/pipelines.md).";

/// What `aws dynamodb scan` and `query` print.
#[derive(Deserialize)]
struct Scanned<'a> {
    #[serde(rename = "Items", borrow)]
    items: Vec<&'a RawValue>,
}

impl Infer {
    pub fn run(self, _: &Options) -> anyhow::Result<Done> {
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
        // A draft that the function wouldn't take is a mistake of ours, or of records that no pipeline can describe.
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
            .map_err(|fault| UsageError(format!("an item: {}: {}", fault.field, fault.message)))?;
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
            bail!("find an image in {}: none of its records carries one", self.records.display());
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
    // Never into a folder that somebody has written in.
    std::fs::create_dir(path).with_context(|| format!("create the folder {shown}, which must be new"))?;
    for (name, text) in &folder.files {
        std::fs::write(path.join(name), text).with_context(|| format!("write {shown}/{name}"))?;
    }
    console::print(&format!("{shown}: {}", folder.files.keys().cloned().collect::<Vec<_>>().join(", ")))
}
