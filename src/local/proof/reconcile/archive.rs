//! The rows of the archive, file by file: Avro files, and the Parquet files of compacted hours, whose Avro files may be gone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::compare::Believed;
use super::expected_totals::ExpectedTotals;
use super::windows::{self, Drift, History};
use super::{Site, history, provable};
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::config::ArchivePlace;
use usage_aggregator::pipeline::{Archive, PartitionDate};
use usage_compact::readable;
use usage_compact::steps::{RowFields, created_at};

/// Files that are downloaded at once.
const FETCHED_FILES: usize = 8;

/// How the archive is read.
pub(super) struct Reading<'r> {
    pub columns: &'r BTreeMap<&'r str, RowFields>,
    pub believed: &'r Believed,
    /// Whether the rows are kept for their histories.
    pub keeps: bool,
}

/// Records every distinct row. Returns how many rows were repeated, and the number of files.
pub(super) async fn find_rows(
    site: &Site<'_>,
    place: &ArchivePlace,
    Reading { columns, believed, keeps }: &Reading<'_>,
    totals: &mut ExpectedTotals,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<(u64, u64)> {
    let mut repeated_rows = 0;
    let nothing = BTreeSet::new();
    let each = |record_type: &str, row: Value| {
        let Some(columns) = columns.get(record_type) else { return Ok(()) };
        let id = columns.source("record_id").and_then(|field| row.get(field)).and_then(Value::as_str);
        let id = id.with_context(|| {
            format!(
                "find the record id of a row: the schema of {record_type} needs a field with \"source\": \"record_id\""
            )
        })?;
        let is_checked = match site.period {
            None => true,
            Some(period) => {
                created_at(&row, columns).is_some_and(|at| period.contains(&windows::local(at, site.zone())))
            }
        };
        if !totals.is_new_row(record_type, id)? {
            repeated_rows += u64::from(is_checked);
            return Ok(());
        }
        let names = match believed {
            Believed::Ledgers(ledgers) => ledgers.key_names.get(record_type).unwrap_or(&nothing),
            Believed::Archive => &nothing,
        };
        let item = columns.item(names, |_, field| row.get(field).map(plain_text));
        if is_checked {
            totals.find_row(record_type, &item)?;
        }
        if matches!(believed, Believed::Archive) {
            totals.expect_row(record_type, &item, u64::from(is_checked), 0)?;
        }
        if *keeps {
            history::keep(record_type, &row, columns, site, totals)?;
        }
        Ok(())
    };
    let history = match site.pipeline.routes.iter().any(provable::has_differences) {
        true => History::Needed,
        false => History::NotNeeded,
    };
    let is_dated_by_item = |archive: &Archive| archive.partition_date != PartitionDate::CreatedAt;
    let by_item = site.pipeline.routes.iter().filter_map(|route| route.archive.as_ref()).any(is_dated_by_item);
    let drift = (site.zone(), Drift::of(site.pipeline));
    let is_needed = |date: &str| by_item || site.period.is_none_or(|period| period.may_count(date, history, drift));
    let schemas = site.pipeline.schemas().collect();
    let files = read(&site.clients.s3, place, &schemas, is_needed, each, watch).await?;
    Ok((repeated_rows, files))
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The files of the archive: raw ones, which compaction deletes, or compacted ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Raw,
    Compacted,
}

/// Passes every row of the archive to `each`, with its record type, of the dates that `is_needed` selects. Rows that were written with
/// another schema than that of their type in `schemas` are resolved to it. Returns the number of files.
async fn read(
    client: &Client,
    place: &ArchivePlace,
    schemas: &BTreeMap<&str, &RecordSchema>,
    is_needed: impl Fn(&str) -> bool,
    mut each: impl FnMut(&str, Value) -> anyhow::Result<()>,
    watch: &(dyn Fn() + Sync),
) -> anyhow::Result<u64> {
    let (bucket, mut files) = (&place.bucket, 0);
    // Raw files first: rows that move in between are seen in both, and counted once.
    for (kind, folder) in [(Kind::Raw, "avro"), (Kind::Compacted, "parquet")] {
        let prefix = format!("{}/{folder}/", place.prefix);
        let mut pages = client.list_objects_v2().bucket(bucket).prefix(&prefix).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("list s3://{bucket}/{prefix} (s3:ListBucket)"))?;
            let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            let keys = keys.filter(|key| date(key).is_none_or(&is_needed));
            let gets = keys.map(|key| fetch_listed(client, bucket, key, kind));
            let mut bodies = stream::iter(gets).buffered(FETCHED_FILES);
            while let Some(listed) = bodies.try_next().await? {
                let Some((key, body)) = listed else { continue };
                let record_type = key.strip_prefix(&prefix).and_then(|rest| rest.split('/').next()).unwrap_or_default();
                // The file of another pipeline in the same bucket otherwise.
                if let Some(schema) = schemas.get(record_type) {
                    let read = readable::read_rows_as(schema, &body, |row| each(record_type, row));
                    read.with_context(|| format!("read s3://{bucket}/{key}"))?;
                }
                files += 1;
                watch();
            }
        }
    }
    Ok(files)
}

/// Downloads a file that was listed, unless compaction has deleted it since: the rows of a raw file that is gone are in Parquet files,
/// which are listed later.
async fn fetch_listed(
    client: &Client,
    bucket: &str,
    key: String,
    kind: Kind,
) -> anyhow::Result<Option<(String, Vec<u8>)>> {
    match fetch(client, bucket, key).await {
        Err(error) if kind == Kind::Raw && is_gone(&error) => Ok(None),
        fetched => fetched.map(Some),
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<SdkError<GetObjectError>>().and_then(SdkError::as_service_error);
    error.is_some_and(GetObjectError::is_no_such_key)
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
