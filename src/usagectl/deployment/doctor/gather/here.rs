//! The facts of the embedded services, and of a running `usagectl local`. What exists only in an account doesn't apply.

use aws_sdk_dynamodb::Client;
use laptop::proof::rows::RowReader;
use serde_json::Value;
use usage_aggregator::fold::Folder;
use usage_aggregator::handler::folder;
use usage_aggregator::pipeline::{Pipeline, Stream};
use usage_aggregator::time::Timestamp;

use super::super::facts::{
    Fact, Facts, FoldMetrics, LedgerContents, LocalFacts, Part, RecentMetrics, SourceFacts, Table, Unavailable,
};
use super::{bucket, destination, ledger, source, table};
use crate::shell::options::Options;
use crate::shell::running::{self, Running, RunningMapping};
use crate::stack::{Access, Deployment, Names};

/// How many snapshots to read at most to find the newest.
const SNAPSHOTS: usize = 10_000;

pub(super) async fn facts(
    deployment: &Deployment,
    options: &Options,
    control: Option<String>,
    now: Timestamp,
) -> anyhow::Result<Facts> {
    let config = deployment.variables(options, Access::Read).await?.with_metrics_sink("none").config()?;
    let (clients, names) = (deployment.clients(), deployment.names.clone());
    let folder = folder(&config, &clients.dynamodb);
    let (horizon_days, pipeline) = (config.horizon_days, config.pipeline);
    let fold_window = control.as_ref().and_then(|_| Running::read(&options.data)?.fold);
    let unless = |applies: bool, why| if applies { Ok(()) } else { Err(Unavailable::NotApplicable(why)) };
    let counts = unless(pipeline.snapshot.is_some(), "the pipeline counts nothing");
    let archives = unless(pipeline.schemas().next().is_some(), "the pipeline archives nothing");
    let types: Vec<String> = pipeline.schemas().map(|(name, _)| name.to_owned()).collect();
    let prefix = names.archive_prefix.clone().unwrap_or_else(|| pipeline.archive_prefix.clone());
    let failures = names.failure_bucket.clone().unwrap_or_default();
    let (source, usage_table, ledger_table, waiting, newest_file, newest_snapshot, ledger_contents, run) = futures::join!(
        of_source(&clients.dynamodb, &pipeline, &names),
        of_table(&clients.dynamodb, &counts, &names.usage_table),
        of_table(&clients.dynamodb, &counts, &names.ledger_table),
        destination::in_bucket(&clients.s3, &failures),
        bucket::newest_file(&clients.s3, &archives, &names.archive_bucket, &prefix, &types, now),
        newest_snapshot(&clients.dynamodb, &pipeline, &names.usage_table),
        of_ledger(folder.as_ref(), fold_window.as_ref(), now),
        of_run(control),
    );
    let account_only = Unavailable::NotApplicable("it exists only in an account");
    Ok(Facts {
        now,
        here: true,
        stack: None,
        names,
        pipeline,
        version: env!("CARGO_PKG_VERSION"),
        source,
        mapping: Err(Unavailable::NotApplicable("a local mapping is configured by its command line")),
        function: Err(account_only.clone()),
        fold: Err(account_only.clone()),
        ledger_mapping: Err(Unavailable::NotApplicable("a local mapping is configured by its command line")),
        recursion: Err(account_only.clone()),
        role: Err(account_only.clone()),
        destination: Err(account_only.clone()),
        waiting: waiting.map_err(not_yet),
        usage_table,
        ledger_table,
        ledger_contents,
        alert_target: Err(account_only.clone()),
        archive: Err(account_only.clone()),
        newest_file: newest_file.map_err(not_yet),
        partition_dates: Err(account_only.clone()),
        newest_snapshot,
        glue: Err(account_only.clone()),
        log_group: Err(account_only.clone()),
        alarms: Err(account_only.clone()),
        topics: Err(account_only.clone()),
        measured: run.as_ref().map(measured).map_err(Clone::clone),
        local: run.and_then(|status| what_waits(status, fold_window.as_ref())),
        own_metrics: Err(account_only),
        horizon_days: Ok(horizon_days),
    })
}

/// What a run reports of records that don't get through.
fn what_waits(status: Value, fold: Option<&RunningMapping>) -> Fact<LocalFacts> {
    let unreadable = |error| Unavailable::Failed(format!("failed to read what waits in the local run: {error}"));
    let facts: LocalFacts = serde_json::from_value(status).map_err(unreadable)?;
    Ok(LocalFacts { fold_window_seconds: fold.map_or(0, window_seconds), ..facts })
}

/// The batching window of a mapping.
fn window_seconds(mapping: &RunningMapping) -> i64 {
    i64::try_from(mapping.batching_window_seconds).unwrap_or(i64::MAX)
}

/// What the ledger holds, while a run folds it.
async fn of_ledger(folder: Option<&Folder>, fold: Option<&RunningMapping>, now: Timestamp) -> Fact<LedgerContents> {
    let folder = folder.ok_or(Unavailable::NotApplicable("the pipeline counts nothing"))?;
    let fold = fold.ok_or(Unavailable::NotApplicable("no `usagectl local` is running, so nothing is folded"))?;
    ledger::of(folder, window_seconds(fold), now).await.map_err(not_yet)
}

/// On a laptop, a missing part hasn't been created yet.
fn not_yet(why: Unavailable) -> Unavailable {
    match why {
        Unavailable::Missing(part) => {
            Unavailable::NoData(format!("{part} doesn't exist yet; `usagectl local` creates it"))
        }
        other => other,
    }
}

/// The source that the run reads, or without a run the pipeline's first one.
async fn of_source(client: &Client, pipeline: &Pipeline, names: &Names) -> Fact<SourceFacts> {
    let is_kinesis = match &names.source_arn {
        Some(arn) => arn.contains(":kinesis:"),
        None => pipeline.stream == Stream::Kinesis,
    };
    if is_kinesis {
        return Err(Unavailable::NotApplicable("a local Kinesis stream has no settings"));
    }
    let name = names.source_name().or(pipeline.sources.first().map(String::as_str));
    let name = name.ok_or(Unavailable::NotApplicable("the pipeline names no source"))?;
    source::of_table(client, name).await.map_err(not_yet)
}

async fn of_table(client: &Client, counts: &Result<(), Unavailable>, name: &Option<String>) -> Fact<Table> {
    counts.clone()?;
    let name = super::named(name, "--usage-table")?;
    let (described, time_to_live) = futures::join!(table::described(client, name), table::time_to_live(client, name));
    let described = described.map_err(not_yet)?;
    Ok(Table { time_to_live, ..described })
}

/// The start of the newest snapshot's window.
async fn newest_snapshot(client: &Client, pipeline: &Pipeline, table: &Option<String>) -> Fact<Timestamp> {
    let snapshot = pipeline.snapshot.as_ref().ok_or(Unavailable::NotApplicable("the pipeline counts nothing"))?;
    let (table, reader) = (super::named(table, "--usage-table")?, RowReader::new(snapshot));
    let mut items = client.scan().table_name(table).into_paginator().items().send();
    let (mut newest, mut looked_at) = (None, 0);
    while let Some(item) = items.next().await {
        let item = super::seen("dynamodb:Scan", || Part::Table(table.to_owned()), item).map_err(not_yet)?;
        newest = newest.max(reader.read(&item).and_then(|row| Timestamp::parse(row.start())));
        looked_at += 1;
        if looked_at == SNAPSHOTS {
            break;
        }
    }
    newest.ok_or_else(|| Unavailable::NoData(format!("no snapshot in {table} yet")))
}

/// The status of the `usagectl local` that uses the data folder.
async fn of_run(control: Option<String>) -> Fact<Value> {
    let url = control.ok_or_else(|| Unavailable::NoData("no `usagectl local` is running here".to_owned()))?;
    let answer = running::call(axum::http::Method::GET, &format!("{url}/status"), String::new()).await;
    let read = answer.and_then(|(_, text)| Ok(serde_json::from_str::<Value>(&text)?));
    read.map_err(|error| Unavailable::Failed(format!("failed to read the status of the local run: {error:#}")))
}

/// Its metrics.
fn measured(status: &Value) -> RecentMetrics {
    let mapping = |name: &str| status.pointer(&format!("/mapping/{name}")).and_then(Value::as_f64);
    let function = |name: &str| status.pointer(&format!("/function/{name}")).and_then(Value::as_f64);
    // Lambda's metric stands still between the attempts of a batch; the age of the oldest record that waits doesn't.
    let waiting = status.pointer("/waiting/oldest_age_ms").and_then(Value::as_f64);
    let age = mapping("iterator_age_ms").map(|age| age.max(waiting.unwrap_or_default()));
    RecentMetrics {
        invocations: mapping("invocations"),
        errors: mapping("errors"),
        throttles: mapping("not_invoked"),
        iterator_age_ms: age,
        polled: mapping("polled_event_count"),
        invoked: mapping("invoked_event_count"),
        filtered_out: mapping("filtered_out_event_count"),
        dropped: mapping("dropped_event_count"),
        failed_deliveries: mapping("failed_invoke_event_count"),
        discarded: mapping("on_failure_destination_delivered_event_count"),
        destination_failures: mapping("destination_delivery_failures"),
        records: function("RecordsProcessed"),
        files: function("FilesWritten"),
        fold: folded(status),
        ..RecentMetrics::default()
    }
}

/// The metrics of the fold.
fn folded(status: &Value) -> FoldMetrics {
    let mapping = |name: &str| status.pointer(&format!("/fold/mapping/{name}")).and_then(Value::as_f64);
    let function = |name: &str| status.pointer(&format!("/function/{name}")).and_then(Value::as_f64);
    let highest = |name: &str| status.pointer(&format!("/function_maximum/{name}")).and_then(Value::as_f64);
    let waiting = status.pointer("/fold/waiting/oldest_age_ms").and_then(Value::as_f64);
    FoldMetrics {
        errors: mapping("errors"),
        unsettled: function("FoldErrors"),
        notices: function("NoticesFolded"),
        pages_written: function("PagesWritten"),
        pages_in_minute: highest("PagesInMinute"),
        age_ms: highest("FoldAge"),
        iterator_age_ms: mapping("iterator_age_ms").map(|age| age.max(waiting.unwrap_or_default())),
        repaired: function("SweepRepaired"),
        unpublished: function("Unpublished"),
        overflow: function("Overflow"),
        conflicts: function("Conflicts"),
        ledger_behind: function("LedgerBehind"),
        too_old: function("NoticesTooOld"),
        alerts_failed: function("AlertsFailed"),
        discarded: mapping("on_failure_destination_delivered_event_count"),
    }
}
