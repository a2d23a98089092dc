//! What a running `usagectl local` reports of the records that don't get through.

use event_source_mapping::Blocked;
use laptop::proof::QuarantinedRecords;
use serde::Deserialize;

use super::Facts;
use crate::shell::waiting::Waiting;

/// The records that don't get through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LocalFacts {
    /// The records that wait, and what blocks them.
    pub waiting: Waiting,
    /// The records that the function set aside, if it runs in that process.
    #[serde(default)]
    pub quarantined: Option<QuarantinedRecords>,
}

impl Facts {
    /// The batch that has blocked a shard of a local run the longest.
    pub fn blocked_here(&self) -> Option<&Blocked> {
        self.local.as_ref().ok().and_then(|local| local.waiting.first_blocked())
    }
}
