//! Tables for people: never broken within a cell, so that keys can be copied; numbers to the right, nothing in them that steers it.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};

use crate::shell::console::plain;

/// A table with these column titles.
pub fn titled<'t>(titles: impl IntoIterator<Item = &'t str>) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(titles.into_iter().map(|title| Cell::new(plain(title))));
    table
}

pub fn text(text: &str) -> Cell {
    Cell::new(plain(text))
}

pub fn number(number: &str) -> Cell {
    Cell::new(plain(number)).set_alignment(CellAlignment::Right)
}
