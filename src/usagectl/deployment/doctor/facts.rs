//! What is known of a deployment: plain values, read before any check is evaluated. A fact that couldn't be read is an
//! [`Unavailable`] with the reason.

mod alerts;
mod ledger;
mod local;
mod monitoring;
mod storage;

use std::collections::BTreeMap;

use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::{Date, Timestamp};

pub use super::unavailable::{Fact, Part, Unavailable};
use crate::stack::{FunctionName, Names};
pub use alerts::{AlertRule, AlertTarget};
pub use ledger::{LargestState, LedgerContents, StuckMinute};
pub use local::LocalFacts;
pub use monitoring::{Alarm, AlarmState, FoldMetrics, LogGroup, RecentMetrics, Topic};
pub use storage::{Bucket, GlueTable, Table};

/// Everything that the checks examine.
#[derive(Debug)]
pub struct Facts {
    /// The time at which the facts were read.
    pub now: Timestamp,
    /// Whether these are the embedded services of this machine rather than a stack.
    pub here: bool,
    /// The name of the stack, if it was specified.
    pub stack: Option<String>,
    /// The names of the parts.
    pub names: Names,
    /// The pipeline that the function runs.
    pub pipeline: Pipeline,
    /// The version of this tool.
    pub version: &'static str,
    /// The stream.
    pub source: Fact<SourceFacts>,
    /// The event source mapping.
    pub mapping: Fact<Mapping>,
    /// The function that appends.
    pub function: Fact<Function>,
    /// The function that folds the ledger.
    pub fold: Fact<Function>,
    /// The event source mapping of the ledger's stream.
    pub ledger_mapping: Fact<Mapping>,
    /// The append function's protection against loops.
    pub recursion: Fact<Recursion>,
    /// Its role.
    pub role: Fact<Role>,
    /// The failure destination.
    pub destination: Fact<Destination>,
    /// The failed batches in it.
    pub waiting: Fact<FailedBatches>,
    /// The table with the snapshots.
    pub usage_table: Fact<Table>,
    /// The table with the ledger.
    pub ledger_table: Fact<Table>,
    /// What it holds.
    pub ledger_contents: Fact<LedgerContents>,
    /// Where the alerts of the pipeline are sent.
    pub alert_target: Fact<AlertTarget>,
    /// The bucket of the archive.
    pub archive: Fact<Bucket>,
    /// When the newest file was written.
    pub newest_file: Fact<Timestamp>,
    /// The first and the last partition date of each record type in it.
    pub partition_dates: Fact<Vec<(String, Date, Date)>>,
    /// When the window of the newest snapshot began.
    pub newest_snapshot: Fact<Timestamp>,
    /// The tables of Athena.
    pub glue: Fact<Vec<GlueTable>>,
    /// The function's log group.
    pub log_group: Fact<LogGroup>,
    /// The stack's alarms.
    pub alarms: Fact<Vec<Alarm>>,
    /// The topics that they notify.
    pub topics: Fact<Vec<Topic>>,
    /// The metrics of the last hour.
    pub measured: Fact<RecentMetrics>,
    /// What a local run reports of records that don't get through.
    pub local: Fact<LocalFacts>,
    /// The number of custom metrics.
    pub own_metrics: Fact<usize>,
    /// HORIZON_DAYS.
    pub horizon_days: Fact<i64>,
}

/// The stream that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// The name of the table or Kinesis stream.
    pub name: String,
    /// Its kind and settings.
    pub stream: Stream,
    /// The number of open shards.
    pub shards: Fact<usize>,
    /// How long it keeps records.
    pub retention_seconds: i64,
}

/// The kind of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// The stream of a table: whether it is on, its view type, and the ARN of the newest one.
    Table {
        /// Whether it is on.
        on: bool,
        /// Its view type.
        view: Option<String>,
        /// The ARN of the table's newest stream.
        latest_arn: Option<String>,
    },
    /// A Kinesis stream.
    Kinesis {
        /// Its status.
        status: String,
    },
}

/// The event source mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Its UUID.
    pub uuid: String,
    /// Its state.
    pub state: String,
    /// The reason for its state.
    pub reason: Option<String>,
    /// The result of its last invocation.
    pub last_result: Option<String>,
    /// The ARN of the function, or of the alias, that it invokes.
    pub function_arn: String,
    /// The ARN of the stream that it reads.
    pub source_arn: String,
    /// Where it started.
    pub starting_position: Option<String>,
    /// MaximumBatchingWindowInSeconds.
    pub window_seconds: i64,
    /// ParallelizationFactor.
    pub factor: i64,
    /// -1 for no limit, as in Lambda's API.
    pub retries: i64,
    /// -1 for no limit.
    pub record_age_seconds: i64,
    /// BisectBatchOnFunctionError.
    pub bisects: bool,
    /// Whether partial batch responses are on.
    pub reports_item_failures: bool,
    /// The ARN of the on-failure destination.
    pub on_failure: Option<String>,
    /// The patterns of its filter.
    pub filters: Vec<String>,
}

/// The function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The ARN of its role.
    pub role_arn: String,
    /// Its runtime.
    pub runtime: String,
    /// Its processor architecture.
    pub architecture: String,
    /// Its timeout.
    pub timeout_seconds: i64,
    /// Its reserved concurrency, if any.
    pub reserved: Option<i64>,
    /// Its environment variables.
    pub variables: BTreeMap<String, String>,
    /// The version tag that template.yaml sets.
    pub version: Option<String>,
    /// The hash of its code.
    pub code_sha256: String,
}

/// What Lambda does when the function triggers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    /// It stops the function.
    Terminates,
    /// It lets the function continue.
    Allowed,
}

/// The function's role with the documents of all its policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// The policy documents.
    pub policies: Vec<serde_json::Value>,
}

/// The failure destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The result of a probe, if one was sent.
    pub probe: Option<Result<String, String>>,
}

/// The failed batches in the failure destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedBatches {
    /// How many there are, at least.
    pub count: u64,
    /// Whether there are more than `count`.
    pub more: bool,
    /// When the oldest one was written.
    pub oldest: Option<Timestamp>,
    /// What is stored of them.
    pub keeps: Stored,
    /// The failed batches in the failure bucket, if the destination is a queue: Lambda wrote them before it was one.
    pub earlier: Option<Documents>,
    /// The quarantined records in the failure bucket, if there is one.
    pub quarantined: Option<Documents>,
}

/// Documents in the failure bucket: failed batches, or quarantined records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Documents {
    /// How many there are, at least.
    pub count: u64,
    /// Whether there are more than `count`.
    pub more: bool,
    /// When the oldest one was written.
    pub oldest: Option<Timestamp>,
}

/// What a failure destination stores of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stored {
    /// The records themselves, in S3.
    #[default]
    Records,
    /// Their positions in the stream, in a queue: useful while the stream keeps the records and the queue keeps the message.
    Positions {
        /// How long the queue keeps a message.
        retention_seconds: i64,
    },
}

impl Facts {
    /// The stack's name in suggested commands.
    pub fn stack_name(&self) -> &str {
        self.stack.as_deref().or(self.function_name()).unwrap_or("STACK")
    }

    /// The function's name, without an alias.
    pub fn function_name(&self) -> Option<&str> {
        self.names.function.as_deref().map(|function| FunctionName::parse(function).name)
    }

    /// A command that deploys the stack with these parameters.
    pub fn deploy(&self, parameters: &str) -> String {
        let stack = self.stack_name();
        if self.here {
            return "usagectl local".to_owned();
        }
        if parameters.is_empty() {
            return format!("make deploy STACK={stack}");
        }
        format!("make deploy STACK={stack} PARAMETERS='{parameters}'")
    }

    /// The time that the metrics are from.
    pub fn period(&self) -> &'static str {
        if self.here { "in this run" } else { "in the last hour" }
    }

    /// The bucket that the function quarantines rejected records in, if it does.
    pub fn quarantine_bucket(&self) -> Option<&str> {
        let variables = &self.function.as_ref().ok()?.variables;
        let is_on = variables.get("REJECTED_RECORDS").is_some_and(|value| value == "quarantine");
        variables.get("FAILURE_BUCKET").map(String::as_str).filter(|bucket| is_on && !bucket.is_empty())
    }

    /// Whether the pipeline counts usage.
    pub fn counts(&self) -> bool {
        self.pipeline.routes.iter().any(|route| !route.counters.is_empty())
    }
}
