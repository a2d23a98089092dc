//! Rows as JSON lines. Values are texts, so that no reader rounds them; what a row doesn't have is left out.

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::results::export::row::{Cell, Head, UsageRow};

/// Writes JSON lines.
pub(in crate::results::export) struct JsonLines<W> {
    head: Head,
    out: W,
}

impl<W: Write> JsonLines<W> {
    pub(super) fn new(head: &Head, out: W) -> JsonLines<W> {
        JsonLines { head: head.clone(), out }
    }

    pub(super) fn write(&mut self, row: &UsageRow) -> io::Result<()> {
        let field = |(name, cell): (&str, Cell<'_>)| {
            let value = match cell {
                Cell::Text(text) | Cell::Instant(text) => text.into(),
                Cell::Maybe(text) => text?.into(),
                Cell::Whole(number) => number?.into(),
            };
            Some((name.to_owned(), value))
        };
        let line: Map<String, Value> = self.head.cells(Some(row)).into_iter().filter_map(field).collect();
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    pub(super) fn finish(self) -> W {
        self.out
    }
}
