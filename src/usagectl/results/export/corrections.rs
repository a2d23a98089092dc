//! Reads the corrections of an export from the ledger. Their pages are found by a scan, because nothing else says which minutes
//! have them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_dynamodb::types::AttributeValue;
use usage_aggregator::ledger::{LedgerTable, PAGES, PageContent, PageKind, ReadPage};
use usage_aggregator::time::Timestamp;
use usage_aggregator::usage::Segment;
use usage_aggregator::window::Span;

use super::gather::Selection;
use super::row::{Correction, Head, Status, UsageRow};

/// Passes the corrections that are selected to `take`.
///
/// # Errors
/// If the ledger can't be read, or `take` fails.
pub(super) async fn read(
    ledger: &LedgerTable,
    head: &Head,
    selection: &Selection,
    mut take: impl FnMut(UsageRow) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut pages: BTreeMap<(Segment, u64), ReadPage> = BTreeMap::new();
    for (minute, bucket) in partitions(ledger).await? {
        if window(head, selection, minute).is_none() {
            continue;
        }
        let read = ledger.pages(minute, bucket..bucket + 1, None).await.context("read the ledger")?;
        // Put again after the number of buckets changed, a page is in two of them.
        pages.extend(read.into_iter().map(|page| ((minute, page.reference.name), page)));
    }
    let voids = pages.iter().filter(|(_, page)| matches!(page.kind, PageKind::Void(..)));
    let taken_back: BTreeSet<(Segment, u64)> =
        voids.flat_map(|((minute, _), page)| page.content.short_ids().map(|id| (*minute, id))).collect();
    for ((minute, _), page) in pages {
        if let PageKind::Correction(author, reason) = page.kind {
            let correction = Correction { at: minute.text(), author, reason };
            let counts = |id: u128| !taken_back.contains(&(minute, page.content.short_id(id)));
            rows(head, selection, minute, &correction, (&page.content, &counts))?
                .into_iter()
                .try_for_each(&mut take)?;
        }
    }
    Ok(())
}

/// The minutes and buckets with corrections, or with what takes records back.
async fn partitions(ledger: &LedgerTable) -> anyhow::Result<BTreeSet<(Segment, u32)>> {
    let prefix = format!("{PAGES}{}#", ledger.pipeline);
    let scan = ledger.client.scan().table_name(&ledger.name).consistent_read(true);
    let scan = scan.filter_expression("attribute_exists(#kind) AND begins_with(#pk, :pk)").projection_expression("#pk");
    let scan = scan.expression_attribute_names("#kind", "kind").expression_attribute_names("#pk", "pk");
    let scan = scan.expression_attribute_values(":pk", AttributeValue::S(prefix.clone()));
    let mut items = scan.into_paginator().items().send();
    let mut partitions = BTreeSet::new();
    while let Some(item) = items.next().await {
        let item = item.with_context(|| format!("scan the ledger table {} (dynamodb:Scan)", ledger.name))?;
        let key = item.get("pk").and_then(|key| key.as_s().ok());
        let parts = key.and_then(|key| key.strip_prefix(&prefix)?.rsplit_once('#'));
        let partition = parts.and_then(|(minute, bucket)| Some((Segment::parse(minute)?, bucket.parse().ok()?)));
        partitions.extend(partition);
    }
    Ok(partitions)
}

/// The window of a minute and its status, if it is selected.
fn window(head: &Head, selection: &Selection, minute: Segment) -> Option<(Span, Status)> {
    let span = head.window.containing(Timestamp::from_seconds(minute.start())?, head.zone);
    let status = selection.status(&span.end_text());
    let is_wanted =
        selection.period.contains(&span.start_text()) && (!selection.only_closed || status == Status::Closed);
    is_wanted.then_some((span, status))
}

/// The rows of a correction: one for each group and measure.
fn rows(
    head: &Head,
    selection: &Selection,
    minute: Segment,
    correction: &Correction,
    (page, counts): (&PageContent, &dyn Fn(u128) -> bool),
) -> anyhow::Result<Vec<UsageRow>> {
    let mut rows = Vec::new();
    for group in page.groups.iter().filter(|group| !group.key.is_nowhere()) {
        let minute = group.key.event_hour().unwrap_or(minute);
        let Some((span, status)) = window(head, selection, minute) else { continue };
        let key = group.key.counter_key().with_context(|| format!("read the correction at {}", correction.at))?;
        // Another definition of the pipeline counted it, in a snapshot that isn't exported.
        if key.0.len() != head.group.len() {
            continue;
        }
        let measures = page.measures.iter().zip(&group.columns);
        for (measure, column) in
            measures.filter(|(measure, _)| selection.wants(key.entity(), key.resource(), &measure.name))
        {
            let counted = group.ids.iter().enumerate().filter(|(_, id)| counts(**id));
            rows.extend(counted.filter_map(|(row, _)| column.value(row)).map(|value| UsageRow {
                start: span.start_text(),
                group: key.0.clone(),
                measure: measure.name.to_string(),
                correction: Some(Box::new(correction.clone())),
                value: value.to_string(),
                end: span.end_text(),
                status,
                version: None,
                restated_at: None,
            }));
        }
    }
    Ok(rows)
}
