//! The mapping's settings, with AWS's names, defaults and ranges.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::filter::Filters;
use stream_types::Timestamp;

/// How a mapping polls, batches and retries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `BatchSize`: the most records of a batch, 1 to 10,000.
    pub batch_size: usize,
    /// `MaximumBatchingWindowInSeconds`: how long a lane waits for a full batch, 0 to 300 s.
    pub batching_window: Duration,
    /// `ParallelizationFactor`: the lanes of each shard, 1 to 10.
    pub parallelization_factor: usize,
    /// `MaximumRetryAttempts`: 0 to 10,000; `None` retries without limit.
    pub maximum_retry_attempts: Option<u32>,
    /// `MaximumRecordAgeInSeconds`: 60 to 604,800 s; `None` for no limit.
    pub maximum_record_age: Option<Duration>,
    /// `BisectBatchOnFunctionError`: whether a failed batch is split in two.
    pub bisect_batch_on_function_error: bool,
    /// `FunctionResponseTypes`: whether the function's response may report the records that failed.
    pub report_batch_item_failures: bool,
    /// `StartingPosition`: where a new mapping starts to read.
    pub starting_position: StartingPosition,
    /// `FilterCriteria`: only records that a pattern matches are delivered; without patterns, all are.
    pub filters: Filters,
    /// The pause between polls of an idle shard. Lambda polls DynamoDB 4 times per second and Kinesis once.
    pub polling_interval: Duration,
    /// The longest pause before a retry; the pause doubles from 200 ms.
    pub maximum_backoff: Duration,
}

/// Where a new mapping starts to read the shards that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record of this time or later; Kinesis only.
    AtTimestamp(Timestamp),
}

/// 6 MB: Lambda's limit of the payload of a synchronous invocation.
pub const MAXIMUM_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

impl Settings {
    /// Lambda's defaults, except that partial responses are enabled.
    pub fn new(polling_interval: Duration) -> Settings {
        Settings {
            batch_size: 100,
            batching_window: Duration::ZERO,
            parallelization_factor: 1,
            maximum_retry_attempts: None,
            maximum_record_age: None,
            bisect_batch_on_function_error: false,
            report_batch_item_failures: true,
            starting_position: StartingPosition::TrimHorizon,
            filters: Filters::default(),
            polling_interval,
            maximum_backoff: Duration::from_secs(30),
        }
    }

    /// A message for each setting outside AWS's range; empty if all are valid.
    pub fn out_of_range(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut check = |message: Option<String>| messages.extend(message);
        check(outside("BatchSize", self.batch_size, 1..=10_000));
        check(outside("MaximumBatchingWindowInSeconds", self.batching_window.as_secs(), 0..=300));
        check(outside("ParallelizationFactor", self.parallelization_factor, 1..=10));
        check(self.maximum_retry_attempts.and_then(|n| outside("MaximumRetryAttempts", n, 0..=10_000)));
        let age = self.maximum_record_age.map(|age| age.as_secs());
        check(age.and_then(|age| outside("MaximumRecordAgeInSeconds", age, 60..=604_800)));
        messages
    }
}

fn outside<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>) -> Option<String> {
    let (low, high) = (range.start(), range.end());
    (!range.contains(&value)).then(|| format!("{name} is {value}; expected {low} to {high}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_outside_the_range_of_aws_are_listed() {
        let defaults = Settings::new(Duration::from_millis(250));
        assert!(defaults.out_of_range().is_empty());
        let settings = Settings {
            batch_size: 0,
            batching_window: Duration::from_secs(301),
            parallelization_factor: 11,
            maximum_retry_attempts: Some(10_001),
            maximum_record_age: Some(Duration::from_secs(59)),
            ..defaults
        };
        let expected = [
            "BatchSize is 0; expected 1 to 10000",
            "MaximumBatchingWindowInSeconds is 301; expected 0 to 300",
            "ParallelizationFactor is 11; expected 1 to 10",
            "MaximumRetryAttempts is 10001; expected 0 to 10000",
            "MaximumRecordAgeInSeconds is 59; expected 60 to 604800",
        ];
        assert_eq!(settings.out_of_range(), expected);
    }
}
