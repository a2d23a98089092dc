//! Records that `usagectl backfill` makes of items that existed before the stream was attached. Nothing happened to such an
//! item, so its record is archived as it was, and counts only for measures with a baseline.

use crate::outline::OutlinedRecord;

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
        let (_, label) = record.source.stream_arn.rsplit_once("/stream/")?;
        let id = &*record.event_id;
        (label == LABEL).then_some(Backfill { counts: id != ARCHIVED, archives: id != COUNTED })
    }
}
