//! What the pages of a minute count: each record once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::totals::Totals;
use crate::ledger::{Column, GroupKey, Measure, PageGroup, PageKind, ReadPage};
use crate::record::IdHasher;
use crate::usage::{Addition, Amounts};

type IdMap<V> = HashMap<u128, V, BuildHasherDefault<IdHasher>>;
type IdSet = HashSet<u128, BuildHasherDefault<IdHasher>>;

/// The pages of a minute, and which of them counts each record.
#[derive(Debug)]
pub(super) struct Minute {
    /// The pages, those with the highest generation and the lowest name first: of the pages with a record, the first
    /// counts it.
    pages: Vec<ReadPage>,
    /// How many bytes of an id are compared: as many as every page holds.
    id_bytes: u8,
    /// The index of the page that counts each record. Empty if there is only one page.
    winners: IdMap<usize>,
    /// The records that several pages have.
    shared: IdSet,
    /// The records that count nowhere.
    void: IdSet,
}

impl Minute {
    /// The minute with these pages.
    pub(super) fn new(mut pages: Vec<ReadPage>) -> Minute {
        pages.sort_unstable_by_key(|page| (std::cmp::Reverse(page.content.generation), page.reference.name));
        let id_bytes = pages.iter().map(|page| page.content.id_bytes).min().unwrap_or(16);
        let mut minute =
            Minute { pages, id_bytes, winners: IdMap::default(), shared: IdSet::default(), void: IdSet::default() };
        if minute.pages.len() > 1 {
            for (index, page) in minute.pages.iter().enumerate() {
                for id in page.content.groups.iter().flat_map(|group| &group.ids) {
                    let id = minute.compared(page, *id);
                    if matches!(page.kind, PageKind::Void(..)) {
                        minute.void.insert(id);
                        minute.shared.insert(id);
                    } else if *minute.winners.entry(id).or_insert(index) != index {
                        minute.shared.insert(id);
                    }
                }
            }
        }
        minute
    }

    /// The pages.
    pub(super) fn pages(&self) -> &[ReadPage] {
        &self.pages
    }

    /// How many bytes of an id are compared.
    pub(super) fn id_bytes(&self) -> u8 {
        self.id_bytes
    }

    /// An id of a page as far as it is compared.
    pub(super) fn compared(&self, page: &ReadPage, id: u128) -> u128 {
        id >> (8 * u32::from(page.content.id_bytes.saturating_sub(self.id_bytes)))
    }

    /// Whether the record with this id counts by the page with this index.
    pub(super) fn counts(&self, index: usize, id: u128) -> bool {
        self.is_first(index, id) && !self.void.contains(&id)
    }

    /// Whether this is the page that a record is taken from if several have it.
    pub(super) fn is_first(&self, index: usize, id: u128) -> bool {
        self.winners.get(&id).is_none_or(|winner| *winner == index)
    }

    /// What the minute counts.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (index, page) in self.pages.iter().enumerate() {
            let measures: Vec<&Measure> = page.content.measures.iter().collect();
            for group in page.content.groups.iter().filter(|group| !group.key.is_nowhere()) {
                let counted: Vec<bool> =
                    group.ids.iter().map(|id| self.counts(index, self.compared(page, *id))).collect();
                let is_void = matches!(page.kind, PageKind::Void(..));
                add(&mut totals, group, &measures, &counted, is_void);
            }
        }
        totals
    }

    /// How many corrections and voids there are for each group that has any.
    pub(super) fn corrections(&self) -> BTreeMap<GroupKey, u64> {
        let mut corrections = BTreeMap::new();
        for page in self.pages.iter().filter(|page| page.kind != PageKind::Usage) {
            for key in self.touched(page) {
                *corrections.entry(key).or_default() += 1;
            }
        }
        corrections
    }

    /// The number of records about which two pages of one generation differ: by their definitions, a record has one
    /// effect.
    pub(super) fn conflicts(&self) -> usize {
        if self.shared.is_empty() {
            return 0;
        }
        let mut effects: IdMap<Vec<Effect<'_>>> = IdMap::default();
        let counting = self.pages.iter().enumerate().filter(|(_, page)| !matches!(page.kind, PageKind::Void(..)));
        for (index, page) in counting {
            for group in &page.content.groups {
                for (row, id) in group.ids.iter().map(|id| self.compared(page, *id)).enumerate() {
                    if self.shared.contains(&id) {
                        effects.entry(id).or_default().push(Effect::new(index, page, group, row));
                    }
                }
            }
        }
        let differs = |effects: &&Vec<Effect<'_>>| {
            let pages: Vec<&[Effect<'_>]> = effects.chunk_by(|one, other| one.page == other.page).collect();
            let of_one_generation = |pair: &&[&[Effect<'_>]]| {
                let generation = |effects: &[Effect<'_>]| effects.first().map(|effect| effect.generation);
                matches!(pair, [one, other] if generation(one) == generation(other))
            };
            let differ = |pair: &[&[Effect<'_>]]| matches!(pair, [one, other] if !one.iter().map(Effect::says).eq(other.iter().map(Effect::says)));
            pages.windows(2).filter(of_one_generation).any(differ)
        };
        effects.values().filter(differs).count()
    }

    /// The groups whose values may depend on the records of a page: all groups that any page gives these records.
    pub(super) fn touched(&self, page: &ReadPage) -> BTreeSet<GroupKey> {
        let groups = |page: &'_ ReadPage, ids: Option<&IdSet>| -> Vec<GroupKey> {
            let has = |group: &&PageGroup| {
                ids.is_none_or(|ids| group.ids.iter().any(|id| ids.contains(&self.compared(page, *id))))
            };
            let named = page.content.groups.iter().filter(|group| !group.key.is_nowhere()).filter(has);
            named.map(|group| group.key.clone()).collect()
        };
        let mut touched: BTreeSet<GroupKey> = groups(page, None).into_iter().collect();
        let ids = page.content.groups.iter().flat_map(|group| &group.ids).map(|id| self.compared(page, *id));
        let shared: IdSet = ids.filter(|id| self.shared.contains(id)).collect();
        if !shared.is_empty() {
            touched.extend(self.pages.iter().flat_map(|other| groups(other, Some(&shared))));
        }
        touched
    }
}

/// What a page says about a record, for one of its groups.
struct Effect<'m> {
    generation: u64,
    /// The index of the page. Pages of one generation are neighbors.
    page: usize,
    group: &'m GroupKey,
    /// By the measure.
    amounts: Amounts,
}

impl<'m> Effect<'m> {
    fn new(index: usize, page: &ReadPage, group: &'m PageGroup, row: usize) -> Effect<'m> {
        let values = group.columns.iter().zip(page.content.measures.iter());
        let addition = |(column, measure): (&Column, &Measure)| {
            let Measure { name, aggregate } = measure.clone();
            Some(Addition { measure: name, aggregate, cell: column.value(row)?.clone() })
        };
        let mut amounts: Amounts = values.filter_map(addition).collect();
        amounts.sort_unstable_by(|a, b| (&a.measure, a.aggregate).cmp(&(&b.measure, b.aggregate)));
        Effect { generation: page.content.generation, page: index, group: &group.key, amounts }
    }

    fn says(&self) -> (&GroupKey, &Amounts) {
        (self.group, &self.amounts)
    }
}

/// Adds the counted records of a group. The group's measures are named even if none counts.
fn add(totals: &mut Totals, group: &PageGroup, measures: &[&Measure], counted: &[bool], is_void: bool) {
    let columns = group.columns.iter().zip(measures).filter(|(column, _)| !column.is_empty());
    let columns: Vec<_> = columns.collect();
    totals.update(&group.key, columns.iter().map(|(_, measure)| **measure), |place, value| {
        let Some((column, _)) = columns.get(place).filter(|_| !is_void) else { return };
        for row in counted.iter().enumerate().filter(|(_, counts)| **counts).map(|(row, _)| row) {
            if let Some(cell) = column.value(row) {
                value.insert(cell);
            }
        }
    });
}

#[cfg(test)]
mod tests;
