//! The buckets in which pages of a minute are looked for when no notice names them: by sweeps, rebuilds, proofs, and tools.
//!
//! `LEDGER_BUCKETS` may be lowered at any time, and then pages are in more buckets than are configured. Those of folded pages
//! are in the state of the minute. So what isn't found is only a page in bucket 16 or above that was put before the number
//! was lowered, and whose notice was lost as well. A sweep finds it while `LEDGER_BUCKETS` is what it was before. To look in
//! all 256 buckets instead would cost 256 reads for each minute, 370,000 for a day, in every sweep and proof.

use tokio::time::Instant;

use super::Folder;
use super::state::used_buckets;
use crate::error::Error;
use crate::ledger::{PageRef, StateItem, WindowKey};
use crate::usage::Segment;

/// Pages are looked for in this many buckets at least, whatever is configured now and in the state: some may wait to be folded.
const MIN_BUCKETS: u32 = 16;

/// How many buckets may have pages of a minute with this state, if so many are configured.
pub(super) fn searched_buckets(states: &[StateItem], configured: u32) -> u32 {
    used_buckets(states).max(configured).max(MIN_BUCKETS)
}

impl Folder {
    /// The names of the pages of a minute, in all buckets that may have some.
    ///
    /// # Errors
    /// If the table can't be read.
    pub async fn page_names(&self, minute: Segment, deadline: Option<Instant>) -> Result<Vec<PageRef>, Error> {
        let states = self.ledger.states(WindowKey::minute(minute, self.ledger.zone), deadline).await?;
        let buckets = searched_buckets(&states, self.ledger.buckets);
        self.ledger.page_names(minute, 0..buckets, deadline).await
    }
}
