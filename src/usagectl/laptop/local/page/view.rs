//! The document from which the page is drawn: the status as `/status` reports it, and what is too detailed for a terminal.

use event_source_mapping::{Blocked, FailureCause, ShardActivity};
use laptop::proof::QuarantinedRecord;
use serde::{Deserialize, Serialize};

use super::assess;
use crate::laptop::local::mapping::LocalMapping;
use crate::laptop::local::run::LocalRun;
use crate::laptop::local::status::Status;
use crate::page::buckets::Storage;
use crate::page::history::Sample;
use crate::page::summary::Assessment;
use crate::page::tasks::Task;
use crate::page::{Page, Usage};
use crate::shell::alert_text::alert_text;
use crate::shell::waiting;

/// The most shards that are listed of a stream, and the most batches that block.
const LISTED: usize = 16;

/// What doesn't change during a run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Facts {
    pipeline: String,
    source: String,
    /// `dynamodb`, `kinesis` or `kinesis-for-dynamodb`.
    stream: &'static str,
    usage_table: Option<String>,
    ledger: Option<String>,
    archive: Option<String>,
    failure_destination: String,
    batch_size: usize,
    lanes: usize,
    fold_window_seconds: Option<u64>,
}

impl Facts {
    pub(super) fn of(run: &LocalRun) -> Facts {
        let archive = run.site.archive.as_ref().map(|place| format!("s3://{}/{}", place.bucket, place.prefix));
        Facts {
            pipeline: run.site.handler.pipeline().name.clone(),
            source: run.source_name.clone(),
            stream: run.kind.name(),
            usage_table: run.site.tables.as_ref().map(|tables| tables.usage.clone()),
            ledger: run.site.tables.as_ref().map(|tables| tables.ledger.clone()),
            archive,
            failure_destination: run.destination.clone(),
            batch_size: run.mapping.running.batch_size,
            lanes: run.mapping.running.parallelization_factor,
            fold_window_seconds: run.folding.as_ref().map(|fold| fold.running.batching_window_seconds),
        }
    }
}

/// Everything that the page shows at one moment.
#[derive(Debug, Serialize)]
pub(super) struct View<'v> {
    /// When, in UTC.
    at: String,
    summary: Assessment,
    status: &'v Status,
    source_shards: Shards,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger_shards: Option<Shards>,
    /// The batches that block a lane of the source.
    blocked: Vec<BlockedText>,
    /// Those of the ledger.
    blocked_folds: Vec<BlockedText>,
    /// The records that were quarantined last, newest first.
    rejections: Vec<QuarantinedRecord>,
    /// The alerts that were sent last, in words, newest first.
    alerts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    tasks: Vec<Task>,
    sample: Sample,
}

/// The shards of a stream.
#[derive(Debug, Serialize)]
struct Shards {
    /// All that the stream lists.
    total: usize,
    /// Those that are read, with their parents.
    reading: Vec<ShardView>,
}

#[derive(Debug, Serialize)]
struct ShardView {
    #[serde(flatten)]
    activity: ShardActivity,
    parents: Vec<String>,
}

/// A batch that blocks a lane, in words.
#[derive(Debug, Serialize)]
struct BlockedText {
    shard: String,
    record: String,
    cause: String,
    behind: String,
    failed_attempts: u32,
    maximum_attempts: Option<u32>,
    since: String,
    next_attempt: String,
    retried_until: Option<String>,
}

impl BlockedText {
    fn of(blocked: &Blocked) -> BlockedText {
        BlockedText {
            shard: blocked.shard.clone(),
            record: waiting::record(blocked),
            cause: cause(&blocked.cause),
            behind: waiting::behind(blocked),
            failed_attempts: blocked.failed_attempts,
            maximum_attempts: blocked.maximum_attempts,
            since: blocked.since.to_string(),
            next_attempt: blocked.next_attempt.to_string(),
            retried_until: blocked.retried_until.map(|until| until.to_string()),
        }
    }
}

/// Why a delivery failed. Of a function error, the message without its JSON.
fn cause(cause: &FailureCause) -> String {
    let FailureCause::FunctionError(message) = cause else { return waiting::cause(cause) };
    let error: Option<FunctionError> = serde_json::from_str(message).ok();
    let message = error.map_or_else(|| message.clone(), |error| error.message);
    waiting::cause(&FailureCause::FunctionError(message))
}

/// The body of a function error, as Lambda's runtimes write it.
#[derive(Deserialize)]
struct FunctionError {
    #[serde(rename = "errorMessage")]
    message: String,
}

impl Shards {
    async fn of(mapping: &LocalMapping) -> Shards {
        let listed = mapping.source.shards().await.unwrap_or_default();
        let parents = |shard: &str| {
            let found = listed.iter().find(|listed| listed.id == shard);
            found.map(|listed| listed.parents.clone()).unwrap_or_default()
        };
        let reading = mapping.meter.activity().into_iter().take(LISTED);
        let reading = reading.map(|activity| ShardView { parents: parents(&activity.shard), activity }).collect();
        Shards { total: listed.len(), reading }
    }
}

/// The document of this moment, as JSON.
pub(super) async fn document(
    run: &LocalRun,
    page: &Page,
    status: &Status,
    storage: Option<Storage>,
) -> anyhow::Result<String> {
    let now = run.clock.now();
    let failures = storage.as_ref().and_then(|storage| storage.failures.as_ref());
    let blocked = |blocked: &[Blocked]| blocked.iter().take(LISTED).map(BlockedText::of).collect::<Vec<_>>();
    let view = View {
        at: now.to_string(),
        summary: assess::assess(status, failures, now),
        status,
        source_shards: Shards::of(&run.mapping).await,
        ledger_shards: match &run.folding {
            Some(folding) => Some(Shards::of(folding).await),
            None => None,
        },
        blocked: blocked(&status.waiting.blocked),
        blocked_folds: status.fold.as_ref().map(|fold| blocked(&fold.waiting.blocked)).unwrap_or_default(),
        rejections: run.rejections.as_ref().map(|rejections| rejections.last_quarantined()).unwrap_or_default(),
        alerts: status.alerts.last.iter().rev().map(alert_text).collect(),
        usage: page.usage(),
        tasks: page.tasks.all(),
        sample: page.history().latest().unwrap_or_default(),
        storage,
    };
    Ok(serde_json::to_string(&view)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::waiting::tests::blocked;

    #[test]
    fn a_function_error_is_shown_without_its_json() {
        let error = |text: &str| cause(&FailureCause::FunctionError(text.to_owned()));
        let exit = r#"{"errorType":"Runtime.ExitError","errorMessage":"Runtime exited"}"#;
        assert_eq!(error(exit), "the function failed: Runtime exited");
        assert_eq!(error("Task timed out after 60.00 seconds"), "the function timed out");
        let text = BlockedText::of(&blocked());
        assert_eq!(text.cause, "missing_attribute: NewImage.total is missing; the schema of order needs it");
        assert_eq!((text.behind.as_str(), text.next_attempt.as_str()), ("3,204", "2026-11-28T12:00:09.4Z"));
    }
}
