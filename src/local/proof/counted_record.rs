//! A change as a record for the rules that count. These read its images and times, but neither its identity nor its source.

use stream_types::{SequenceNumber, Timestamp};
use usage_aggregator::record::{Change, ChangeRecord, Item, Origin, RecordId};

/// The record of `change`.
pub(super) fn counted_record<'c>(
    change: Change<'c>,
    sequence: SequenceNumber<'c>,
    created_at: Timestamp,
) -> ChangeRecord<'c> {
    ChangeRecord {
        id: RecordId([0; 16]),
        sequence,
        event_id: "".into(),
        user_record: None,
        created_at,
        source: Origin { stream_arn: "".into(), name: "".into() },
        // Everything that a match uses is in the images too.
        keys: Item::default(),
        change,
    }
}
