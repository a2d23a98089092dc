//! The rows of the archive, file by file: Avro files, and the Parquet files of closed hours, whose Avro files may be gone.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::proof::avro;
use usage_aggregator::config::ArchivePlace;

/// Files that are downloaded at once.
const FETCHED_FILES: usize = 8;

/// Passes every row of the archive to `each`, with its record type, of the dates that `is_needed` selects. Returns the number of
/// files.
pub(super) async fn read(
    client: &Client,
    place: &ArchivePlace,
    is_needed: impl Fn(&str) -> bool,
    mut each: impl FnMut(&str, Value) -> anyhow::Result<()>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<u64> {
    let mut files = 0;
    // Avro first: rows that move in between are seen in both, and counted once.
    for kind in ["avro", "parquet"] {
        files += read_folder(client, &place.bucket, &format!("{}/{kind}/", place.prefix), &is_needed, &mut each, watch)
            .await?;
    }
    Ok(files)
}

async fn read_folder(
    client: &Client,
    bucket: &str,
    prefix: &str,
    is_needed: &impl Fn(&str) -> bool,
    each: &mut impl FnMut(&str, Value) -> anyhow::Result<()>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<u64> {
    let mut files = 0;
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| format!("list s3://{bucket}/{prefix} (s3:ListBucket)"))?;
        let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
        let keys = keys.filter(|key| date(key).is_none_or(is_needed));
        let mut bodies = stream::iter(keys.map(|key| fetch(client, bucket, key))).buffered(FETCHED_FILES);
        while let Some((key, body)) = bodies.try_next().await? {
            let record_type = key.strip_prefix(prefix).and_then(|rest| rest.split('/').next()).unwrap_or_default();
            let read = avro::read_rows(&body, usize::MAX, |row| each(record_type, row));
            read.with_context(|| format!("read s3://{bucket}/{key}"))?;
            files += 1;
            watch();
        }
    }
    Ok(files)
}

/// The date in a key: `…/partition_date=2026-11-21/…`.
fn date(key: &str) -> Option<&str> {
    key.split('/').find_map(|part| part.strip_prefix("partition_date="))
}

/// Downloads an object, and returns it with its key.
pub(super) async fn fetch(client: &Client, bucket: &str, key: String) -> anyhow::Result<(String, Vec<u8>)> {
    let doing = || format!("get s3://{bucket}/{key} (s3:GetObject)");
    let answer = client.get_object().bucket(bucket).key(&key).send().await.with_context(doing)?;
    let body = answer.body.collect().await.with_context(doing)?.to_vec();
    Ok((key, body))
}

/// Whether the bucket exists.
///
/// # Errors
/// When S3 doesn't say.
pub async fn bucket_exists(client: &Client, bucket: &str) -> anyhow::Result<bool> {
    match client.list_objects_v2().bucket(bucket).max_keys(1).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("NoSuchBucket") => Ok(false),
        Err(error) => Err(error).with_context(|| format!("list s3://{bucket} (s3:ListBucket)")),
    }
}
