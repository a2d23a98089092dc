//! The pipeline that a data folder was last used with, so that later commands don't have to name it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use event_source_mapping::write_atomically;
use serde::{Deserialize, Serialize};

use crate::shell::console;
use crate::shell::folder::PIPELINE;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;

/// A pipeline and what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The pipeline.
    pub pipeline: Choice,
    /// The tables and streams it was used for.
    pub sources: Vec<String>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// A shipped pipeline.
    Shipped(String),
    /// The pipeline in a folder.
    Folder(PathBuf),
}

/// Remembers the pipeline in `variables` and the `source` that it reads.
///
/// # Errors
/// If the file can't be written.
pub fn remember(data: &Path, variables: &Variables, source: Option<&str>) -> anyhow::Result<()> {
    let pipeline = variables.clone().with_metrics_sink("none").config()?.pipeline;
    let choice = match (variables.value("PIPELINE"), variables.value("PIPELINE_DIR")) {
        (None, Some(folder)) => {
            let path = Path::new(&folder);
            Choice::Folder(path.canonicalize().with_context(|| format!("find the folder {folder}"))?)
        }
        _ => Choice::Shipped(pipeline.name),
    };
    let sources = source.map(str::to_owned).into_iter().chain(pipeline.sources).collect();
    write_atomically(&data.join(PIPELINE), &serde_json::to_string(&Remembered { pipeline: choice, sources })?)
}

/// What was remembered for the data folder. Nothing if the options name another database or the folder has none.
pub fn recall(options: &Options) -> Option<Remembered> {
    if options.dynamodb_endpoint.is_some() {
        return None;
    }
    let text = std::fs::read_to_string(options.data.join(PIPELINE)).ok()?;
    let remembered: Remembered = serde_json::from_str(&text).ok()?;
    if let Choice::Folder(folder) = &remembered.pipeline
        && !folder.exists()
        && options.pipeline.is_none()
        && options.pipeline_dir.is_none()
    {
        let data = options.data.display();
        console::note(&format!(
            "note: {data} was last used with the pipeline in {}, which no longer exists; choose one with --pipeline-dir",
            folder.display()
        ));
        return None;
    }
    Some(remembered)
}
