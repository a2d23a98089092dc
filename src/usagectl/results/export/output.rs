//! Where an export is written: standard output, or a file that appears only when it is complete.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::format::{Format, RowWriter};
use super::row::{Head, UsageRow};
use crate::shell::console::{Closed, UsageError};
use crate::shell::csv_text::Formulas;

/// The place that rows are written to.
enum Sink {
    Stdout(Stdout),
    File(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(stdout) => stdout.write(bytes),
            Sink::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(stdout) => stdout.flush(),
            Sink::File(file) => file.flush(),
        }
    }
}

/// A file that has another name until it is complete. It is deleted if it never is.
struct Unfinished {
    path: PathBuf,
    partial: PathBuf,
}

impl Unfinished {
    fn complete(self) -> anyhow::Result<()> {
        let (from, to) = (self.partial.display(), self.path.display());
        std::fs::rename(&self.partial, &self.path).with_context(|| format!("rename {from} to {to}"))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After it was renamed, there is nothing to delete.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// An export that is being written.
pub(super) struct Output {
    rows: RowWriter<BufWriter<Sink>>,
    file: Option<Unfinished>,
}

impl Output {
    /// Begins an export to a file, or to standard output.
    ///
    /// # Errors
    /// If the file can't be created, or if a binary format would be written to a terminal.
    pub(super) fn open(format: Format, head: &Head, path: Option<&Path>, formulas: Formulas) -> anyhow::Result<Output> {
        let (sink, file) = match path {
            None if format == Format::Parquet && io::stdout().is_terminal() => {
                return Err(UsageError("Parquet is a binary format: set --output FILE".to_owned()).into());
            }
            None => (Sink::Stdout(io::stdout()), None),
            Some(path) => {
                let mut partial = path.as_os_str().to_owned();
                partial.push(".partial");
                let partial = PathBuf::from(partial);
                let file = File::create(&partial).with_context(|| format!("create {}", partial.display()))?;
                (Sink::File(file), Some(Unfinished { path: path.to_owned(), partial }))
            }
        };
        let rows = RowWriter::new(format, head, BufWriter::new(sink), formulas).map_err(closed)?;
        Ok(Output { rows, file })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&mut self, row: &UsageRow) -> anyhow::Result<()> {
        self.rows.write(row).map_err(closed)
    }

    /// Completes the export.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.rows.finish().and_then(|mut out| out.flush()).map_err(closed)?;
        self.file.map_or(Ok(()), Unfinished::complete)
    }
}

/// The error of an export that can't be written.
fn closed(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("write the export"),
    }
}
