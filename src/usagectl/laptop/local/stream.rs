//! Opens the stream of a local run: a table's own stream, a Kinesis stream, or a Kinesis stream with a table's changes.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use event_source_mapping::sources::{RemoteStream, ShardedStream};
use event_source_mapping::{Clock, Source};
use laptop::emulators::kinesis::{KinesisSource, Precision, Replicator};
use laptop::emulators::{EmbeddedStream, StreamView, TableSpec, ensure_tables};

use super::run::horizon;
use super::{Local, StreamChoice};
use crate::shell::console::UsageError;
use crate::shell::images::Images;
use crate::shell::options::{Endpoint, Options};
use crate::shell::workplace::{Site, Workplace};

/// The stream that the mapping polls, and what keeps it going.
pub(super) struct LocalStream {
    /// What the mapping polls.
    pub source: Arc<dyn Source>,
    /// The same, where its shards can be split on demand.
    pub sharded: Option<Arc<ShardedStream>>,
    /// Copies a table's changes to the Kinesis stream.
    pub replicator: Option<Replicator>,
    /// The stream of an embedded table, which has to be trimmed.
    pub embedded: Option<EmbeddedStream>,
}

/// Which stream to open, and where.
#[derive(Clone, Copy)]
pub(super) struct StreamRequest<'r> {
    /// The command's options.
    pub local: &'r Local,
    /// The options of all commands.
    pub options: &'r Options,
    /// The services.
    pub place: &'r Workplace,
    /// The function's pipeline.
    pub site: &'r Site,
    /// The table or stream.
    pub name: &'r str,
    /// The folder of the mapping's files.
    pub folder: &'r Path,
}

impl StreamRequest<'_> {
    /// Opens the stream and creates it if it doesn't exist.
    pub(super) async fn open(&self, kind: StreamChoice) -> anyhow::Result<LocalStream> {
        let (table, embedded) = match kind {
            StreamChoice::Kinesis => return self.kinesis(None, None),
            StreamChoice::Dynamodb | StreamChoice::KinesisForDynamodb => self.table().await?,
        };
        if kind == StreamChoice::KinesisForDynamodb {
            return self.kinesis(Some(table), embedded);
        }
        self.sharded(table, embedded)
    }

    /// Opens the stream of the ledger, which was created with its table.
    pub(super) async fn open_ledger(&self) -> anyhow::Result<LocalStream> {
        let TableStream { view_type, arn } = table_stream(self).await?;
        let (Some(_), Some(arn)) = (view_type, arn) else {
            let (table, first, enable) = (self.name, first(self), enable(self, "KEYS_ONLY"));
            let message =
                format!("the ledger {table} has no stream, from which pages are folded; {first}:\n  {enable}");
            return Err(UsageError(message).into());
        };
        let (table, embedded) = self.stream_of(&arn)?;
        self.sharded(table, embedded)
    }

    /// Presents the stream of a table with shards that can be split.
    fn sharded(&self, table: Arc<dyn Source>, embedded: Option<EmbeddedStream>) -> anyhow::Result<LocalStream> {
        let file = self.folder.join(format!("shards-{}.json", self.name));
        let sharded = Arc::new(ShardedStream::open(table, Some(&file), self.local.fault_seed)?);
        Ok(LocalStream { source: sharded.clone(), sharded: Some(sharded), replicator: None, embedded })
    }

    /// The stream of a table, and the same stream if it is the embedded DynamoDB's.
    async fn table(&self) -> anyhow::Result<(Arc<dyn Source>, Option<EmbeddedStream>)> {
        if !matches!(self.options.dynamodb()?, Endpoint::Remote(_)) {
            ensure_tables(&self.place.clients.dynamodb, &[self.table_spec()?]).await?;
        }
        self.stream_of(&latest_stream(self).await?)
    }

    fn stream_of(&self, arn: &str) -> anyhow::Result<(Arc<dyn Source>, Option<EmbeddedStream>)> {
        match (self.options.dynamodb()?, self.place.services()) {
            (Endpoint::Embedded, Some(services)) => {
                let stream = EmbeddedStream::open(services.database(), self.name)?;
                Ok((Arc::new(stream.clone()), Some(stream)))
            }
            _ => Ok((Arc::new(RemoteStream::new(self.place.connections.streams(), arn)), None)),
        }
    }

    fn table_spec(&self) -> Result<TableSpec<'_>, UsageError> {
        let given = &self.local.keys;
        let matched = self.site.handler.pipeline().source_keys();
        let keys = if given.is_empty() { matched } else { given.iter().map(String::as_str).collect() };
        let Some((&partition_key, rest)) = keys.split_first() else {
            let name = self.name;
            return Err(UsageError(format!("the keys of the table {name} are unknown: set them with --keys")));
        };
        let sort_key = rest.first().copied();
        Ok(TableSpec {
            name: self.name,
            partition_key,
            sort_key,
            // Which attribute the items expire by is not known, and a table that expires by another one would lose items.
            ttl_attribute: None,
            stream: Some(StreamView::Images),
        })
    }

    /// The Kinesis stream, to which the changes of `table` are copied if there is one.
    fn kinesis(&self, table: Option<Arc<dyn Source>>, embedded: Option<EmbeddedStream>) -> anyhow::Result<LocalStream> {
        let Some(services) = self.place.services() else {
            bail!("read the Kinesis stream {}: only the embedded Kinesis is supported here", self.name);
        };
        let streams = services.streams();
        let now = Clock::system()?.now();
        streams.ensure_stream(self.name, NonZeroU32::MIN, now)?;
        // Before the first read: what became too old while nothing ran is gone, as in AWS.
        horizon(self.local.retention(), now).map_or(Ok(()), |horizon| streams.trim(self.name, horizon))?;
        let source = Arc::new(KinesisSource::new(streams, self.name)?);
        let Some(table) = table else { return Ok(LocalStream { source, sharded: None, replicator: None, embedded }) };
        let positions = self.folder.join(format!("replicator-{}.json", self.name));
        let precision = Precision::Microsecond;
        let replicator = Replicator::open(table, streams, self.name, precision, &positions)?;
        Ok(LocalStream { source, sharded: None, replicator: Some(replicator), embedded })
    }
}

/// The ARN of the latest stream of `table`, whose view type must have the images that the pipeline needs: otherwise the
/// function would reject its records one after the other.
async fn latest_stream(request: &StreamRequest<'_>) -> anyhow::Result<String> {
    let table = request.name;
    let TableStream { view_type, arn } = table_stream(request).await?;
    let pipeline = request.site.handler.pipeline();
    let (name, first, enable) = (&pipeline.name, first(request), enable(request, "NEW_AND_OLD_IMAGES"));
    let (Some(view_type), Some(arn)) = (view_type, arn) else {
        let message = format!("the table {table} has no stream for the pipeline {name}; {first}:\n  {enable}");
        return Err(UsageError(message).into());
    };
    let needed = Images::needed_by(pipeline);
    if Images::of_view_type(&view_type).cover(needed) {
        return Ok(arn);
    }
    let (needed, disable) = (needed.words(), update(request, "StreamEnabled=false"));
    Err(UsageError(format!(
        "the stream of the table {table} has the view type {view_type}, but the pipeline {name} needs {needed}\n\
         To replace the stream, which loses the records that haven't been read, {first}:\n  {disable}\n  {enable}"
    ))
    .into())
}

/// The stream of a table as DynamoDB describes it.
struct TableStream {
    /// The view type, if the stream is enabled.
    view_type: Option<String>,
    arn: Option<String>,
}

async fn table_stream(request: &StreamRequest<'_>) -> anyhow::Result<TableStream> {
    let (tables, table) = (&request.place.clients.dynamodb, request.name);
    let described = tables.describe_table().table_name(table).send().await;
    let described = described.with_context(|| format!("describe the table {table} (dynamodb:DescribeTable)"))?;
    let described = described.table.with_context(|| format!("find the table {table}"))?;
    let stream = described.stream_specification.as_ref().filter(|stream| stream.stream_enabled);
    let view_type = stream.and_then(|stream| stream.stream_view_type.as_ref());
    Ok(TableStream {
        view_type: view_type.map(|view_type| view_type.as_str().to_owned()),
        arn: described.latest_stream_arn,
    })
}

/// A command that enables the stream with this view type.
fn enable(request: &StreamRequest<'_>, view_type: &str) -> String {
    update(request, &format!("StreamEnabled=true,StreamViewType={view_type}"))
}

/// A command that changes the stream.
fn update(request: &StreamRequest<'_>, specification: &str) -> String {
    let endpoint = match request.options.dynamodb() {
        Ok(Endpoint::Loopback(url) | Endpoint::Remote(url)) => format!(" --endpoint-url {url}"),
        _ => String::new(),
    };
    let table = request.name;
    format!("aws dynamodb update-table --table-name {table} --stream-specification {specification}{endpoint}")
}

/// What to do before such a command.
fn first(request: &StreamRequest<'_>) -> &'static str {
    match request.options.dynamodb() {
        Ok(Endpoint::Embedded) => "start `usagectl serve`, set the variables that it prints, and run",
        _ => "run",
    }
}
