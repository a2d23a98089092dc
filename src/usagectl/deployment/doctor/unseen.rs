//! A fact that isn't known, and why.

use std::fmt;

/// A fact, or why it isn't known.
pub type Seen<T> = Result<T, Unseen>;

/// Why a fact isn't known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unseen {
    /// Whoever asks may not: the missing permission.
    Denied { action: &'static str },
    /// Nothing says what it is called: the option that would.
    Unnamed { option: &'static str },
    /// It was looked for and isn't there, though it should be.
    Missing(Part),
    /// There is nothing to judge by yet.
    NoData(String),
    /// The question failed otherwise.
    Failed(String),
    /// There is no such thing in this deployment: why.
    LeftOut(&'static str),
}

/// A part of a deployment that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Bucket(String),
    Queue(String),
    Table(String),
    LogGroup(String),
    /// Any other, or something of one, in words.
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
