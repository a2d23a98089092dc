//! Exact usage snapshots and a queryable Avro archive from the change stream of a DynamoDB table.
//!
//! ```text
//! event JSON -> decode -> [ChangeRecord | Rejection] -> route -> Plan { groups, files } -> commit -> BatchOutcome
//! ```
//! Everything up to the [`plan::Plan`] is pure; `usage::UsageTables` and `archive::Bucket` then make it true.

// In reading order.
pub mod record;

pub mod decimal;
pub mod time;

pub mod decode;

pub mod pipeline;

pub mod plan;

pub mod usage;

pub mod archive;

pub mod backoff;
pub mod error;
#[cfg(feature = "local")]
pub mod local;
