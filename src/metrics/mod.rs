//! The metrics of one batch. They are for monitoring, not for billing: a retried batch is reported twice.

mod cloudwatch;
mod emf;

use crate::config::{MetricsConfig, Sink};
use crate::error::Error;
use crate::time::Timestamp;
use cloudwatch::CloudWatch;

/// One field for each metric. There are ten because CloudWatch's free tier includes ten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchMetrics {
    /// Records whose effects are durable, including duplicates and skipped records.
    pub records_processed: u64,
    /// Records whose effects are not durable, so that Lambda delivers them again; 1 if the invocation failed as a
    /// whole.
    pub processing_errors: u64,
    /// Milliseconds from the arrival of the event to the response.
    pub processing_duration_ms: f64,
    /// INSERT records.
    pub insert_count: u64,
    /// MODIFY records.
    pub modify_count: u64,
    /// REMOVE records, including expired items.
    pub remove_count: u64,
    /// Records that were already applied, or that appear twice in the batch.
    pub duplicates_skipped: u64,
    /// Snapshot items that were updated.
    pub snapshots_updated: u64,
    /// Archive objects that were created.
    pub files_written: u64,
    /// Milliseconds from the creation of the oldest record to the start of the invocation.
    pub processing_latency_ms: f64,
}

/// The CloudWatch unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricUnit {
    /// A number of things.
    Count,
    /// A duration.
    Milliseconds,
}

impl MetricUnit {
    /// The unit as CloudWatch spells it.
    pub fn name(self) -> &'static str {
        match self {
            MetricUnit::Count => "Count",
            MetricUnit::Milliseconds => "Milliseconds",
        }
    }
}

/// One metric: its name, value and unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datum {
    /// The name of the metric in CloudWatch.
    pub name: &'static str,
    /// The value in `unit`.
    pub value: f64,
    /// The unit of the value.
    pub unit: MetricUnit,
}

impl BatchMetrics {
    /// All metrics, including those that are zero, so that rates can be computed.
    pub fn data(&self) -> [Datum; 10] {
        // Destructured completely, so that a new field that isn't listed here doesn't compile.
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

/// Where metrics are sent.
#[derive(Debug)]
pub enum MetricsSink {
    /// A line on stdout.
    Emf {
        /// The CloudWatch namespace.
        namespace: String,
        /// The value of the dimension `Pipeline`.
        pipeline: String,
    },
    /// A call of PutMetricData.
    CloudWatch(CloudWatch),
    /// No metrics.
    Nowhere,
}

impl MetricsSink {
    /// Creates the sink that the configuration selects.
    pub fn new(config: &MetricsConfig, client: cloudwatch::Client, pipeline: &str) -> MetricsSink {
        let (namespace, pipeline) = (config.namespace.clone(), pipeline.to_owned());
        match config.sink {
            Sink::Emf => MetricsSink::Emf { namespace, pipeline },
            Sink::CloudWatch => MetricsSink::CloudWatch(CloudWatch { client, namespace, pipeline }),
            Sink::Nowhere => MetricsSink::Nowhere,
        }
    }

    /// Sends the metrics of a batch, with `now` as their time.
    ///
    /// # Errors
    /// If they can't be sent within 200 ms. The batch is not affected.
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
    Datum { name, value: u32::try_from(value).unwrap_or(u32::MAX).into(), unit: MetricUnit::Count }
}

fn milliseconds(name: &'static str, value: f64) -> Datum {
    Datum { name, value, unit: MetricUnit::Milliseconds }
}
