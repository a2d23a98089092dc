//! The record of what a simulation wrote: JSON lines, one when a write begins and one when it is done.
//!
//! The first is in the file before the write is sent, so that a run which ends in between, however it ends, leaves
//! behind what has to be finished. A line that was cut off is none: what it announces was never sent.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::change::{Change, Meaning, Write};
use super::profile::ProfileName;
use stream_types::Timestamp;

/// What the lines look like; another number is of another version of this tool.
const FORMAT: u32 = 1;

/// What a ledger is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    format: u32,
    pub profile: ProfileName,
    /// The table or stream.
    pub target: String,
}

/// A write that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub change: u64,
    #[serde(with = "instant")]
    pub sent_at: Timestamp,
    pub write: Write,
    pub meaning: Meaning,
}

/// A write that is done: what is held against snapshots and archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub change: u64,
    /// Before the first attempt.
    #[serde(with = "instant")]
    pub sent_at: Timestamp,
    /// After the answer.
    #[serde(with = "instant")]
    pub done_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unsure: Option<Unsure>,
    #[serde(flatten)]
    pub meaning: Meaning,
}

/// What can't be known of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsure {
    /// It was sent in one hour and answered in another: either may count it.
    Hour,
    /// It may have arrived or not, and can't be repeated.
    Arrival,
}

/// The ledger of a run under way; nobody else can write it meanwhile.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
}

/// What a ledger's earlier runs have left.
#[derive(Debug, Default)]
pub struct Left {
    /// The number of the next change.
    pub next_number: u64,
    /// Begun and not done, in the order of their numbers.
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
    /// The head of a ledger of `profile` on a table or stream.
    pub fn new(profile: ProfileName, target: &str) -> Head {
        Head { format: FORMAT, profile, target: target.to_owned() }
    }
}

impl Ledger {
    /// Goes on with the ledger at `path`, or begins it. `each` is handed every write that was begun.
    ///
    /// # Errors
    /// When it is another simulation's, is being written, or can't be read.
    pub fn open(path: &Path, head: &Head, mut each: impl FnMut(&Write)) -> anyhow::Result<(Ledger, Left)> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let opened = File::options().create(true).read(true).append(true).open(path);
        let file = opened.with_context(|| format!("open the ledger {shown}"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another simulation is writing {shown}: give --ledger another file"),
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
        // What was cut off goes, so that the next line begins where a line begins.
        file.set_len(whole_bytes).with_context(|| format!("cut the unfinished line off {shown}"))?;
        let mut ledger = Ledger { path: path.to_owned(), file };
        match found {
            None => ledger.append(&Line::Head(head.clone()))?,
            Some(found) if found == *head => {}
            Some(found) => bail!(
                "{shown} is the ledger of {} on {}: give --ledger another file for {} on {}",
                found.profile.name(),
                found.target,
                head.profile.name(),
                head.target
            ),
        }
        Ok((ledger, left))
    }

    /// Notes that a write is about to be sent.
    pub fn begin(&mut self, change: &Change, sent_at: Timestamp) -> anyhow::Result<()> {
        let (write, meaning) = (change.write.clone(), change.meaning.clone());
        self.append(&Line::Begun(Begun { change: change.number, sent_at, write, meaning }))
    }

    /// Notes that a write is done.
    pub fn done(&mut self, entry: Entry) -> anyhow::Result<()> {
        self.append(&Line::Done(entry))
    }

    /// In one piece and unbuffered: what has been written outlives this process.
    fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).with_context(|| format!("write to the ledger {}", self.path.display()))
    }
}

/// What a ledger is of.
///
/// # Errors
/// When it can't be read, or has no head.
pub fn read_head(path: &Path) -> anyhow::Result<Head> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open the ledger {shown}"))?;
    let mut bytes = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut bytes).with_context(|| format!("read the ledger {shown}"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Line::Head(head)) if head.format == FORMAT => Ok(head),
        _ => bail!("read {shown}: it doesn't begin as a ledger of this version does"),
    }
}

/// Hands every entry of a finished ledger to `each`, one at a time.
///
/// # Errors
/// When it can't be read, is being written, or has writes that were begun and not finished.
pub fn read_entries(path: &Path, mut each: impl FnMut(Entry) -> anyhow::Result<()>) -> anyhow::Result<Head> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open the ledger {shown}"))?;
    match file.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("a simulation is still writing {shown}: wait until it ends"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("lock {shown}")),
    }
    // As many as were under way at once, at most.
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
    if !open.is_empty() {
        let begun = open.len();
        bail!(
            "{shown} has {begun} writes that were begun and not finished: simulate with this ledger again, which finishes them"
        );
    }
    head.with_context(|| format!("read {shown}: it is empty"))
}

/// Hands on each whole line; gives the head, and how many bytes the whole lines have.
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
            (_, 1) => bail!("read {shown}: it doesn't begin as a ledger of this version does"),
            _ => {}
        }
        each(line)?;
        whole_bytes += u64::try_from(length)?;
    }
    Ok((head, whole_bytes))
}

/// Instants as RFC 3339 text.
mod instant {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use stream_types::Timestamp;

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| D::Error::custom("expected an instant from 2000 to 2099"))
    }
}
