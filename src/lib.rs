//! Exact usage snapshots and a queryable Avro archive from the change stream of a DynamoDB table.

pub mod archive;
pub mod decimal;
pub mod error;
#[cfg(feature = "local")]
pub mod local;
pub mod record;
pub mod time;
pub mod decode;
pub mod backoff;
pub mod pipeline;
pub mod plan;
pub mod usage;
