//! The function's environment variables: their defaults and their validation. All mistakes are reported together.

mod reader;

use std::fmt;

use crate::archive::{Codec, UnitLength};
use crate::pipeline::Pipeline;
use crate::plan::{OnRejection, PlanContext, Recent};
use crate::time::{DAY_SECONDS, Timestamp};
use reader::EnvReader;

/// An environment variable, for the documentation and the tests of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// The name in the environment.
    pub name: &'static str,
    /// The default; empty if there is none.
    pub default: &'static str,
    /// What the variable sets, in a few words.
    pub meaning: &'static str,
}

/// All variables that [`Config::read`] reads. Those of telemetry are read by [`crate::telemetry::Settings`].
pub const VARIABLES: [Variable; 25] = [
    variable("PIPELINE", "", "name of a built-in pipeline"),
    variable("PIPELINE_DIR", "", "folder of a custom pipeline, instead of PIPELINE"),
    variable("USAGE_TABLE", "", "table for usage snapshots; required if the pipeline counts"),
    variable("LEDGER_TABLE", "", "table for the ledger; required if the pipeline counts"),
    variable("LEDGER_BUCKETS", "1", "partitions into which the pages of a minute are spread"),
    variable("RECORD_ID_BYTES", "8", "bytes of a record's id that the ledger stores, 8 to 16"),
    variable(
        "DISTINCT_KEY",
        "",
        "a text that nobody outside knows, with which the values of `distinct` are hashed; empty or `none`: without a key",
    ),
    variable(
        "FRESHNESS",
        "stream",
        "when snapshots are written: stream (by the ledger's stream) or now (by each batch)",
    ),
    variable("COUNT_FROM", "", "first minute that is counted, such as 2026-12-01T00:00; empty counts everything"),
    variable("FOLD_EPOCH", "0", "raise by 1 after the ledger was restored or replaced"),
    variable("KEEP_DAYS", "", "days for which the ledger is kept; HORIZON_DAYS by default, and never less"),
    variable("ARCHIVE_BUCKET", "", "bucket for Avro files; required if the pipeline archives"),
    variable("ARCHIVE_PREFIX", "", "prefix of object keys, instead of the pipeline's prefix"),
    variable("ARCHIVE_CODEC", "zstandard", "compression of Avro files: null, deflate, snappy or zstandard"),
    variable(
        "ARCHIVE_UNIT",
        "hour",
        "creation time whose rows are compacted into one Parquet file: hour, ten-minutes or minute",
    ),
    variable(
        "REJECTED_RECORDS",
        "fail",
        "what happens to rejected records: quarantine (store them and continue) or fail",
    ),
    variable(
        "FAILURE_BUCKET",
        "",
        "bucket for quarantined records and notices that are too old; required if REJECTED_RECORDS is quarantine",
    ),
    variable(
        "QUARANTINE_LIMIT_PERCENT",
        "50",
        "maximum share of rejected records in a batch, and of their entities; if both are above it, the batch fails",
    ),
    variable("ALERT_BUS", "default", "EventBridge event bus that gets alerts: its name or ARN"),
    variable("ALERT_TOPIC", "", "ARN of an SNS topic that gets alerts, instead of ALERT_BUS"),
    variable(
        "METRICS_SINK",
        "emf",
        "where metrics go: emf (a line on stdout), cloudwatch (PutMetricData), otlp (OpenTelemetry) or none",
    ),
    variable("METRICS_NAMESPACE", "UsageAggregator", "CloudWatch namespace of the metrics"),
    variable("HORIZON_DAYS", "18", "days after which a record is too old to count"),
    variable("DEADLINE_MARGIN_MS", "1000", "milliseconds before Lambda's deadline at which writing stops"),
    variable(
        "CONCURRENCY",
        "8",
        "maximum concurrent pages, targets of indicators, archive files, quarantine documents, and snapshots, of each kind",
    ),
];

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// How far the time of a record may be ahead of the invocation. AWS keeps the clocks of its services within milliseconds of each
/// other, so 5 minutes only reject times that a producer wrote itself, and not those of a producer whose clock is slightly off.
pub const MAX_AHEAD_SECONDS: i64 = 5 * 60;

/// The validated configuration.
#[derive(Debug)]
pub struct Config {
    /// The pipeline that records go through.
    pub pipeline: Pipeline,
    /// The tables, if the pipeline counts.
    pub tables: Option<Tables>,
    /// The archive, if the pipeline archives.
    pub archive: Option<ArchivePlace>,
    /// How rejected records are stored in the failure bucket. Without it, Lambda delivers them again.
    pub quarantine: Option<Quarantine>,
    /// The bucket for quarantined records and for notices that are too old to fold.
    pub failure_bucket: Option<String>,
    /// The name of the function, if Lambda runs it.
    pub function: Option<String>,
    /// Where alerts are sent.
    pub alerts: AlertDestination,
    /// Where metrics are sent.
    pub metrics: MetricsConfig,
    /// Days after which a record is too old to count.
    pub horizon_days: i64,
    /// Milliseconds before Lambda's deadline at which writing stops.
    pub deadline_margin_ms: u64,
    /// Maximum concurrent writes of each kind: pages, targets of indicators, archive files, quarantine documents, and snapshots.
    pub concurrency: usize,
}

impl Config {
    /// What a plan made at `now` depends on besides its records.
    pub fn plan_context(&self, now: Timestamp) -> PlanContext {
        let (usage_table, ledger_table) = self.tables.clone().map(|tables| (tables.usage, tables.ledger)).unzip();
        let count_from = self.tables.as_ref().and_then(|tables| tables.count_from);
        let horizon = Timestamp::from_seconds(now.seconds() - self.horizon_days * DAY_SECONDS);
        let newest = Timestamp::from_seconds(now.seconds() + MAX_AHEAD_SECONDS);
        let on_rejection = match &self.quarantine {
            Some(quarantine) => {
                OnRejection::Quarantine { limit_percent: quarantine.limit_percent, recent: Recent::default() }
            }
            None => OnRejection::End,
        };
        let unit_length = self.archive.as_ref().map(|archive| archive.unit_length).unwrap_or_default();
        PlanContext { horizon, newest, count_from, usage_table, ledger_table, unit_length, on_rejection }
    }
}

/// When snapshots are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// After the ledger's stream has delivered the notices of new pages.
    Stream,
    /// Before a batch is answered.
    Now,
}

/// The tables of a pipeline that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The name of the table that holds the snapshots.
    pub usage: String,
    /// The name of the table that holds the ledger.
    pub ledger: String,
    /// The number of partitions into which the pages of a minute are spread.
    pub buckets: u32,
    /// How many bytes of a record's id the ledger stores.
    pub id_bytes: u8,
    /// When snapshots are written.
    pub freshness: Freshness,
    /// Records that were created earlier aren't counted.
    pub count_from: Option<Timestamp>,
    /// Rises after the ledger was restored or replaced.
    pub epoch: u64,
    /// Days for which the ledger is kept.
    pub keep_days: i64,
}

/// Where and how a pipeline archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePlace {
    /// The name of the S3 bucket.
    pub bucket: String,
    /// What object keys start with, without a slash at the end.
    pub prefix: String,
    /// The compression of the files.
    pub codec: Codec,
    /// How much creation time a unit covers.
    pub unit_length: UnitLength,
}

/// How rejected records are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The maximum share of rejected records in a batch, and of their entities, in percent. If both are above it, the whole batch is
    /// rejected.
    pub limit_percent: usize,
    /// The name of the function, for the documents.
    pub function: String,
}

/// Where alerts are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertDestination {
    /// An EventBridge event bus: its name or ARN.
    Bus(String),
    /// An SNS topic: its ARN.
    Topic(String),
}

/// Where metrics are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The service or stream that receives them.
    pub sink: Sink,
    /// The CloudWatch namespace.
    pub namespace: String,
}

/// How metrics are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// One line on stdout in the embedded metric format, which CloudWatch Logs turns into metrics.
    Emf,
    /// A call of PutMetricData.
    CloudWatch,
    /// OpenTelemetry's protocol.
    Otlp,
    /// No metrics.
    Nowhere,
}

/// Everything that is wrong with the environment, one line per mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigMistakes(pub Vec<String>);

impl fmt::Display for ConfigMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// All mistakes at once.
    #[expect(clippy::disallowed_methods, reason = "the environment is read once, when the function starts")]
    pub fn from_env() -> Result<Config, ConfigMistakes> {
        Config::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables that say where a pipeline archives, for a program that only reads the archive.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read_archive(value: impl Fn(&str) -> Option<String>) -> Result<(Pipeline, ArchivePlace), ConfigMistakes> {
        let mut reader = EnvReader { value: &value, mistakes: Vec::new() };
        let Some(pipeline) = reader.pipeline() else { return Err(ConfigMistakes(reader.mistakes)) };
        if pipeline.schemas().next().is_none() {
            return Err(ConfigMistakes(vec![format!("the pipeline {} doesn't archive anything", pipeline.name)]));
        }
        match (reader.archive(&pipeline), reader.mistakes) {
            (Some(place), mistakes) if mistakes.is_empty() => Ok((pipeline, place)),
            (_, mistakes) => Err(ConfigMistakes(mistakes)),
        }
    }

    /// Reads the variables through `value`. An empty value counts as not set.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigMistakes> {
        let mut reader = EnvReader { value: &value, mistakes: Vec::new() };
        let pipeline = reader.pipeline();
        let counts =
            pipeline.as_ref().is_some_and(|pipeline| pipeline.routes.iter().any(|route| !route.counters.is_empty()));
        let archives = pipeline.as_ref().is_some_and(|pipeline| pipeline.schemas().next().is_some());
        let horizon_days = reader.number("HORIZON_DAYS", 1, 36_500);
        let tables = pipeline.as_ref().filter(|_| counts).and_then(|pipeline| reader.tables(pipeline, horizon_days));
        let archive = pipeline.as_ref().filter(|_| archives).and_then(|pipeline| reader.archive(pipeline));
        let failure_bucket = reader.get("FAILURE_BUCKET");
        let quarantine = reader.quarantine();
        let (function, alerts) = (reader.function(), reader.alerts());
        let metrics = reader.metrics();
        let deadline_margin_ms = reader.number("DEADLINE_MARGIN_MS", 0, 60_000);
        let concurrency = reader.number("CONCURRENCY", 1, 64);
        match (pipeline, reader.mistakes) {
            (Some(pipeline), mistakes) if mistakes.is_empty() => Ok(Config {
                pipeline,
                tables,
                archive,
                quarantine,
                failure_bucket,
                function,
                alerts,
                metrics,
                horizon_days,
                deadline_margin_ms: deadline_margin_ms.unsigned_abs(),
                concurrency: usize::try_from(concurrency).unwrap_or(1),
            }),
            (_, mistakes) => Err(ConfigMistakes(mistakes)),
        }
    }
}

#[cfg(test)]
mod tests;
