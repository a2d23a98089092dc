//! What is known of a deployment: plain values, read before any check is evaluated. A fact that couldn't be read is an
//! [`Unavailable`] with the reason.

use std::collections::BTreeMap;

use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::Timestamp;

pub use super::unavailable::{Fact, Part, Unavailable};
use crate::stack::Names;

/// Everything that the checks examine.
#[derive(Debug)]
pub struct Facts {
    pub now: Timestamp,
    /// Whether these are the embedded services of this machine rather than a stack.
    pub here: bool,
    pub stack: Option<String>,
    pub names: Names,
    pub pipeline: Pipeline,
    /// The version of this tool.
    pub version: &'static str,
    pub source: Fact<Source>,
    pub mapping: Fact<Mapping>,
    pub function: Fact<Function>,
    pub recursion: Fact<Recursion>,
    pub role: Fact<Role>,
    pub destination: Fact<Destination>,
    pub waiting: Fact<FailedBatches>,
    pub usage_table: Fact<Table>,
    pub claims_table: Fact<Table>,
    pub archive: Fact<Bucket>,
    pub newest_file: Fact<Timestamp>,
    pub newest_snapshot: Fact<Timestamp>,
    pub glue: Fact<Vec<GlueTable>>,
    pub log_group: Fact<LogGroup>,
    pub alarms: Fact<Vec<Alarm>>,
    pub measured: Fact<RecentMetrics>,
    pub own_metrics: Fact<usize>,
    /// HORIZON_DAYS.
    pub horizon_days: Fact<i64>,
}

/// The stream that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name of the table or Kinesis stream.
    pub name: String,
    pub stream: Stream,
    /// The number of open shards.
    pub shards: Fact<usize>,
    pub retention_seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// The stream of a table: whether it is on, its view type, and the ARN of the newest one.
    Table {
        on: bool,
        view: Option<String>,
        latest_arn: Option<String>,
    },
    Kinesis {
        status: String,
    },
}

/// The event source mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub uuid: String,
    pub state: String,
    pub reason: Option<String>,
    pub last_result: Option<String>,
    pub source_arn: String,
    pub starting_position: Option<String>,
    pub factor: i64,
    /// -1 for no limit, as in Lambda's API.
    pub retries: i64,
    /// -1 for no limit.
    pub record_age_seconds: i64,
    pub bisects: bool,
    pub reports_item_failures: bool,
    /// The ARN of the on-failure destination.
    pub on_failure: Option<String>,
    pub filters: Vec<String>,
}

/// The function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub role_arn: String,
    pub runtime: String,
    pub architecture: String,
    pub timeout_seconds: i64,
    pub reserved: Option<i64>,
    pub variables: BTreeMap<String, String>,
    /// The version tag that template.yaml sets.
    pub version: Option<String>,
    pub code_sha256: String,
}

/// What Lambda does when the function triggers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    Terminates,
    Allowed,
}

/// The function's role with the documents of all its policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub name: String,
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
    pub count: u64,
    /// Whether there are more than `count`.
    pub more: bool,
    pub oldest: Option<Timestamp>,
    pub keeps: Stored,
}

/// What a failure destination stores of the records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stored {
    /// The records themselves, in S3.
    #[default]
    Records,
    /// Their positions in the stream, in a queue: useful while the stream keeps the records and the queue keeps the message.
    Positions { retention_seconds: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub on_demand: bool,
    pub stream_on: bool,
    /// The attribute that items expire by, if time to live is on.
    pub time_to_live: Fact<Option<String>>,
    pub point_in_time_recovery: Fact<bool>,
    pub deletion_protection: bool,
}

/// The archive's bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub name: String,
    pub policy: Fact<Option<serde_json::Value>>,
    /// Whether all four settings of its public access block are on.
    pub blocks_public: Fact<bool>,
    pub encryption: Fact<Option<String>>,
}

/// A table of Athena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlueTable {
    pub name: String,
    pub parameters: BTreeMap<String, String>,
    pub schema_literal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    pub name: String,
    /// `None` if log events never expire.
    pub retention_days: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub name: String,
    pub state: AlarmState,
    pub actions_enabled: bool,
    pub actions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    Ok,
    Alarm,
    InsufficientData,
}

/// CloudWatch's metrics of the last hour, or those of a local run so far. `None` where there is no data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecentMetrics {
    pub invocations: Option<f64>,
    pub errors: Option<f64>,
    pub throttles: Option<f64>,
    pub p99_duration_ms: Option<f64>,
    pub iterator_age_ms: Option<f64>,
    pub polled: Option<f64>,
    pub invoked: Option<f64>,
    pub filtered_out: Option<f64>,
    pub dropped: Option<f64>,
    pub destination_failures: Option<f64>,
    pub read_throttles: Option<f64>,
    pub write_throttles: Option<f64>,
    /// Throttled reads and writes of a Kinesis source.
    pub source_throttles: Option<f64>,
    pub rejected: Option<f64>,
    pub too_old: Option<f64>,
    pub files: Option<f64>,
    pub records: Option<f64>,
    /// When a batch last succeeded.
    pub last_success: Option<Timestamp>,
}

impl Facts {
    /// The stack's name in suggested commands.
    pub fn stack_name(&self) -> &str {
        self.stack.as_deref().or(self.names.function.as_deref()).unwrap_or("STACK")
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

    /// Whether the pipeline counts usage.
    pub fn counts(&self) -> bool {
        self.pipeline.routes.iter().any(|route| route.usage.is_some())
    }
}
