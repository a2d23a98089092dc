//! Whether the most recent records were rejected: a small batch alone doesn't show that a release is broken.

/// The limit of rejected records applies to at least this many records: one bad record of two doesn't mean that the
/// deployment is broken.
pub(super) const MIN_RECORDS: usize = 20;
/// A bit for each of the last [`MIN_RECORDS`] records.
const MASK: u32 = (1 << MIN_RECORDS) - 1;

/// For each of the last 20 records that were handled, whether it was rejected.
///
/// Lambda splits a batch that fails. Without this, the parts would soon be too small for the limit, and everything that
/// a broken release rejects would be quarantined after all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// One bit for each record, the latest lowest, set if it was rejected.
    rejected: u32,
    records: usize,
}

impl Recent {
    /// Adds the next record.
    pub fn add(&mut self, rejected: bool) {
        self.rejected = (self.rejected << 1 | u32::from(rejected)) & MASK;
        self.records = (self.records + 1).min(MIN_RECORDS);
    }

    /// How many of the last `count` records are known, and how many of them were rejected.
    pub(super) fn last(self, count: usize) -> (usize, usize) {
        let records = count.min(self.records);
        let rejected = self.rejected & !(MASK << records);
        (records, usize::try_from(rejected.count_ones()).unwrap_or(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_twenty_records_are_remembered() {
        let mut recent = Recent::default();
        assert_eq!(recent.last(20), (0, 0));
        recent.add(true);
        (0..3).for_each(|_| recent.add(false));
        assert_eq!((recent.last(3), recent.last(4), recent.last(20)), ((3, 0), (4, 1), (4, 1)));
        (0..20).for_each(|_| recent.add(true));
        assert_eq!((recent.last(0), recent.last(20), recent.last(100)), ((0, 0), (20, 20), (20, 20)));
        (0..15).for_each(|_| recent.add(false));
        assert_eq!((recent.last(15), recent.last(20)), ((15, 0), (20, 5)));
    }
}
