//! Restates the snapshot of a closed window: if its values change, it also says when.

use aws_sdk_dynamodb::types::AttributeValue;
use tokio::time::Instant;

use super::expression::{Change, changes};
use super::stored::{has, refused};
use super::{Condition, Guard, Publication, Published, Sent, Stamp, UsageTable};
use crate::backoff::Backoff;
use crate::error::Error;
use crate::pipeline::{RESTATED_ATTRIBUTE, Snapshot, VERSION_ATTRIBUTE};
use crate::time::Timestamp;

impl UsageTable {
    /// Writes the snapshot of a window that is closed now, provided that it still is as it was compared.
    ///
    /// # Errors
    /// As for [`UsageTable::publish`].
    pub(super) async fn restate(
        &self,
        snapshot: &Snapshot,
        publication: &Publication,
        condition: Condition,
        now: Timestamp,
        deadline: Option<Instant>,
    ) -> Result<Published, Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let found = self.read(publication, deadline).await?;
            let stamp = found.get(VERSION_ATTRIBUTE);
            if stamp.is_some_and(|stamp| !condition.admits(stamp, publication.version)) {
                return refused(Some(&found), publication.version);
            }
            let mut changes = changes(snapshot, &publication.values);
            let is_restated = !has(&found, &changes);
            if is_restated {
                mark_restated(&mut changes, now);
            }
            match self.write(publication, &changes, Guard::Unchanged(stamp), condition, deadline).await? {
                Sent::Written if is_restated => return Ok(Published::Restated),
                Sent::Written => return Ok(Published::Written),
                Sent::Refused(_) => backoff.count(),
            }
            if !backoff.pause().await {
                let doing = format!("write a snapshot of a closed window into {}: others write it, too", self.name);
                return Err(backoff.give_up(Error::transient(doing)));
            }
        }
    }
}

/// Adds when the values of a closed window change: to the first of several updates, so that a change is never without it.
pub(super) fn mark_restated(changes: &mut Vec<Change>, now: Timestamp) {
    changes.insert(0, Change::Set(RESTATED_ATTRIBUTE.to_owned(), AttributeValue::S(now.to_string())));
}

impl Condition {
    /// Whether a snapshot with this stamp may be replaced by this version, as DynamoDB compares them.
    fn admits(self, stamp: &AttributeValue, version: u64) -> bool {
        let AttributeValue::B(version) = Stamp::Whole.of(version) else { return false };
        stamp.as_b().is_ok_and(|stored| match self {
            Condition::Earlier => stored.as_ref() < version.as_ref(),
            Condition::NotLater => stored.as_ref() <= version.as_ref(),
        })
    }
}
