//! Reads the usage table for the page, a few thousand items per second, so that a large table doesn't slow the run down.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use laptop::proof::rows::{Item, RowReader};
use tokio::time::Instant;
use usage_aggregator::pipeline::Snapshot;

use super::Page;
use super::ranking::{MeasureUsage, Ranking, Usage};
use crate::laptop::local::run::LocalRun;

/// How many items are read at once.
const PAGE_ITEMS: i32 = 2_000;
/// How long to pause after each read.
const PAUSE: Duration = Duration::from_millis(400);
/// How long to pause after the end of the table, at least. After a large table, the pause is as long as reading it.
const PAUSE_AT_END: Duration = Duration::from_secs(2);

/// The usage that was read last.
pub(super) type Latest = Arc<Mutex<Option<Usage>>>;

/// Reads the table again and again while somebody looks at the page.
pub(super) async fn watch(run: &LocalRun, page: &Page) -> anyhow::Result<()> {
    loop {
        page.until_seen().await;
        let started = Instant::now();
        match read(run, page).await {
            Ok(usage) => *page.usage.lock().unwrap_or_else(PoisonError::into_inner) = usage,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "failed to read the usage table for the page; will retry");
            }
        }
        tokio::time::sleep(PAUSE_AT_END.max(started.elapsed())).await;
    }
}

/// Reads the table to its end. `None` if the pipeline counts nothing.
async fn read(run: &LocalRun, page: &Page) -> anyhow::Result<Option<Usage>> {
    let (Some(tables), Some(snapshot)) = (&run.site.tables, &run.site.handler.pipeline().snapshot) else {
        return Ok(None);
    };
    let (table, client) = (&tables.usage, &run.place.clients.dynamodb);
    let reader = RowReader::new(snapshot);
    let mut ranking = Ranking::new(snapshot, run.clock.now());
    let mut start: Option<Item> = None;
    loop {
        let scan = client.scan().table_name(table).limit(PAGE_ITEMS).set_exclusive_start_key(start).send().await;
        let scan = scan.with_context(|| format!("scan the usage table {table} (dynamodb:Scan)"))?;
        scan.items().iter().for_each(|item| ranking.add(reader.read(item).as_ref()));
        start = scan.last_evaluated_key;
        if start.is_none() {
            let mut usage = ranking.finish();
            read_limits(client, snapshot, &mut usage).await?;
            return Ok(Some(usage));
        }
        tokio::time::sleep(PAUSE).await;
        page.until_seen().await;
    }
}

/// Reads the limits that the largest groups have in items of their own.
async fn read_limits(client: &Client, snapshot: &Snapshot, usage: &mut Usage) -> anyhow::Result<()> {
    for MeasureUsage { measure, window, top, .. } in &mut usage.measures {
        let alerts = || snapshot.alerts.iter().filter(|alert| alert.rule.measure == *measure);
        for of in top.iter_mut().filter(|of| of.limit.is_none()) {
            let alert = alerts().find(|alert| alert.window.name() == *window && alert.is_for(&of.group));
            let Some((item, key)) = alert.and_then(|alert| alert.item.as_ref().zip(alert.limit_key(&of.group))) else {
                continue;
            };
            let key = key.into_iter().map(|(name, text)| (name, AttributeValue::S(text))).collect();
            let read = client.get_item().table_name(&item.table).set_key(Some(key)).send().await;
            let read = read.with_context(|| format!("read a limit from {} (dynamodb:GetItem)", item.table))?;
            let number = read.item.and_then(|found| found.get(&item.attribute)?.as_n().ok()?.parse::<f64>().ok());
            of.limit = number.filter(|limit| *limit > 0.0);
        }
    }
    Ok(())
}
