//! The options of the event source mapping, named like the properties of its CloudFormation resource, with the same ranges.

use std::time::Duration;

use clap::{Args, ValueEnum};
use event_source_mapping::{Filters, Settings, StartingPosition, StreamKind};
use serde_json::json;
use usage_aggregator::ledger::{ALERTS, PAGES};
use usage_aggregator::time::Timestamp;

use crate::event::invoke::instant;
use crate::shell::console::UsageError;
use crate::shell::limiter;

/// Properties of AWS::Lambda::EventSourceMapping.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Event source mapping")]
pub(super) struct MappingOptions {
    /// BatchSize, 1 to 10000
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000)]
    batch_size: usize,
    /// MaximumBatchingWindowInSeconds, 0 to 300
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    batching_window: u64,
    /// ParallelizationFactor, 1 to 10
    #[arg(long, value_name = "LANES", default_value_t = 1)]
    parallelization_factor: usize,
    /// MaximumRetryAttempts, 0 to 10000, or -1 for no limit [default: 200 as in the template, or 10 with --rejected-records fail]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    retry_attempts: Option<i64>,
    /// MaximumRecordAgeInSeconds, 60 to 604800, or -1 for no limit
    #[arg(long, value_name = "SECONDS", default_value_t = -1, allow_negative_numbers = true)]
    record_age: i64,
    /// BisectBatchOnFunctionError
    #[arg(long, value_name = "on|off", default_value = "on")]
    bisect: Switch,
    /// FunctionResponseTypes: ReportBatchItemFailures
    #[arg(long, value_name = "on|off", default_value = "on")]
    report_batch_item_failures: Switch,
    /// StartingPosition: TRIM_HORIZON, LATEST, or for Kinesis a time like 2026-11-21T03:00:00Z
    #[arg(long, value_name = "POSITION", default_value = "TRIM_HORIZON", value_parser = position)]
    starting_position: StartingPosition,
    /// FilterCriteria: an EventBridge pattern; repeat for up to ten, of which one must match [default: as in the template, where
    /// only zae-limiter has a filter]
    #[arg(long = "filter", value_name = "PATTERN")]
    filters: Vec<String>,
    /// Milliseconds between polls of an idle shard [default: 250 for DynamoDB, 1000 for Kinesis, as in Lambda]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    polling_interval: Option<u64>,
    /// Longest delay between retries in milliseconds; delays double from 200
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    maximum_backoff: u64,
    /// MaximumBatchingWindowInSeconds of the ledger's mapping, 0 to 300; 30 in the template
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    fold_window: u64,
}

/// The record age after which the ledger's mapping discards a notice: 22 hours, before its stream trims it.
const FOLD_RECORD_AGE: Duration = Duration::from_hours(22);

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

impl MappingOptions {
    /// Whether a filter is given, instead of that of the template.
    pub(super) fn has_filter(&self) -> bool {
        !self.filters.is_empty()
    }

    /// The batching window of the ledger's mapping, in seconds.
    pub(super) fn fold_window(&self) -> u64 {
        self.fold_window
    }

    /// The settings of the ledger's mapping, as in the template. Only pages of `pipeline` are notices.
    ///
    /// # Errors
    /// If the window is out of range.
    pub(super) fn fold_settings(&self, pipeline: &str) -> Result<Settings, UsageError> {
        let prefixes = [PAGES, ALERTS].map(|kind| json!({ "prefix": format!("{kind}{pipeline}#") }));
        let filter = json!({
            "eventName": ["INSERT"],
            "dynamodb": { "Keys": { "pk": { "S": prefixes } } },
        });
        let filters = Filters::parse(&[filter.to_string()]).map_err(|error| UsageError(error.to_string()))?;
        let settings = Settings {
            batch_size: 10_000,
            batching_window: Duration::from_secs(self.fold_window),
            maximum_record_age: Some(FOLD_RECORD_AGE),
            bisect_batch_on_function_error: true,
            filters,
            maximum_backoff: Duration::from_millis(self.maximum_backoff),
            ..Settings::new(Duration::from_millis(self.polling_interval.unwrap_or(250)))
        };
        let mistakes = settings.out_of_range();
        if mistakes.is_empty() {
            Ok(settings)
        } else {
            Err(UsageError(format!("--fold-window: {}", mistakes.join("; "))))
        }
    }

    /// The mapping's settings for `pipeline`. `retries` is the default of the maximum retry attempts.
    ///
    /// # Errors
    /// With all mistakes at once.
    pub(super) fn settings(&self, kind: StreamKind, pipeline: &str, retries: i64) -> Result<Settings, UsageError> {
        let interval = match kind {
            StreamKind::DynamoDb => 250,
            StreamKind::Kinesis => 1_000,
        };
        let mut mistakes = Vec::new();
        let mut settings = Settings::new(Duration::from_millis(self.polling_interval.unwrap_or(interval)));
        settings.batch_size = self.batch_size;
        settings.batching_window = Duration::from_secs(self.batching_window);
        settings.parallelization_factor = self.parallelization_factor;
        let attempts = self.retry_attempts.unwrap_or(retries);
        settings.maximum_retry_attempts =
            (attempts != -1).then(|| u32::try_from(attempts)).transpose().unwrap_or_else(|_| {
                mistakes.push(format!("MaximumRetryAttempts is {attempts}; expected -1 to 10000"));
                None
            });
        settings.maximum_record_age = (self.record_age != -1)
            .then(|| u64::try_from(self.record_age).map(Duration::from_secs))
            .transpose()
            .unwrap_or_else(|_| {
                mistakes.push(format!("MaximumRecordAgeInSeconds is {}; expected -1 or 60 to 604800", self.record_age));
                None
            });
        settings.bisect_batch_on_function_error = self.bisect == Switch::On;
        settings.report_batch_item_failures = self.report_batch_item_failures == Switch::On;
        settings.starting_position = self.starting_position;
        settings.maximum_backoff = Duration::from_millis(self.maximum_backoff);
        if matches!((self.starting_position, kind), (StartingPosition::AtTimestamp(_), StreamKind::DynamoDb)) {
            mistakes.push(
                "StartingPosition AT_TIMESTAMP works with Kinesis only; for DynamoDB use TRIM_HORIZON or LATEST"
                    .to_owned(),
            );
        }
        match self.filters(kind, pipeline) {
            Ok(filters) => settings.filters = filters,
            Err(error) => mistakes.push(format!("FilterCriteria: {error}")),
        }
        mistakes.extend(settings.out_of_range());
        if mistakes.is_empty() { Ok(settings) } else { Err(UsageError(mistakes.join("\n       "))) }
    }

    /// The given patterns, or those of the template.
    fn filters(&self, kind: StreamKind, pipeline: &str) -> anyhow::Result<Filters> {
        let is_filtered = self.filters.is_empty() && kind == StreamKind::DynamoDb && pipeline == limiter::LIMITER;
        Ok(if is_filtered { Filters::parse(&limiter::patterns()?)? } else { Filters::parse(&self.filters)? })
    }
}

fn position(text: &str) -> Result<StartingPosition, String> {
    match text.to_ascii_uppercase().replace('-', "_").as_str() {
        "TRIM_HORIZON" => Ok(StartingPosition::TrimHorizon),
        "LATEST" => Ok(StartingPosition::Latest),
        _ => instant(text).map(|time: Timestamp| StartingPosition::AtTimestamp(time)).map_err(|expected| {
            format!("expected TRIM_HORIZON or LATEST, or {}", expected.trim_start_matches("expected "))
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mapping: MappingOptions,
    }

    /// Without the template's filter, a run counted records that the stack would never deliver.
    #[test]
    fn without_a_filter_the_mapping_has_that_of_the_template() {
        let filters = |arguments: &[&str], kind, pipeline: &str| {
            let line = Line::parse_from([&["usagectl"], arguments].concat());
            let settings = line.mapping.settings(kind, pipeline, 200).unwrap();
            settings.filters.patterns().map(str::to_owned).collect::<Vec<_>>()
        };
        let of_limiter = filters(&[], StreamKind::DynamoDb, "zae-limiter");
        assert_eq!(of_limiter, limiter::patterns().unwrap());
        assert_eq!(of_limiter.len(), 3);
        assert!(filters(&[], StreamKind::DynamoDb, "orders").is_empty());
        assert!(filters(&[], StreamKind::Kinesis, "zae-limiter").is_empty());
        let given = r#"{"eventName":["INSERT"]}"#;
        assert_eq!(filters(&["--filter", given], StreamKind::DynamoDb, "zae-limiter"), [given]);
    }
}
