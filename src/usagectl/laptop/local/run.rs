//! A local run: services, tables, buckets, stream, function and event source mapping, built from the options and running
//! until it is stopped.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use event_source_mapping::{
    Checkpoints, Clock, Filters, Mapping, Meter, Settings, Source, StreamKind, uuid, write_atomically,
};
use laptop::emulators::EmbeddedStream;
use laptop::emulators::kinesis::{Disturbance, Replicator};
use laptop::proof::{FaultInjector, FaultProfile, Rejections, Supervisor};
use usage_aggregator::time::Timestamp;

use super::control::Control;
use super::measured::{Measured, Reported};
use super::stream::{LocalStream, StreamRequest};
use super::target::{self, FUNCTION, LocalFunction};
use super::{Local, StreamChoice};
use crate::shell::folder::{MAPPINGS, filters_file};
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;
use crate::shell::running::RunningMapping;
use crate::shell::unsettled::Unsettled;
use crate::shell::waiting::Waiting;
use crate::shell::workplace::{Site, Start, Uses, Workplace};

/// How often old records are trimmed and expired items deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);
/// How often an idle table is checked for changes to copy to Kinesis.
const REPLICATION_INTERVAL: Duration = Duration::from_millis(100);

/// A mapping with everything it needs.
pub(super) struct LocalRun {
    /// The services, and the clients that reach them.
    pub place: Workplace,
    /// The function's tables, archive and handler, for reading what it wrote.
    pub site: Site,
    /// The table or Kinesis stream that is read.
    pub source_name: String,
    /// How its changes arrive.
    pub kind: StreamChoice,
    /// The stream that the mapping polls.
    pub source: Arc<dyn Source>,
    /// The mapping's counts.
    pub meter: Arc<Meter>,
    /// The function's environment variables.
    pub variables: Variables,
    /// The mapping, as other commands see it.
    pub mapping: RunningMapping,
    /// The failure destination, as displayed.
    pub destination: String,
    /// The time, as the mapping reads it.
    pub clock: Clock,
    /// What the function rejected, if it runs in this process.
    pub rejections: Option<Arc<Rejections>>,
    reported: Reported,
    supervisor: Supervisor,
    replicator: Mutex<Option<Replicator>>,
    embedded: Option<EmbeddedStream>,
    retention: Duration,
    fault_seed: u64,
}

impl LocalRun {
    /// Builds the run and creates the tables, buckets and streams that are missing.
    pub(super) async fn build(local: &Local, options: &Options, control: &Control) -> anyhow::Result<LocalRun> {
        let start = if local.fresh { Start::Fresh } else { Start::Continue };
        let variables = local.variables(options);
        let pipeline = variables.clone().with_metrics_sink("none").config()?.pipeline;
        let kind = control.reach.stream;
        let source_name = local.source_name(&pipeline, kind)?;
        let settings = local.mapping.settings(kind.stream_kind())?;
        let place = Workplace::open_on(options, Uses::Everything, start, local.ports()).await?;
        let site = place.site(variables.clone()).await?;
        let folder = options.data.join(MAPPINGS);
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;

        let request = StreamRequest { local, options, place: &place, site: &site, name: &source_name, folder: &folder };
        let LocalStream { source, sharded, replicator, embedded } = request.open(kind).await?;
        write_filters(&settings.filters, &filters_file(&options.data, source.kind(), &source_name))?;
        let destination = target::destination(&local.on_failure, &place).await?;
        target::ensure_failure_bucket(&variables, options, &place).await?;
        let meter: Arc<Meter> = Arc::default();
        let LocalFunction { function, rejections } = target::function(local, &place, &variables, control)?;
        let function = Measured::around(function, FUNCTION, place.services(), &meter);
        let clock = Clock::system()?;
        let file = folder.join(format!("{}-{source_name}.json", kind.name()));
        let checkpoints = Checkpoints::open(&file, source.arn(), &new_uuid(&file))?;
        let mapping = running_mapping(local, &settings, source.as_ref(), checkpoints.mapping_uuid());
        let has_destination = destination.is_some();
        let make = {
            let (source, meter, clock) = (Arc::clone(&source), Arc::clone(&meter), clock.clone());
            move |checkpoints| {
                let (settings, source, function) = (settings.clone(), Arc::clone(&source), Arc::clone(&function));
                let seed = fastrand::u64(..);
                let mut mapping = Mapping::new(settings, source, function, clock.clone(), checkpoints, seed);
                mapping.meter = Arc::clone(&meter);
                mapping.destination = destination.clone();
                mapping
            }
        };
        Ok(LocalRun {
            supervisor: Supervisor::new(checkpoints, control.faults.clone(), sharded, local.fault_seed, make),
            destination: if has_destination { local.on_failure.clone() } else { "none".to_owned() },
            fault_seed: local.fault_seed,
            retention: Duration::from_hours(u64::from(local.retention.max(1))),
            replicator: Mutex::new(replicator),
            reported: Reported::default(),
            place,
            site,
            source_name,
            kind,
            source,
            meter,
            variables,
            mapping,
            clock,
            rejections,
            embedded,
        })
    }

    /// Leaves behind what waits, for the commands that run before the next run.
    pub(super) fn leave(&self, waiting: Waiting, options: &Options) -> anyhow::Result<()> {
        Unsettled { source_arn: self.source.arn().to_owned(), waiting }.leave(&options.data)
    }

    /// Publishes the mapping's metrics to the embedded CloudWatch.
    pub(super) fn publish_metrics(&self) {
        let Some(services) = self.place.services() else { return };
        let RunningMapping { uuid, function, .. } = &self.mapping;
        self.reported.publish(services.metrics(), uuid, function, &self.meter.counts());
    }

    /// Runs the mapping, and what DynamoDB does in the background, until `control` stops it.
    pub(super) async fn run(&self, control: &Control) -> anyhow::Result<()> {
        let mut stop = control.stop.subscribe();
        let cleanup = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Ok(()),
                ended = self.clean_up() => ended,
            }
        };
        let mut stop = control.stop.subscribe();
        let replication = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Ok(()),
                ended = self.replicate(&control.faults) => ended,
            }
        };
        futures::try_join!(self.supervisor.run(control.stop.subscribe()), cleanup, replication)?;
        Ok(())
    }

    /// Deletes expired items and trims old stream records, as DynamoDB does.
    async fn clean_up(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(CLEANUP_INTERVAL).await;
            let (Some(services), Some(stream)) = (self.place.services(), self.embedded.clone()) else { continue };
            let database = services.database().clone();
            let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
            let horizon = Timestamp::from_seconds(self.clock.now().seconds() - retention);
            let done = tokio::task::spawn_blocking(move || {
                database.sweep_ttl().context("delete expired items")?;
                horizon.map_or(Ok(0), |horizon| stream.trim(horizon))
            });
            if let Err(error) = done.await? {
                tracing::warn!(error = format!("{error:#}"), "failed to expire items and trim the stream; will retry");
            }
        }
    }

    async fn replicate(&self, faults: &FaultInjector) -> anyhow::Result<()> {
        let replicator = self.replicator.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(replicator) = replicator else { return std::future::pending().await };
        let disturbance = || {
            let FaultProfile { repeat, .. } = faults.profile();
            let percent = (0..=100).rev().find(|whole| f64::from(*whole) <= repeat).unwrap_or(0);
            Disturbance { seed: self.fault_seed, repeat_percent: percent, swap_percent: percent }
        };
        match replicator.run(REPLICATION_INTERVAL, || self.clock.now(), disturbance).await? {}
    }
}

fn running_mapping(local: &Local, settings: &Settings, source: &dyn Source, uuid: &str) -> RunningMapping {
    RunningMapping {
        uuid: uuid.to_owned(),
        function: FUNCTION.to_owned(),
        source_arn: source.arn().to_owned(),
        batch_size: settings.batch_size,
        batching_window_seconds: settings.batching_window.as_secs(),
        parallelization_factor: settings.parallelization_factor,
        timeout_seconds: local.timeout().as_secs(),
    }
}

/// Records the filter, because a redrive must skip the same records.
fn write_filters(filters: &Filters, file: &Path) -> anyhow::Result<()> {
    write_atomically(file, &serde_json::to_string(&filters.patterns().collect::<Vec<_>>())?)
}

/// The UUID of a mapping without a checkpoint file. Once written, the file keeps it wherever it moves, because the keys of
/// failed batches start with it.
fn new_uuid(file: &Path) -> String {
    // Derived from the path, so that deleting the checkpoints doesn't orphan the documents of earlier runs.
    let hash = blake3::hash(file.as_os_str().as_encoded_bytes());
    uuid(hash.as_bytes().first_chunk().map_or(0, |first| u128::from_be_bytes(*first)))
}

impl StreamChoice {
    /// Its value on the command line, which also names the checkpoint file.
    fn name(self) -> &'static str {
        match self {
            StreamChoice::Dynamodb => "dynamodb",
            StreamChoice::Kinesis => "kinesis",
            StreamChoice::KinesisForDynamodb => "kinesis-for-dynamodb",
        }
    }

    fn stream_kind(self) -> StreamKind {
        match self {
            StreamChoice::Dynamodb => StreamKind::DynamoDb,
            StreamChoice::Kinesis | StreamChoice::KinesisForDynamodb => StreamKind::Kinesis,
        }
    }
}
