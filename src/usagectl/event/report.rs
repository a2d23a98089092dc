//! The report of one invocation, as a JSON object or as text and tables.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use usage_aggregator::error::{Error, ErrorKind};
use usage_aggregator::fold::Alert;
use usage_aggregator::outcome::BatchOutcome;
use usage_aggregator::record::Rejection;

use crate::event::changed_snapshots::Key;
use crate::event::changes::Changes;
use crate::shell::alert_text::alert_text;
use crate::shell::console::counted;
use crate::shell::failure;
use crate::shell::json;
use crate::shell::paragraph::paragraph;
use crate::shell::table;
use laptop::proof::rows::Item;

/// One line of `invoke --json`.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The event file.
    pub file: String,
    /// Why the file was written, if it is a failure document; otherwise null.
    pub document: Value,
    /// The pipeline's name.
    pub pipeline: String,
    /// The function's response, null if it failed.
    pub response: Value,
    /// Why the invocation failed.
    pub error: Option<Failure>,
    /// Records in the event.
    pub records: usize,
    /// Records whose effects are durable.
    pub durable: usize,
    /// Records that appear twice in the event.
    pub repeated: usize,
    /// Records that match no record type.
    pub skipped: usize,
    /// Records that can't be processed.
    pub rejected: Vec<Rejected>,
    /// Rejected records that are in the failure bucket.
    pub quarantined: Vec<Rejected>,
    /// All snapshots that the event contributes to, as they are afterwards.
    pub snapshots: Vec<Value>,
    /// Alerts of the pipeline that the event caused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    /// Archived files.
    pub files: Vec<Stored>,
    /// The function's metrics, summed by name.
    pub metrics: BTreeMap<String, f64>,
    /// The changed snapshots, for the text.
    #[serde(skip)]
    pub changes: Option<Changes>,
    /// Where the metrics went, if they can't be shown.
    #[serde(skip)]
    pub metrics_note: Option<String>,
}

/// Why there is no response.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// `transient`, `poison` or `config`.
    pub kind: &'static str,
    /// What failed, on what, and what to do.
    pub message: String,
}

/// A record that can't be processed.
#[derive(Debug, Serialize)]
pub struct Rejected {
    /// Its sequence number.
    pub sequence_number: String,
    /// Its position in an aggregated Kinesis record, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_record: Option<usize>,
    /// What is wrong, as a constant.
    pub code: &'static str,
    /// The field at fault.
    pub field: String,
    /// What is wrong, in words.
    pub reason: String,
}

/// An archived file.
#[derive(Debug, Serialize)]
pub struct Stored {
    /// Its key.
    pub key: String,
    /// Its rows.
    pub rows: usize,
    /// Its size.
    pub bytes: usize,
    /// False if an earlier invocation stored the same content.
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
    /// Adds the outcome of the function.
    pub fn take(&mut self, outcome: BatchOutcome) {
        self.response = serde_json::to_value(outcome.response()).unwrap_or_default();
        self.records = outcome.records;
        self.durable = outcome.durable;
        self.repeated = outcome.repeated;
        self.skipped = outcome.skipped;
        let reported = |rejection: Rejection| Rejected {
            sequence_number: rejection.sequence.to_string(),
            user_record: rejection.user_record,
            code: rejection.fault.code.name(),
            field: rejection.fault.field,
            reason: rejection.fault.message,
        };
        self.rejected = outcome.rejected.into_iter().map(reported).collect();
        self.quarantined = outcome.quarantined.into_iter().map(reported).collect();
        let stored = outcome.files.into_iter();
        self.files = stored
            .map(|file| Stored { key: file.key, rows: file.rows, bytes: file.bytes, created: file.created })
            .collect();
    }

    /// Adds the items of `keys` as they are after the invocation.
    pub fn take_items(&mut self, keys: &[Key], items: &HashMap<Key, Item>) {
        self.snapshots = keys.iter().filter_map(|key| items.get(key)).map(json::item).collect();
    }

    /// Whether the invocation succeeded and rejected nothing.
    pub fn is_good(&self) -> bool {
        self.error.is_none() && self.rejected.is_empty() && self.quarantined.is_empty()
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let Report { file, pipeline, .. } = self;
        match &self.error {
            Some(Failure { kind, message }) => line(&mut out, &format!("{file}: {message} ({kind})")),
            None => {
                line(&mut out, &format!("{file}: pipeline {pipeline}, {}", counted(self.records, "record")));
                if let Some(cause) = self.document.get("text").and_then(Value::as_str) {
                    line(&mut out, &labeled("document", cause));
                }
                self.write_outcome(&mut out);
            }
        }
        out
    }

    fn write_outcome(&self, out: &mut String) {
        line(out, &format!("response  {}", self.response));
        let Report { durable, repeated, skipped, .. } = self;
        let unchanged = self.changes.as_ref().is_some_and(Changes::is_empty) && !self.snapshots.is_empty();
        let unchanged = if unchanged { ", counted before" } else { "" };
        line(out, &format!("records   {durable} durable, {repeated} repeated, {skipped} skipped{unchanged}"));
        let rejected = self.rejected.iter().map(|rejected| (rejected, ""));
        for (rejected, then) in rejected.chain(self.quarantined.iter().map(|rejected| (rejected, "; quarantined"))) {
            let Rejected { sequence_number, user_record, code, field, reason } = rejected;
            let within = user_record.map_or_else(String::new, |index| format!(", user record {index}"));
            line(out, &labeled("rejected", &format!("{sequence_number}{within}: {code}: {field}: {reason}{then}")));
        }
        if let Some(changes) = self.changes.as_ref().filter(|changes| !changes.is_empty()) {
            line(out, &changes.text());
        }
        for alert in &self.alerts {
            line(out, &labeled("alert", &format!("{}: {}", alert.state.name(), alert_text(alert))));
        }
        if !self.files.is_empty() {
            line(out, &self.files_text());
        }
        line(out, &self.metrics_text());
    }

    fn files_text(&self) -> String {
        let mut table = table::titled(["file", "rows", "bytes", ""]);
        for Stored { key, rows, bytes, created } in &self.files {
            let state = if *created { "created" } else { "unchanged" };
            let numbers = [rows, bytes].map(|number| table::number(&number.to_string()));
            table.add_row([table::text(key)].into_iter().chain(numbers).chain([table::text(state)]));
        }
        table.to_string()
    }

    /// The metrics in two columns.
    fn metrics_text(&self) -> String {
        if self.metrics.is_empty() {
            return format!(
                "metrics   {}",
                self.metrics_note.as_deref().unwrap_or("none received; run with --verbose to see why")
            );
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

/// A text with a label in the first column.
pub fn labeled(label: &str, text: &str) -> String {
    paragraph(&format!("{label:<10}{text}"), "          ")
}

fn line(out: &mut String, text: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "{text}");
}
