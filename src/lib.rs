//! Exact usage snapshots and a queryable Avro archive from the change stream of a DynamoDB table.
//!
//! ```text
//! event JSON -> decode -> [ChangeRecord | Rejection] -> route -> Plan { groups, files } -> commit -> BatchOutcome
//! ```
//! Everything up to the [`plan::Plan`] is pure. `usage::UsageTables` and `archive::Bucket` then carry the plan out.

// Tests read the clock and the environment, and may be long lists of cases.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::too_many_lines))]

// In reading order. What a record is:
pub use stream_types::{decimal, time};
pub mod outline;
pub mod record;
pub mod window;

// From the event to the plan:
pub mod decode;
pub mod explain;
pub mod indicator;
pub mod pipeline;
pub mod plan;

// The two halves of a plan, and how each is committed:
pub mod archive;
pub mod usage;

pub mod fold;
pub mod ledger;

// One invocation of the function:
pub mod alerts;
pub mod clients;
pub mod config;
pub mod error;
pub mod handler;
pub mod logs;
pub mod metrics;
pub mod outcome;
pub mod quarantine;
pub mod telemetry;

pub mod backoff;
pub mod connect;

#[cfg(test)]
mod steps;
