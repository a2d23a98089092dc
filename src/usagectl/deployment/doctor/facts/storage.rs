//! Facts about tables, buckets and Athena's tables.

use std::collections::BTreeMap;

use crate::deployment::doctor::unavailable::Fact;

/// A table that the function writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Whether its capacity is on demand.
    pub on_demand: bool,
    /// The view type of its stream, if it is on.
    pub stream_view: Option<String>,
    /// The ARN of its newest stream, if it is on.
    pub stream_arn: Option<String>,
    /// The attribute that items expire by, if time to live is on.
    pub time_to_live: Fact<Option<String>>,
    /// Whether it can be restored to a point in time.
    pub point_in_time_recovery: Fact<bool>,
    /// Whether it is protected against deletion.
    pub deletion_protection: bool,
}

/// The archive's bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its policy, if it has one.
    pub policy: Fact<Option<serde_json::Value>>,
    /// Whether all four settings of its public access block are on.
    pub blocks_public: Fact<bool>,
    /// The algorithm of its default encryption, if it has one.
    pub encryption: Fact<Option<String>>,
}

/// A table of Athena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlueTable {
    /// Its name.
    pub name: String,
    /// Its table properties.
    pub parameters: BTreeMap<String, String>,
    /// The Avro schema that it reads files with.
    pub schema_literal: Option<String>,
}
