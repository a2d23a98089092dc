//! A local run: services, tables, buckets, stream, function and event source mapping, built from the options and running
//! until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_source_mapping::{Clock, StreamKind};
use laptop::emulators::kinesis::{Copied, Disturbance, Replicator};
use laptop::emulators::{AlarmStatus, EmbeddedStream};
use laptop::proof::{FaultInjector, FaultProfile, Rejections};
use tokio::sync::Mutex;
use usage_aggregator::time::Timestamp;

use super::alarms::LocalAlarms;
use super::archived;
use super::control::Control;
use super::mapping::{LocalMapping, MappingParts, trim};
use super::rejected::failure_buckets;
use super::stream::StreamRequest;
use super::target::{self, FOLD_FUNCTION, FUNCTION};
use super::{Local, StreamChoice};
use crate::shell::folder::MAPPINGS;
use crate::shell::options::Options;
use crate::shell::pipeline_choice::Variables;
use crate::shell::unsettled::{self, Unsettled};
use crate::shell::waiting::Waiting;
use crate::shell::workplace::{Site, Uses, Workplace};

/// How often old records are trimmed and expired items deleted.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(5);
/// How often an idle table is checked for changes to copy to Kinesis.
const REPLICATION_INTERVAL: Duration = Duration::from_millis(100);

/// The mappings with everything they need.
pub(super) struct LocalRun {
    /// The services, and the clients that reach them.
    pub place: Workplace,
    /// The function's tables, archive and handler, for reading what it wrote.
    pub site: Site,
    /// The table or Kinesis stream that is read.
    pub source_name: String,
    /// How its changes arrive.
    pub kind: StreamChoice,
    /// The mapping of the source.
    pub mapping: LocalMapping,
    /// The mapping of the ledger, which folds its pages, if the pipeline counts.
    pub folding: Option<LocalMapping>,
    /// The function's environment variables.
    pub variables: Variables,
    /// The failure destination, as displayed.
    pub destination: String,
    /// The time, as the mapping reads it.
    pub clock: Clock,
    /// What the function rejected, if it runs in this process.
    pub rejections: Option<Arc<Rejections>>,
    /// The template's alarms, if there is an embedded CloudWatch.
    alarms: Option<LocalAlarms>,
    replicator: Mutex<Option<Replicator>>,
    retention: Duration,
    fault_seed: u64,
}

impl LocalRun {
    /// Builds the run and creates the tables, buckets and streams that are missing.
    pub(super) async fn build(local: &Local, options: &Options, control: &Control) -> anyhow::Result<LocalRun> {
        let variables = local.variables(options);
        let pipeline = variables.clone().with_metrics_sink("none").config()?.pipeline;
        let kind = control.reach.stream;
        let source = local.source_name(&pipeline, kind)?;
        let retries = if variables.value("REJECTED_RECORDS").as_deref() == Some("fail") { 10 } else { 200 };
        let settings = local.mapping.settings(kind.stream_kind(), &pipeline.name, retries)?;
        let folder = options.data.join(MAPPINGS);
        local.refuse_other_stream(kind, &source, &folder)?;
        let place = Workplace::open_on(options, Uses::Everything, local.start(), local.ports()).await?;
        let site = archived::checked(&place.clients.s3, place.site(variables.clone()).await?).await?;
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;

        let request = StreamRequest { local, options, place: &place, site: &site, name: &source, folder: &folder };
        let mut stream = request.open(kind).await?;
        let replicator = stream.replicator.take();
        let destination = target::destination(&local.on_failure, &place).await?;
        target::ensure_failure_bucket(&variables, options, &place).await?;
        let function = target::function(FUNCTION, local, &place, &variables, control)?;
        let rejections = function.rejections.clone();
        let clock = Clock::system()?;
        let parts = |settings, stream, name, checkpoints, function| MappingParts {
            local,
            options,
            services: place.services(),
            settings,
            stream,
            name,
            checkpoints,
            function,
            destination: destination.clone(),
            clock: &clock,
        };
        let folding = match site.tables.as_ref().map(|tables| &tables.ledger) {
            Some(ledger) => {
                let function = target::function(FOLD_FUNCTION, local, &place, &variables, control)?;
                let settings = local.mapping.fold_settings(&pipeline.name)?;
                let stream = StreamRequest { name: ledger, ..request }.open_ledger().await?;
                // Each pipeline has a position of its own, because its mapping skips the notices of the others.
                let checkpoints = format!("{}-{ledger}-{}.json", StreamChoice::Dynamodb.name(), pipeline.name);
                Some(LocalMapping::open(parts(settings, stream, ledger, checkpoints, function))?)
            }
            None => None,
        };
        LocalRun {
            mapping: LocalMapping::open(parts(settings, stream, &source, kind.checkpoints(&source), function))?,
            destination: if destination.is_some() { local.on_failure.clone() } else { "none".to_owned() },
            fault_seed: local.fault_seed,
            retention: local.retention(),
            replicator: Mutex::new(replicator),
            place,
            site,
            source_name: source,
            kind,
            folding,
            variables,
            clock,
            rejections,
            alarms: None,
        }
        .with_alarms(local)
    }

    fn with_alarms(mut self, local: &Local) -> anyhow::Result<LocalRun> {
        self.alarms = self.place.services().map(|_| LocalAlarms::of(&self, local)).transpose()?;
        Ok(self)
    }

    /// Evaluates the alarms, and returns those that have fired.
    pub(super) async fn evaluate_alarms(&self) -> Vec<AlarmStatus> {
        let (Some(services), Some(alarms)) = (self.place.services(), &self.alarms) else { return Vec::new() };
        alarms.publish_storage(&self.place.clients.s3, services.metrics(), self.clock.now()).await;
        alarms.advance(services.metrics(), self.clock.now())
    }

    /// Whether the stream of the source, and that of the ledger, has records that its mapping, which has stopped, hasn't read.
    /// Changes that aren't copied to Kinesis yet are such records of the source.
    pub(super) async fn unread(&self) -> [bool; 2] {
        let is_uncopied = match self.replicator.lock().await.as_ref() {
            Some(replicator) => replicator.has_uncopied().await,
            None => false,
        };
        let of_ledger = match &self.folding {
            Some(folding) => folding.has_unread().await,
            None => false,
        };
        [is_uncopied || self.mapping.has_unread().await, of_ledger]
    }

    /// Marks the data folder, so that other commands know it if this run is killed. What an earlier run left behind, this one delivers.
    pub(super) fn begin(&self, options: &Options) -> anyhow::Result<()> {
        match self.place.services() {
            Some(_) => unsettled::begin(&options.data),
            // Without services of its own, a run doesn't lock the folder, so a run that was killed would look like one that runs.
            None => self.leave(Waiting::default(), Waiting::default(), options),
        }
    }

    /// Leaves behind what waits, for the commands that run before the next run.
    pub(super) fn leave(&self, waiting: Waiting, unfolded: Waiting, options: &Options) -> anyhow::Result<()> {
        let source_arn = self.mapping.running.source_arn.clone();
        Unsettled { source_arn, waiting, unfolded }.leave(&options.data)
    }

    /// The buckets of failed batches and of quarantined records, which may not exist yet.
    pub(super) fn failure_buckets(&self) -> Vec<String> {
        failure_buckets(&self.destination, &self.variables)
    }

    /// Publishes the mappings' metrics to the embedded CloudWatch.
    pub(super) fn publish_metrics(&self) {
        let Some(services) = self.place.services() else { return };
        self.mappings().for_each(|mapping| mapping.publish_metrics(services));
    }

    fn mappings(&self) -> impl Iterator<Item = &LocalMapping> {
        [Some(&self.mapping), self.folding.as_ref()].into_iter().flatten()
    }

    /// Runs the mappings, and what DynamoDB does in the background, until `control` stops it.
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
        let mappings = futures::future::try_join_all(self.mappings().map(|mapping| mapping.run(control)));
        futures::try_join!(mappings, cleanup, replication)?;
        Ok(())
    }

    /// Deletes expired items and trims old stream records, as DynamoDB does.
    async fn clean_up(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(CLEANUP_INTERVAL).await;
            let Some(services) = self.place.services() else { continue };
            let streams: Vec<EmbeddedStream> = self.mappings().filter_map(LocalMapping::embedded).cloned().collect();
            let database = services.database().clone();
            let horizon = horizon(self.retention, self.clock.now());
            let kinesis = (self.kind != StreamChoice::Dynamodb).then(|| services.streams().clone());
            let name = self.source_name.clone();
            let done = tokio::task::spawn_blocking(move || {
                database.sweep_ttl().context("delete expired items")?;
                let Some(horizon) = horizon else { return Ok(()) };
                kinesis.map_or(Ok(()), |kinesis| kinesis.trim(&name, horizon))?;
                trim(&streams, horizon)
            });
            if let Err(error) = done.await? {
                tracing::warn!(error = format!("{error:#}"), "failed to expire items and trim the stream; will retry");
            }
        }
    }

    async fn replicate(&self, faults: &FaultInjector) -> anyhow::Result<()> {
        let mut replicator = self.replicator.lock().await;
        let Some(replicator) = replicator.as_mut() else { return std::future::pending().await };
        let disturbance = || {
            let FaultProfile { repeat, .. } = faults.profile();
            let percent = (0..=100).rev().find(|whole| f64::from(*whole) <= repeat).unwrap_or(0);
            Disturbance { seed: self.fault_seed, repeat_percent: percent, swap_percent: percent }
        };
        let count = |copied: Copied| {
            faults.count_repeats(copied.puts.saturating_sub(copied.records));
            self.mapping.meter.count_trimmed_gaps(copied.trimmed_gaps);
            self.mapping.meter.count_gone_shards(copied.gone_shards);
        };
        match replicator.run(REPLICATION_INTERVAL, || self.clock.now(), disturbance, count).await? {}
    }
}

/// The time before which records are trimmed at `now`.
pub(super) fn horizon(retention: Duration, now: Timestamp) -> Option<Timestamp> {
    let seconds = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_seconds(now.seconds().saturating_sub(seconds))
}

impl Local {
    /// How long a stream keeps records.
    pub(super) fn retention(&self) -> Duration {
        Duration::from_hours(u64::from(self.retention))
    }
}

impl StreamChoice {
    /// The name of the checkpoint file of a mapping of this source.
    pub(super) fn checkpoints(self, source: &str) -> String {
        format!("{}-{source}.json", self.name())
    }

    /// Its value on the command line.
    pub(super) fn name(self) -> &'static str {
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
