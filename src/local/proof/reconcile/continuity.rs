//! Completeness by continuity: what a record added must be what its item's previous row in the archive makes of it. If a stream
//! lost a change, the next change of the item was counted from a value that no row has.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Site;
use super::windows;
use stream_types::Timestamp;
use usage_aggregator::usage::CounterAdditions;
use usage_compact::steps::{Amounts, Step, first_bytes, sums};

/// How many gaps are listed. The others are only counted.
const LISTED_GAPS: usize = 20;

/// What the ledger counted for the records of a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CountedRecords {
    /// Amounts by the first 8 bytes of a record's id, its group and measure.
    pub amounts: BTreeMap<u64, Amounts>,
    /// The first second of the hours that were read. The pages of those before may have expired, so that nothing is known of what
    /// counted in them.
    pub read_from: i64,
}

impl CountedRecords {
    /// Whether the ledger was read for what counts at this time.
    fn has_read(&self, at: Timestamp) -> bool {
        at.seconds() >= self.read_from
    }
}

/// Where ledger and archive differ about a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordGap {
    /// The record type.
    pub record_type: String,
    /// The item's key.
    pub item: String,
    /// The sequence number of the change.
    pub sequence_number: String,
    /// The record's id; 16 digits if only the ledger has it.
    pub record_id: String,
    /// What is wrong.
    pub what: GapKind,
    /// The measure, if it is about one.
    pub measure: Option<String>,
    /// What the ledger counted.
    pub ledger: Option<String>,
    /// What the item's rows in the archive make of it.
    pub archive: Option<String>,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// Its old value isn't the new value of the change before it: a change between them is missing.
    Discontinuous,
    /// The ledger lacks it.
    NotCounted,
    /// The archive lacks it.
    NotArchived,
}

/// The result of the check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gaps {
    /// The records of the ledger that were compared.
    pub records: u64,
    /// How many records differ.
    pub gap_count: u64,
    /// The first of them.
    pub gaps: Vec<RecordGap>,
}

/// Compares records while histories are replayed.
#[derive(Debug)]
pub(super) struct Continuity<'c> {
    /// What the ledger counted; `None` if it isn't compared.
    counted: Option<&'c CountedRecords>,
    seen: BTreeSet<u64>,
    /// Records without a row: those of items that opened measures and were archived before. By what they count.
    unarchived: BTreeMap<Vec<AmountText>, Vec<RecordGap>>,
    gaps: Gaps,
}

/// An amount that a record counts: group, measure, and number.
type AmountText = (Vec<String>, String, String);

impl<'c> Continuity<'c> {
    pub(super) fn new(counted: Option<&'c CountedRecords>) -> Continuity<'c> {
        Continuity { counted, seen: BTreeSet::new(), unarchived: BTreeMap::new(), gaps: Gaps::default() }
    }

    /// Notes that the archive has a record.
    pub(super) fn see(&mut self, record_id: &str) {
        if self.counted.is_some() {
            self.seen.extend(first_bytes(record_id));
        }
    }

    /// Compares what the archive makes of a record with what the ledger counted.
    pub(super) fn compare(
        &mut self,
        site: &Site<'_>,
        step: &Step,
        created_at: Timestamp,
        additions: &[CounterAdditions],
    ) -> anyhow::Result<()> {
        let Some(counted) = self.counted else { return Ok(()) };
        let Some(id) = first_bytes(&step.id) else { return Ok(()) };
        let derived = sums(
            additions.iter().filter(|one| counted.has_read(one.at(created_at)) && is_checked(site, one.at(created_at))),
        )?;
        let nothing = BTreeMap::new();
        let own = counted.amounts.get(&id);
        let found = own.unwrap_or(&nothing);
        let names: BTreeSet<&(Vec<String>, String)> = derived.keys().chain(found.keys()).collect();
        let value = |of: &Amounts, name| of.get(name).copied().unwrap_or_default();
        let differing = names.into_iter().find(|name| value(found, name) != value(&derived, name));
        if let Some(name) = differing {
            let what = if own.is_some() { GapKind::Discontinuous } else { GapKind::NotCounted };
            self.add(RecordGap {
                record_type: step.record_type.clone(),
                item: step.item.clone(),
                sequence_number: step.sequence.clone(),
                record_id: step.id.clone(),
                what,
                measure: Some(name.1.clone()),
                ledger: own.map(|_| value(found, name).to_string()),
                archive: Some(value(&derived, name).to_string()),
            });
        }
        Ok(())
    }

    /// Expects that the ledger has a record that counts this, and the archive doesn't. Its id isn't known.
    pub(super) fn expect_unarchived(
        &mut self,
        site: &Site<'_>,
        step: &Step,
        at: Timestamp,
        additions: &[CounterAdditions],
    ) -> anyhow::Result<()> {
        let is_read = self.counted.is_some_and(|counted| counted.has_read(at));
        if !is_read || !is_checked(site, at) || additions.is_empty() {
            return Ok(());
        }
        let amounts = texts(&sums(additions)?);
        let first = amounts.first().cloned().unwrap_or_default();
        self.unarchived.entry(amounts).or_default().push(RecordGap {
            record_type: step.record_type.clone(),
            item: step.item.clone(),
            sequence_number: step.sequence.clone(),
            record_id: String::new(),
            what: GapKind::NotCounted,
            measure: Some(first.1),
            ledger: None,
            archive: Some(first.2),
        });
        Ok(())
    }

    /// The result, with the records that only the ledger has.
    pub(super) fn finish(mut self) -> Gaps {
        let Some(counted) = self.counted else { return self.gaps };
        self.gaps.records = u64::try_from(counted.amounts.len()).unwrap_or(u64::MAX);
        let unseen: Vec<u64> = counted.amounts.keys().filter(|id| !self.seen.contains(id)).copied().collect();
        for id in unseen {
            let amounts = counted.amounts.get(&id).map(texts).unwrap_or_default();
            if self.unarchived.get_mut(&amounts).and_then(Vec::pop).is_some() {
                continue;
            }
            self.add(RecordGap {
                record_type: String::new(),
                item: String::new(),
                sequence_number: String::new(),
                record_id: format!("{id:016x}"),
                what: GapKind::NotArchived,
                measure: None,
                ledger: None,
                archive: None,
            });
        }
        std::mem::take(&mut self.unarchived).into_values().flatten().for_each(|gap| self.add(gap));
        self.gaps
    }

    fn add(&mut self, gap: RecordGap) {
        self.gaps.gap_count += 1;
        if self.gaps.gaps.len() < LISTED_GAPS {
            self.gaps.gaps.push(gap);
        }
    }
}

/// Whether what counts at this time is checked.
fn is_checked(site: &Site<'_>, at: Timestamp) -> bool {
    site.period.is_none_or(|period| period.contains(&windows::local(at, site.zone())))
}

fn texts(amounts: &Amounts) -> Vec<AmountText> {
    let amounts = amounts.iter().filter(|(_, amount)| !amount.is_zero());
    amounts.map(|((group, measure), amount)| (group.clone(), measure.clone(), amount.to_string())).collect()
}
