//! What is in the archive bucket and in the failure bucket: files, their size, and documents that can be redriven.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use serde::Serialize;
use usage_aggregator::quarantine;

use super::Page;
use crate::laptop::local::run::LocalRun;

/// How often the buckets are listed.
const INTERVAL: Duration = Duration::from_secs(2);
/// The most pages of 1,000 objects that are listed in one folder.
const PAGES: usize = 10;
/// Where Lambda stores failed batches.
const BATCHES: &str = "aws/lambda/";
/// Where notices are stored that are too old to be folded.
const NOTICES: &str = "notices/";

/// The objects that are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Storage {
    /// The files that the function writes.
    pub avro: Files,
    /// The files of compacted hours.
    pub parquet: Files,
    /// What is in the failure bucket, if there is one.
    pub failures: Option<Failures>,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Files {
    pub files: usize,
    pub bytes: u64,
    /// Whether there are more.
    pub more: bool,
}

/// The documents in the failure bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Failures {
    /// Failed batches of the source and of the ledger.
    pub batches: usize,
    /// Quarantined records.
    pub quarantined: usize,
    /// Notices that were too old to be folded.
    pub notices: usize,
}

/// What was listed last.
pub(super) type Latest = Arc<Mutex<Option<Storage>>>;

/// Lists the buckets again and again while somebody looks at the page.
pub(super) async fn watch(run: &LocalRun, page: &Page) -> anyhow::Result<()> {
    loop {
        page.until_seen().await;
        match list(run).await {
            Ok(storage) => *page.storage.lock().unwrap_or_else(PoisonError::into_inner) = Some(storage),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "failed to list the buckets for the page; will retry");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn list(run: &LocalRun) -> anyhow::Result<Storage> {
    let client = &run.place.clients.s3;
    let mut storage = Storage::default();
    if let Some(place) = &run.site.archive {
        let folder =
            |kind: &str| [place.prefix.trim_end_matches('/'), kind].join("/").trim_start_matches('/').to_owned();
        storage.avro = files(client, &place.bucket, &folder("avro/")).await?;
        storage.parquet = files(client, &place.bucket, &folder("parquet/")).await?;
    }
    if let Some(bucket) = run.failure_bucket() {
        storage.failures = Some(Failures {
            batches: files(client, &bucket, BATCHES).await?.files,
            quarantined: files(client, &bucket, quarantine::PREFIX).await?.files,
            notices: files(client, &bucket, NOTICES).await?.files,
        });
    }
    Ok(storage)
}

/// The objects in a folder; none if the bucket doesn't exist yet.
async fn files(client: &Client, bucket: &str, folder: &str) -> anyhow::Result<Files> {
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(folder).into_paginator().send();
    let mut files = Files::default();
    for _ in 0..PAGES {
        let page = match pages.next().await {
            None => return Ok(files),
            Some(Err(SdkError::ServiceError(error))) if error.err().is_no_such_bucket() => return Ok(files),
            Some(page) => page.with_context(|| format!("list s3://{bucket}/{folder} (s3:ListBucket)"))?,
        };
        files.files += page.contents().len();
        let sizes = page.contents().iter().filter_map(aws_sdk_s3::types::Object::size);
        files.bytes += sizes.filter_map(|size| u64::try_from(size).ok()).sum::<u64>();
    }
    files.more = true;
    Ok(files)
}
