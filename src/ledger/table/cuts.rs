//! The cuts of tables that were backfilled: from when on the stream is counted, and before which items open measures.

use tokio::time::Instant;

use super::{Item, LedgerTable, SORT_KEY, SortKeys};
use crate::error::Error;
use crate::time::Timestamp;

/// The prefix of the keys of cuts, before the name of the pipeline. The sort key is the ARN of the table.
pub const CUTS: &str = "b#";
/// The prefix of the keys of the times at which the archive shows tables whose items were only archived, before the name of the
/// pipeline. The sort key and the attribute are those of a cut.
pub const SHOWN: &str = "e#";
/// The attribute with the time of the cut.
pub const CUT: &str = "cut";

impl LedgerTable {
    /// The ARN of each table whose items opened measures of the pipeline, and the time at which they did.
    ///
    /// # Errors
    /// If the table can't be read, or if an item is damaged.
    pub async fn cuts(&self, deadline: Option<Instant>) -> Result<Vec<(String, Timestamp)>, Error> {
        let items = self.query(&format!("{CUTS}{}", self.pipeline), SortKeys::All, deadline).await?;
        items.iter().map(|item| self.read_cut(item)).collect()
    }

    fn read_cut(&self, item: &Item) -> Result<(String, Timestamp), Error> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let cut = text(SORT_KEY).cloned().zip(text(CUT).and_then(|text| Timestamp::parse(text)));
        cut.ok_or_else(|| Error::config(format!("read a cut of {}: the item isn't one of this release", self.name)))
    }
}
