//! Reads each setting from the environment and collects all mistakes.

use std::path::Path;

use super::{ArchivePlace, MetricsConfig, Quarantine, Sink, Tables, VARIABLES};
use crate::archive::Codec;
use crate::pipeline::{Folder, Pipeline, check_prefix, shipped, shipped_names};

/// Reads variables by their names.
pub(super) struct EnvReader<'v> {
    pub(super) value: &'v dyn Fn(&str) -> Option<String>,
    pub(super) mistakes: Vec<String>,
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

    pub(super) fn number(&mut self, name: &str, least: i64, most: i64) -> i64 {
        let text = self.get(name).unwrap_or_default();
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.mistakes.push(format!("{name} must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    pub(super) fn pipeline(&mut self) -> Option<Pipeline> {
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

    pub(super) fn tables(&mut self) -> Option<Tables> {
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

    pub(super) fn archive(&mut self, pipeline: &Pipeline) -> Option<ArchivePlace> {
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

    pub(super) fn quarantine(&mut self) -> Option<Quarantine> {
        let limit = self.number("QUARANTINE_LIMIT_PERCENT", 1, 100);
        match self.get("REJECTED_RECORDS").as_deref() {
            Some("fail") => None,
            Some("quarantine") => {
                let why = "REJECTED_RECORDS is quarantine, so rejected records need a bucket";
                let bucket = self.required("FAILURE_BUCKET", why);
                // Lambda sets this variable. Elsewhere, there is only one function.
                let function = self.get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "usage-aggregator".to_owned());
                let limit_percent = usize::try_from(limit).unwrap_or(100);
                Some(Quarantine { bucket: bucket?, limit_percent, function })
            }
            _ => {
                self.mistakes.push("REJECTED_RECORDS must be quarantine or fail".to_owned());
                None
            }
        }
    }

    pub(super) fn metrics(&mut self) -> MetricsConfig {
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
