//! Reads each setting from the environment and collects all mistakes.

use std::path::Path;

use super::{AlertDestination, ArchivePlace, Freshness, MetricsConfig, Quarantine, Sink, Tables, VARIABLES};
use crate::archive::{Codec, UnitLength};
use crate::pipeline::{Folder, Pipeline, check_prefix, shipped, shipped_names};
use crate::time::Timestamp;
use crate::usage::Segment;
use crate::window::Window;

/// What the key for different values is derived for. Part of the format of pages and states.
const DISTINCT_KEY: &str = "usage-aggregator 2026-11-29 hashes of different values";

/// Reads variables by their names.
pub(super) struct EnvReader<'v> {
    pub(super) value: &'v dyn Fn(&str) -> Option<String>,
    pub(super) mistakes: Vec<String>,
}

impl EnvReader<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
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
            (None, Some(path)) => Folder::read(Path::new(&path)).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotADirectory => format!(
                    "PIPELINE_DIR (--pipeline-dir): {path} is a file; pass the folder that contains pipeline.toml"
                ),
                _ => format!("PIPELINE_DIR (--pipeline-dir): can't read {path}: {error}"),
            }),
        };
        match folder.map(|folder| Pipeline::parse(&folder)) {
            Ok(Ok(mut pipeline)) => {
                let key = self.get("DISTINCT_KEY").filter(|text| text != "none");
                pipeline.distinct_key = key.map(|text| blake3::derive_key(DISTINCT_KEY, text.as_bytes()));
                let name = &pipeline.name;
                if !is_dimension(name) {
                    self.mistakes.push(format!(
                        "PIPELINE_DIR: the folder's name {name:?} can't be the pipeline's name in CloudWatch; rename it to at most 255 ASCII characters that don't start with a colon"
                    ));
                }
                Some(pipeline)
            }
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

    pub(super) fn tables(&mut self, pipeline: &Pipeline, horizon_days: i64) -> Option<Tables> {
        let usage = self.required("USAGE_TABLE", "the pipeline counts, so its snapshots need a table");
        let ledger = self.required("LEDGER_TABLE", "the pipeline counts, so its ledger needs a table");
        let (buckets, epoch) = (self.number("LEDGER_BUCKETS", 1, 256), self.number("FOLD_EPOCH", 0, 65_535));
        let id_bytes = self.number("RECORD_ID_BYTES", 8, 16);
        let freshness = self.freshness();
        let count_from = self.count_from(pipeline);
        let keep_days = match self.get("KEEP_DAYS") {
            Some(_) => self.number("KEEP_DAYS", 1, 36_500).max(horizon_days),
            None => horizon_days,
        };
        let (usage, ledger) = (usage?, ledger?);
        if [&usage, &ledger].into_iter().any(|table| table.contains(':')) {
            self.mistakes.push("USAGE_TABLE and LEDGER_TABLE must be table names, not ARNs".to_owned());
        }
        if usage == ledger {
            let mistake = "USAGE_TABLE and LEDGER_TABLE are the same table; give the ledger a separate one";
            self.mistakes.push(mistake.to_owned());
        }
        let (buckets, epoch) = (u32::try_from(buckets).unwrap_or(1), epoch.unsigned_abs());
        let id_bytes = u8::try_from(id_bytes).unwrap_or(16);
        Some(Tables { usage, ledger, buckets, id_bytes, freshness, count_from, epoch, keep_days })
    }

    fn freshness(&mut self) -> Freshness {
        match self.get("FRESHNESS").as_deref() {
            Some("stream") => Freshness::Stream,
            Some("now") => Freshness::Now,
            _ => {
                self.mistakes.push("FRESHNESS must be stream or now".to_owned());
                Freshness::Stream
            }
        }
    }

    /// The first minute that is counted. A window that is counted in part would overwrite what others have counted into
    /// it, so the minute must be the start of each window.
    pub(super) fn count_from(&mut self, pipeline: &Pipeline) -> Option<Timestamp> {
        let text = self.get("COUNT_FROM")?;
        let Some(at) = Segment::parse(&text).and_then(|minute| Timestamp::from_seconds(minute.start())) else {
            self.mistakes.push("COUNT_FROM must be a minute in UTC, such as 2026-12-01T00:00".to_owned());
            return None;
        };
        for (snapshot, window) in
            pipeline.snapshot.iter().flat_map(|snapshot| snapshot.windows.iter().map(move |window| (snapshot, window)))
        {
            let name = match window {
                Window::Hour => "an hour",
                Window::Day => "a day",
                Window::Week => "a week",
                Window::Month => "a month",
                // It counts from here on.
                Window::Total => continue,
            };
            if window.containing(at, snapshot.zone).start != at.seconds() {
                let zone = match snapshot.zone.is_utc() {
                    true => String::new(),
                    false => format!(" in {}", snapshot.zone.name()),
                };
                self.mistakes.push(format!(
                    "COUNT_FROM {text} isn't the start of {name}{zone}; choose one, or what was counted before would be overwritten"
                ));
            }
        }
        Some(at)
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
        let unit_length = UnitLength::parse(&self.get("ARCHIVE_UNIT").unwrap_or_default());
        if unit_length.is_none() {
            self.mistakes.push("ARCHIVE_UNIT must be hour, ten-minutes or minute".to_owned());
        }
        Some(ArchivePlace { bucket: bucket?, prefix, codec: codec?, unit_length: unit_length? })
    }

    /// The name that Lambda gives the function.
    pub(super) fn function(&self) -> Option<String> {
        self.get("AWS_LAMBDA_FUNCTION_NAME")
    }

    pub(super) fn quarantine(&mut self) -> Option<Quarantine> {
        let limit = self.number("QUARANTINE_LIMIT_PERCENT", 1, 100);
        match self.get("REJECTED_RECORDS").as_deref() {
            Some("fail") => None,
            Some("quarantine") => {
                let why = "REJECTED_RECORDS is quarantine, so rejected records need a bucket";
                self.required("FAILURE_BUCKET", why)?;
                // Outside of Lambda, there is only one function.
                let function = self.function().unwrap_or_else(|| "usage-aggregator".to_owned());
                let limit_percent = usize::try_from(limit).unwrap_or(100);
                Some(Quarantine { limit_percent, function })
            }
            _ => {
                self.mistakes.push("REJECTED_RECORDS must be quarantine or fail".to_owned());
                None
            }
        }
    }

    pub(super) fn alerts(&mut self) -> AlertDestination {
        let bus = AlertDestination::Bus(self.get("ALERT_BUS").unwrap_or_default());
        let Some(topic) = self.get("ALERT_TOPIC") else { return bus };
        if !topic.starts_with("arn:") || !topic.contains(":sns:") {
            self.mistakes.push("ALERT_TOPIC must be the ARN of an SNS topic".to_owned());
        } else if topic.ends_with(".fifo") {
            self.mistakes.push("ALERT_TOPIC must be a standard topic, not a FIFO topic".to_owned());
        }
        AlertDestination::Topic(topic)
    }

    pub(super) fn metrics(&mut self) -> MetricsConfig {
        let sink = match self.get("METRICS_SINK").as_deref() {
            Some("emf") => Sink::Emf,
            Some("cloudwatch") => Sink::CloudWatch,
            Some("otlp") => {
                let is_set = |name| self.get(name).is_some();
                if !cfg!(feature = "otel") {
                    let remedy = "build the function with `make build OTEL=1`";
                    self.mistakes.push(format!("METRICS_SINK=otlp: this build has no OpenTelemetry; {remedy}"));
                } else if !["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]
                    .into_iter()
                    .any(is_set)
                {
                    self.mistakes.push("METRICS_SINK=otlp needs OTEL_EXPORTER_OTLP_ENDPOINT".to_owned());
                }
                Sink::Otlp
            }
            Some("none") => Sink::Nowhere,
            _ => {
                self.mistakes.push("METRICS_SINK must be emf, cloudwatch, otlp or none".to_owned());
                Sink::Nowhere
            }
        };
        let namespace = self.get("METRICS_NAMESPACE").unwrap_or_default();
        // CloudWatch's rules for namespaces (API reference, PutMetricData).
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
        let reserved = namespace.trim().is_empty() || namespace.starts_with("AWS/") || namespace.starts_with(':');
        if namespace.len() > 255 || reserved || !namespace.chars().all(plain) {
            self.mistakes.push(
                "METRICS_NAMESPACE must have at most 255 letters, digits, spaces and .-_/#:, not only spaces, and must not start with AWS/ or a colon"
                    .to_owned(),
            );
        }
        MetricsConfig { sink, namespace }
    }
}

/// Whether CloudWatch accepts this value of a dimension (API reference, Dimension). The metrics have the pipeline's name as one.
pub(super) fn is_dimension(name: &str) -> bool {
    let plain = |c: char| c.is_ascii() && !c.is_ascii_control();
    name.len() <= 255 && !name.trim().is_empty() && !name.starts_with(':') && name.chars().all(plain)
}
