//! Rows as CSV: a header line, commas, quotes where a text needs them (RFC 4180), and `\n` as the end of a line.

use std::io::{self, Write};

use crate::results::export::row::{Cell, Head, UsageRow};
use crate::shell::csv_text::Formulas;

/// Writes CSV.
pub(in crate::results::export) struct CsvRows<W: Write> {
    head: Head,
    out: csv::Writer<W>,
    formulas: Formulas,
}

impl<W: Write> CsvRows<W> {
    pub(super) fn new(head: &Head, out: W, formulas: Formulas) -> io::Result<CsvRows<W>> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(head.cells(None).iter().map(|(name, _)| *name)).map_err(io_error)?;
        Ok(CsvRows { head: head.clone(), out, formulas })
    }

    pub(super) fn write(&mut self, row: &UsageRow) -> io::Result<()> {
        for (_, cell) in self.head.cells(Some(row)) {
            let written = match cell {
                Cell::Text(text) | Cell::Instant(text) => self.out.write_field(&*self.formulas.cell(text)),
                Cell::Maybe(text) => self.out.write_field(&*self.formulas.cell(text.unwrap_or_default())),
                Cell::Whole(number) => {
                    self.out.write_field(number.map(|number| number.to_string()).unwrap_or_default())
                }
            };
            written.map_err(io_error)?;
        }
        // Ends the record.
        self.out.write_record(None::<&[u8]>).map_err(io_error)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(|error| io::Error::new(error.error().kind(), error.to_string()))
    }
}

/// The error of the output behind an error of CSV, which hides its kind.
fn io_error(error: csv::Error) -> io::Error {
    if !error.is_io_error() {
        return error.into();
    }
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
