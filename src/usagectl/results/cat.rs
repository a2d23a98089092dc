//! `usagectl cat`: prints the rows of Avro files and of the Parquet files of compacted hours, from disk or from the archive.

use std::path::Path;

use anyhow::{Context, bail};
use aws_sdk_s3::Client;
use clap::Args;

use crate::shell::console::{self, Done};
use crate::shell::failure;
use crate::shell::options::Options;
use crate::shell::workplace::{Uses, Workplace};
use usage_compact::readable as avro;

/// Print the rows of archived files, Avro or Parquet, as JSON, one object per line
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Cat {
    /// Files, s3://bucket/key, or keys in the archive bucket; a key that ends in / selects everything under it
    #[arg(required = true, value_name = "FILE|KEY")]
    sources: Vec<String>,
    /// Print schemas instead of rows
    #[arg(long)]
    schema: bool,
    /// Print at most N rows per file
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Bucket for keys without s3://
    #[arg(long, value_name = "NAME", default_value = "archive", env = "ARCHIVE_BUCKET", hide_env_values = true)]
    bucket: String,
}

const EXAMPLES: &str = "\
Examples:
  usagectl cat data-pipeline/avro/order/partition_date=2026-11-20/
  usagectl cat --limit 3 s3://archive/data-pipeline/avro/
  usagectl cat data-pipeline/parquet/order/partition_date=2026-11-20/
  usagectl cat --schema rows.avro

Decimals print as exact strings, dates and times as ISO 8601, bytes as base64.";

/// Where a file is.
enum AvroInput<'s> {
    File(&'s Path),
    Object { bucket: &'s str, key: &'s str },
}

impl Cat {
    /// Prints each file, and continues after one that fails.
    pub async fn run(self, options: &Options) -> anyhow::Result<Done> {
        let sources: Vec<AvroInput<'_>> =
            self.sources.iter().map(|source| self.source(source)).collect::<Result<_, _>>()?;
        let place = match sources.iter().any(|source| matches!(source, AvroInput::Object { .. })) {
            true => Some(Workplace::open_existing(options, Uses::Objects).await?),
            false => None,
        };
        let mut done = Done::Well;
        for (source, name) in sources.iter().zip(&self.sources) {
            match self.print_source(source, place.as_ref()).await {
                Err(error) if !error.is::<console::Closed>() => {
                    console::note(&format!("error: {name}: failed to {}", failure::describe(&error)));
                    done = Done::WithFailures;
                }
                other => other?,
            }
        }
        Ok(done)
    }

    /// A file if one exists or the text can only be the path of one, otherwise a key.
    fn source<'s>(&'s self, text: &'s str) -> anyhow::Result<AvroInput<'s>> {
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, key) = rest
                .split_once('/')
                .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
                .ok_or_else(|| console::UsageError(format!("{text}: expected s3://bucket/key")))?;
            return Ok(AvroInput::Object { bucket, key });
        }
        let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
        Ok(if is_path || Path::new(text).exists() {
            AvroInput::File(Path::new(text))
        } else {
            AvroInput::Object { bucket: &self.bucket, key: text }
        })
    }

    async fn print_source(&self, source: &AvroInput<'_>, place: Option<&Workplace>) -> anyhow::Result<()> {
        match (source, place.map(|place| &place.clients.s3)) {
            (AvroInput::Object { bucket, key }, Some(client)) if key.ends_with('/') => {
                let keys = list(client, bucket, key).await?;
                if keys.is_empty() {
                    note_compacted(client, bucket, key).await?;
                    bail!("find objects under s3://{bucket}/{key}");
                }
                for key in keys {
                    self.print_file(&fetch(client, bucket, &key).await?)?;
                }
                note_compacted(client, bucket, key).await
            }
            (AvroInput::Object { bucket, key }, Some(client)) => self.print_file(&fetch(client, bucket, key).await?),
            (AvroInput::File(path), _) => self.print_file(&std::fs::read(path).context("read the file")?),
            // The services are open whenever a source is an object.
            (AvroInput::Object { .. }, None) => Ok(()),
        }
    }

    fn print_file(&self, file: &[u8]) -> anyhow::Result<()> {
        if self.schema {
            return console::print(&avro::read_schema(file)?.to_string());
        }
        avro::read_rows(file, self.limit.unwrap_or(usize::MAX), |row| console::print(&row.to_string())).map(drop)
    }
}

/// Says where the rows of compacted hours are, whose Avro files are deleted after a day.
async fn note_compacted(client: &Client, bucket: &str, key: &str) -> anyhow::Result<()> {
    let Some((prefix, rest)) = key.split_once("/avro/") else { return Ok(()) };
    let closed = format!("{prefix}/parquet/{rest}");
    if !list(client, bucket, &closed).await?.is_empty() {
        console::note(&format!("note: the rows of compacted hours are in s3://{bucket}/{closed}, each once"));
    }
    Ok(())
}

async fn list(client: &Client, bucket: &str, prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| format!("list s3://{bucket}/{prefix}"))?;
        keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
    }
    Ok(keys)
}

async fn fetch(client: &Client, bucket: &str, key: &str) -> anyhow::Result<Vec<u8>> {
    let answer = client.get_object().bucket(bucket).key(key).send().await.map_err(|error| error.into_service_error());
    let answer = match answer {
        Err(error) if error.is_no_such_key() || error.meta().code() == Some("NoSuchBucket") => {
            bail!("find it: no such file, and no object s3://{bucket}/{key}")
        }
        other => other.with_context(|| format!("get s3://{bucket}/{key}"))?,
    };
    let body = answer.body.collect().await.with_context(|| format!("read s3://{bucket}/{key}"))?;
    Ok(body.into_bytes().to_vec())
}
