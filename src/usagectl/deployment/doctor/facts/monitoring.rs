//! What monitors a deployment: log group, alarms, metrics.

use usage_aggregator::time::Timestamp;

use crate::stack::BlockedShard;

/// The function's log group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// `None` if log events never expire.
    pub retention_days: Option<i64>,
}

/// An alarm of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: AlarmState,
    /// Whether its actions are enabled.
    pub actions_enabled: bool,
    /// How many actions it has.
    pub actions: usize,
    /// The ARNs of the SNS topics among them.
    pub topics: Vec<String>,
}

/// A topic that alarms notify, and how many subscribe to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its ARN.
    pub arn: String,
    /// Confirmed subscriptions.
    pub confirmed: usize,
    /// Subscriptions that wait for their confirmation, and receive nothing.
    pub pending: usize,
}

/// The state of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    /// The metric is within its threshold.
    Ok,
    /// The alarm is firing.
    Alarm,
    /// There is no data.
    InsufficientData,
}

/// CloudWatch's metrics of the last hour, or those of a local run so far. `None` where there is no data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecentMetrics {
    /// Invocations.
    pub invocations: Option<f64>,
    /// Failed invocations.
    pub errors: Option<f64>,
    /// Records of deliveries that failed as a whole or in part.
    pub failed_deliveries: Option<f64>,
    /// Discarded records that the failure destination has accepted.
    pub discarded: Option<f64>,
    /// A shard that makes no progress now.
    pub blocked: Option<BlockedShard>,
    /// Throttled invocations.
    pub throttles: Option<f64>,
    /// The p99 duration of an invocation.
    pub p99_duration_ms: Option<f64>,
    /// The highest iterator age.
    pub iterator_age_ms: Option<f64>,
    /// Records polled by the mapping.
    pub polled: Option<f64>,
    /// Records delivered to the function.
    pub invoked: Option<f64>,
    /// Records excluded by the filter.
    pub filtered_out: Option<f64>,
    /// Records dropped.
    pub dropped: Option<f64>,
    /// Failed deliveries to the failure destination.
    pub destination_failures: Option<f64>,
    /// Throttled reads of the tables.
    pub read_throttles: Option<f64>,
    /// Throttled writes to the tables.
    pub write_throttles: Option<f64>,
    /// Throttled reads and writes of a Kinesis source.
    pub source_throttles: Option<f64>,
    /// Rejected records.
    pub rejected: Option<f64>,
    /// Records that came after the horizon.
    pub too_old: Option<f64>,
    /// Files written to the archive.
    pub files: Option<f64>,
    /// Processed records.
    pub records: Option<f64>,
    /// When a batch last succeeded.
    pub last_success: Option<Timestamp>,
    /// What the fold did.
    pub fold: FoldMetrics,
}

/// The metrics of the fold. `None` where there is no data.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FoldMetrics {
    /// Failed invocations of the fold function.
    pub errors: Option<f64>,
    /// Notices that weren't settled by the invocation that had them.
    pub unsettled: Option<f64>,
    /// Settled notices.
    pub notices: Option<f64>,
    /// Pages that were appended.
    pub pages_written: Option<f64>,
    /// The pages of the fullest minute.
    pub pages_in_minute: Option<f64>,
    /// The age of the oldest notice when its snapshots were written.
    pub age_ms: Option<f64>,
    /// The highest iterator age of the ledger's stream.
    pub iterator_age_ms: Option<f64>,
    /// Snapshots that a sweep repaired.
    pub repaired: Option<f64>,
    /// Snapshots that DynamoDB refused.
    pub unpublished: Option<f64>,
    /// Sums that need more than 38 digits.
    pub overflow: Option<f64>,
    /// Records that two pages disagree about.
    pub conflicts: Option<f64>,
    /// Folds that found a snapshot ahead of the ledger.
    pub ledger_behind: Option<f64>,
    /// Notices that came after the horizon.
    pub too_old: Option<f64>,
    /// Alerts that could not be sent.
    pub alerts_failed: Option<f64>,
    /// Notices that the mapping gave up.
    pub discarded: Option<f64>,
}

impl RecentMetrics {
    /// Whether any invocation failed, as a whole or in part. More concurrency is no remedy for that.
    pub fn any_failed(&self) -> bool {
        [self.errors, self.failed_deliveries].iter().flatten().any(|count| *count > 0.0) || self.blocked.is_some()
    }
}
