//! Exact usage snapshots and a queryable Avro archive from the change stream of a DynamoDB table.

pub mod archive;
pub mod decimal;
pub mod error;
pub mod record;
pub mod time;
