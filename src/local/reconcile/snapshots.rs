//! What the usage table holds, page by page, into the books.

use std::collections::BTreeSet;

use anyhow::Context;

use super::Site;
use super::books::{Books, Counter};
use super::windows;
use crate::decimal::Decimal;
use crate::local::rows::{Row, RowReader};
use crate::pipeline::Snapshot;
use crate::usage::Window;

/// Enters every counter of the table, but for the measures to leave out.
pub async fn read(
    site: &Site<'_>,
    table: &str,
    snapshot: &Snapshot,
    without: &BTreeSet<String>,
    books: &mut Books,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<()> {
    let reader = RowReader::new(snapshot);
    // A counter that was just written must be there.
    let scan = site.clients.dynamodb.scan().table_name(table).consistent_read(true);
    let mut items = scan.into_paginator().items().send();
    while let Some(item) = items.next().await {
        let item = item.with_context(|| format!("scan the usage table {table} (dynamodb:Scan)"))?;
        enter(&reader.read(&item), snapshot, without, books)?;
        watch();
    }
    Ok(())
}

fn enter(row: &Row, snapshot: &Snapshot, without: &BTreeSet<String>, books: &mut Books) -> anyhow::Result<()> {
    let values: Vec<&str> = snapshot.group_variables.iter().map(|name| row.variable(name)).collect();
    let group = serde_json::to_string(&values)?;
    let window = window(row, snapshot);
    for (measure, number) in row.measures.iter().filter(|(measure, _)| !without.contains(*measure)) {
        let counter = Counter {
            group: group.clone(),
            // Of an item that is none of the pipeline's, whatever it says stays as it is: nobody expects it.
            window: window.map_or("", Window::name),
            start: window.map_or(row.start(), |window| windows::short(window, row.start())).to_owned(),
            measure: measure.clone(),
        };
        // The same number has several spellings.
        let number = Decimal::parse(number).map_or_else(|_| number.clone(), |number| number.to_string());
        books.find(&counter, &number)?;
    }
    Ok(())
}

/// The length of a row's window: by its name, by its short text, or because there is only one.
fn window(row: &Row, snapshot: &Snapshot) -> Option<Window> {
    let name = row.variable("window");
    let lengths = || snapshot.windows.iter().copied();
    match (name, snapshot.windows.as_slice()) {
        ("", [only]) => Some(*only),
        ("", _) => lengths().find(|window| windows::short(*window, FULL).len() == row.start().len()),
        (name, _) => lengths().find(|window| window.name() == name),
    }
}

/// Any instant, for the length of short texts.
const FULL: &str = "2026-11-21T03:00:00Z";
