//! Exact usage snapshots and a queryable Avro archive from the change stream of a DynamoDB table.
//!
//! ```text
//! event JSON -> decode -> [ChangeRecord | Rejection] -> route -> Plan { groups, files } -> commit -> BatchOutcome
//! ```
//! Everything up to the [`plan::Plan`] is pure; `usage::UsageTables` and `archive::Bucket` then make it true.

#![warn(missing_docs, unreachable_pub)]

// In reading order: what a record is,
pub use stream_types::{decimal, time};
pub mod outline;
pub mod record;
pub mod window;

// from the event to the plan,
pub mod decode;
pub mod explain;
pub mod pipeline;
pub mod plan;

// what a plan's halves are and how each is committed,
pub mod archive;
pub mod usage;

// and what an invocation does with all that.
pub mod clients;
pub mod config;
pub mod error;
pub mod handler;
pub mod logs;
pub mod metrics;
pub mod outcome;

pub mod backoff;
