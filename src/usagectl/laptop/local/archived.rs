//! Refuses to start on an archive whose files can't be read together with those that the pipeline would write. The deployed function
//! can't check that: it may put files, but neither list nor read them.

use anyhow::{Context, bail};
use aws_sdk_s3::Client;
use usage_aggregator::archive::RecordSchema;
use usage_aggregator::config::ArchivePlace;
use usage_aggregator::pipeline::Pipeline;
use usage_compact::readable as avro;

use crate::schema::unsafe_changes;
use crate::shell::workplace::Site;

/// The site, if the files in its archive can be read together with those that it would write.
///
/// # Errors
/// As for [`check`].
pub(super) async fn checked(client: &Client, site: Site) -> anyhow::Result<Site> {
    if let Some(archive) = &site.archive {
        check(client, archive, site.handler.pipeline()).await?;
    }
    Ok(site)
}

/// Compares the schema of each record type with that of its newest file.
///
/// # Errors
/// If they can't be read together, with each change that prevents it and what to do.
async fn check(client: &Client, place: &ArchivePlace, pipeline: &Pipeline) -> anyhow::Result<()> {
    let mut changes = Vec::new();
    for (record_type, schema) in pipeline.schemas() {
        let folder = folder(&place.prefix, record_type);
        let Some(key) = newest(client, &place.bucket, &folder).await? else { continue };
        let old = schema_of(client, &place.bucket, &key).await.with_context(|| format!("read the schema of {key}"))?;
        changes.extend(unsafe_changes(&old, schema).into_iter().map(|change| format!("  {record_type} {change}")));
    }
    if changes.is_empty() {
        return Ok(());
    }
    bail!(
        "start on this archive: the files in it and those of the pipeline {} can't be read together:\n{}\nChange the schema as proposed, start over with --fresh, or choose another folder with --data DIR",
        pipeline.name,
        changes.join("\n")
    )
}

fn folder(prefix: &str, record_type: &str) -> String {
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    format!("{prefix}{slash}avro/{record_type}/")
}

/// The key of the file that was written last among those of the last partition date.
async fn newest(client: &Client, bucket: &str, folder: &str) -> anyhow::Result<Option<String>> {
    let what = || format!("list s3://{bucket}/{folder}");
    let mut dates = client.list_objects_v2().bucket(bucket).prefix(folder).delimiter("/").into_paginator().send();
    let mut last_date: Option<String> = None;
    while let Some(page) = dates.next().await {
        let found = page.with_context(what)?.common_prefixes.unwrap_or_default().into_iter();
        last_date = found.filter_map(|date| date.prefix).max().max(last_date);
    }
    let Some(date) = last_date else { return Ok(None) };
    let mut files = client.list_objects_v2().bucket(bucket).prefix(date).into_paginator().send();
    let mut newest = None;
    while let Some(page) = files.next().await {
        let found = page.with_context(what)?.contents.unwrap_or_default().into_iter();
        newest = found.filter_map(|file| Some((file.last_modified?, file.key?))).max().max(newest);
    }
    Ok(newest.map(|(_, key)| key))
}

async fn schema_of(client: &Client, bucket: &str, key: &str) -> anyhow::Result<RecordSchema> {
    let object = client.get_object().bucket(bucket).key(key).send().await.context("get the object")?;
    let bytes = object.body.collect().await.context("get the object")?.into_bytes();
    let text = avro::read_schema(&bytes)?.to_string();
    RecordSchema::parse(&text).map_err(|mistakes| anyhow::anyhow!(mistakes.join("; ")))
}
