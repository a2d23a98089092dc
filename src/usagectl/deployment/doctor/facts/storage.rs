//! Facts about tables, buckets and Athena's tables.

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

    /// The bucket that the function quarantines rejected records in, if it does.
    pub fn quarantine_bucket(&self) -> Option<&str> {
        let variables = &self.function.as_ref().ok()?.variables;
        let is_on = variables.get("REJECTED_RECORDS").is_some_and(|value| value == "quarantine");
        variables.get("FAILURE_BUCKET").map(String::as_str).filter(|bucket| is_on && !bucket.is_empty())
    }

    /// Whether the pipeline counts usage.
    pub fn counts(&self) -> bool {
        self.pipeline.routes.iter().any(|route| route.usage.is_some())
    }
}
