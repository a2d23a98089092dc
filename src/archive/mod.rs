//! The Avro archive: a pipeline's schema, rows encoded straight from change records, object container files with names
//! made of their content, and the bucket they go to. Only `bucket` does I/O; which record goes into which file is the
//! plan's affair.
//!
//! In reading order: [`schema`] (with `compile`, `default` and `metadata`, which make it), [`mod@encode`] (with `scalar`,
//! `temporal`, `json` and `wire`), [`codec`], [`file`](mod@file), [`bucket`].

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
mod wire;

#[cfg(test)]
mod tests;

pub use bucket::{Bucket, Put};
pub use codec::Codec;
pub use encode::{encode, encode_outline};
pub use file::{AvroFile, FileDraft};
pub use schema::RecordSchema;
