//! The function's environment variables: their defaults and their validation. All mistakes are reported together.

use std::fmt;
use std::path::Path;

use crate::archive::Codec;
use crate::pipeline::{Folder, Pipeline, check_prefix, shipped, shipped_names};
use crate::plan::PlanContext;
use crate::time::{DAY_SECONDS, Timestamp};

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

/// All variables that [`Config::read`] reads.
pub const VARIABLES: [Variable; 12] = [
    variable("PIPELINE", "", "name of a built-in pipeline"),
    variable("PIPELINE_DIR", "", "folder of a custom pipeline, instead of PIPELINE"),
    variable("USAGE_TABLE", "", "table for usage snapshots; required if the pipeline counts"),
    variable("CLAIMS_TABLE", "", "table for claims; required if the pipeline counts"),
    variable("ARCHIVE_BUCKET", "", "bucket for Avro files; required if the pipeline archives"),
    variable("ARCHIVE_PREFIX", "", "prefix of object keys, instead of the pipeline's prefix"),
    variable("ARCHIVE_CODEC", "zstandard", "compression of Avro files: null, deflate, snappy or zstandard"),
    variable("METRICS_SINK", "emf", "where metrics go: emf (a line on stdout), cloudwatch (PutMetricData) or none"),
    variable("METRICS_NAMESPACE", "UsageAggregator", "CloudWatch namespace of the metrics"),
    variable("HORIZON_DAYS", "18", "days after which a record is too old to count; claims are kept one day longer"),
    variable("DEADLINE_MARGIN_MS", "1000", "milliseconds before Lambda's deadline at which writing stops"),
    variable("CONCURRENCY", "8", "maximum concurrent transactions, and maximum concurrent uploads"),
];

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// The validated configuration.
#[derive(Debug)]
pub struct Config {
    /// The pipeline that records go through.
    pub pipeline: Pipeline,
    /// The tables, if the pipeline counts.
    pub tables: Option<Tables>,
    /// The archive, if the pipeline archives.
    pub archive: Option<ArchivePlace>,
    /// Where metrics are sent.
    pub metrics: MetricsConfig,
    /// Days after which a record can no longer be proven new.
    pub horizon_days: i64,
    /// Milliseconds before Lambda's deadline at which writing stops.
    pub deadline_margin_ms: u64,
    /// Maximum concurrent transactions, and maximum concurrent uploads.
    pub concurrency: usize,
}

impl Config {
    /// What a plan made at `now` depends on besides its records.
    pub fn plan_context(&self, now: Timestamp) -> PlanContext {
        let (usage_table, claims_table) = self.tables.clone().map(|tables| (tables.usage, tables.claims)).unzip();
        let horizon = Timestamp::from_seconds(now.seconds() - self.horizon_days * DAY_SECONDS);
        PlanContext { horizon, usage_table, claims_table }
    }
}

/// The tables of a pipeline that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// The name of the table that holds the snapshots.
    pub usage: String,
    /// The name of the table that holds the claims.
    pub claims: String,
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

    /// Reads the variables through `value`. An empty value counts as not set.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigMistakes> {
        let mut reader = EnvReader { value: &value, mistakes: Vec::new() };
        let pipeline = reader.pipeline();
        let counts =
            pipeline.as_ref().is_some_and(|pipeline| pipeline.routes.iter().any(|route| route.usage.is_some()));
        let archives = pipeline.as_ref().is_some_and(|pipeline| pipeline.schemas().next().is_some());
        let tables = if counts { reader.tables() } else { None };
        let archive = pipeline.as_ref().filter(|_| archives).and_then(|pipeline| reader.archive(pipeline));
        let metrics = reader.metrics();
        let horizon_days = reader.number("HORIZON_DAYS", 1, 36_500);
        let deadline_margin_ms = reader.number("DEADLINE_MARGIN_MS", 0, 60_000);
        let concurrency = reader.number("CONCURRENCY", 1, 64);
        match (pipeline, reader.mistakes) {
            (Some(pipeline), mistakes) if mistakes.is_empty() => Ok(Config {
                pipeline,
                tables,
                archive,
                metrics,
                horizon_days,
                deadline_margin_ms: deadline_margin_ms.unsigned_abs(),
                concurrency: usize::try_from(concurrency).unwrap_or(1),
            }),
            (_, mistakes) => Err(ConfigMistakes(mistakes)),
        }
    }
}

struct EnvReader<'v> {
    value: &'v dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl EnvReader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.value)(name).filter(|value| !value.is_empty()).or_else(|| {
            VARIABLES
                .iter()
                .find(|variable| variable.name == name && !variable.default.is_empty())
                .map(|v| v.default.to_owned())
        })
    }

    fn required(&mut self, name: &str, why: &str) -> Option<String> {
        let value = self.get(name);
        if value.is_none() {
            self.mistakes.push(format!("{name} is not set: {why}"));
        }
        value
    }

    fn number(&mut self, name: &str, least: i64, most: i64) -> i64 {
        let text = self.get(name).unwrap_or_default();
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.mistakes.push(format!("{name} must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    fn pipeline(&mut self) -> Option<Pipeline> {
        let folder = match (self.get("PIPELINE"), self.get("PIPELINE_DIR")) {
            (Some(_), Some(_)) => Err("PIPELINE and PIPELINE_DIR are both set; unset one of them".to_owned()),
            (None, None) => {
                Err(format!("PIPELINE is not set; choose one of {}, or set PIPELINE_DIR", shipped_names().join(", ")))
            }
            (Some(name), None) => shipped(&name).ok_or_else(|| {
                format!("PIPELINE: unknown pipeline `{name}`; choose one of {}", shipped_names().join(", "))
            }),
            (None, Some(path)) => {
                Folder::read(Path::new(&path)).map_err(|error| format!("PIPELINE_DIR: can't read {path}: {error}"))
            }
        };
        match folder.map(|folder| Pipeline::parse(&folder)) {
            Ok(Ok(pipeline)) => Some(pipeline),
            Ok(Err(mistakes)) => {
                self.mistakes.extend(mistakes.0);
                None
            }
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }

    fn tables(&mut self) -> Option<Tables> {
        let usage = self.required("USAGE_TABLE", "the pipeline counts, so its snapshots need a table");
        let claims =
            self.required("CLAIMS_TABLE", "the pipeline counts, and exactly-once needs a separate table for claims");
        let (usage, claims) = (usage?, claims?);
        if [&usage, &claims].into_iter().any(|table| table.contains(':')) {
            self.mistakes.push("USAGE_TABLE and CLAIMS_TABLE must be table names, not ARNs".to_owned());
        }
        if usage == claims {
            self.mistakes
                .push("USAGE_TABLE and CLAIMS_TABLE are the same table; give the claims a separate one".to_owned());
        }
        Some(Tables { usage, claims })
    }

    fn archive(&mut self, pipeline: &Pipeline) -> Option<ArchivePlace> {
        let bucket = self.required("ARCHIVE_BUCKET", "the pipeline archives, so its files need a bucket");
        let prefix = self.get("ARCHIVE_PREFIX").unwrap_or_else(|| pipeline.archive_prefix.clone());
        if let Err(message) = check_prefix(&prefix) {
            self.mistakes.push(format!("ARCHIVE_PREFIX {message}"));
        }
        let codec = Codec::parse(&self.get("ARCHIVE_CODEC").unwrap_or_default());
        if codec.is_none() {
            self.mistakes.push("ARCHIVE_CODEC must be null, deflate, snappy or zstandard".to_owned());
        }
        Some(ArchivePlace { bucket: bucket?, prefix, codec: codec? })
    }

    fn metrics(&mut self) -> MetricsConfig {
        let sink = match self.get("METRICS_SINK").as_deref() {
            Some("emf") => Sink::Emf,
            Some("cloudwatch") => Sink::CloudWatch,
            Some("none") => Sink::Nowhere,
            _ => {
                self.mistakes.push("METRICS_SINK must be emf, cloudwatch or none".to_owned());
                Sink::Nowhere
            }
        };
        let namespace = self.get("METRICS_NAMESPACE").unwrap_or_default();
        // CloudWatch's rules for namespaces (API reference, PutMetricData).
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
        if namespace.len() > 255 || namespace.starts_with("AWS/") || !namespace.chars().all(plain) {
            self.mistakes.push(
                "METRICS_NAMESPACE must have at most 255 letters, digits, spaces and .-_/#: and must not start with AWS/"
                    .to_owned(),
            );
        }
        MetricsConfig { sink, namespace }
    }
}

#[cfg(test)]
mod tests;
