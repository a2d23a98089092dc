//! One of the mappings of a local run, of the source or of the ledger: its stream, its checkpoints, its counts, its metrics, and
//! the supervisor that injects its faults.

use std::path::Path;
use std::sync::Arc;

use event_source_mapping::{
    Checkpoints, Clock, Counts, Destination, Filters, Function, Mapping, Meter, Settings, Source, uuid,
    write_atomically,
};
use laptop::emulators::{EmbeddedStream, MappingMetrics, MeasuredFunction, MeasuredSource, Services};
use laptop::proof::{FaultInjector, InjectedFaults, Supervisor};
use usage_aggregator::time::Timestamp;

use super::Local;
use super::control::Control;
use super::status::MappingStatus;
use super::stream::LocalStream;
use super::target::LocalFunction;
use crate::shell::folder::{MAPPINGS, filters_file};
use crate::shell::options::Options;
use crate::shell::running::RunningMapping;
use crate::shell::waiting::Waiting;

/// A mapping that can run.
pub(super) struct LocalMapping {
    /// The stream that it polls.
    pub source: Arc<dyn Source>,
    /// Its counts.
    pub meter: Arc<Meter>,
    /// The mapping, as other commands see it.
    pub running: RunningMapping,
    metrics: MappingMetrics,
    faults: FaultInjector,
    supervisor: Supervisor,
    embedded: Option<EmbeddedStream>,
    clock: Clock,
}

/// What a mapping is made of.
pub(super) struct MappingParts<'p> {
    /// The command's options.
    pub local: &'p Local,
    /// The options of all commands.
    pub options: &'p Options,
    /// The services.
    pub services: Option<&'p Services>,
    /// How it polls, batches and retries.
    pub settings: Settings,
    /// What it polls.
    pub stream: LocalStream,
    /// The table or Kinesis stream that this is of.
    pub name: &'p str,
    /// The name of its checkpoint file.
    pub checkpoints: String,
    /// The function, and the faults that it and the mapping meet.
    pub function: LocalFunction,
    /// The failure destination.
    pub destination: Option<Destination>,
    /// The time, as the mapping reads it.
    pub clock: &'p Clock,
}

impl MappingParts<'_> {
    /// The same source and function, whose reads and invocations are published if there is an embedded CloudWatch.
    fn measured(&self, source: Arc<dyn Source>, function: Arc<dyn Function>, meter: &Arc<Meter>) -> Measured {
        let Some(services) = self.services else { return (source, function) };
        let metrics = services.metrics();
        let source = MeasuredSource::new(source, metrics.clone(), self.clock.clone());
        let function = MeasuredFunction::new(function, self.function.name, metrics.clone(), meter);
        (Arc::new(source), Arc::new(function))
    }
}

type Measured = (Arc<dyn Source>, Arc<dyn Function>);

impl LocalMapping {
    /// Opens the checkpoints, and records the filter, because a redrive must skip the same records.
    pub(super) fn open(parts: MappingParts<'_>) -> anyhow::Result<LocalMapping> {
        let meter: Arc<Meter> = Arc::default();
        let (source, function) =
            parts.measured(Arc::clone(&parts.stream.source), Arc::clone(&parts.function.function), &meter);
        let MappingParts { local, options, settings, stream, name, destination, .. } = parts;
        let LocalStream { sharded, embedded, .. } = stream;
        write_filters(&settings.filters, &filters_file(&options.data, source.kind(), name))?;
        let LocalFunction { name: function_name, faults, .. } = parts.function;
        let file = options.data.join(MAPPINGS).join(&parts.checkpoints);
        let checkpoints = Checkpoints::open(&file, source.arn(), &new_uuid(&file))?;
        let running = RunningMapping {
            uuid: checkpoints.mapping_uuid().to_owned(),
            function: function_name.to_owned(),
            source_arn: source.arn().to_owned(),
            batch_size: settings.batch_size,
            batching_window_seconds: settings.batching_window.as_secs(),
            parallelization_factor: settings.parallelization_factor,
            timeout_seconds: local.timeout().as_secs(),
        };
        let make = {
            let (source, meter, clock) = (Arc::clone(&source), Arc::clone(&meter), parts.clock.clone());
            move |checkpoints| {
                let (settings, source, function) = (settings.clone(), Arc::clone(&source), Arc::clone(&function));
                let seed = fastrand::u64(..);
                let mut mapping = Mapping::new(settings, source, function, clock.clone(), checkpoints, seed);
                mapping.meter = Arc::clone(&meter);
                mapping.destination = destination.clone();
                mapping
            }
        };
        let supervisor = Supervisor::new(checkpoints, faults.clone(), sharded, local.fault_seed, make);
        let (metrics, clock) = (MappingMetrics::default(), parts.clock.clone());
        Ok(LocalMapping { source, meter, running, metrics, faults, supervisor, embedded, clock })
    }

    /// Runs the mapping until `control` stops it.
    pub(super) async fn run(&self, control: &Control) -> anyhow::Result<()> {
        self.supervisor.run(control.stop.subscribe()).await
    }

    /// What waits now.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting::new(self.meter.progress(), self.clock.now())
    }

    /// Whether the stream has, or may have, records that it hasn't read. This is for a mapping that has stopped.
    pub(super) async fn has_unread(&self) -> bool {
        self.supervisor.has_unread().await
    }

    /// Its status now.
    pub(super) async fn status(&self) -> MappingStatus {
        let shards = self.source.shards().await.map_or(0, |shards| shards.len());
        let mapping = self.meter.counts();
        let injected = self.injected(&mapping);
        MappingStatus { mapping, waiting: self.waiting(), shards, injected }
    }

    /// The faults that were injected. Reads of an embedded stream fail for no other reason.
    fn injected(&self, counts: &Counts) -> InjectedFaults {
        let mut injected = self.faults.injected();
        let failed_reads = counts.expired_iterators + counts.throttled_reads;
        if failed_reads > 0 && self.embedded.is_some() {
            injected.insert("iterator", failed_reads);
        }
        injected
    }

    /// Publishes its metrics to the embedded CloudWatch.
    pub(super) fn publish_metrics(&self, services: &Services) {
        let RunningMapping { uuid, function, .. } = &self.running;
        self.metrics.publish(services.metrics(), uuid, function, &self.meter.counts());
    }

    /// The stream of an embedded table, which has to be trimmed.
    pub(super) fn embedded(&self) -> Option<&EmbeddedStream> {
        self.embedded.as_ref()
    }
}

/// Trims the records that are older than `horizon`.
pub(super) fn trim(streams: &[EmbeddedStream], horizon: Timestamp) -> anyhow::Result<()> {
    streams.iter().try_for_each(|stream| stream.trim(horizon).map(drop))
}

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
