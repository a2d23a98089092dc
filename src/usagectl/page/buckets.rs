//! What is in the archive bucket and in the failure bucket: files, their size, and documents that can be redriven.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::Object;
use serde::Serialize;
use usage_aggregator::quarantine;

/// Where Lambda stores failed batches.
pub(crate) const BATCHES: &str = "aws/lambda/";
/// Where the function stores quarantined records.
pub(crate) const QUARANTINE: &str = quarantine::PREFIX;
/// Where notices are stored that are too old to be folded.
pub(crate) const NOTICES: &str = "notices/";

/// The objects that are stored, as far as they were listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Storage {
    /// The files that the function writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avro: Option<Files>,
    /// The files of compacted hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parquet: Option<Files>,
    /// What is in the failure bucket, if there is one.
    pub failures: Option<Failures>,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Files {
    pub files: usize,
    pub bytes: u64,
    /// Whether there are more.
    pub more: bool,
}

/// The documents in the failure bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Failures {
    /// Failed batches of the source and of the ledger.
    pub batches: usize,
    /// Quarantined records.
    pub quarantined: usize,
    /// Notices that were too old to be folded.
    pub notices: usize,
    /// Whether there are more of a kind of which at least 1,000 were listed.
    pub more: bool,
}

/// A part of a bucket: all objects whose keys start with `prefix`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folder<'f> {
    pub client: &'f Client,
    pub bucket: &'f str,
    pub prefix: &'f str,
}

impl Folder<'_> {
    /// The first `pages` pages of 1,000 objects each, and whether there are more; nothing if the bucket doesn't exist yet.
    pub(crate) async fn list(&self, pages: usize) -> anyhow::Result<(Vec<Object>, bool)> {
        let Folder { client, bucket, prefix } = self;
        let mut listed = client.list_objects_v2().bucket(*bucket).prefix(*prefix).into_paginator().send();
        let mut objects = Vec::new();
        for _ in 0..pages {
            let page = match listed.next().await {
                None => return Ok((objects, false)),
                Some(Err(SdkError::ServiceError(error))) if error.err().is_no_such_bucket() => {
                    return Ok((objects, false));
                }
                Some(page) => page.with_context(|| format!("list s3://{bucket}/{prefix} (s3:ListBucket)"))?,
            };
            let more = page.is_truncated() == Some(true);
            objects.extend(page.contents.unwrap_or_default());
            if !more {
                return Ok((objects, false));
            }
        }
        Ok((objects, true))
    }

    /// The number and the size of the objects in the first `pages` pages.
    pub(crate) async fn files(&self, pages: usize) -> anyhow::Result<Files> {
        let (objects, more) = self.list(pages).await?;
        let sizes = objects.iter().filter_map(Object::size);
        let bytes = sizes.filter_map(|size| u64::try_from(size).ok()).sum();
        Ok(Files { files: objects.len(), bytes, more })
    }
}
