//! Builds what a local run consists of: services, tables and buckets, the stream, the function, the mapping.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use event_source_mapping::sources::{RemoteStream, ShardedStream};
use event_source_mapping::{Checkpoints, Clock, Destination, Filters, Function, Mapping, Meter, Source, StreamKind};
use event_source_mapping::{RemoteFunction, write_whole};
use laptop::emulators::EmbeddedStream;
use laptop::emulators::kinesis::{Disturbance, KinesisSource, Precision, Replicator};
use laptop::emulators::{FaultPlan, FaultyHttp, TableSpec, ensure_bucket, ensure_tables};
use laptop::proof::{FaultInjector, FaultProfile, Sandbox, Sandboxes, Supervisor};
use usage_aggregator::handler::Handler;
use usage_aggregator::time::Timestamp;

use super::control::Control;
use super::measured::{Measured, Reported};
use super::{Local, StreamChoice};
use crate::shell::choice::{Sample, Variables};
use crate::shell::console::UsageError;
use crate::shell::folder::MAPPINGS;
use crate::shell::folder::filters_file;
use crate::shell::options::{Endpoint, Options};
use crate::shell::running::Mapped;
use crate::shell::workplace::{Site, Start, Uses, Workplace, queue_client};

const FUNCTION: &str = "usage-aggregator";
const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator";
/// How often old records are trimmed and expired items deleted.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// How often an idle table is looked at for changes to copy into Kinesis.
const REPLICATION: Duration = Duration::from_millis(100);

/// Everything that a run needs.
pub struct Stage {
    pub place: Workplace,
    pub site: Site,
    pub source_name: String,
    pub kind: StreamChoice,
    pub source: Arc<dyn Source>,
    pub meter: Arc<Meter>,
    pub variables: Variables,
    /// What other commands may know of the mapping.
    pub mapped: Mapped,
    /// Where records go that are given up, for people.
    pub destination: String,
    reported: Reported,
    supervisor: Supervisor,
    clock: Clock,
    replicator: Mutex<Option<Replicator>>,
    embedded: Option<EmbeddedStream>,
    retention: Duration,
    fault_seed: u64,
}

impl Stage {
    /// Builds it, and makes what is missing.
    pub async fn build(local: &Local, options: &Options, control: &Control) -> anyhow::Result<Stage> {
        let start = if local.fresh { Start::Fresh } else { Start::Continue };
        let variables = Variables::new(options, &Sample::default());
        let kind = control.reach.stream;
        let settings = local.mapping.settings(match kind {
            StreamChoice::Dynamodb => StreamKind::DynamoDb,
            StreamChoice::Kinesis | StreamChoice::KinesisForDynamodb => StreamKind::Kinesis,
        })?;
        let place = Workplace::open_on(options, Uses::Everything, start, local.ports()).await?;
        let site = place.site(variables.clone()).await?;
        let named = local.source.clone().or_else(|| site.handler.pipeline.sources.first().cloned());
        let source_name = named.ok_or_else(|| {
            UsageError("the pipeline names no source: say with --source which table or stream to read".to_owned())
        })?;
        let folder = options.data.join(MAPPINGS);
        std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;

        let table = if kind == StreamChoice::Kinesis {
            None
        } else {
            Some(table_stream(local, options, &place, &site, &source_name).await?)
        };
        let embedded = table.as_ref().and_then(|(_, embedded)| embedded.clone());
        let (source, sharded, replicator) = match (kind, table) {
            (StreamChoice::Dynamodb, Some((stream, _))) => {
                let file = folder.join(format!("shards-{source_name}.json"));
                let sharded = Arc::new(ShardedStream::open(stream, Some(&file), local.fault_seed)?);
                let source: Arc<dyn Source> = sharded.clone();
                (source, Some(sharded), None)
            }
            (_, table) => {
                let stream = table.map(|(stream, _)| stream);
                let (source, replicator) = kinesis(&place, &source_name, stream, &folder)?;
                (source, None, replicator)
            }
        };
        write_filters(&settings.filters, &filters_file(&options.data, source.kind(), &source_name))?;
        let destination = destination(local, &place).await?;
        let meter: Arc<Meter> = Arc::default();
        let function =
            Measured::around(function(local, &place, &variables, control)?, FUNCTION, place.services(), &meter);
        let clock = Clock::system()?;
        let file = local.checkpoints(options, &source_name, kind);
        let uuid = uuid(&file);
        let checkpoints = Checkpoints::open(&file, source.arn(), &uuid)?;
        let mapped = Mapped {
            uuid: uuid.clone(),
            function: FUNCTION.to_owned(),
            source_arn: source.arn().to_owned(),
            batch_size: settings.batch_size,
            batching_window_seconds: settings.batching_window.as_secs(),
            parallelization_factor: settings.parallelization_factor,
            timeout_seconds: local.timeout().as_secs(),
        };
        let make = {
            let (settings, source, meter) = (settings.clone(), Arc::clone(&source), Arc::clone(&meter));
            let clock = clock.clone();
            let destination = destination.clone();
            move |checkpoints| {
                let (source, function) = (Arc::clone(&source), Arc::clone(&function));
                let seed = fastrand::u64(..);
                let mut mapping = Mapping::new(settings.clone(), source, function, clock.clone(), checkpoints, seed);
                mapping.meter = Arc::clone(&meter);
                mapping.destination = destination.clone();
                mapping
            }
        };
        let supervisor = Supervisor::new(checkpoints, control.faults.clone(), sharded, local.fault_seed, make);
        Ok(Stage {
            place,
            site,
            source_name,
            kind,
            source,
            meter,
            variables,
            mapped,
            destination: destination.map_or_else(|| "none".to_owned(), |_| local.on_failure.clone()),
            reported: Reported::default(),
            supervisor,
            clock,
            replicator: Mutex::new(replicator),
            embedded,
            retention: Duration::from_secs(3_600 * u64::from(local.retention.max(1))),
            fault_seed: local.fault_seed,
        })
    }

    /// Reports the mapping's figures to the embedded CloudWatch.
    pub fn report(&self) {
        let Some(services) = self.place.services() else { return };
        let Mapped { uuid, function, .. } = &self.mapped;
        self.reported.publish(services.metrics(), uuid, function, &self.meter.counts());
    }

    /// Runs the mapping, and what a table does by itself, until it is to stop.
    pub async fn run(&self, control: &Control) -> anyhow::Result<()> {
        let mut stop = control.stop.subscribe();
        let housekeeping = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Ok(()),
                ended = self.keep_house() => ended,
            }
        };
        let mut stop = control.stop.subscribe();
        let replication = async {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Ok(()),
                ended = self.replicate(&control.faults) => ended,
            }
        };
        futures::try_join!(self.supervisor.run(control.stop.subscribe()), housekeeping, replication)?;
        Ok(())
    }

    /// Deletes expired items and old stream records, as DynamoDB does.
    async fn keep_house(&self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            let (Some(services), Some(stream)) = (self.place.services(), self.embedded.clone()) else { continue };
            let database = services.database().clone();
            let retention = i64::try_from(self.retention.as_secs()).unwrap_or(i64::MAX);
            let horizon = Timestamp::from_seconds(self.clock.now().seconds() - retention);
            let done = tokio::task::spawn_blocking(move || {
                database.sweep_ttl().context("delete expired items")?;
                horizon.map_or(Ok(0), |horizon| stream.trim(horizon))
            });
            if let Err(error) = done.await? {
                tracing::warn!(error = format!("{error:#}"), "failed to keep house; trying again");
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
        match replicator.run(REPLICATION, || self.clock.now(), disturbance).await? {}
    }
}

/// The stream of a table, and whether it is the embedded DynamoDB's.
async fn table_stream(
    local: &Local,
    options: &Options,
    place: &Workplace,
    site: &Site,
    table: &str,
) -> anyhow::Result<(Arc<dyn Source>, Option<EmbeddedStream>)> {
    let tables = &place.clients.dynamodb;
    let endpoint = options.dynamodb()?;
    if !matches!(endpoint, Endpoint::Remote(_)) {
        let matched = site.handler.pipeline.source_keys();
        let keys = if local.keys.is_empty() { matched } else { local.keys.iter().map(String::as_str).collect() };
        let Some((&partition_key, rest)) = keys.split_first() else {
            bail!(UsageError(format!("say with --keys what the keys of the table {table} are")));
        };
        let sort_key = rest.first().copied();
        let spec = TableSpec { name: table, partition_key, sort_key, ttl_attribute: Some("ttl"), stream: true };
        ensure_tables(tables, &[spec]).await?;
    }
    match (endpoint, place.services()) {
        (Endpoint::Embedded, Some(services)) => {
            let stream = EmbeddedStream::open(services.database(), table)?;
            Ok((Arc::new(stream.clone()), Some(stream)))
        }
        _ => {
            let stream = RemoteStream::of_arn(place.connections.streams(), &latest_stream(tables, table).await?);
            Ok((Arc::new(stream), None))
        }
    }
}

/// The source of a Kinesis stream, into which a table's changes are copied if there is a table.
fn kinesis(
    place: &Workplace,
    name: &str,
    table: Option<Arc<dyn Source>>,
    folder: &Path,
) -> anyhow::Result<(Arc<dyn Source>, Option<Replicator>)> {
    let services = place.services().context("read a Kinesis stream: it has to be the embedded one")?;
    let streams = services.streams();
    streams.ensure_stream(name, NonZeroU32::MIN, Clock::system()?.now())?;
    let source = Arc::new(KinesisSource::new(streams, name)?);
    let Some(table) = table else { return Ok((source, None)) };
    let positions = folder.join(format!("replicator-{name}.json"));
    let replicator = Replicator::open(table, streams, name, Precision::Microsecond, &positions)?;
    Ok((source, Some(replicator)))
}

/// Writes the filter down for a redrive, which has to leave out what it left out.
fn write_filters(filters: &Filters, file: &Path) -> anyhow::Result<()> {
    write_whole(file, &serde_json::to_string(&filters.patterns().collect::<Vec<_>>())?)
}

async fn destination(local: &Local, place: &Workplace) -> anyhow::Result<Option<Destination>> {
    let text = local.on_failure.as_str();
    if text == "none" {
        return Ok(None);
    }
    if let Some(bucket) = text.strip_prefix("s3://") {
        ensure_bucket(&place.clients.s3, bucket).await?;
        return Ok(Some(Destination::S3 { client: place.clients.s3.clone(), bucket: bucket.to_owned() }));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Some(Destination::Queue { client: queue_client(text)?, url: text.to_owned() }));
    }
    Ok(Some(Destination::Folder(PathBuf::from(text))))
}

fn function(
    local: &Local,
    place: &Workplace,
    variables: &Variables,
    control: &Control,
) -> anyhow::Result<Arc<dyn Function>> {
    let arn = FUNCTION_ARN.to_owned();
    if let Some(url) = &local.invoke {
        return Ok(Arc::new(RemoteFunction::new(arn, url, FUNCTION)?));
    }
    let connections = place.connections.clone();
    let variables = variables.clone().with_metrics_sink(place.metrics_sink());
    let make = move || {
        let http = FaultyHttp::new(connections.http.clone(), FaultPlan::none());
        let clients = connections.through(&http.client()).clients();
        let config = variables.config()?;
        let deadline_margin = Duration::from_millis(config.deadline_margin_ms);
        Ok(Sandbox { handler: Handler::new(config, clients), http, deadline_margin })
    };
    Ok(Arc::new(Sandboxes::new(arn, Clock::system()?, local.timeout(), control.faults.clone(), make)))
}

fn uuid(file: &Path) -> String {
    // The same for the same folder: object keys of the failure destination begin with it.
    let hash = blake3::hash(file.as_os_str().as_encoded_bytes()).to_hex();
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// The ARN of the latest stream of `table`.
async fn latest_stream(tables: &aws_sdk_dynamodb::Client, table: &str) -> anyhow::Result<String> {
    let described = tables.describe_table().table_name(table).send().await;
    let described = described.with_context(|| format!("describe the table {table} (dynamodb:DescribeTable)"))?;
    let arn = described.table.and_then(|table| table.latest_stream_arn);
    arn.with_context(|| format!("the table {table} has no stream: enable one with NEW_AND_OLD_IMAGES"))
}
