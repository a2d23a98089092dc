//! The Avro archive: schemas, rows that are encoded directly from change records, object container files whose names
//! are derived from their content, and the bucket that stores them. Only `bucket` does I/O. The plan decides which
//! record goes into which file.
//!
//! In reading order: [`schema`] (with `compile`, `default` and `metadata`, which build it), [`mod@encode`] (with
//! `scalar`, `temporal`, `json` and `wire`), [`codec`], [`unit`](mod@unit), [`file`](mod@file), [`bucket`].

pub mod bucket;
pub mod codec;
mod compile;
mod default;
pub mod encode;
pub mod file;
mod json;
mod metadata;
mod mismatch;
mod scalar;
pub mod schema;
mod temporal;
pub mod unit;
pub mod wire;

#[cfg(test)]
mod tests;

pub use bucket::{Bucket, Object, Put};
pub use codec::Codec;
pub use encode::{encode, encode_outline};
pub use file::{AvroFile, FileDraft};
pub use schema::RecordSchema;
pub use unit::{ArchiveUnit, Partition, UnitLength};
