//! The files of some hours, and their rows as steps of their items' histories.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use anyhow::bail;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use usage_aggregator::error::Error;
use usage_aggregator::pipeline::{Beyond, PartitionDate, Pipeline, Route};

use super::{Prover, hour_name};
use crate::compactor::CONCURRENCY;
use crate::readable;
use crate::steps::Step;
use crate::store::{Archive, Listed};

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

/// The files with records of some hours, by the names of the hours in which the records were created.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, Vec<File>>);

impl Files {
    /// Lists the files of the hours from the first of these seconds to the second one, each folder once. Raw files first: one
    /// that is deleted in between has its rows in the Parquet files that are listed then.
    ///
    /// # Errors
    /// Transient if the deadline passed, and if a folder can't be listed.
    pub(crate) async fn list(
        archive: &Archive,
        pipeline: &Pipeline,
        (first, end): (i64, i64),
        deadline: Option<Instant>,
    ) -> Result<Files, Error> {
        let hours: BTreeSet<String> = (first..end).step_by(3_600).map(hour_name).collect();
        let start = hours.first().zip(hours.last()).map_or("", |(first, last)| common_start(first, last));
        let mut files = Files::default();
        for kind in ["avro", "parquet"] {
            let mut lists = Vec::new();
            for route in pipeline.routes.iter().filter(|route| !route.counters.is_empty()) {
                let folder = archive.key(&format!("{kind}/{}/", route.record_type));
                let dates = before(deadline, dates(archive, route, &folder, (first, end))).await?;
                lists.extend(dates.into_iter().map(|date| {
                    let folder = format!("{folder}{date}");
                    before(deadline, async move { Ok((route, list(archive, folder, start).await?)) })
                }));
            }
            let mut lists = stream::iter(lists).buffered(CONCURRENCY);
            while let Some((route, (folder, listed))) = lists.try_next().await? {
                for Listed { name, bytes, .. } in listed {
                    let hour = name.get(.."2026-11-28T08".len()).filter(|hour| hours.contains(*hour));
                    let Some(hour) = hour.map(str::to_owned) else { continue };
                    let record_type = route.record_type.clone();
                    let file = File { record_type, key: format!("{folder}{name}"), bytes };
                    files.0.entry(hour).or_default().push(file);
                }
            }
        }
        Ok(files)
    }

    /// The size of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.values().flatten().map(|file| file.bytes).sum()
    }

    /// Those of the hour that begins at this second.
    pub(super) fn of_hour(&self, from: i64) -> &[File] {
        self.0.get(&hour_name(from)).map_or(&[], Vec::as_slice)
    }
}

/// The objects in a folder whose names start like this.
async fn list(archive: &Archive, folder: String, start: &str) -> Result<(String, Vec<Listed>), Error> {
    let listed = archive.list(&format!("{folder}{start}")).await?;
    Ok((folder, listed))
}

/// The result of a listing, if it ends before the deadline.
async fn before<T>(deadline: Option<Instant>, listing: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match deadline {
        None => listing.await,
        Some(deadline) => timeout_at(deadline, listing)
            .await
            .unwrap_or_else(|_| Err(Error::transient("list the archive: no time was left"))),
    }
}

/// The folders of the dates that may have records which were created between these seconds.
async fn dates(archive: &Archive, route: &Route, folder: &str, (first, end): (i64, i64)) -> Result<Vec<String>, Error> {
    let Some(of_type) = &route.archive else { return Ok(Vec::new()) };
    let path = match &of_type.partition_date {
        PartitionDate::CreatedAt => {
            let days: BTreeSet<String> = (first..end).step_by(3_600).map(date_folder).collect();
            return Ok(days.into_iter().collect());
        }
        PartitionDate::Attribute { path, .. } => path,
    };
    let mut found = archive.folders(folder).await?;
    if let Some(dates) = allowed_dates(route, path, (first, end)) {
        found.retain(|date| dates.contains(date));
    }
    Ok(found)
}

/// The folders of the dates that this attribute of records may have which were created between these seconds. If it decides the window
/// as well, a record whose time is too far from its creation is rejected.
fn allowed_dates(route: &Route, path: &str, (first, end): (i64, i64)) -> Option<RangeInclusive<String>> {
    let time = route.window_time.as_ref().filter(|time| time.path == path && time.beyond == Beyond::Reject)?;
    // An item that opens a measure may have any time.
    if route.measures().any(|measure| measure.baseline) {
        return None;
    }
    Some(date_folder(first - time.late_seconds)..=date_folder(end + time.early_seconds))
}

/// The folder of the date of this second: `partition_date=2026-11-28/`.
fn date_folder(second: i64) -> String {
    format!("partition_date={}/", hour_name(second).get(.."2026-11-28".len()).unwrap_or_default())
}

/// What both texts start with.
fn common_start<'t>(one: &'t str, other: &str) -> &'t str {
    let length = one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    one.get(..length).unwrap_or_default()
}

/// Passes each row of these files to `each`, until it has enough. A row may be in several of them.
pub(super) async fn each_step(
    prover: &Prover<'_>,
    files: &[File],
    deadline: Option<Instant>,
    mut each: impl FnMut(Step) -> Next,
) -> Result<Next, Error> {
    let gets: Vec<_> = files.iter().map(|file| fetch(prover.archive, file)).collect();
    let mut bodies = stream::iter(gets).buffered(at_once(files, prover.memory_bytes));
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
        let Some(archive) = &route.archive else { continue };
        let read = readable::read_rows_as(&archive.schema, &body, |row: Value| {
            let mut step = Step::of(route, &row, fields)?;
            prover.keys.see(route, &row, fields, &mut step);
            next = each(step);
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

/// How many of these files are read at once, so that they fit into memory.
fn at_once(files: &[File], memory_bytes: usize) -> usize {
    let largest = files.iter().map(|file| usize::try_from(file.bytes).unwrap_or(usize::MAX)).max();
    (memory_bytes / largest.unwrap_or_default().max(1)).clamp(1, CONCURRENCY)
}

/// A file with its content, unless compaction has deleted it since. Its rows are in Parquet files then.
async fn fetch<'f>(archive: &Archive, file: &'f File) -> Result<(&'f File, Option<Bytes>), Error> {
    Ok((file, archive.get_if_there(&file.key).await?))
}

fn route<'p>(prover: &Prover<'p>, record_type: &str) -> Option<&'p Route> {
    prover.pipeline.routes.iter().find(|route| route.record_type == record_type)
}

#[cfg(test)]
mod tests {
    use usage_aggregator::pipeline::shipped;

    use super::*;

    #[test]
    fn only_dates_that_the_window_time_allows_are_listed() {
        let mut pipeline = Pipeline::parse(&shipped("api-usage").unwrap()).unwrap();
        let hour = (1_795_816_800, 1_795_820_400);
        let dates = |route: &Route, path: &str| {
            allowed_dates(route, path, hour).map(|dates| [dates.start().clone(), dates.end().clone()])
        };
        let allowed = ["2026-11-20", "2026-11-27"].map(|date| format!("partition_date={date}/"));
        assert_eq!(dates(&pipeline.routes[0], "requested_at"), Some(allowed), "7 days before, 5 minutes after");
        assert_eq!(dates(&pipeline.routes[0], "invoiced_on"), None);
        pipeline.routes[0].counters[0].measures[0].baseline = true;
        assert_eq!(dates(&pipeline.routes[0], "requested_at"), None, "an item that existed may have any time");
        pipeline.routes[0].counters[0].measures[0].baseline = false;
        pipeline.routes[0].window_time.as_mut().unwrap().beyond = Beyond::CreationTime;
        assert_eq!(dates(&pipeline.routes[0], "requested_at"), None);
    }

    #[test]
    fn large_files_are_read_one_after_the_other() {
        let file = |bytes| File { record_type: String::new(), key: String::new(), bytes };
        assert_eq!(at_once(&[], 100), CONCURRENCY);
        assert_eq!(at_once(&[file(1), file(1)], 100), CONCURRENCY);
        assert_eq!(at_once(&[file(1), file(30)], 100), 3);
        assert_eq!(at_once(&[file(1_000)], 100), 1);
    }

    #[test]
    fn what_hours_have_in_common_is_listed() {
        assert_eq!(common_start("2026-11-28T08", "2026-11-28T08"), "2026-11-28T08");
        assert_eq!(common_start("2026-11-27T22", "2026-11-28T21"), "2026-11-2");
        assert_eq!(common_start("2026-12-31T22", "2027-01-01T05"), "202");
        assert_eq!(date_folder(1_795_816_800), "partition_date=2026-11-27/");
    }
}
