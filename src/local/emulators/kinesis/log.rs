//! The records of one shard: a file of JSON lines. Numbers and times rise from line to line, so a position is found by binary
//! search in the file, and nothing is kept in memory.
//!
//! Lines before the horizon are trimmed: they aren't read, and the file is shortened once they are half of it. The last of them
//! is kept, by which a reader that has read less knows that it misses some.
//!
//! A process that dies leaves at most one torn line at the end. That record was never acknowledged, and the next one
//! overwrites it. Nothing is synced to disk: a crash of the machine may lose records.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use event_source_mapping::ReadError;
use serde::{Deserialize, Serialize};

/// 10 MiB: the most that one GetRecords of Kinesis returns.
const PAGE_BYTES: usize = 10 * 1024 * 1024;
/// How much of a file's end is read first to find its last line.
const TAIL_BYTES: u64 = 64 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Rises from record to record.
    pub number: u64,
    /// When it arrived, in microseconds.
    pub time: i64,
    /// The partition key.
    pub key: String,
    /// In base64.
    pub data: String,
}

/// A shard's file, open for writing.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    length: u64,
    last: Option<(u64, i64)>,
}

/// The complete lines that a file had at one moment.
#[derive(Debug)]
pub(super) struct Extent {
    path: PathBuf,
    /// Stays the same file when the shard's is replaced by a shorter one.
    file: File,
    length: u64,
    /// The time before which lines are trimmed, in microseconds.
    horizon: Option<i64>,
    /// The number of the last record.
    pub last: Option<u64>,
}

/// Where to start reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The first record.
    First,
    /// The record after this number.
    AfterNumber(u64),
    /// The first record at this time or later, in microseconds.
    AtTime(i64),
}

impl Log {
    /// Opens the file, creates it if necessary, and truncates an incomplete last line.
    pub(super) fn open(path: &Path) -> anyhow::Result<Log> {
        let opened = File::options().create(true).read(true).write(true).truncate(false).open(path);
        let mut file = opened.with_context(|| format!("open the shard {}", path.display()))?;
        let whole = file.seek(SeekFrom::End(0)).with_context(|| format!("read the shard {}", path.display()))?;
        let (length, last) = tail(&mut file, whole).with_context(|| format!("read the shard {}", path.display()))?;
        file.set_len(length).with_context(|| format!("truncate the shard {}", path.display()))?;
        Ok(Log { path: path.to_owned(), file, length, last: last.map(|line| (line.number, line.time)) })
    }

    /// The number and time of the last record.
    pub(super) fn last(&self) -> Option<(u64, i64)> {
        self.last
    }

    pub(super) fn append(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // At the known end, to overwrite whatever a failed write left there.
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(&text));
        written.with_context(|| format!("write the shard {}", self.path.display()))?;
        self.length += bytes(text.len());
        self.last = Some((line.number, line.time));
        Ok(())
    }

    /// What can be read of it, from the time `horizon` on if there is one.
    pub(super) fn extent(&self, horizon: Option<i64>) -> anyhow::Result<Extent> {
        let (path, last) = (self.path.clone(), self.last.map(|(number, _)| number));
        let file = File::open(&path).with_context(|| format!("open the shard {}", path.display()))?;
        Ok(Extent { path, file, length: self.length, horizon, last })
    }

    /// Shortens the file if at least half of it is older than `horizon`.
    pub(super) fn trim(&mut self, horizon: i64) -> anyhow::Result<()> {
        self.shorten(horizon).with_context(|| format!("trim the shard {}", self.path.display()))
    }

    fn shorten(&mut self, horizon: i64) -> anyhow::Result<()> {
        let mut whole = File::open(&self.path)?;
        let end = Lines::new(&whole, self.length).find(|line| line.time >= horizon)?;
        if end < self.length / 2 {
            return Ok(());
        }
        let (_, Some(last)) = tail(&mut whole, end)? else { return Ok(()) };
        let start = Lines::new(&whole, end).find(|line| line.number >= last.number)?;
        if start == 0 {
            return Ok(());
        }
        let (part, length) = (self.path.with_extension("part"), self.length - start);
        let mut shorter = File::options().create(true).truncate(true).read(true).write(true).open(&part)?;
        whole.seek(SeekFrom::Start(start))?;
        std::io::copy(&mut whole.take(length), &mut shorter)?;
        std::fs::rename(&part, &self.path)?;
        (self.file, self.length) = (shorter, length);
        Ok(())
    }
}

impl Extent {
    /// At most `limit` records from `start`, and whether they include the last one.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] if records after the number were trimmed.
    pub(super) fn read(&self, start: Start, limit: usize) -> Result<(Vec<Line>, bool), ReadError> {
        let page = self.page(start, limit).with_context(|| format!("read the shard {}", self.path.display()))?;
        page.ok_or(ReadError::Trimmed)
    }

    /// The page, unless the first record of it was trimmed.
    fn page(&self, start: Start, limit: usize) -> anyhow::Result<Option<(Vec<Line>, bool)>> {
        let mut lines = Lines::new(&self.file, self.length);
        let horizon = self.horizon.unwrap_or(i64::MIN);
        let first = match start {
            Start::First if self.horizon.is_none() => 0,
            Start::First => lines.find(|line| line.time >= horizon)?,
            Start::AtTime(time) => lines.find(|line| line.time >= time.max(horizon))?,
            Start::AfterNumber(number) => lines.find(|line| line.number > number)?,
        };
        if self.horizon.is_some() && first < self.length && lines.line(first)?.time < horizon {
            return Ok(None);
        }
        lines.page(first, limit).map(Some)
    }
}

/// Where the last complete line of a file of this length ends, and that line.
fn tail(file: &mut File, length: u64) -> anyhow::Result<(u64, Option<Line>)> {
    let mut size = TAIL_BYTES.min(length);
    loop {
        let start = length - size;
        file.seek(SeekFrom::Start(start))?;
        let mut text = Vec::new();
        file.take(size).read_to_end(&mut text)?;
        let newline = |text: &[u8]| text.iter().rposition(|byte| *byte == b'\n');
        if let Some(end) = newline(&text) {
            let whole = text.get(..end).unwrap_or_default();
            let previous = newline(whole);
            if previous.is_some() || start == 0 {
                let last = whole.get(previous.map_or(0, |at| at + 1)..).unwrap_or_default();
                let last = serde_json::from_slice(last).context("its last line is damaged")?;
                return Ok((start + bytes(end) + 1, Some(last)));
            }
        } else if start == 0 {
            return Ok((0, None));
        }
        size = size.saturating_mul(2).min(length);
    }
}

/// A file, read line by line.
struct Lines<'f> {
    reader: BufReader<&'f File>,
    length: u64,
    text: Vec<u8>,
}

impl Lines<'_> {
    fn new(file: &File, length: u64) -> Lines<'_> {
        Lines { reader: BufReader::new(file), length, text: Vec::new() }
    }

    /// Where the first `wanted` line starts. All lines after a wanted line must be wanted too.
    fn find(&mut self, wanted: impl Fn(&Line) -> bool) -> anyhow::Result<u64> {
        // No line that starts before `low` is wanted. The first wanted line starts at or before `high`, or is the next one
        // after those that start before `high`.
        let (mut low, mut high) = (0, self.length);
        while low < high {
            let middle = low + (high - low) / 2;
            let start = if middle == low { low } else { self.next_start(middle)? };
            if start >= high {
                high = middle;
                continue;
            }
            let line = self.line(start)?;
            if wanted(&line) {
                high = start;
            } else {
                low = start + bytes(self.text.len());
            }
        }
        Ok(low)
    }

    /// The first position at or after `at` where a line starts.
    fn next_start(&mut self, at: u64) -> anyhow::Result<u64> {
        let before = at.saturating_sub(1);
        self.reader.seek(SeekFrom::Start(before))?;
        self.text.clear();
        Ok(before + bytes(self.reader.read_until(b'\n', &mut self.text)?))
    }

    fn line(&mut self, start: u64) -> anyhow::Result<Line> {
        self.reader.seek(SeekFrom::Start(start))?;
        self.next_line(start)
    }

    fn next_line(&mut self, start: u64) -> anyhow::Result<Line> {
        self.text.clear();
        self.reader.read_until(b'\n', &mut self.text)?;
        serde_json::from_slice(&self.text).with_context(|| format!("the line at byte {start} is damaged"))
    }

    fn page(&mut self, start: u64, limit: usize) -> anyhow::Result<(Vec<Line>, bool)> {
        let (mut at, mut size) = (start, 0);
        let mut lines = Vec::new();
        self.reader.seek(SeekFrom::Start(start))?;
        while at < self.length && lines.len() < limit && size < PAGE_BYTES {
            lines.push(self.next_line(at)?);
            at += bytes(self.text.len());
            size += self.text.len();
        }
        Ok((lines, at >= self.length))
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
