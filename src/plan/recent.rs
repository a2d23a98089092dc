//! Whether the most recent records were rejected, and whose they were: a small batch, or one with the records of a single entity,
//! doesn't show by itself whether a release is broken.

use std::collections::BTreeSet;

use super::entity::{Evidence, Seen};

/// The limit of rejected records applies to at least this many records: one bad record of two doesn't mean that the
/// deployment is broken. As many entities of each record type are remembered.
pub(super) const MIN_RECORDS: usize = 20;
/// A bit for each of the last [`MIN_RECORDS`] records.
const MASK: u32 = (1 << MIN_RECORDS) - 1;

/// For each of the last 20 records that were handled, and for the last 20 different entities of each record type, whether it was
/// rejected.
///
/// Lambda splits a batch that fails. Without this, the parts would soon be too small for the limit, and everything that
/// a broken release rejects would be quarantined after all. And a batch may have nothing but the records of one entity: whether
/// the release rejects those of others as well, only earlier batches show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent {
    /// One bit for each record, the latest lowest, set if it was rejected.
    rejected: u32,
    records: usize,
    /// The latest last.
    entities: Vec<Seen>,
}

impl Recent {
    /// Adds the next record.
    pub fn add(&mut self, rejected: bool) {
        self.rejected = (self.rejected << 1 | u32::from(rejected)) & MASK;
        self.records = (self.records + 1).min(MIN_RECORDS);
    }

    /// Adds a batch: its first `durable` records, of which some are `rejected`, and what it shows about entities. Records that were
    /// rejected although most entities' weren't say nothing about the release, so they don't count against later records.
    pub fn add_batch(&mut self, durable: usize, rejected: &BTreeSet<usize>, evidence: Evidence) {
        let counts = |record: &usize| !(evidence.rejects_few && rejected.contains(record));
        (0..durable).filter(counts).for_each(|record| self.add(rejected.contains(&record)));
        evidence.seen.into_iter().for_each(|seen| self.see(seen));
    }

    fn see(&mut self, seen: Seen) {
        self.entities.retain(|known| known.entity != seen.entity);
        self.entities.push(seen);
        let same_type = |known: &Seen| known.entity.record_type == seen.entity.record_type;
        if self.entities.iter().filter(|known| same_type(known)).count() > MIN_RECORDS {
            let oldest = self.entities.iter().position(same_type);
            oldest.map(|oldest| self.entities.remove(oldest));
        }
    }

    /// How many of the last `count` records are known, and how many of them were rejected.
    pub(super) fn last(&self, count: usize) -> (usize, usize) {
        let records = count.min(self.records);
        let rejected = self.rejected & !(MASK << records);
        (records, usize::try_from(rejected.count_ones()).unwrap_or(records))
    }

    /// The last entities of a record type, the latest first.
    pub(super) fn entities(&self, record_type: usize) -> impl Iterator<Item = &Seen> {
        self.entities.iter().rev().filter(move |seen| seen.entity.record_type == record_type)
    }
}

#[cfg(test)]
mod tests {
    use super::super::entity::Entity;
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

    #[test]
    fn the_last_twenty_entities_of_each_record_type_are_remembered_each_once() {
        let mut recent = Recent::default();
        let seen = |record_type, name, rejected| Seen { entity: Entity { record_type, name: [name; 16] }, rejected };
        let remembered = |recent: &Recent, record_type| -> Vec<(u8, bool)> {
            recent.entities(record_type).map(|seen| (seen.entity.name[0], seen.rejected)).collect()
        };
        (0..=20).for_each(|name| recent.see(seen(0, name, false)));
        (0..100).for_each(|_| recent.see(seen(1, 7, true)));
        recent.see(seen(0, 5, true));
        let others = (1..=20).rev().filter(|name| *name != 5).map(|name| (name, false));
        assert_eq!(remembered(&recent, 0), [(5, true)].into_iter().chain(others).collect::<Vec<_>>());
        assert_eq!((remembered(&recent, 1), remembered(&recent, 2)), (vec![(7, true)], vec![]));
    }

    #[test]
    fn rejected_records_of_few_entities_do_not_count_against_later_records() {
        let rejected: BTreeSet<usize> = (0..20).collect();
        for (rejects_few, known) in [(false, (20, 15)), (true, (5, 0))] {
            let mut recent = Recent::default();
            recent.add_batch(25, &rejected, Evidence { seen: Vec::new(), rejects_few });
            assert_eq!(recent.last(20), known, "{rejects_few}");
        }
    }
}
