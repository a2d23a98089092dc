//! What a run has to tell: lost and foreign documents at once, records that remain by what is wrong with them, and sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_source_mapping::SourceRecord;
use indicatif::ProgressBar;
use serde_json::json;

use super::document::Position;
use super::explain::Explanation;
use super::function::Counts;
use super::positions::Lost;
use super::waiting::{Spot, Waiting};
use crate::shell::console::{self, Done, counted, plain};

/// How the work on a document ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All of it is durable, and the document deleted.
    Emptied { durable: usize },
    /// What remains is in documents of its own.
    Narrowed { durable: usize, remaining: usize },
    /// The document is as it was.
    Kept { durable: usize, remaining: usize },
    /// Another message said the same; this one is deleted.
    Repeated,
    /// Somebody else has done with it meanwhile.
    Gone,
    /// It could not be tried.
    LeftAlone(String),
}

/// What is told, and summed up.
#[derive(Debug, Default)]
pub struct Report {
    json: bool,
    /// What must step aside for a line.
    pub bar: Option<ProgressBar>,
    pub counts: Option<Counts>,
    documents: usize,
    emptied: usize,
    narrowed: usize,
    kept: usize,
    left_alone: usize,
    redriven: usize,
    remaining: usize,
    lost: usize,
    lost_unacknowledged: usize,
    /// The records that remain: how many of a kind, and the first of them with its document.
    kinds: BTreeMap<Explanation, (usize, String)>,
}

impl Report {
    pub fn new(json: bool) -> Report {
        Report { json, ..Report::default() }
    }

    /// A document that is no matter for this command.
    pub fn left_alone(&mut self, spot: &Spot, why: &str) -> anyhow::Result<()> {
        self.left_alone += 1;
        let name = spot.name();
        self.say(json!({ "left_alone": { "document": name, "reason": why } }), || format!("left alone: {name} {why}"))
    }

    /// A record that can't be made durable.
    pub fn remains(&mut self, spot: &Spot, record: &Arc<SourceRecord>, why: Explanation) -> anyhow::Result<()> {
        let (name, sequence) = (spot.name(), record.sequence.as_str());
        if self.json {
            let line = json!({ "remaining": {
                "document": name, "sequence_number": sequence,
                "code": why.code, "field": why.field, "reason": why.reason, "change": why.change,
            }});
            self.print(&line.to_string())?;
        }
        self.kinds.entry(why).or_insert_with(|| (0, format!("{sequence} of {name}"))).0 += 1;
        Ok(())
    }

    /// Records that can't be read any more.
    pub fn lost(&mut self, spot: &Spot, position: &Position, lost: &Lost, acknowledged: bool) -> anyhow::Result<()> {
        self.lost += lost.records;
        self.lost_unacknowledged += if acknowledged { 0 } else { lost.records };
        let Position { stream_arn, shard_id, first, last } = position;
        let line = json!({ "lost": {
            "document": spot.name(), "records": lost.records, "reason": lost.reason, "stream_arn": stream_arn,
            "shard_id": shard_id, "first_sequence_number": first.as_str(), "last_sequence_number": last.as_str(),
        }});
        self.say(line, || {
            let what = counted(lost.records, "record");
            let then = if acknowledged { "acknowledged" } else { "its message stays; --acknowledge-lost deletes it" };
            format!("LOST: {what} of {shard_id} from {first} to {last} ({stream_arn}): {}; {then}", lost.reason)
        })
    }

    /// What came of a document.
    pub fn ended(&mut self, spot: &Spot, ended: Ended) -> anyhow::Result<()> {
        self.documents += 1;
        match ended {
            Ended::Emptied { durable } => {
                self.emptied += 1;
                self.redriven += durable;
            }
            Ended::Narrowed { durable, remaining } => {
                self.narrowed += 1;
                self.redriven += durable;
                self.remaining += remaining;
            }
            Ended::Kept { durable, remaining } => {
                self.kept += 1;
                self.redriven += durable;
                self.remaining += remaining;
            }
            Ended::Repeated | Ended::Gone => self.emptied += 1,
            Ended::LeftAlone(why) => {
                self.documents -= 1;
                return self.left_alone(spot, &why);
            }
        }
        Ok(())
    }

    /// The sums of a run that only lists.
    pub fn dry(&self, waiting: &[Waiting], function: &str) -> anyhow::Result<Done> {
        let usable = || waiting.iter().filter_map(|waiting| waiting.content.as_ref().ok());
        let (documents, records) = (usable().count(), usable().map(|content| content.records).sum::<usize>());
        let left_alone = self.left_alone;
        let line = json!({ "summary": {
            "dry_run": true, "documents": documents, "records": records, "left_alone": left_alone,
        }});
        self.say(line, || {
            if documents == 0 {
                return format!("nothing waits that could be redriven; {left_alone} left alone");
            }
            let (records, documents) = (counted(records, "record"), counted(documents, "document"));
            format!(
                "would invoke {function} with {records} of {documents}, and delete each document whose records are all durable; {left_alone} left alone"
            )
        })?;
        Ok(self.done())
    }

    /// The sums, last of all.
    pub fn conclude(&self) -> anyhow::Result<()> {
        let duplicates = self.counts.map(|counts| counts.duplicates);
        if !self.json {
            for (why, (records, first)) in &self.kinds {
                console::print(&text(why, *records, first))?;
            }
        }
        let line = json!({ "summary": {
            "documents": self.documents, "emptied": self.emptied, "narrowed": self.narrowed, "kept": self.kept,
            "left_alone": self.left_alone, "records_redriven": self.redriven, "duplicates": duplicates,
            "records_remaining": self.remaining, "records_lost": self.lost,
        }});
        self.say(line, || {
            if self.documents == 0 && self.left_alone == 0 {
                return "nothing waits".to_owned();
            }
            let before = duplicates.map(|count| format!(" ({count} counted before)")).unwrap_or_default();
            format!(
                "{}: {} emptied, {} narrowed, {} kept, {} left alone; {} redriven{before}, {} remaining, {} lost",
                counted(self.documents, "document"),
                self.emptied,
                self.narrowed,
                self.kept,
                self.left_alone,
                counted(self.redriven, "record"),
                self.remaining,
                self.lost,
            )
        })
    }

    /// Whether all is well.
    pub fn done(&self) -> Done {
        let well = self.remaining == 0 && self.lost_unacknowledged == 0 && self.left_alone == 0;
        if well { Done::Well } else { Done::WithFailures }
    }

    fn say(&self, line: serde_json::Value, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        self.print(&if self.json { line.to_string() } else { plain(&text()) })
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        match &self.bar {
            Some(bar) => bar.suspend(|| console::print(text)),
            None => console::print(text),
        }
    }
}

fn text(why: &Explanation, records: usize, first: &str) -> String {
    let Explanation { code, field, reason, change } = why;
    let fault: Vec<&str> = [*code, field.as_deref(), Some(reason.as_str())].into_iter().flatten().collect();
    let verb = if records == 1 { "remains" } else { "remain" };
    format!(
        "{} {verb}: {}\n  first:  {}\n  change: {}",
        counted(records, "record"),
        plain(&fault.join(": ")),
        plain(first),
        plain(change)
    )
}
