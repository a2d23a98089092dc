//! The counters that the usage table holds.

use std::collections::BTreeSet;

use anyhow::Context;

use super::Site;
use super::expected_totals::{Counter, ExpectedTotals, normalized};
use super::windows;
use crate::proof::rows::{Row, RowReader};
use usage_aggregator::pipeline::Snapshot;
use usage_aggregator::window::Window;

/// Records every counter of the table, except for the measures in `without`.
pub(super) async fn read(
    site: &Site<'_>,
    table: &str,
    snapshot: &Snapshot,
    without: &BTreeSet<String>,
    totals: &mut ExpectedTotals,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<()> {
    let reader = RowReader::new(snapshot);
    // A counter that was just written must be found.
    let scan = site.clients.dynamodb.scan().table_name(table).consistent_read(true);
    let mut items = scan.into_paginator().items().send();
    while let Some(item) = items.next().await {
        let item = item.with_context(|| format!("scan the usage table {table} (dynamodb:Scan)"))?;
        // A shared table may hold other items.
        if let Some(row) = reader.read(&item) {
            enter(site, &row, snapshot, without, totals)?;
        }
        watch();
    }
    Ok(())
}

fn enter(
    site: &Site<'_>,
    row: &Row,
    snapshot: &Snapshot,
    without: &BTreeSet<String>,
    totals: &mut ExpectedTotals,
) -> anyhow::Result<()> {
    let values: Vec<&str> = snapshot.group_variables.iter().map(|name| row.variable(name)).collect();
    let group = serde_json::to_string(&values)?;
    let length = Window::ALL.into_iter().find(|window| window.name() == row.variable("window"));
    let start = length.map_or_else(|| row.start().to_owned(), |window| windows::short(window, row.start()));
    if site.period.is_some_and(|period| !period.contains(&start)) {
        return Ok(());
    }
    for (measure, number) in row.measures.iter().filter(|(measure, _)| !without.contains(*measure)) {
        let counter = Counter {
            group: group.clone(),
            window: length.map_or("", Window::name),
            start: start.clone(),
            measure: measure.clone(),
        };
        totals.find(&counter, &normalized(number))?;
    }
    Ok(())
}
