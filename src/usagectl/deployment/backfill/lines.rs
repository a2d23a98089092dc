//! The lines of a compressed file, one item on each.

use std::io::{BufRead, BufReader, Cursor};

use axum::body::Bytes;
use flate2::read::MultiGzDecoder;

use crate::shell::console::UsageError;

/// The lines of a file that is unpacked as it is read.
pub(super) struct Lines {
    name: String,
    lines: std::io::Lines<BufReader<MultiGzDecoder<Cursor<Bytes>>>>,
    read: u64,
    /// How many lines the file must have.
    expected: Option<u64>,
}

impl Lines {
    /// The lines in `content`, of a file called `name`.
    pub(super) fn new(name: &str, content: Bytes, expected: Option<u64>) -> Lines {
        let lines = BufReader::new(MultiGzDecoder::new(Cursor::new(content))).lines();
        Lines { name: name.to_owned(), lines, read: 0, expected }
    }

    /// Where the last line is, for messages.
    pub(super) fn position(&self) -> String {
        format!("line {} of {}", self.read, self.name)
    }

    fn damaged(&self, reason: &str) -> anyhow::Error {
        UsageError(format!("the data file {} {reason}; download the export again", self.name)).into()
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<anyhow::Result<String>> {
        loop {
            match self.lines.next() {
                Some(Ok(line)) if line.trim().is_empty() => {}
                Some(Ok(line)) => {
                    self.read += 1;
                    return Some(Ok(line));
                }
                Some(Err(error)) => return Some(Err(self.damaged(&format!("can't be unpacked: {error}")))),
                None => {
                    let expected = self.expected.take().filter(|expected| *expected != self.read)?;
                    let read = self.read;
                    return Some(Err(self.damaged(&format!("has {read} items, and the manifest counts {expected}"))));
                }
            }
        }
    }
}
