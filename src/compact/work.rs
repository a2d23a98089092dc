//! What there is to compact: the units that have raw files.

use std::collections::BTreeMap;
use std::fmt;

use usage_aggregator::archive::ArchiveUnit;
use usage_aggregator::error::Error;

use crate::store::{Archive, Listed};

/// What a raw file's key has in front of its date.
const DATE: &str = "partition_date=";
/// A unit is compacted once its newest raw file is this old.
const QUIET_SECONDS: i64 = 10 * 60;
/// A unit whose raw files keep coming is compacted this long after its end.
const PATIENCE_SECONDS: i64 = 3 * 3_600;

/// A unit of one record type and partition date.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitKey {
    /// The record type.
    pub record_type: String,
    /// The partition date, such as `2026-11-28`.
    pub date: String,
    /// The unit.
    pub unit: ArchiveUnit,
}

impl UnitKey {
    /// What the keys of its raw files start with, below the prefix.
    pub(crate) fn raw(&self) -> String {
        let UnitKey { record_type, date, unit } = self;
        format!("avro/{record_type}/{DATE}{date}/{unit}-")
    }

    /// What the keys of its Parquet files start with, below the prefix.
    pub(crate) fn parquet(&self) -> String {
        let UnitKey { record_type, date, unit } = self;
        format!("parquet/{record_type}/{DATE}{date}/{unit}-")
    }
}

/// `order 2026-11-28 2026-11-28T08`
impl fmt::Display for UnitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.record_type, self.date, self.unit)
    }
}

/// A unit with raw files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawUnit {
    /// The unit.
    pub key: UnitKey,
    /// How many raw files it has.
    pub files: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

/// The units of a record type that have raw files, of one date or of all. Files without a unit in their names are left alone.
///
/// # Errors
/// If the bucket can't be listed.
pub async fn raw_units(archive: &Archive, record_type: &str, date: Option<&str>) -> Result<Vec<RawUnit>, Error> {
    let start = archive.key(&format!("avro/{record_type}/{DATE}{}", date.unwrap_or_default()));
    let mut units: BTreeMap<UnitKey, (u64, u64)> = BTreeMap::new();
    for Listed { name, bytes, .. } in archive.list(&start).await? {
        if let Some(key) = unit_of(record_type, &name) {
            let (files, all_bytes) = units.entry(key).or_default();
            (*files, *all_bytes) = (*files + 1, *all_bytes + bytes);
        }
    }
    Ok(units.into_iter().map(|(key, (files, bytes))| RawUnit { key, files, bytes }).collect())
}

/// The unit of `partition_date=2026-11-28/2026-11-28T08-….avro`.
fn unit_of(record_type: &str, name: &str) -> Option<UnitKey> {
    let (date, file) = name.strip_prefix(DATE)?.split_once('/')?;
    let (unit, _) = file.strip_suffix(".avro")?.rsplit_once('-')?;
    let unit = ArchiveUnit::parse(unit)?;
    Some(UnitKey { record_type: record_type.to_owned(), date: date.to_owned(), unit })
}

/// Whether a unit with new raw files is compacted at `now`: after its end, when nothing has arrived for a while.
pub(crate) fn is_settled(unit: ArchiveUnit, newest: i64, now: i64) -> bool {
    let end = unit.end_seconds();
    now >= end && (newest <= now - QUIET_SECONDS || now >= end + PATIENCE_SECONDS)
}

#[cfg(test)]
mod tests {
    use usage_aggregator::time::Timestamp;

    use super::*;

    #[test]
    fn a_unit_is_compacted_when_nothing_has_arrived_for_ten_minutes_or_three_hours_after_its_end() {
        let unit = ArchiveUnit::parse("2026-11-28T08").unwrap();
        let at = |text: &str| Timestamp::parse(&format!("2026-11-28T{text}:00Z")).unwrap().seconds();
        for (newest, now, expected) in [
            ("08:10", "08:59", false),
            ("08:10", "09:00", true),
            ("08:55", "09:04", false),
            ("08:55", "09:05", true),
            ("11:55", "11:59", false),
            ("11:55", "12:00", true),
        ] {
            assert_eq!(is_settled(unit, at(newest), at(now)), expected, "{newest} {now}");
        }
    }

    #[test]
    fn a_raw_file_is_named_after_its_unit() {
        let unit = |name: &str| unit_of("order", name).map(|key| key.to_string());
        assert_eq!(
            unit("partition_date=2026-12-01/2026-11-28T08-9877.avro").as_deref(),
            Some("order 2026-12-01 2026-11-28T08")
        );
        for name in
            ["partition_date=2026-12-01/9877.avro", "partition_date=2026-12-01/2026-11-28T08-9877.tmp", "x.avro"]
        {
            assert_eq!(unit(name), None);
        }
    }
}
