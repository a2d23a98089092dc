//! What is known of a deployment: plain values, gathered before anything is judged. A part that couldn't be looked at is
//! an [`Unseen`], which says why.

use std::collections::BTreeMap;

use usage_aggregator::pipeline::Pipeline;
use usage_aggregator::time::Timestamp;

pub use super::unseen::{Part, Seen, Unseen};
use crate::stack::Names;

/// Everything that the checks look at.
#[derive(Debug)]
pub struct Facts {
    pub now: Timestamp,
    /// The embedded services of this machine, no stack.
    pub here: bool,
    pub stack: Option<String>,
    pub names: Names,
    pub pipeline: Pipeline,
    /// Of this tool.
    pub version: &'static str,
    pub source: Seen<Source>,
    pub mapping: Seen<Mapping>,
    pub function: Seen<Function>,
    pub recursion: Seen<Recursion>,
    pub role: Seen<Role>,
    pub destination: Seen<Destination>,
    pub waiting: Seen<Waiting>,
    pub usage_table: Seen<Table>,
    pub claims_table: Seen<Table>,
    pub archive: Seen<Bucket>,
    pub newest_file: Seen<Timestamp>,
    pub newest_snapshot: Seen<Timestamp>,
    pub glue: Seen<Vec<GlueTable>>,
    pub log_group: Seen<LogGroup>,
    pub alarms: Seen<Vec<Alarm>>,
    pub measured: Seen<Measured>,
    pub own_metrics: Seen<usize>,
    /// HORIZON_DAYS.
    pub horizon_days: Seen<i64>,
}

/// The stream that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The table or the Kinesis stream.
    pub name: String,
    pub stream: Stream,
    /// Shards that take records now.
    pub shards: Seen<usize>,
    pub retention_seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// A table's: the ARN of the newest, and its view type, if it is on.
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
    /// -1 for ever, as Lambda says it.
    pub retries: i64,
    /// -1 for ever.
    pub record_age_seconds: i64,
    pub bisects: bool,
    pub reports_item_failures: bool,
    /// The ARN of the destination of what fails.
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
    /// The tag that template.yaml puts on it.
    pub version: Option<String>,
    pub code_sha256: String,
}

/// What Lambda does about a function that triggers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    Terminates,
    Allowed,
}

/// The function's role: the documents of all its policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    pub name: String,
    pub policies: Vec<serde_json::Value>,
}

/// The failure destination, beyond its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// What a probe came to, where one was sent.
    pub probe: Option<Result<String, String>>,
}

/// What waits in the failure destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    pub count: u64,
    /// More than were counted.
    pub more: bool,
    pub oldest: Option<Timestamp>,
    pub keeps: Keeps,
}

/// What a failure destination keeps of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keeps {
    /// S3 has the records themselves.
    #[default]
    Records,
    /// A queue has positions, which are good as long as the stream keeps the records; and for so many seconds at most.
    Positions { retention_seconds: i64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub on_demand: bool,
    pub stream_on: bool,
    /// The attribute by which items expire, if any do.
    pub time_to_live: Seen<Option<String>>,
    pub point_in_time_recovery: Seen<bool>,
    pub deletion_protection: bool,
}

/// The archive's bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    pub name: String,
    pub policy: Seen<Option<serde_json::Value>>,
    /// Whether all four of its locks against the public are on.
    pub blocks_public: Seen<bool>,
    pub encryption: Seen<Option<String>>,
}

/// A table of Athena's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlueTable {
    pub name: String,
    pub parameters: BTreeMap<String, String>,
    pub schema_literal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    pub name: String,
    /// None for ever.
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

/// CloudWatch's numbers of the last hour, or of a local run so far; none where there are no data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
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
    /// Reads and writes of a Kinesis source.
    pub source_throttles: Option<f64>,
    pub rejected: Option<f64>,
    pub too_old: Option<f64>,
    pub files: Option<f64>,
    pub records: Option<f64>,
    /// The last batch of which records became durable.
    pub last_success: Option<Timestamp>,
}

impl Facts {
    /// What a command calls the stack.
    pub fn stack_name(&self) -> &str {
        self.stack.as_deref().or(self.names.function.as_deref()).unwrap_or("STACK")
    }

    /// A command that deploys with other parameters.
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

    /// What the numbers are of.
    pub fn over(&self) -> &'static str {
        if self.here { "in this run" } else { "in the last hour" }
    }

    /// Whether the pipeline writes snapshots.
    pub fn counts(&self) -> bool {
        self.pipeline.routes.iter().any(|route| route.usage.is_some())
    }
}
