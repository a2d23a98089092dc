//! The live page of a local run, on its control port, with a switch for every fault.
//!
//! `view` builds the document from which the page is drawn, once per second, `assess` says how the run is doing, and `course` adds to
//! the history. `switches` are the faults, and `routes` switches them.

mod assess;
mod course;
mod routes;
mod switches;
mod view;

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::control::Control;
use super::run::LocalRun;
use crate::page::buckets::{BATCHES, Failures, Folder, NOTICES, QUARANTINE, Storage};
use crate::page::tasks::Tasks;
use crate::page::usage::{Pace, UsageTable};
use crate::page::{Page, Source, Usage};
use crate::shell::options::Options;
use course::Course;

pub(super) use routes::routes;

/// How often the buckets are listed.
const LISTING_INTERVAL: Duration = Duration::from_secs(2);
/// The most pages of 1,000 objects that are listed in one folder.
const LISTED_PAGES: usize = 10;
/// How fast the usage table is read: 5,000 items per second.
const PACE: Pace = Pace::Items { page: 2_000, pause: Duration::from_millis(400) };
/// How long to pause after the end of the table, at least. After a large table, the pause is as long as reading it.
const PAUSE_AT_END: Duration = Duration::from_secs(2);

/// The page of a run with these options and these buckets of failed batches and quarantined records.
///
/// # Errors
/// If the system has no random numbers.
pub(super) fn open(options: &Options, failure_buckets: &[String]) -> anyhow::Result<Arc<Page>> {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut places: Vec<String> = failure_buckets.iter().map(|bucket| format!("s3://{bucket}")).collect();
    if places.is_empty() {
        places.push("none".to_owned());
    }
    let failures = places.into_iter().flat_map(|place| ["--failures".to_owned(), place]);
    let reconcile = words("reconcile --wait 30s").into_iter().chain(failures).collect();
    // One after the other.
    let redrive = |bucket: &String| [words("redrive --local --failure-bucket"), vec![bucket.clone()]].concat();
    let mut commands: Vec<(&'static str, Vec<String>)> = vec![("reconcile", reconcile)];
    commands.extend(failure_buckets.iter().map(|bucket| ("redrive", redrive(bucket))));
    commands.push(("compact", words("compact --local --now")));
    let globals = global_arguments(options);
    let with_globals = |own: Vec<String>| globals.iter().cloned().chain(own.into_iter().map(OsString::from)).collect();
    Page::new(Tasks::new(commands.into_iter().map(|(name, own)| (name, with_globals(own)))))
}

/// Keeps the page up to date until `control` stops the run.
pub(super) async fn watch(run: &LocalRun, control: &Control) -> anyhow::Result<()> {
    let (page, mut stop) = (&control.page, control.stop.subscribe());
    let source = RunSource { run, control, course: Mutex::default(), storage: Mutex::default() };
    page.update(&source).await?;
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => page.update(&source).await,
        ended = page.keep_current(&source) => match ended? {},
        () = source.list_buckets(page) => Ok(()),
        () = source.read_usage(page) => Ok(()),
    }
}

/// The figures of a run.
struct RunSource<'r> {
    run: &'r LocalRun,
    control: &'r Control,
    course: Mutex<Course>,
    storage: Mutex<Option<Storage>>,
}

impl Source for RunSource<'_> {
    const INTERVAL: Duration = Duration::from_secs(1);
    const IS_ON_DEMAND: bool = false;

    fn constants(&self) -> Value {
        json!({ "facts": view::Facts::of(self.run), "switches": switches::offered(&self.control.reach) })
    }

    async fn read(&self, page: &Page) -> anyhow::Result<String> {
        let status = self.control.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sample = self.course.lock().unwrap_or_else(PoisonError::into_inner).add(&status);
        if let Some(sample) = sample {
            page.history().push(sample);
        }
        let storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        view::document(self.run, page, &status, storage).await
    }
}

impl RunSource<'_> {
    /// Lists the buckets again and again while somebody looks at the page.
    async fn list_buckets(&self, page: &Page) {
        loop {
            page.until_seen().await;
            match self.list().await {
                Ok(storage) => *self.storage.lock().unwrap_or_else(PoisonError::into_inner) = Some(storage),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "failed to list the buckets for the page; will retry");
                }
            }
            tokio::time::sleep(LISTING_INTERVAL).await;
        }
    }

    async fn list(&self) -> anyhow::Result<Storage> {
        let client = &self.run.place.clients.s3;
        let files = async |bucket: &str, prefix: &str| Folder { client, bucket, prefix }.files(LISTED_PAGES).await;
        let mut storage = Storage::default();
        if let Some(place) = &self.run.site.archive {
            let folder =
                |kind: &str| [place.prefix.trim_end_matches('/'), kind].join("/").trim_start_matches('/').to_owned();
            storage.avro = Some(files(&place.bucket, &folder("avro/")).await?);
            storage.parquet = Some(files(&place.bucket, &folder("parquet/")).await?);
        }
        for bucket in self.run.failure_buckets() {
            let batches = files(&bucket, BATCHES).await?;
            let quarantined = files(&bucket, QUARANTINE).await?;
            let notices = files(&bucket, NOTICES).await?;
            let failures: &mut Failures = storage.failures.get_or_insert_default();
            failures.batches += batches.files;
            failures.quarantined += quarantined.files;
            failures.notices += notices.files;
            failures.more |= batches.more || quarantined.more || notices.more;
        }
        Ok(storage)
    }

    /// Reads the usage table again and again while somebody looks at the page.
    async fn read_usage(&self, page: &Page) {
        loop {
            page.until_seen().await;
            let started = Instant::now();
            match self.usage(page).await {
                Ok(usage) => page.set_usage(usage),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "failed to read the usage table; will retry");
                }
            }
            tokio::time::sleep(PAUSE_AT_END.max(started.elapsed())).await;
        }
    }

    /// Reads the table to its end. `None` if the pipeline counts nothing.
    async fn usage(&self, page: &Page) -> anyhow::Result<Option<Usage>> {
        let site = &self.run.site;
        let pipeline = site.handler.pipeline();
        let (Some(tables), Some(snapshot)) = (&site.tables, &pipeline.snapshot) else {
            return Ok(None);
        };
        let client = &self.run.place.clients.dynamodb;
        let table = UsageTable { client, name: &tables.usage, snapshot, routes: &pipeline.routes, pace: PACE };
        let mut pass = table.pass(self.run.clock.now());
        while let Some(pause) = pass.read_page().await? {
            tokio::time::sleep(pause).await;
            page.until_seen().await;
        }
        pass.finish().await.map(Some)
    }
}

/// The options with which another command works on the same data.
fn global_arguments(options: &Options) -> Vec<OsString> {
    let path = |name: &str, path: &Path| [OsString::from(name), path.as_os_str().to_owned()];
    let text = |name: &str, text: &String| [OsString::from(name), OsString::from(text)];
    let mut arguments: Vec<OsString> = path("--data", &options.data).into();
    arguments.extend(options.pipeline.iter().flat_map(|name| text("--pipeline", name)));
    arguments.extend(options.pipeline_dir.iter().flat_map(|folder| path("--pipeline-dir", folder)));
    let endpoints = [
        ("--dynamodb-endpoint", &options.dynamodb_endpoint),
        ("--s3-endpoint", &options.s3_endpoint),
        ("--kinesis-endpoint", &options.kinesis_endpoint),
        ("--cloudwatch-endpoint", &options.cloudwatch_endpoint),
        ("--eventbridge-endpoint", &options.eventbridge_endpoint),
    ];
    arguments.extend(endpoints.into_iter().flat_map(|(name, url)| url.iter().flat_map(move |url| text(name, url))));
    if options.allow_remote {
        arguments.push("--allow-remote".into());
    }
    arguments
}
