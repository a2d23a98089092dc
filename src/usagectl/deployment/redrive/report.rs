//! What a run prints: skipped documents and lost records as they occur, remaining records by cause, and at the end the
//! totals.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_source_mapping::SourceRecord;
use indicatif::ProgressBar;
use serde_json::json;

use super::deadlines::Deadlines;
use super::explain::Explanation;
use super::failed_batch::{FailedBatch, Location, line};
use super::stream_reader::LostRecords;
use crate::failure_document::Position;
use crate::shell::console::{self, Done, counted};
use crate::shell::paragraph::paragraph;

/// The outcome of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// All of its records are durable, and the document is deleted.
    Deleted { durable: usize },
    /// Some are durable, and documents of the remaining ones have taken its place.
    Narrowed { durable: usize, remaining: usize },
    /// The document is as it was.
    Kept { durable: usize, remaining: usize },
    /// Another message had the same positions, so this one is deleted.
    Duplicate,
    /// Another process has deleted it in the meantime.
    Gone,
    /// It can't be redriven, which has been reported.
    Skipped,
}

/// Prints a run, and adds up its totals.
#[derive(Debug, Default)]
pub(crate) struct Report {
    json: bool,
    /// The progress bar, which is hidden while a line is printed.
    pub(crate) bar: Option<ProgressBar>,
    documents: usize,
    deleted: usize,
    narrowed: usize,
    kept: usize,
    skipped: usize,
    redriven: usize,
    remaining: usize,
    lost: usize,
    lost_unacknowledged: usize,
    /// The records that remain: how many for each explanation, and the first of them with its document.
    by_explanation: BTreeMap<Explanation, (usize, String)>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report { json, ..Report::default() }
    }

    /// A document that was found: with `--json` a line of its own, and a report if it can't be redriven.
    pub(crate) fn found(&mut self, batch: &FailedBatch, deadlines: &Deadlines) -> anyhow::Result<()> {
        if self.json {
            self.print(&line(batch, deadlines).to_string())?;
        }
        match &batch.summary {
            Ok(_) => Ok(()),
            Err(reason) => self.skipped(&batch.location, reason),
        }
    }

    /// A document that can't be redriven.
    pub(crate) fn skipped(&mut self, location: &Location, reason: &str) -> anyhow::Result<()> {
        self.skipped += 1;
        let name = location.name();
        let object = json!({ "skipped": { "document": name, "reason": reason } });
        self.print_either(&object, || format!("skipped: {name} {reason}"))
    }

    /// A record that has failed again.
    pub(crate) fn remains(
        &mut self,
        location: &Location,
        record: &Arc<SourceRecord>,
        why: Explanation,
    ) -> anyhow::Result<()> {
        let (name, sequence) = (location.name(), record.sequence.as_str());
        if self.json {
            let line = json!({ "remaining": {
                "document": name, "sequence_number": sequence,
                "code": why.code, "field": why.field, "reason": why.reason, "change": why.change,
            }});
            self.print(&line.to_string())?;
        }
        self.by_explanation.entry(why).or_insert_with(|| (0, format!("{sequence} of {name}"))).0 += 1;
        Ok(())
    }

    /// Records that can't be read from the stream again.
    pub(crate) fn lost(
        &mut self,
        location: &Location,
        position: &Position,
        lost: &LostRecords,
        acknowledged: bool,
    ) -> anyhow::Result<()> {
        self.lost += lost.records;
        self.lost_unacknowledged += if acknowledged { 0 } else { lost.records };
        let Position { stream_arn, shard_id, first, last } = position;
        let line = json!({ "lost": {
            "document": location.name(), "records": lost.records, "reason": lost.reason, "stream_arn": stream_arn,
            "shard_id": shard_id, "first_sequence_number": first.as_str(), "last_sequence_number": last.as_str(),
        }});
        self.print_either(&line, || {
            let records = counted(lost.records, "record");
            let then = match acknowledged {
                true => "acknowledged",
                false => "the message is kept; --acknowledge-lost deletes it",
            };
            format!("LOST: {records} of {shard_id} from {first} to {last} ({stream_arn}): {}; {then}", lost.reason)
        })
    }

    /// The outcome of a document.
    pub(crate) fn ended(&mut self, disposition: Disposition) {
        self.documents += usize::from(disposition != Disposition::Skipped);
        match disposition {
            Disposition::Deleted { durable } => {
                self.deleted += 1;
                self.redriven += durable;
            }
            Disposition::Narrowed { durable, remaining } => {
                self.narrowed += 1;
                self.redriven += durable;
                self.remaining += remaining;
            }
            Disposition::Kept { durable, remaining } => {
                self.kept += 1;
                self.redriven += durable;
                self.remaining += remaining;
            }
            Disposition::Duplicate | Disposition::Gone => self.deleted += 1,
            Disposition::Skipped => {}
        }
    }

    /// The totals of a dry run.
    pub(crate) fn preview(&self, batches: &[FailedBatch], function: &str) -> anyhow::Result<Done> {
        let usable = || batches.iter().filter_map(|batch| batch.summary.as_ref().ok());
        let (documents, records) = (usable().count(), usable().map(|summary| summary.records).sum::<usize>());
        let skipped = self.skipped;
        let line = json!({ "summary": {
            "dry_run": true, "documents": documents, "records": records, "skipped": skipped,
        }});
        self.print_either(&line, || {
            if documents == 0 {
                return nothing_to_redrive(skipped);
            }
            let (records, documents) = (counted(records, "record"), counted(documents, "document"));
            format!(
                "would replay {records} from {documents} ({skipped} skipped) through {function}, and delete each document once its records are durable"
            )
        })?;
        Ok(self.done())
    }

    /// The remaining records by cause, and the totals of a run.
    pub(crate) fn conclude(&self) -> anyhow::Result<()> {
        if !self.json {
            for (why, (records, first)) in &self.by_explanation {
                console::print(&text(why, *records, first))?;
            }
        }
        let line = json!({ "summary": {
            "documents": self.documents, "deleted": self.deleted, "narrowed": self.narrowed, "kept": self.kept,
            "skipped": self.skipped, "records_redriven": self.redriven,
            "records_remaining": self.remaining, "records_lost": self.lost,
        }});
        self.print_either(&line, || {
            if self.documents == 0 {
                return nothing_to_redrive(self.skipped);
            }
            format!(
                "{}: {} deleted, {} narrowed, {} kept, {} skipped;\n{} redriven, {} remaining, {} lost",
                counted(self.documents, "document"),
                self.deleted,
                self.narrowed,
                self.kept,
                self.skipped,
                counted(self.redriven, "record"),
                self.remaining,
                self.lost,
            )
        })
    }

    /// Whether all records are durable.
    pub(crate) fn done(&self) -> Done {
        let well = self.remaining == 0 && self.lost_unacknowledged == 0 && self.skipped == 0;
        if well { Done::Well } else { Done::WithFailures }
    }

    fn print_either(&self, object: &serde_json::Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let lines = || text().lines().map(|line| paragraph(line, "")).collect::<Vec<_>>().join("\n");
        self.print(&if self.json { object.to_string() } else { lines() })
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| console::print(text)),
            None => console::print(text),
        }
    }
}

fn nothing_to_redrive(skipped: usize) -> String {
    if skipped == 0 { "nothing to redrive".to_owned() } else { format!("nothing to redrive ({skipped} skipped)") }
}

fn text(why: &Explanation, records: usize, first: &str) -> String {
    let Explanation { code, field, reason, change } = why;
    let fault: Vec<&str> = [*code, field.as_deref(), Some(reason.as_str())].into_iter().flatten().collect();
    let verb = if records == 1 { "remains" } else { "remain" };
    let lines = [
        format!("{} {verb}: {}", counted(records, "record"), fault.join(": ")),
        format!("  first:  {first}"),
        format!("  change: {change}"),
    ];
    lines.map(|line| paragraph(&line, "          ")).join("\n")
}
