//! Records that `usagectl backfill` makes of items that existed before the stream was attached. Nothing happened to such an
//! item, so its record is archived as it was, and counts only for measures with a baseline.

use super::Planner;
use crate::outline::OutlinedRecord;
use crate::pipeline::{Bindings, Route};
use crate::record::Fault;
use crate::usage::Delta;

/// The label that such a record has in place of a stream's, which is a time. It is part of the record's identity.
pub const LABEL: &str = "backfill";
/// The `eventID` of a record that is archived and counted.
pub const WHOLE: &str = "backfill";
/// The `eventID` of a record that only counts, because the stream has archived the item.
pub const COUNTED: &str = "backfill-counted";
/// The `eventID` of a record that is only archived.
pub const ARCHIVED: &str = "backfill-archived";

/// What a record of a backfill is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backfill {
    pub(super) counts: bool,
    pub(super) archives: bool,
}

impl Backfill {
    /// What `record` is for, if it is one of a backfill.
    pub(super) fn of(record: &OutlinedRecord<'_>) -> Option<Backfill> {
        let rest = record.source.stream_arn.strip_suffix(LABEL)?;
        let id = &*record.event_id;
        rest.ends_with("/stream/").then_some(Backfill { counts: id != ARCHIVED, archives: id != COUNTED })
    }
}

impl<'p> Planner<'p> {
    /// What a record counts.
    pub(super) fn deltas(
        &mut self,
        record: &OutlinedRecord<'_>,
        routed: Option<&(&'p Route, Bindings<'_>)>,
        backfill: Option<Backfill>,
    ) -> Result<Vec<Delta>, Fault> {
        match (routed, backfill) {
            _ if self.context.count_from.is_some_and(|first| record.created_at < first) => Ok(Vec::new()),
            (_, Some(Backfill { counts: false, .. })) => Ok(Vec::new()),
            (Some((route, bindings)), Some(_)) => self.counting.baseline(record, route, bindings),
            (Some((route, bindings)), None) => self.counting.deltas(record, route, bindings),
            (None, _) => self.counting.reversal(record),
        }
    }
}
