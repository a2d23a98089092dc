//! The beginning of counting: windows before COUNT_FROM belong to another counter.

use super::Planner;
use crate::usage::Delta;

impl Planner<'_> {
    /// Leaves out what counts in an hour before COUNT_FROM: those windows belong to another counter.
    pub(super) fn leave_out_before_count_from(&self, deltas: &mut Vec<Delta>) {
        if let Some(first) = self.context.count_from {
            let is_before =
                |delta: &Delta| self.counting.event_hour(delta.key).is_some_and(|hour| hour.start() < first.seconds());
            deltas.retain(|delta| !is_before(delta));
        }
    }
}
