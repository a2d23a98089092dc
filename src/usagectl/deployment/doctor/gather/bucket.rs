//! S3: the archive's bucket and its newest files.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use usage_aggregator::time::{DAY_SECONDS, Date, Timestamp};

use super::super::facts::{Bucket, Fact, Part, Unavailable};
use super::{named, seen, timestamp};

pub(super) async fn of(client: &Client, archives: &Result<(), Unavailable>, name: &Option<String>) -> Fact<Bucket> {
    archives.clone()?;
    let name = named(name, "--archive-bucket")?;
    exists(client, name).await?;
    let (policy, blocks_public, encryption) =
        futures::join!(policy(client, name), blocks_public(client, name), encryption(client, name));
    Ok(Bucket { name: name.to_owned(), policy, blocks_public, encryption })
}

/// Checks that a bucket exists.
pub(super) async fn exists(client: &Client, name: &str) -> Fact<()> {
    let head = client.head_bucket().bucket(name).send().await;
    seen("s3:ListBucket", || Part::Bucket(name.to_owned()), head).map(drop)
}

async fn policy(client: &Client, name: &str) -> Fact<Option<serde_json::Value>> {
    let got = client.get_bucket_policy().bucket(name).send().await;
    if got.as_ref().is_err_and(|error| error.code() == Some("NoSuchBucketPolicy")) {
        return Ok(None);
    }
    let text =
        seen("s3:GetBucketPolicy", || Part::Other(format!("the policy of {name}")), got)?.policy.unwrap_or_default();
    let read = serde_json::from_str(&text);
    read.map(Some).map_err(|error| Unavailable::Failed(format!("the policy of {name} isn't valid JSON: {error}")))
}

async fn blocks_public(client: &Client, name: &str) -> Fact<bool> {
    let got = client.get_public_access_block().bucket(name).send().await;
    if got.as_ref().is_err_and(|error| error.code() == Some("NoSuchPublicAccessBlockConfiguration")) {
        return Ok(false);
    }
    let got = seen("s3:GetBucketPublicAccessBlock", || Part::Other(format!("the public access block of {name}")), got)?;
    Ok(got.public_access_block_configuration.is_some_and(|block| {
        [block.block_public_acls, block.block_public_policy, block.ignore_public_acls, block.restrict_public_buckets]
            .iter()
            .all(|on| *on == Some(true))
    }))
}

async fn encryption(client: &Client, name: &str) -> Fact<Option<String>> {
    let got = client.get_bucket_encryption().bucket(name).send().await;
    if got.as_ref().is_err_and(|error| error.code() == Some("ServerSideEncryptionConfigurationNotFoundError")) {
        return Ok(None);
    }
    let got = seen("s3:GetEncryptionConfiguration", || Part::Other(format!("the encryption of {name}")), got)?;
    let rules = got.server_side_encryption_configuration.map(|configuration| configuration.rules).unwrap_or_default();
    let by_default = rules.first().and_then(|rule| rule.apply_server_side_encryption_by_default.as_ref());
    Ok(by_default.map(|by_default| by_default.sse_algorithm.as_str().to_owned()))
}

/// When the newest file of today or yesterday was written. Only the first page of each record type and day is read.
pub(super) async fn newest_file(
    client: &Client,
    archives: &Result<(), Unavailable>,
    bucket: &Option<String>,
    prefix: &str,
    types: &[String],
    now: Timestamp,
) -> Fact<Timestamp> {
    archives.clone()?;
    let bucket = named(bucket, "--archive-bucket")?;
    let yesterday = Timestamp::from_seconds(now.seconds() - DAY_SECONDS).unwrap_or(now);
    let days = [now.date(), yesterday.date()];
    let folders = types.iter().flat_map(|name| days.map(|day| folder(prefix, name, day)));
    let pages = folders.map(|folder| async move {
        let listed = client.list_objects_v2().bucket(bucket).prefix(&folder).send().await;
        let listed = seen("s3:ListBucket", || Part::Bucket(bucket.to_owned()), listed)?;
        Ok(listed.contents().iter().filter_map(|object| timestamp(object.last_modified())).max())
    });
    let newest = futures::future::try_join_all(pages).await?.into_iter().flatten().max();
    newest.ok_or_else(|| Unavailable::NoData(format!("no file in {bucket}/{prefix} for today or yesterday")))
}

/// The first and the last partition date of each record type that has files, raw or closed.
pub(super) async fn partition_dates(
    client: &Client,
    archives: &Result<(), Unavailable>,
    bucket: &Option<String>,
    prefix: &str,
    types: &[String],
) -> Fact<Vec<(String, Date, Date)>> {
    archives.clone()?;
    let bucket = named(bucket, "--archive-bucket")?;
    let mut found = Vec::new();
    for name in types {
        let mut dates = Vec::new();
        for kind in ["avro", "parquet"] {
            let folder = format!("{prefix}/{kind}/{name}/");
            let listed = client.list_objects_v2().bucket(bucket).prefix(&folder).delimiter("/");
            let mut pages = listed.into_paginator().send();
            while let Some(page) = pages.next().await {
                let page = seen("s3:ListBucket", || Part::Bucket(bucket.to_owned()), page)?;
                let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
                dates.extend(folders.filter_map(date_of));
            }
        }
        let range = dates.iter().min().zip(dates.iter().max());
        found.extend(range.map(|(first, last)| (name.clone(), *first, *last)));
    }
    Ok(found)
}

/// The date in a key like `data-pipeline/avro/order/partition_date=2026-11-20/`.
fn date_of(folder: &str) -> Option<Date> {
    let (_, date) = folder.trim_end_matches('/').rsplit_once("partition_date=")?;
    Timestamp::parse(date).map(Timestamp::date)
}

fn folder(prefix: &str, record_type: &str, day: Date) -> String {
    format!("{prefix}/avro/{record_type}/partition_date={day}/")
}
