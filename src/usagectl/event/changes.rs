//! The snapshots that an invocation changed, before and after.

use std::collections::{BTreeSet, HashMap};

use crate::event::changed_snapshots::Key;
use crate::shell::table;
use laptop::proof::rows::{Item, Row, RowReader};

/// The most rows in the table; `--json` prints them all.
const SHOWN_ROWS: usize = 40;

/// The snapshots that an invocation changed.
#[derive(Debug)]
pub struct Changes {
    columns: Vec<String>,
    rows: Vec<(Option<Row>, Row)>,
}

impl Changes {
    /// Compares the items of `keys`.
    pub fn new(
        reader: &RowReader<'_>,
        keys: &[Key],
        before: &HashMap<Key, Item>,
        after: &HashMap<Key, Item>,
    ) -> Changes {
        let changed = keys.iter().filter(|key| before.get(*key) != after.get(*key));
        let row = |items: &HashMap<Key, Item>, key: &Key| items.get(key).and_then(|item| reader.read(item));
        let rows = changed.filter_map(|key| Some((row(before, key), row(after, key)?)));
        Changes { columns: reader.group_variables().map(str::to_owned).collect(), rows: rows.collect() }
    }

    /// Whether no snapshot changed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A table of the changed rows.
    pub fn text(&self) -> String {
        let measures: BTreeSet<&String> = self.rows.iter().flat_map(|(_, after)| after.measures.keys()).collect();
        let columns = self.columns.iter().map(String::as_str).chain(["window", "start"]);
        let mut table = table::titled(columns.clone().chain(measures.iter().map(|measure| measure.as_str())));
        for (before, after) in self.rows.iter().take(SHOWN_ROWS) {
            let variables = columns.clone().map(|name| match name {
                "start" => table::text(after.start()),
                name => table::text(after.variable(name)),
            });
            let numbers = measures.iter().map(|measure| table::number(&change(before.as_ref(), after, measure)));
            table.add_row(variables.chain(numbers));
        }
        match self.rows.len().saturating_sub(SHOWN_ROWS) {
            0 => table.to_string(),
            more => format!("{table}\n  … and {more} more (--json lists all)"),
        }
    }
}

/// A measure, as `2 → 3` if it changed.
fn change(before: Option<&Row>, after: &Row, measure: &str) -> String {
    let of = |row: &Row| row.measures.get(measure).cloned();
    let (before, after) = (before.and_then(of), of(after).unwrap_or_default());
    match before {
        Some(before) if before != after => format!("{before} → {after}"),
        _ => after,
    }
}
