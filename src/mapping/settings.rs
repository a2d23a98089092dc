//! The mapping's settings, under AWS's names and with AWS's ranges.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::filter::Filters;
use stream_types::Timestamp;

/// How a mapping polls, batches and retries.
#[derive(Debug, Clone)]
pub struct Settings {
    /// 1 to 10,000.
    pub batch_size: usize,
    /// 0 to 300 s.
    pub batching_window: Duration,
    /// 1 to 10.
    pub parallelization_factor: usize,
    /// `None` for ever; else 0 to 10,000.
    pub maximum_retry_attempts: Option<u32>,
    /// `None` for ever; else 60 to 604,800 s.
    pub maximum_record_age: Option<Duration>,
    pub bisect_batch_on_function_error: bool,
    pub report_batch_item_failures: bool,
    pub starting_position: StartingPosition,
    /// A record that none of them matches is never delivered; without any, all are.
    pub filters: Filters,
    /// How often an idle shard is polled: 4 times a second in DynamoDB, once in Kinesis.
    pub polling_interval: Duration,
    /// The longest pause before a retry; it doubles from 200 ms.
    pub maximum_backoff: Duration,
}

/// Where to start in a shard that has no checkpoint and no parent that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    TrimHorizon,
    Latest,
    /// Kinesis only.
    AtTimestamp(Timestamp),
}

/// 6 MB: the limit of a synchronous invocation's payload.
pub const MAXIMUM_PAYLOAD_BYTES: usize = 6 * 1024 * 1024;

impl Settings {
    /// Lambda's defaults, with partial responses on, as the function needs them.
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

    /// Everything that AWS would refuse, by the parameter's name; empty if all is well.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut check = |mistake: Option<String>| mistakes.extend(mistake);
        check(outside("BatchSize", self.batch_size, 1..=10_000));
        check(outside("MaximumBatchingWindowInSeconds", self.batching_window.as_secs(), 0..=300));
        check(outside("ParallelizationFactor", self.parallelization_factor, 1..=10));
        check(self.maximum_retry_attempts.and_then(|n| outside("MaximumRetryAttempts", n, 0..=10_000)));
        let age = self.maximum_record_age.map(|age| age.as_secs());
        check(age.and_then(|age| outside("MaximumRecordAgeInSeconds", age, 60..=604_800)));
        mistakes
    }
}

fn outside<T: PartialOrd + Display>(name: &str, value: T, range: RangeInclusive<T>) -> Option<String> {
    let (low, high) = (range.start(), range.end());
    (!range.contains(&value)).then(|| format!("{name} is {value}; it takes {low} to {high}"))
}
