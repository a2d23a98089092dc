//! The formats of an export: CSV, JSON lines and Parquet.

mod csv_rows;
mod json_lines;
mod parquet_file;

use std::io::{self, Write};

use clap::ValueEnum;

use super::row::{Head, UsageRow};
use crate::shell::csv_text::Formulas;
use csv_rows::CsvRows;
use json_lines::JsonLines;
use parquet_file::ParquetFile;

/// A format on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object per line
    Jsonl,
    /// Parquet, with values as text
    Parquet,
}

/// Writes rows in a format.
pub(super) enum RowWriter<W: Write + Send> {
    Csv(Box<CsvRows<W>>),
    Jsonl(JsonLines<W>),
    Parquet(Box<ParquetFile<W>>),
}

impl<W: Write + Send> RowWriter<W> {
    /// Begins the output. Only CSV can have formulas.
    pub(super) fn new(format: Format, head: &Head, out: W, formulas: Formulas) -> io::Result<RowWriter<W>> {
        Ok(match format {
            Format::Csv => RowWriter::Csv(Box::new(CsvRows::new(head, out, formulas)?)),
            Format::Jsonl => RowWriter::Jsonl(JsonLines::new(head, out)),
            Format::Parquet => RowWriter::Parquet(Box::new(ParquetFile::new(head, out)?)),
        })
    }

    /// Adds a row.
    pub(super) fn write(&mut self, row: &UsageRow) -> io::Result<()> {
        match self {
            RowWriter::Csv(rows) => rows.write(row),
            RowWriter::Jsonl(lines) => lines.write(row),
            RowWriter::Parquet(file) => file.write(row),
        }
    }

    /// Ends the output, and returns what it was written to.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            RowWriter::Csv(rows) => rows.finish(),
            RowWriter::Jsonl(lines) => Ok(lines.finish()),
            RowWriter::Parquet(file) => file.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::{head, row};
    use super::super::row::{Correction, Status};
    use super::*;

    fn written(format: Format, rows: &[UsageRow]) -> Vec<u8> {
        written_with(Formulas::default(), format, rows)
    }

    fn written_with(formulas: Formulas, format: Format, rows: &[UsageRow]) -> Vec<u8> {
        let mut writer = RowWriter::new(format, &head(), Vec::new(), formulas).unwrap();
        rows.iter().for_each(|row| writer.write(row).unwrap());
        writer.finish().unwrap()
    }

    fn rows() -> [UsageRow; 2] {
        let correction = Correction {
            at: "2026-10-03T12:00".to_owned(),
            author: "ana@example.com".to_owned(),
            reason: "Refund, \"ticket\" 42".to_owned(),
        };
        let corrected =
            UsageRow { correction: Some(Box::new(correction)), version: None, ..row("7", "orders", "amount", "-0.1") };
        [row("7", "orders", "amount", "130"), UsageRow { status: Status::Provisional, ..corrected }]
    }

    #[test]
    fn csv_has_a_header_and_quotes_what_needs_it() {
        insta::assert_snapshot!(String::from_utf8(written(Format::Csv, &rows())).unwrap());
        let empty = String::from_utf8(written(Format::Csv, &[])).unwrap();
        assert!(empty.starts_with("pipeline,window,") && empty.lines().count() == 1, "{empty}");
    }

    #[test]
    fn csv_has_no_formula_if_they_are_escaped_and_exact_names_otherwise() {
        let rows = [row("=HYPERLINK(\"x\")", "@orders", "amount", "-0.1")];
        let text = |formulas: Formulas| String::from_utf8(written_with(formulas, Format::Csv, &rows)).unwrap();
        let escaped = text(Formulas { escape_formulas: true });
        assert!(escaped.contains(r#","'=HYPERLINK(""x"")",'@orders,amount,usage,-0.1,"#), "{escaped}");
        let exact = text(Formulas::default());
        assert!(exact.contains(r#","=HYPERLINK(""x"")",@orders,amount,usage,-0.1,"#), "{exact}");
    }

    #[test]
    fn json_lines_have_exact_values_as_text_and_no_empty_fields() {
        insta::assert_snapshot!(String::from_utf8(written(Format::Jsonl, &rows())).unwrap());
        assert_eq!(written(Format::Jsonl, &[]), b"");
    }

    /// Output whose reader has stopped reading.
    struct Unread;

    impl Write for Unread {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_reading_is_recognized_in_every_format() {
        for format in [Format::Csv, Format::Jsonl, Format::Parquet] {
            let export = || {
                let mut writer = RowWriter::new(format, &head(), Unread, Formulas::default())?;
                // More than the format holds in memory.
                (0..1_000).try_for_each(|_| writer.write(&row("7", "orders", "amount", "130")))?;
                writer.finish()
            };
            assert_eq!(export().map(|_| ()).unwrap_err().kind(), io::ErrorKind::BrokenPipe, "{format:?}");
        }
    }

    #[test]
    fn parquet_begins_and_ends_with_its_magic_even_without_rows() {
        for rows in [&rows()[..], &[]] {
            let file = written(Format::Parquet, rows);
            assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"), "{file:?}");
        }
    }
}
