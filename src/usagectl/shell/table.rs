//! Tables for people. Cells never wrap, so that keys can be copied; numbers are right-aligned; control characters are replaced.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use crate::shell::console::plain;

/// An empty table with these column titles.
pub fn titled<'t>(titles: impl IntoIterator<Item = &'t str>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles.into_iter().map(|title| Cell::new(plain(title))));
    table
}

/// A cell with text.
pub fn text(text: &str) -> Cell {
    Cell::new(plain(text))
}

/// A right-aligned cell.
pub fn number(number: &str) -> Cell {
    Cell::new(plain(number)).set_alignment(CellAlignment::Right)
}
