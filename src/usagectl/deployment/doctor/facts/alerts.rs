//! Where the alerts of the pipeline are sent.

use super::Topic;

/// Where alerts are sent, and who receives them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlertTarget {
    /// An event bus.
    Bus {
        /// Its name or ARN.
        name: String,
        /// Those of its rules that match a sample alert.
        rules: Vec<AlertRule>,
    },
    /// A topic.
    Topic(Topic),
}

/// A rule that matches alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRule {
    /// Its name.
    pub name: String,
    /// Whether it is enabled.
    pub is_enabled: bool,
    /// How many targets it has.
    pub targets: usize,
    /// Those of its targets that are topics whose subscriptions may be listed.
    pub topics: Vec<Topic>,
}
