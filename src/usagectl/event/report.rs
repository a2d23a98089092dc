//! What came of one invocation: as one JSON object, or as text and tables.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::outcome::BatchOutcome;

use crate::event::changed_snapshots::Key;
use crate::event::changes::Changes;
use crate::shell::console::{counted, plain};
use crate::shell::failure;
use crate::shell::json;
use crate::shell::table;
use laptop::proof::rows::Item;

/// One line of `invoke --json`.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub file: String,
    pub pipeline: String,
    pub response: Value,
    pub error: Option<Failure>,
    pub records: usize,
    pub applied: usize,
    pub duplicates: usize,
    pub skipped: usize,
    pub rejected: Vec<Rejected>,
    /// The items of all counters that the event adds to, as they are afterwards.
    pub snapshots: Vec<Value>,
    pub files: Vec<Stored>,
    pub metrics: BTreeMap<String, f64>,
    /// The changed items for people: before, where there was one, and after.
    #[serde(skip)]
    pub changes: Option<Changes>,
    #[serde(skip)]
    pub metrics_note: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub kind: &'static str,
    pub message: String,
}

#[derive(Debug, Serialize)]
pub struct Rejected {
    pub sequence_number: String,
    pub code: &'static str,
    pub field: String,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub struct Stored {
    pub key: String,
    pub rows: usize,
    pub bytes: usize,
    /// False where an earlier invocation had put the same content.
    pub created: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let kind = match error.kind {
            ErrorKind::Transient => "transient",
            ErrorKind::Poison => "poison",
            ErrorKind::Config => "config",
        };
        Failure { kind, message: format!("failed to {error}") }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match error.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(error) => Failure { kind: "config", message: format!("failed to {}", failure::describe(&error)) },
        }
    }
}

impl Report {
    /// Takes what the function says of itself.
    pub fn take(&mut self, outcome: BatchOutcome) {
        self.response = serde_json::to_value(outcome.response()).unwrap_or_default();
        self.records = outcome.records;
        self.applied = outcome.applied;
        self.duplicates = outcome.duplicates;
        self.skipped = outcome.skipped;
        let rejected = outcome.rejected.into_iter().map(|rejection| Rejected {
            sequence_number: rejection.sequence.to_string(),
            code: rejection.fault.code.name(),
            field: rejection.fault.field,
            reason: rejection.fault.message,
        });
        self.rejected = rejected.collect();
        let stored = outcome.files.into_iter();
        self.files = stored
            .map(|file| Stored { key: file.key, rows: file.rows, bytes: file.bytes, created: file.created })
            .collect();
    }

    /// Takes the items of `keys` as they are after the invocation.
    pub fn take_items(&mut self, keys: &[Key], items: &HashMap<Key, Item>) {
        self.snapshots = keys.iter().filter_map(|key| items.get(key)).map(json::item).collect();
    }

    pub fn is_good(&self) -> bool {
        self.error.is_none() && self.rejected.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Report { file, pipeline, .. } = self;
        match &self.error {
            Some(Failure { kind, message }) => line(&mut out, &format!("{file}: {message} ({kind})")),
            None => {
                line(&mut out, &format!("{file}: pipeline {pipeline}, {}", counted(self.records, "record")));
                self.write_outcome(&mut out);
            }
        }
        out
    }

    fn write_outcome(&self, out: &mut String) {
        line(out, &format!("answer    {}", self.response));
        let Report { applied, duplicates, skipped, .. } = self;
        let unchanged = if *applied == 0 && *duplicates > 0 { ", snapshots unchanged" } else { "" };
        line(
            out,
            &format!(
                "records   {applied} applied, {}, {skipped} skipped{unchanged}",
                counted(*duplicates, "duplicate")
            ),
        );
        for Rejected { sequence_number, code, field, reason } in &self.rejected {
            line(out, &format!("rejected  {sequence_number}: {code}: {}: {}", plain(field), plain(reason)));
        }
        if let Some(changes) = self.changes.as_ref().filter(|changes| !changes.is_empty()) {
            line(out, &changes.text());
        }
        if !self.files.is_empty() {
            line(out, &self.files_text());
        }
        line(out, &self.metrics_text());
    }

    fn files_text(&self) -> String {
        let mut table = table::titled(["file", "rows", "bytes", ""]);
        for Stored { key, rows, bytes, created } in &self.files {
            let state = if *created { "created" } else { "already there" };
            let numbers = [rows, bytes].map(|number| table::number(&number.to_string()));
            table.add_row([table::text(key)].into_iter().chain(numbers).chain([table::text(state)]));
        }
        table.to_string()
    }

    /// Two columns of names and values.
    fn metrics_text(&self) -> String {
        if self.metrics.is_empty() {
            return format!("metrics   {}", self.metrics_note.as_deref().unwrap_or("none arrived; --verbose says why"));
        }
        let cells: Vec<String> =
            self.metrics.iter().map(|(name, value)| format!("{name:<20}{:>10}", short(*value))).collect();
        let lines = cells.chunks(2).map(|pair| pair.join("   "));
        lines
            .enumerate()
            .map(|(index, line)| format!("{:<10}{line}", if index == 0 { "metrics" } else { "" }))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.1}") }
}

fn line(out: &mut String, text: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "{text}");
}
