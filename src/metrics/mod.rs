//! The metrics of one batch. They are for watching, not for billing: a retried batch is reported twice.

mod cloudwatch;
mod emf;

use crate::config::{Metrics, Sink};
use crate::error::Error;
use crate::time::Timestamp;
use cloudwatch::CloudWatch;

/// One field for each metric. Ten by default: CloudWatch's free tier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchMetrics {
    /// Records whose effects are durable, duplicates and skipped ones included.
    pub records_processed: u64,
    /// Records that were not, so that Lambda delivers them again; 1 where the invocation failed as a whole.
    pub processing_errors: u64,
    /// From the event's arrival to the answer.
    pub processing_duration_ms: f64,
    /// Records by event name. Expired items count as removed ones.
    pub insert_count: u64,
    pub modify_count: u64,
    pub remove_count: u64,
    /// Records that had been applied before, or came twice in the batch.
    pub duplicates_skipped: u64,
    /// Snapshot items that were added to.
    pub snapshots_updated: u64,
    /// Objects that were created.
    pub files_written: u64,
    /// The age of the oldest record when the batch was done.
    pub processing_latency_ms: f64,
}

/// CloudWatch's unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Milliseconds,
}

impl Unit {
    /// The unit as CloudWatch spells it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Count => "Count",
            Unit::Milliseconds => "Milliseconds",
        }
    }
}

/// A named value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datum {
    pub name: &'static str,
    pub value: f64,
    pub unit: Unit,
}

impl BatchMetrics {
    /// Every metric by name, zeros included, so that rates can be computed.
    pub fn data(&self) -> [Datum; 10] {
        // Exhaustive: a new field that isn't named here doesn't compile.
        let BatchMetrics {
            records_processed,
            processing_errors,
            processing_duration_ms,
            insert_count,
            modify_count,
            remove_count,
            duplicates_skipped,
            snapshots_updated,
            files_written,
            processing_latency_ms,
        } = *self;
        [
            count("RecordsProcessed", records_processed),
            count("ProcessingErrors", processing_errors),
            milliseconds("ProcessingDuration", processing_duration_ms),
            count("InsertCount", insert_count),
            count("ModifyCount", modify_count),
            count("RemoveCount", remove_count),
            count("DuplicatesSkipped", duplicates_skipped),
            count("SnapshotsUpdated", snapshots_updated),
            count("FilesWritten", files_written),
            milliseconds("ProcessingLatency", processing_latency_ms),
        ]
    }
}

/// Where metrics go.
#[derive(Debug)]
pub enum MetricsSink {
    /// A line on stdout.
    Emf {
        namespace: String,
        pipeline: String,
    },
    CloudWatch(CloudWatch),
    Nowhere,
}

impl MetricsSink {
    /// The sink that the configuration chose.
    pub fn new(config: &Metrics, client: cloudwatch::Client, pipeline: &str) -> MetricsSink {
        let (namespace, pipeline) = (config.namespace.clone(), pipeline.to_owned());
        match config.sink {
            Sink::Emf => MetricsSink::Emf { namespace, pipeline },
            Sink::CloudWatch => MetricsSink::CloudWatch(CloudWatch { client, namespace, pipeline }),
            Sink::Nowhere => MetricsSink::Nowhere,
        }
    }

    /// Sends the metrics of a batch that was done at `now`.
    ///
    /// # Errors
    /// When they can't be sent, within 200 ms; the batch goes on without them.
    pub async fn send(&self, metrics: &BatchMetrics, request_id: &str, now: Timestamp) -> Result<(), Error> {
        match self {
            MetricsSink::Nowhere => Ok(()),
            MetricsSink::CloudWatch(cloudwatch) => cloudwatch.put(metrics, now).await,
            MetricsSink::Emf { namespace, pipeline } => {
                emf::print(&emf::line(metrics, namespace, pipeline, request_id, now))
                    .map_err(|error| Error::transient(format!("print metrics: {error}")))
            }
        }
    }
}

fn count(name: &'static str, value: u64) -> Datum {
    // A batch has 10,000 records at most (BatchSize), far below u32::MAX.
    Datum { name, value: u32::try_from(value).unwrap_or(u32::MAX).into(), unit: Unit::Count }
}

fn milliseconds(name: &'static str, value: f64) -> Datum {
    Datum { name, value, unit: Unit::Milliseconds }
}
