//! Folds what a window is the sum of, but nobody has counted: the days of a month whose pipeline had only hours until the month was
//! added, and the months of a total. A window that has a state already is kept up to date by the folds of its minutes.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use super::engine::Fold;
use super::parent::Versions;
use super::state::Leaves;
use crate::error::Error;
use crate::ledger::{GRACE_DAYS, Level, WindowKey};
use crate::time::DAY_SECONDS;
use crate::usage::Segment;

impl Fold<'_> {
    /// Folds the windows below one that has no state yet, of which none is in `children`. Returns whether one of them has got a
    /// state.
    ///
    /// One after the other, so that it takes no more memory than another fold. Each is written once: if the deadline passes, the next
    /// fold continues.
    ///
    /// # Errors
    /// As for [`Fold::fold_parent`].
    pub(super) fn fold_uncounted<'f>(
        &'f self,
        window: WindowKey,
        children: &'f BTreeMap<WindowKey, Leaves>,
    ) -> BoxFuture<'f, Result<bool, Error>> {
        Box::pin(async move {
            let mut has_any = false;
            for child in self.windows_below(window).filter(|child| !children.contains_key(child)) {
                let is_empty =
                    child.level == Level::Day && self.ledger.children(child, self.deadline).await?.is_empty();
                if !is_empty {
                    let leaves = self.fold_parent(child, &Versions::new()).await?;
                    has_any |= leaves.values().any(|state| state.version > 0);
                }
            }
            Ok(has_any)
        })
    }

    /// The days of a week or month, or the months of the total, of which the ledger still has what they are summed up from. Hours
    /// always have states.
    fn windows_below(&self, window: WindowKey) -> impl Iterator<Item = WindowKey> + use<> {
        let now = self.now.seconds();
        let kept = now - (self.ledger.keep_days + self.ledger.late_days + GRACE_DAYS) * DAY_SECONDS;
        let (level, end) = match window.level {
            Level::Week | Level::Month => (Level::Day, window.end()),
            Level::Total => (Level::Month, now),
            Level::Minute | Level::Piece | Level::Hour | Level::Day => (Level::Hour, window.start()),
        };
        let below = move |second: i64| WindowKey::minute(Segment::at(second), window.zone()).within(level);
        let first = below(window.start().max(kept));
        let all = std::iter::successors(Some(first), move |before| Some(below(before.end())));
        all.take_while(move |child| child.start() < end)
    }
}
