//! `usagectl schema check`: reports which schema changes are safe. Reads both versions and prints what `compare` finds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::archive::RecordSchema;
use usage_compact::readable as avro;

pub(super) use self::compare::compare;
pub(super) use self::finding::{Finding, Verdict, report};
use super::columns::columns;
use crate::shell::console::{self, Done, UsageError, plain};
use crate::shell::options::Options;
use crate::shell::text_file::{read_whole, text_of};

mod compare;
mod finding;
mod kind;
mod meaning;
#[cfg(test)]
mod tests;

/// Check which changes between two schemas, or two folders of schemas, are safe
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// The schema, or folder of schemas, in use; an archived file (.avro) stands for the schema it was written with
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The new schema, or folder of schemas
    #[arg(value_name = "NEW")]
    new: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  usagectl schema check old/order.avsc schemas/orders/order.avsc
  usagectl schema check /tmp/release/schemas schemas
  usagectl schema check archived.avro schemas/orders/order.avsc

A change is safe if the new schema reads every old row, readers with the old schema read every
new row, and Athena reads both. The exit code is 1 if a change is unsafe.";

impl Check {
    /// Prints the findings.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let (old, new) = (schemas(&self.old)?, schemas(&self.new)?);
        let mistakes: Vec<&str> =
            old.values().chain(new.values()).filter_map(|file| file.as_ref().err().map(String::as_str)).collect();
        if !mistakes.is_empty() {
            return Err(UsageError(mistakes.join("\n")).into());
        }
        let done = report(&old, &new, findings, if options.json { json } else { line })?;
        if !options.json {
            console::note(&format!("compared {}", console::counted(new.len(), "schema")));
        }
        Ok(done)
    }
}

/// A schema file: its schema, or what is wrong with it.
type File = Result<RecordSchema, String>;

/// The schema in a file, under an empty name, or all schemas under a folder.
fn schemas(path: &Path) -> anyhow::Result<BTreeMap<String, File>> {
    if !path.is_dir() {
        return Ok(BTreeMap::from([(String::new(), read(path)?)]));
    }
    let mut schemas = BTreeMap::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?.path();
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "avsc") {
                let name = entry.strip_prefix(path).unwrap_or(&entry).to_string_lossy().into_owned();
                schemas.insert(name, read(&entry)?);
            }
        }
    }
    Ok(schemas)
}

/// The first bytes of an Avro object container file.
const AVRO_FILE: &[u8] = b"Obj\x01";

fn read(path: &Path) -> anyhow::Result<File> {
    let shown = path.display();
    let bytes = std::fs::File::open(path).and_then(read_whole).with_context(|| format!("read {shown}"))?;
    let text = match bytes.starts_with(AVRO_FILE) {
        true => avro::read_schema(&bytes).with_context(|| format!("read the schema in {shown}"))?.to_string(),
        false => text_of(&bytes).map_err(|why| UsageError(format!("read {shown}: {why}")))?,
    };
    let lines = |mistakes: Vec<String>| {
        mistakes.iter().map(|mistake| format!("{shown}: {mistake}")).collect::<Vec<_>>().join("\n")
    };
    Ok(RecordSchema::parse(&text).map_err(lines))
}

fn findings(old: Option<&File>, new: Option<&File>) -> Vec<Finding> {
    match (old, new) {
        (Some(Ok(old)), Some(Ok(new))) => {
            let mut findings = compare(old.parsed(), new.parsed());
            let unreadable = columns(new.parsed()).err().unwrap_or_default().into_iter();
            findings.extend(unreadable.map(|mistake| Finding::new("", "Athena", Verdict::Unsafe, mistake)));
            findings
        }
        (Some(_), None) => vec![Finding::new(
            "",
            "the schema was removed",
            Verdict::Unsafe,
            "its Athena table is removed too, but the files remain: keep the record type as long as they are read",
        )],
        (None, _) => vec![Finding::new("", "the schema is new", Verdict::Safe, "it has no rows yet")],
        // Such a file has stopped the command before.
        (Some(Err(_)), _) | (_, Some(Err(_))) => Vec::new(),
    }
}

fn line(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    let place: Vec<&str> = [name, path.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    let place = if place.is_empty() { "the schema".to_owned() } else { place.join(" ") };
    plain(&format!("{:<7} {place}: {change}: {reason}", verdict.name()))
}

fn json(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    json!({ "schema": name, "field": path, "change": change, "verdict": verdict.name(), "reason": reason }).to_string()
}
