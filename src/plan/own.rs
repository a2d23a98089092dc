//! What the function has written itself, which never counts, whatever the event source mapping delivers.

use std::borrow::Cow;

use super::Planner;
use super::backfill::Backfill;
use crate::indicator::{is_created, of_others};
use crate::outline::OutlinedRecord;
use crate::usage::snapshot_of;

impl Planner<'_> {
    /// Whether the item is one of the ledger or a snapshot, that is, one that this function may have written itself. Such records
    /// have no effect, so the function never counts its own writes, whatever the event source mapping delivers.
    pub(super) fn is_self_written(&self, record: &OutlinedRecord<'_>) -> bool {
        // A plain message has no keys: its source is a stream, which may have the same name as a table.
        let is_from =
            |table: &Option<String>| table.as_deref() == Some(&*record.source.name) && !record.keys.is_empty();
        let texts = || record.keys.attributes().map(|(name, value)| Some((name, value.string()?))).collect();
        is_from(&self.context.ledger_table)
            || is_from(&self.context.usage_table)
                && self.pipeline.snapshot.as_ref().is_some_and(|snapshot| {
                    let keys: Option<Vec<(&str, Cow<'_, str>)>> = texts();
                    keys.is_some_and(|keys| {
                        let keys: Vec<_> = keys.iter().map(|(name, text)| (*name, &**text)).collect();
                        snapshot_of(snapshot, &keys).is_some()
                    })
                })
    }

    /// What a record says that others have written into targets of indicators; `None` if that is nothing.
    pub(super) fn of_others<'a, 'r>(
        &self,
        record: &'a OutlinedRecord<'r>,
        backfill: Option<Backfill>,
    ) -> Option<Cow<'a, OutlinedRecord<'r>>> {
        match backfill {
            None => of_others(self.pipeline, record),
            // It may be an item that someone else inserted, and whose map the function added: only the map says which one it is.
            Some(_) => (!is_created(self.pipeline, record)).then_some(Cow::Borrowed(record)),
        }
    }
}
