//! Reads the records of a message again: a message has only their positions in the stream of the source or of the ledger.
//! Records that the mapping's filter excludes are left out, and records that no longer exist are reported as lost.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use event_source_mapping::sources::{Gap, RangeRead, RemoteKinesis, RemoteStream, ShardedStream, read_range};
use event_source_mapping::{Filters, Source, SourceRecord, StreamKind};
use laptop::emulators::EmbeddedStream;
use laptop::emulators::kinesis::{KinesisSource, StreamError};

use super::ownership::Target;
use crate::failure_document::FailureDocument;
use crate::shell::folder::{MAPPINGS, filters_file};
use crate::shell::options::Options;
use crate::shell::running::Running;
use crate::shell::workplace::{Workplace, kinesis_client};
#[cfg(feature = "deployment")]
use crate::stack::{Account, Names};
use crate::stack::{Deployment, Place, source_name};

/// Reads the streams of a deployment.
pub(super) struct StreamReader<'d> {
    deployment: &'d Deployment,
    /// The data folder, if the deployment is on this machine.
    options: &'d Options,
    /// The filter of the deployed mapping of the source. A mapping on this machine keeps its filter in a file.
    #[cfg(feature = "deployment")]
    filters: Filters,
    /// The filter of the deployed mapping of the ledger, if its UUID is known.
    #[cfg(feature = "deployment")]
    ledger_filters: Option<Filters>,
}

/// The records of a message.
#[derive(Debug)]
pub(super) struct RereadRecords {
    /// The records that pass the filter.
    pub records: Vec<Arc<SourceRecord>>,
    pub lost: Option<LostRecords>,
}

/// Records that can't be read from the stream again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LostRecords {
    /// How many, at least.
    pub records: usize,
    pub reason: &'static str,
}

impl<'d> StreamReader<'d> {
    /// Reads streams of this machine.
    #[cfg(not(feature = "deployment"))]
    pub(super) async fn open(deployment: &'d Deployment, options: &'d Options) -> anyhow::Result<StreamReader<'d>> {
        Ok(StreamReader { deployment, options })
    }

    /// Reads the filters of the deployed mappings.
    #[cfg(feature = "deployment")]
    pub(super) async fn open(deployment: &'d Deployment, options: &'d Options) -> anyhow::Result<StreamReader<'d>> {
        let names = &deployment.names;
        let (filters, ledger_filters) = match &deployment.place {
            Place::Account(account) => {
                let ledger_filters = match &names.ledger_mapping {
                    Some(uuid) => Some(deployed_filters(account, uuid, "--ledger-mapping").await?),
                    None => None,
                };
                let uuid = Names::need(&names.mapping, "--mapping")?;
                (deployed_filters(account, uuid, "--mapping").await?, ledger_filters)
            }
            Place::Here(_) => (Filters::default(), None),
        };
        Ok(StreamReader { deployment, options, filters, ledger_filters })
    }

    /// Reads the records of `document` again.
    pub(super) async fn read(&self, document: &FailureDocument, target: Target) -> anyhow::Result<RereadRecords> {
        let position = &document.position;
        let range = match self.source(document).await? {
            Some(source) => read_range(&*source, &position.shard_id, &position.first, &position.last).await?,
            None => RangeRead { records: Vec::new(), gap: Gap::ShardGone },
        };
        let filters = match (&self.deployment.place, target) {
            #[cfg(feature = "deployment")]
            (Place::Account(_), Target::Append) => self.filters.clone(),
            #[cfg(feature = "deployment")]
            (Place::Account(_), Target::Fold) => self
                .ledger_filters
                .clone()
                .context("find the filter of the ledger's mapping: specify --ledger-mapping")?,
            (Place::Here(_), _) => self.filters_here(document)?,
        };
        let RangeRead { mut records, gap } = range;
        let read = records.len();
        records.retain(|record| filters.matches(document.kind, record));
        Ok(RereadRecords { lost: lost(document.records(), read, records.len(), gap), records })
    }

    /// The stream of a document, or `None` if it no longer exists.
    async fn source(&self, document: &FailureDocument) -> anyhow::Result<Option<Arc<dyn Source>>> {
        let arn = document.position.stream_arn.as_str();
        match (&self.deployment.place, document.kind) {
            #[cfg(feature = "deployment")]
            (Place::Account(_), StreamKind::DynamoDb) => {
                Ok(Some(Arc::new(RemoteStream::new(self.deployment.streams(), arn))))
            }
            (Place::Here(place), StreamKind::DynamoDb) => self.table_here(place, arn),
            #[cfg(feature = "deployment")]
            (Place::Account(account), StreamKind::Kinesis) => {
                Ok(Some(Arc::new(RemoteKinesis::new(account.kinesis(), arn))))
            }
            (Place::Here(place), StreamKind::Kinesis) => self.stream_here(place, arn).await,
        }
    }

    /// A table's stream on this machine, with the shards that the mapping has split it into. If another process has the table
    /// open, its database file is read anyway: responses over HTTP don't have every field of a record.
    fn table_here(&self, place: &Workplace, arn: &str) -> anyhow::Result<Option<Arc<dyn Source>>> {
        let table = source_name(arn).with_context(|| format!("{arn} is not the ARN of a table's stream"))?;
        let data = &self.options.data;
        let running = Running::read(data).map(|running| running.dynamodb);
        let stream: Arc<dyn Source> = match place.services() {
            Some(services) => Arc::new(EmbeddedStream::open(services.database(), table)?),
            None if running.is_some() && running == self.options.dynamodb_endpoint => {
                Arc::new(EmbeddedStream::open_in(data, table)?)
            }
            None => Arc::new(RemoteStream::new(self.deployment.streams(), arn)),
        };
        if stream.arn() != arn {
            return Ok(None);
        }
        let shards = data.join(MAPPINGS).join(format!("shards-{table}.json"));
        Ok(Some(Arc::new(ShardedStream::open(stream, Some(&shards), 0)?)))
    }

    /// A Kinesis stream on this machine. If another process has its files open, it is read through that process's endpoint.
    async fn stream_here(&self, place: &Workplace, arn: &str) -> anyhow::Result<Option<Arc<dyn Source>>> {
        let name = source_name(arn).with_context(|| format!("{arn} is not the ARN of a Kinesis stream"))?;
        match place.services() {
            Some(services) => match KinesisSource::new(services.streams(), name) {
                Ok(source) => Ok(Some(Arc::new(source))),
                Err(StreamError::NotFound(_)) => Ok(None),
                Err(error) => Err(error.into()),
            },
            None => Ok(Some(Arc::new(RemoteKinesis::new(kinesis_client(self.options).await?, arn)))),
        }
    }

    /// The filter of the mapping on this machine when it last ran.
    fn filters_here(&self, document: &FailureDocument) -> anyhow::Result<Filters> {
        let source = source_name(&document.position.stream_arn).unwrap_or_default();
        read_filters(&filters_file(&self.options.data, document.kind, source))
    }
}

fn read_filters(file: &Path) -> anyhow::Result<Filters> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Filters::default()),
        text => text.with_context(|| format!("read the mapping's filter {}", file.display()))?,
    };
    let patterns: Vec<String> =
        serde_json::from_str(&text).with_context(|| format!("read the mapping's filter {}", file.display()))?;
    Ok(Filters::parse(&patterns)?)
}

#[cfg(feature = "deployment")]
async fn deployed_filters(account: &Account, uuid: &str, option: &str) -> anyhow::Result<Filters> {
    let doing = || {
        let remedy = format!("if another one has replaced it, add {option} with its UUID");
        format!("read the filter of the mapping {uuid} (lambda:GetEventSourceMapping); {remedy}")
    };
    let mapping = account.lambda().get_event_source_mapping().uuid(uuid).send().await.with_context(doing)?;
    if let Some(error) = mapping.filter_criteria_error {
        // Without the filter, records that were never meant for the function would be delivered to it.
        anyhow::bail!("{}: {}", doing(), error.message.unwrap_or_default());
    }
    let filters = mapping.filter_criteria.and_then(|criteria| criteria.filters).unwrap_or_default();
    let patterns: Vec<String> = filters.into_iter().filter_map(|filter| filter.pattern).collect();
    Filters::parse(&patterns).with_context(doing)
}

/// What is lost of `expected` records, if `read` were in the range and `passed` the filter.
fn lost(expected: usize, read: usize, passed: usize, gap: Gap) -> Option<LostRecords> {
    let missing = expected.saturating_sub(passed);
    match gap {
        Gap::None if missing == 0 => None,
        Gap::None if read < expected => {
            Some(LostRecords { records: missing, reason: "they are missing from their shard" })
        }
        Gap::None => Some(LostRecords { records: missing, reason: "the mapping's filter excludes them now" }),
        Gap::Trimmed => Some(LostRecords { records: missing.max(1), reason: "the stream has trimmed them" }),
        Gap::ShardGone => Some(LostRecords { records: expected, reason: "their shard or stream no longer exists" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_records_are_reported_as_lost() {
        let records = |lost: Option<LostRecords>| lost.map(|lost| lost.records);
        for (expected, found, gap, wanted) in [
            (4, 4, Gap::None, None),
            // The range also has records of other lanes.
            (4, 9, Gap::None, None),
            (4, 3, Gap::None, Some(1)),
            (4, 1, Gap::Trimmed, Some(3)),
            (4, 4, Gap::Trimmed, Some(1)),
            (4, 0, Gap::Trimmed, Some(4)),
            (4, 0, Gap::ShardGone, Some(4)),
        ] {
            assert_eq!(records(lost(expected, found, found, gap)), wanted, "{expected} {found} {gap:?}");
        }
        let reason = |read| lost(4, read, 3, Gap::None).map_or("", |lost| lost.reason);
        assert_eq!(reason(3), "they are missing from their shard");
        assert_eq!(reason(4), "the mapping's filter excludes them now");
    }
}
