//! The alarms of template.yaml in a local run: which of them would fire if it were a deployed stack.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use event_source_mapping::Timestamp;
use laptop::emulators::{AlarmStatus, Alarms, Metrics, Stack};
use usage_aggregator::config::Config;

use super::run::LocalRun;
use super::{Local, StreamChoice};

const TEMPLATE: &str = include_str!("../../../../template.yaml");
/// S3 reports the number of objects in a bucket once per day.
const STORAGE_INTERVAL_SECONDS: i64 = 86_400;

/// The alarms of a run.
pub(super) struct LocalAlarms {
    alarms: Mutex<Alarms>,
    /// Where failed batches and quarantined records are stored, if that is a bucket.
    failure_buckets: Vec<String>,
    storage_reported: Mutex<Option<i64>>,
}

impl LocalAlarms {
    /// The alarms that the template would create for this run.
    pub(super) fn of(run: &LocalRun, local: &Local) -> anyhow::Result<LocalAlarms> {
        let config = run.variables.clone().with_metrics_sink("none").config()?;
        let failure_buckets = run.failure_buckets();
        let stack = Stack {
            parameters: parameters(run, local, &config),
            resources: resources(run, local, &config, failure_buckets.first().map(String::as_str)),
            counts: config.tables.is_some(),
        };
        let alarms = Alarms::of_template(TEMPLATE, &stack).context("read the alarms of template.yaml")?;
        Ok(LocalAlarms { alarms: Mutex::new(alarms), failure_buckets, storage_reported: Mutex::default() })
    }

    /// Evaluates the alarms up to `now`, and returns those that have fired.
    pub(super) fn advance(&self, metrics: &Metrics, now: Timestamp) -> Vec<AlarmStatus> {
        let mut alarms = lock(&self.alarms);
        alarms.advance(metrics, now);
        alarms.fired()
    }

    /// Publishes how many objects the failure buckets have, as those of the first, when the last report is a day old.
    pub(super) async fn publish_storage(&self, s3: &aws_sdk_s3::Client, metrics: &Metrics, now: Timestamp) {
        let is_due = lock(&self.storage_reported).is_none_or(|last| now.seconds() - last >= STORAGE_INTERVAL_SECONDS);
        let Some(first) = self.failure_buckets.first().filter(|_| is_due) else { return };
        *lock(&self.storage_reported) = Some(now.seconds());
        let mut objects = 0.0;
        for bucket in &self.failure_buckets {
            match count_objects(s3, bucket).await {
                Ok(counted) => objects += counted,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(
                        bucket,
                        error,
                        "failed to count the objects in the failure bucket; will retry in a day"
                    );
                    return;
                }
            }
        }
        let dimensions = [("BucketName", first.as_str()), ("StorageType", "AllStorageTypes")];
        metrics.publish_of("AWS/S3", "NumberOfObjects", &dimensions, objects);
    }
}

async fn count_objects(s3: &aws_sdk_s3::Client, bucket: &str) -> anyhow::Result<f64> {
    let mut pages = s3.list_objects_v2().bucket(bucket).into_paginator().send();
    let mut objects = 0.0;
    while let Some(page) = pages.next().await {
        objects += f64::from(page?.key_count().unwrap_or_default());
    }
    Ok(objects)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The template's parameters, as far as alarms depend on them.
fn parameters(run: &LocalRun, local: &Local, config: &Config) -> std::collections::BTreeMap<String, String> {
    let source_type = match run.kind {
        StreamChoice::Dynamodb => "DynamoDBStream",
        StreamChoice::Kinesis | StreamChoice::KinesisForDynamodb => "KinesisStream",
    };
    let failure_store = if local.on_failure.starts_with("http") { "SQS" } else { "S3" };
    let rejected = if config.quarantine.is_some() { "quarantine" } else { "fail" };
    let parameters = [
        ("Pipeline", config.pipeline.name.clone()),
        ("SourceType", source_type.to_owned()),
        ("SourceArn", run.mapping.running.source_arn.clone()),
        ("SourceRetentionSeconds", (u64::from(local.retention.max(1)) * 3_600).to_string()),
        ("TimeoutSeconds", local.timeout().as_secs().to_string()),
        ("FoldWindowSeconds", local.mapping.fold_window().to_string()),
        ("FailureStore", failure_store.to_owned()),
        ("RejectedRecords", rejected.to_owned()),
        ("MetricsNamespace", config.metrics.namespace.clone()),
        // `usagectl compact` closes hours here, not a function.
        ("Compaction", "disabled".to_owned()),
    ];
    parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the resources that alarms watch are called here.
fn resources(
    run: &LocalRun,
    local: &Local,
    config: &Config,
    failure_bucket: Option<&str>,
) -> std::collections::BTreeMap<String, String> {
    let fold = run.folding.as_ref().map(|folding| &folding.running);
    let tables = config.tables.as_ref();
    let queue = local.on_failure.rsplit('/').next();
    let named = [
        ("Function", Some(run.mapping.running.function.as_str())),
        ("EventSourceMapping", Some(run.mapping.running.uuid.as_str())),
        ("FoldFunction", fold.map(|fold| fold.function.as_str())),
        ("LedgerMapping", fold.map(|fold| fold.uuid.as_str())),
        ("UsageTable", tables.map(|tables| tables.usage.as_str())),
        ("LedgerTable", tables.map(|tables| tables.ledger.as_str())),
        // Without an archive or a bucket, nothing is published about these.
        ("ArchiveBucket", Some(config.archive.as_ref().map_or("none", |archive| archive.bucket.as_str()))),
        ("FailureBucket", Some(failure_bucket.unwrap_or("none"))),
        ("FailureQueue.QueueName", queue),
    ];
    named.into_iter().filter_map(|(resource, name)| Some((resource.to_owned(), name?.to_owned()))).collect()
}
