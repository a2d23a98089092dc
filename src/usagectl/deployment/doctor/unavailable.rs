//! Facts that may be unavailable, and why.

use std::fmt;

/// A fact, or why it is unavailable.
pub type Fact<T> = Result<T, Unavailable>;

/// Why a fact is unavailable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// The credentials lack this permission.
    Denied {
        /// The permission.
        action: &'static str,
    },
    /// Its name is unknown; this option specifies it.
    Unnamed {
        /// The option.
        option: &'static str,
    },
    /// It should exist, and doesn't.
    Missing(Part),
    /// There is no data yet.
    NoData(String),
    /// The request failed for another reason.
    Failed(String),
    /// This deployment doesn't have it, for this reason.
    NotApplicable(&'static str),
}

/// A part of a deployment that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An S3 bucket.
    Bucket(String),
    /// An SQS queue.
    Queue(String),
    /// A DynamoDB table.
    Table(String),
    /// A log group.
    LogGroup(String),
    /// Any other, described in words.
    Other(String),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Bucket(name) => write!(f, "the bucket {name}"),
            Part::Queue(name) => write!(f, "the queue {name}"),
            Part::Table(name) => write!(f, "the table {name}"),
            Part::LogGroup(name) => write!(f, "the log group {name}"),
            Part::Other(text) => f.write_str(text),
        }
    }
}
