//! Writes a snapshot whose state is gone.

use tokio::time::Instant;

use super::expression::changes;
use super::restate::mark_restated;
use super::stored::{has, stored_version};
use super::{Condition, Guard, Publication, Sent, UsageTable};
use crate::error::Error;
use crate::pipeline::{Snapshot, VERSION_ATTRIBUTE};

/// What became of a snapshot whose state is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restored {
    /// It was written.
    Written,
    /// It has these values already.
    Same,
    /// Somebody changed it meanwhile.
    Changed,
    /// It would expire at once.
    Expired,
}

impl UsageTable {
    /// Writes a snapshot with the version that it has, or if it doesn't exist, with the version of the publication.
    ///
    /// # Errors
    /// Poison if DynamoDB refuses this item, transient if the deadline passed, config if someone must fix something first.
    pub(in crate::fold) async fn restore(
        &self,
        snapshot: &Snapshot,
        publication: Publication,
        deadline: Option<Instant>,
    ) -> Result<Restored, Error> {
        let found = self.read(&publication, deadline).await?;
        let mut changes = changes(snapshot, &publication.values);
        let stamp = found.get(VERSION_ATTRIBUTE);
        let has_values = has(&found, &changes);
        if stamp.is_some() && has_values {
            return Ok(Restored::Same);
        }
        if let Some(now) = publication.restated_at.filter(|_| !has_values) {
            mark_restated(&mut changes, now);
        }
        let version = stored_version(Some(&found)).unwrap_or(publication.version);
        let publication = Publication { version, ..publication };
        match self.write(&publication, &changes, Guard::Unchanged(stamp), Condition::NotLater, deadline).await? {
            Sent::Written => Ok(Restored::Written),
            Sent::Refused(_) => Ok(Restored::Changed),
        }
    }
}
