//! `usagectl schema check`: reports which schema changes are safe. Reads both versions and prints what `compare` finds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use usage_aggregator::archive::RecordSchema;

use self::compare::compare;
use self::finding::{Finding, Verdict};
use super::columns::columns;
use crate::shell::console::{self, Done, UsageError, plain};
use crate::shell::options::Options;

mod compare;
mod finding;
mod kind;

/// Check which changes between two schemas, or two folders of schemas, are safe
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// The schema, or folder of schemas, in use
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

A change is safe if the new schema reads every old row, readers with the old schema read every
new row, and Athena reads both. The exit code is 1 if a change is unsafe.";

impl Check {
    /// Prints the findings.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let (old, new) = (schemas(&self.old)?, schemas(&self.new)?);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut done = Done::Well;
        for name in names {
            for finding in findings(name, old.get(name), new.get(name))? {
                if finding.verdict == Verdict::Unsafe {
                    done = Done::WithFailures;
                }
                console::print(&if options.json { json(name, &finding) } else { line(name, &finding) })?;
            }
        }
        if !options.json {
            console::note(&format!("compared {}", console::counted(new.len(), "schema")));
        }
        Ok(done)
    }
}

/// The schema in a file, under an empty name, or all schemas under a folder.
fn schemas(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
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

fn findings(name: &str, old: Option<&String>, new: Option<&String>) -> anyhow::Result<Vec<Finding>> {
    match (old, new) {
        (Some(old), Some(new)) => {
            let (old, new) = (parse(name, old)?, parse(name, new)?);
            let mut findings = compare(old.parsed(), new.parsed());
            let unreadable = columns(new.parsed()).err().unwrap_or_default().into_iter();
            findings.extend(unreadable.map(|mistake| Finding::new("", "Athena", Verdict::Unsafe, mistake)));
            Ok(findings)
        }
        (Some(_), None) => Ok(vec![Finding::new(
            "",
            "the schema was removed",
            Verdict::Unsafe,
            "its Athena table is removed too, but the files remain: keep the record type as long as they are read",
        )]),
        (None, _) => Ok(vec![Finding::new("", "the schema is new", Verdict::Safe, "it has no rows yet")]),
    }
}

fn parse(name: &str, text: &str) -> Result<RecordSchema, UsageError> {
    RecordSchema::parse(text).map_err(|mistakes| UsageError(format!("{name}: {}", mistakes.join("\n"))))
}

fn line(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    let place: Vec<&str> = [name, path.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    plain(&format!("{:<7} {}: {change}: {reason}", verdict.name(), place.join(" ")))
}

fn json(name: &str, finding: &Finding) -> String {
    let Finding { path, change, verdict, reason } = finding;
    json!({ "schema": name, "field": path, "change": change, "verdict": verdict.name(), "reason": reason }).to_string()
}
