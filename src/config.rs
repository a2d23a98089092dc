//! Every environment variable of the function: its default, its check, and all mistakes at once.

use std::fmt;
use std::path::Path;

use crate::archive::Codec;
use crate::pipeline::{Folder, Pipeline, check_prefix, shipped, shipped_names};
use crate::plan::PlanContext;
use crate::time::{DAY_SECONDS, Timestamp};

/// An environment variable, for the documents and the template's test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    /// Empty where there is none.
    pub default: &'static str,
    pub meaning: &'static str,
}

/// All variables that [`Config::read`] looks at.
pub const VARIABLES: [Variable; 12] = [
    variable("PIPELINE", "", "name of a shipped pipeline"),
    variable("PIPELINE_DIR", "", "folder of a pipeline of your own, instead of PIPELINE"),
    variable("USAGE_TABLE", "", "table of the usage snapshots; needed where the pipeline counts"),
    variable("CLAIMS_TABLE", "", "table of the claims; needed where the pipeline counts"),
    variable("ARCHIVE_BUCKET", "", "bucket of the Avro files; needed where the pipeline archives"),
    variable("ARCHIVE_PREFIX", "", "what object keys start with, instead of the pipeline's own"),
    variable("ARCHIVE_CODEC", "zstandard", "null, deflate, snappy or zstandard"),
    variable("METRICS_SINK", "emf", "emf (a line on stdout), cloudwatch (PutMetricData) or none"),
    variable("METRICS_NAMESPACE", "UsageAggregator", "CloudWatch namespace"),
    variable("HORIZON_DAYS", "18", "age in days from which a record can't be proven new; claims are kept a day longer"),
    variable("DEADLINE_MARGIN_MS", "1000", "milliseconds before Lambda's deadline at which effects stop"),
    variable("CONCURRENCY", "8", "most transactions, and most uploads, under way at once"),
];

const fn variable(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable { name, default, meaning }
}

/// The checked configuration.
#[derive(Debug)]
pub struct Config {
    pub pipeline: Pipeline,
    /// Where the pipeline counts.
    pub tables: Option<Tables>,
    /// Where the pipeline archives.
    pub archive: Option<ArchivePlace>,
    pub metrics: Metrics,
    pub horizon_days: i64,
    pub deadline_margin_ms: u64,
    pub concurrency: usize,
}

impl Config {
    /// What a plan depends on besides its records, at `now`.
    pub fn plan_context(&self, now: Timestamp) -> PlanContext {
        let (usage_table, claims_table) = self.tables.clone().map(|tables| (tables.usage, tables.claims)).unzip();
        let horizon = Timestamp::from_seconds(now.seconds() - self.horizon_days * DAY_SECONDS);
        PlanContext { horizon, usage_table, claims_table }
    }
}

/// The tables of a pipeline that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    pub usage: String,
    pub claims: String,
}

/// Where a pipeline archives to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePlace {
    pub bucket: String,
    pub prefix: String,
    pub codec: Codec,
}

/// Where metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    pub sink: Sink,
    pub namespace: String,
}

/// The ways of sending metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// A line in the embedded metric format, which CloudWatch Logs turns into metrics.
    Emf,
    /// PutMetricData.
    CloudWatch,
    Nowhere,
}

/// All that is wrong with the environment, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// Reads the process' environment.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn from_env() -> Result<Config, Mistakes> {
        Config::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `value` knows; an empty value is none.
    ///
    /// # Errors
    /// All mistakes at once.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Config, Mistakes> {
        let mut reader = Reader { value: &value, mistakes: Vec::new() };
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
            (_, mistakes) => Err(Mistakes(mistakes)),
        }
    }
}

struct Reader<'v> {
    value: &'v dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
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
            (Some(_), Some(_)) => Err("PIPELINE and PIPELINE_DIR are both set: keep one".to_owned()),
            (None, None) => {
                Err(format!("PIPELINE is not set: choose one of {}, or set PIPELINE_DIR", shipped_names().join(", ")))
            }
            (Some(name), None) => shipped(&name)
                .ok_or_else(|| format!("PIPELINE: no pipeline `{name}`; choose one of {}", shipped_names().join(", "))),
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
        let usage = self.required("USAGE_TABLE", "the pipeline counts, and its snapshots need a table");
        let claims =
            self.required("CLAIMS_TABLE", "the pipeline counts, and exactly-once needs a claims table of its own");
        let (usage, claims) = (usage?, claims?);
        if [&usage, &claims].into_iter().any(|table| table.contains(':')) {
            self.mistakes.push("USAGE_TABLE and CLAIMS_TABLE must be names of tables, not ARNs".to_owned());
        }
        if usage == claims {
            self.mistakes
                .push("USAGE_TABLE and CLAIMS_TABLE are the same: claims need a table of their own".to_owned());
        }
        Some(Tables { usage, claims })
    }

    fn archive(&mut self, pipeline: &Pipeline) -> Option<ArchivePlace> {
        let bucket = self.required("ARCHIVE_BUCKET", "the pipeline archives");
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

    fn metrics(&mut self) -> Metrics {
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
                "METRICS_NAMESPACE must be up to 255 of letters, digits and .-_/#: and not start with AWS/".to_owned(),
            );
        }
        Metrics { sink, namespace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
        Config::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn defaults_are_complete_once_the_places_are_named() {
        let places =
            [("PIPELINE", "orders"), ("USAGE_TABLE", "usage"), ("CLAIMS_TABLE", "claims"), ("ARCHIVE_BUCKET", "lake")];
        let config = read(&places).unwrap();
        assert_eq!(config.tables, Some(Tables { usage: "usage".into(), claims: "claims".into() }));
        assert_eq!(config.archive.unwrap().prefix, "data-pipeline");
        assert_eq!((config.horizon_days, config.deadline_margin_ms, config.concurrency), (18, 1000, 8));
        assert_eq!(config.metrics, Metrics { sink: Sink::Emf, namespace: "UsageAggregator".into() });
    }

    #[test]
    fn a_pipeline_that_only_archives_needs_no_tables() {
        let config =
            read(&[("PIPELINE", "demand"), ("ARCHIVE_BUCKET", "lake"), ("ARCHIVE_PREFIX", "data-pipeline/test")])
                .unwrap();
        assert_eq!(config.tables, None);
        assert_eq!(config.archive.unwrap().prefix, "data-pipeline/test");
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let mistakes = read(&[
            ("PIPELINE", "orders"),
            ("USAGE_TABLE", "same"),
            ("CLAIMS_TABLE", "same"),
            ("ARCHIVE_PREFIX", "../elsewhere"),
            ("ARCHIVE_CODEC", "lzma"),
            ("METRICS_SINK", "graphite"),
            ("METRICS_NAMESPACE", "AWS/Lambda"),
            ("HORIZON_DAYS", "0"),
            ("CONCURRENCY", "many"),
        ]);
        insta::assert_snapshot!(mistakes.unwrap_err());
    }

    #[test]
    fn a_wrong_pipeline_names_those_that_there_are() {
        for variables in [
            &[][..],
            &[("PIPELINE", "order")],
            &[("PIPELINE", "orders"), ("PIPELINE_DIR", "x")],
            &[("PIPELINE_DIR", "/nowhere")],
        ] {
            let mistakes = read(variables).unwrap_err().to_string();
            assert!(mistakes.contains("PIPELINE"), "{mistakes}");
        }
    }
}
