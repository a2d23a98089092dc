//! What a running `usagectl local` reports of the records that don't get through.

use laptop::proof::QuarantinedRecords;
use serde::Deserialize;

use crate::shell::waiting::Waiting;

/// The records that don't get through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LocalFacts {
    /// The records that wait, and what blocks them.
    pub waiting: Waiting,
    /// The records that the function set aside, if it runs in that process.
    #[serde(default)]
    pub quarantined: Option<QuarantinedRecords>,
    /// The batching window of the ledger's mapping, in seconds.
    #[serde(skip)]
    pub fold_window_seconds: i64,
}
