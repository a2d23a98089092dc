//! The record of what a simulation wrote: JSON lines, one when a write starts and one when it is done.
//!
//! The first line is in the file before the write is sent, so that a run that is interrupted leaves behind what has to be
//! finished. An incomplete line is ignored: its write was never sent.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::change::{Change, Meaning, Write};
use super::instant;
use super::profile::ProfileName;
use stream_types::Timestamp;

/// The format of the lines. Another version of this tool may use another number.
const FORMAT: u32 = 1;

/// The first line of a journal: which simulation it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    format: u32,
    /// The name of the load.
    pub profile: String,
    /// The table or stream that it writes to.
    pub target: String,
}

/// A write that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The change's number.
    pub change: u64,
    /// Before the first attempt.
    #[serde(with = "instant")]
    pub sent_at: Timestamp,
    /// What was sent.
    pub write: Write,
    /// What it adds to usage and archive.
    pub meaning: Meaning,
}

/// A write that is done. Snapshots and archive are checked against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The change's number.
    pub change: u64,
    /// Before the first attempt.
    #[serde(with = "instant")]
    pub sent_at: Timestamp,
    /// After the response.
    #[serde(with = "instant")]
    pub done_at: Timestamp,
    /// What is unknown about the write, if anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsure: Option<Unsure>,
    /// What it adds to usage and archive.
    #[serde(flatten)]
    pub meaning: Meaning,
}

/// What is unknown about a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsure {
    /// It was sent in one quarter of an hour and answered in another. If they are in two hours of the pipeline's time zone, either may
    /// count it.
    Hour,
    /// It may or may not have arrived, and can't be repeated.
    Arrival,
}

/// The journal of a running simulation, locked against other writers.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

/// What earlier runs left in a journal.
#[derive(Debug, Default)]
pub struct Left {
    /// The number of the next change.
    pub next_number: u64,
    /// Writes that were started but not done, ordered by number.
    pub unfinished: Vec<Begun>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head(Head),
    Begun(Begun),
    Done(Entry),
}

impl Head {
    /// The head of a journal for the load `profile` on a table or stream.
    pub fn new(profile: &str, target: &str) -> Head {
        Head { format: FORMAT, profile: profile.to_owned(), target: target.to_owned() }
    }
}

impl Journal {
    /// Continues the journal at `path`, or creates it. Every write that was started is passed to `each`.
    ///
    /// # Errors
    /// When it belongs to another simulation, is being written, or can't be read.
    pub fn open(path: &Path, head: &Head, mut each: impl FnMut(&Write)) -> anyhow::Result<(Journal, Left)> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let opened = File::options().create(true).read(true).append(true).open(path);
        let file = opened.with_context(|| format!("open the ledger {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another simulation is writing {shown}: choose another file with --ledger")
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock {shown}")),
        }
        let mut left = Left { next_number: 1, unfinished: Vec::new() };
        let mut open = BTreeMap::new();
        let (found, whole_bytes) = read_lines(path, |line| {
            match line {
                Line::Head(_) => {}
                Line::Begun(begun) => {
                    each(&begun.write);
                    left.next_number = left.next_number.max(begun.change.saturating_add(1));
                    open.insert(begun.change, begun);
                }
                Line::Done(entry) => drop(open.remove(&entry.change)),
            }
            Ok(())
        })?;
        left.unfinished = open.into_values().collect();
        // An incomplete last line is removed, so that the next one starts a new line.
        file.set_len(whole_bytes).with_context(|| format!("remove the incomplete last line of {shown}"))?;
        let mut journal = Journal { path: path.to_owned(), file };
        match found {
            None => journal.append(&Line::Head(head.clone()))?,
            Some(found) if found == *head => {}
            Some(found) => bail!(
                "{shown} is the ledger of {} on {}: choose another file with --ledger for {} on {}",
                found.profile,
                found.target,
                head.profile,
                head.target
            ),
        }
        Ok((journal, left))
    }

    /// Records that a write is about to be sent.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn begin(&mut self, change: &Change, sent_at: Timestamp) -> anyhow::Result<()> {
        let (write, meaning) = (change.write.clone(), change.meaning.clone());
        self.append(&Line::Begun(Begun { change: change.number, sent_at, write, meaning }))
    }

    /// Records that a write is done.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn done(&mut self, entry: Entry) -> anyhow::Result<()> {
        self.append(&Line::Done(entry))
    }

    /// In a single unbuffered write, which survives the end of this process.
    fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).with_context(|| format!("write to the ledger {}", self.path.display()))
    }
}

/// Which simulation a journal belongs to.
///
/// # Errors
/// When it can't be read, or has no header.
pub fn read_head(path: &Path) -> anyhow::Result<Head> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open the ledger {shown}"))?;
    let mut bytes = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut bytes).with_context(|| format!("read the ledger {shown}"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Line::Head(head)) if head.format == FORMAT => Ok(head),
        _ => bail!("read {shown}: it isn't a ledger of this version"),
    }
}

/// Passes every entry of a finished journal to `each`.
///
/// # Errors
/// When it can't be read, is being written, or has writes that were started but not finished.
pub fn read_entries(path: &Path, mut each: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<Head> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open the ledger {shown}"))?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("a simulation is still writing {shown}: wait until it ends"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock {shown}")),
    }
    // At most as many as were in progress at once.
    let mut open = std::collections::BTreeSet::new();
    let (head, _) = read_lines(path, |line| match line {
        Line::Head(_) => Ok(()),
        Line::Begun(begun) => {
            open.insert(begun.change);
            Ok(())
        }
        Line::Done(entry) => {
            open.remove(&entry.change);
            each(entry)
        }
    })?;
    let head = head.with_context(|| format!("read {shown}: it is empty"))?;
    let (begun, them) = match open.len() {
        0 => return Ok(head),
        1 => ("1 write that was".to_owned(), "it"),
        begun => (format!("{begun} writes that were"), "them"),
    };
    let command = finishing(&head, path);
    bail!(
        "{shown} has {begun} started but not finished: to finish {them}, run `{command}` while `usagectl local` is running"
    );
}

/// The command that finishes the writes of a journal, and writes nothing else.
fn finishing(head: &Head, path: &Path) -> String {
    let Head { profile, target, .. } = head;
    let load = ProfileName::ALL.into_iter().find(|load| load.name() == profile);
    let target = match load {
        Some(load) if load.target() == target => String::new(),
        Some(load) if load.table(target).is_none() => format!(" --stream {target}"),
        _ => format!(" --table {target}"),
    };
    format!("usagectl simulate {profile} --records 0{target} --ledger {}", path.display())
}

/// Passes on each complete line. Returns the head, and the size of all complete lines.
fn read_lines(path: &Path, mut each: impl FnMut(Line) -> anyhow::Result<()>) -> anyhow::Result<(Option<Head>, u64)> {
    let shown = path.display();
    let mut reader = BufReader::new(File::open(path).with_context(|| format!("open the ledger {shown}"))?);
    let (mut head, mut bytes, mut whole_bytes) = (None, Vec::new(), 0);
    for number in 1_usize.. {
        bytes.clear();
        let length = reader.read_until(b'\n', &mut bytes).with_context(|| format!("read the ledger {shown}"))?;
        if bytes.last() != Some(&b'\n') {
            break;
        }
        let line =
            serde_json::from_slice(&bytes).with_context(|| format!("read line {number} of the ledger {shown}"))?;
        match (&line, number) {
            (Line::Head(found), 1) if found.format == FORMAT => head = Some(found.clone()),
            (_, 1) => bail!("read {shown}: it isn't a ledger of this version"),
            _ => {}
        }
        each(line)?;
        whole_bytes += u64::try_from(length)?;
    }
    Ok((head, whole_bytes))
}
