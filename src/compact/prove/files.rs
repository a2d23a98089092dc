//! The files of an hour, and their rows as steps of their items' histories.

use anyhow::bail;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::time::Instant;
use usage_aggregator::error::Error;
use usage_aggregator::pipeline::{PartitionDate, Pipeline, Route};

use super::Prover;
use crate::compactor::CONCURRENCY;
use crate::readable;
use crate::steps::Step;
use crate::store::Archive;

/// A file of an hour.
#[derive(Debug, Clone)]
pub(super) struct File {
    record_type: String,
    key: String,
    bytes: u64,
}

/// Whether more is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Read,
    Stop,
}

/// The size of the files with records that were created in the hour with this name.
pub(crate) async fn hour_bytes(archive: &Archive, pipeline: &Pipeline, hour: &str) -> Result<u64, Error> {
    Ok(of_hour(archive, pipeline, hour).await?.iter().map(|file| file.bytes).sum())
}

/// The files with records that were created in the hour with this name. Raw files first: one that is deleted in between has its rows in
/// the Parquet files that are listed then.
pub(super) async fn of_hour(archive: &Archive, pipeline: &Pipeline, hour: &str) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for kind in ["avro", "parquet"] {
        for route in pipeline.routes.iter().filter(|route| !route.counters.is_empty()) {
            let Some(of_type) = &route.archive else { continue };
            let folder = archive.key(&format!("{kind}/{}/", route.record_type));
            let dates = match of_type.partition_date {
                PartitionDate::CreatedAt => {
                    vec![format!("partition_date={}/", hour.get(.."2026-11-28".len()).unwrap_or_default())]
                }
                PartitionDate::Attribute { .. } => archive.folders(&folder).await?,
            };
            for date in dates {
                let listed = archive.list(&format!("{folder}{date}{hour}")).await?;
                files.extend(listed.into_iter().map(|object| File {
                    record_type: route.record_type.clone(),
                    key: format!("{folder}{date}{}", object.name),
                    bytes: object.bytes,
                }));
            }
        }
    }
    Ok(files)
}

/// Passes each row of these files to `each`, until it has enough. A row may be in several of them.
pub(super) async fn each_step(
    prover: &Prover<'_>,
    files: &[File],
    deadline: Option<Instant>,
    mut each: impl FnMut(Step) -> Next,
) -> Result<Next, Error> {
    let gets: Vec<_> = files.iter().map(|file| fetch(prover.archive, file)).collect();
    let mut bodies = stream::iter(gets).buffered(CONCURRENCY);
    while let Some((file, body)) = bodies.try_next().await? {
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::transient("read the archive: no time was left"));
        }
        let Some(body) = body else { continue };
        let reading = |error: anyhow::Error| {
            Error::poison(format!("read s3://{}/{}: {error:#}", prover.archive.bucket, file.key))
        };
        let Some(route) = route(prover, &file.record_type) else { continue };
        let Some(fields) = prover.fields.get(route.record_type.as_str()) else { continue };
        let mut next = Next::Read;
        let read = readable::read_rows(&body, usize::MAX, |row: Value| {
            next = each(Step::of(route, &row, fields)?);
            if next == Next::Stop {
                bail!("enough was read");
            }
            Ok(())
        });
        if next == Next::Stop {
            return Ok(next);
        }
        read.map_err(reading)?;
    }
    Ok(Next::Read)
}

/// A file with its content, unless compaction has deleted it since. Its rows are in Parquet files then.
async fn fetch<'f>(archive: &Archive, file: &'f File) -> Result<(&'f File, Option<Bytes>), Error> {
    Ok((file, archive.get_if_there(&file.key).await?))
}

fn route<'p>(prover: &Prover<'p>, record_type: &str) -> Option<&'p Route> {
    prover.pipeline.routes.iter().find(|route| route.record_type == record_type)
}
