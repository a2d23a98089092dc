//! Which image of a record is archived, and the date of its partition.

use crate::outline::{Outline, OutlinedRecord};
use crate::pipeline::{ArchivedImage, PartitionDate};
use crate::record::{ChangeOf, Code, Fault, ImageOf};
use crate::time::{Date, Timestamp};

/// The image that is archived and its name in the stream; `None` if the event has no such image.
pub(super) fn archived_image<'r>(
    record: &OutlinedRecord<'r>,
    wanted: ArchivedImage,
) -> Option<(&'static str, ImageOf<Outline<'r>>)> {
    use ArchivedImage::{New, Newest, Old};
    match (wanted, &record.change) {
        (Newest | New, ChangeOf::Insert { new } | ChangeOf::Modify { new, .. }) => Some(("NewImage", *new)),
        (Newest | Old, ChangeOf::Remove { old, .. }) | (Old, ChangeOf::Modify { old, .. }) => Some(("OldImage", *old)),
        (New, ChangeOf::Remove { .. }) | (Old, ChangeOf::Insert { .. }) => None,
    }
}

pub(super) fn partition_date(
    record: &OutlinedRecord<'_>,
    item: Outline<'_>,
    source: &PartitionDate,
) -> Result<Date, Fault> {
    let (path, unit) = match source {
        PartitionDate::CreatedAt => return Ok(record.created_at.date()),
        PartitionDate::Attribute { path, unit } => (path, *unit),
    };
    let value = item.at_path(path).ok_or_else(|| {
        Fault::new(Code::MissingAttribute, path.as_str(), "is missing, but the partition date is taken from it")
    })?;
    value.instant(unit).map(Timestamp::date).ok_or_else(|| {
        let found = value.type_name();
        let expected = format!(
            "expected a date, an instant with an offset, or {unit} since 1970, from 2000 to 2099; found an invalid {found}"
        );
        Fault::new(Code::InvalidValue, path.as_str(), expected)
    })
}
