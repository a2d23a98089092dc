//! The records behind a minute: what each page holds, and whether it counts. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::Folder;
use super::distinct::Minute;
use super::engine::Mode;
use super::searched::searched_buckets;
use super::state::{leaves, used_buckets};
use crate::decimal::Decimal;
use crate::error::Error;
use crate::ledger::{
    Aggregate, Column, GroupKey, Measure, Measures, PageContent, PageGroup, PageKind, PageRef, ReadPage, StateItem,
    WindowKey,
};
use crate::record::RecordId;
use crate::usage::{Cell, CounterKey, Segment};

/// A record in a page, for one of its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRecord {
    /// The beginning of its id; the rest is zero.
    pub id: RecordId,
    /// The page.
    pub page: PageRef,
    /// What the page is for: usage or a correction.
    pub kind: PageKind,
    /// The generation that counted it.
    pub generation: u64,
    /// The group.
    pub key: CounterKey,
    /// The first minute of the hour that it counts in, if that isn't the hour of its minute.
    pub event_hour: Option<Segment>,
    /// What it adds to sums, by measure.
    pub amounts: Vec<(String, Decimal)>,
    /// What it says about other measures, by measure.
    pub values: Vec<(String, String)>,
    /// Whether it counts.
    pub standing: Standing,
}

impl PageRecord {
    /// What it adds to sums and says about other measures, as text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, String)> {
        let amounts = self.amounts.iter().map(|(measure, amount)| (measure.as_str(), amount.to_string()));
        amounts.chain(self.values.iter().map(|(measure, value)| (measure.as_str(), value.clone())))
    }

    /// Leaves out everything but one measure.
    pub fn retain(&mut self, measure: &str) {
        self.amounts.retain(|(name, _)| name == measure);
        self.values.retain(|(name, _)| name == measure);
    }
}

/// Whether a record counts by a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It counts by this page.
    Counted,
    /// Another page counts it.
    Repeated,
    /// It was taken back, by this author and for this reason.
    Void(String, String),
}

/// The records of a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MinuteRecords {
    /// The records of its pages.
    pub records: Vec<PageRecord>,
    /// The pages that the state lists, but that are gone.
    pub gone: Vec<PageRef>,
    /// The pages that the state doesn't list yet, with the number of their records.
    pub unfolded: Vec<(PageRef, usize)>,
}

/// Which pages of a minute are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages<'k> {
    /// All of them.
    All,
    /// Those in the buckets that are configured, and in those that the state knows. Only a sweep looks for pages in others.
    InUse,
    /// Those that the state of this group stands for, and of them, the records of this group that count in the hour with this
    /// first minute, if that isn't the hour of their minute.
    FoldedOf(&'k CounterKey, Option<Segment>),
}

impl Pages<'_> {
    fn group(self) -> Option<GroupKey> {
        match self {
            Pages::All | Pages::InUse => None,
            Pages::FoldedOf(key, None) => Some(GroupKey::from(key)),
            Pages::FoldedOf(key, Some(hour)) => Some(GroupKey::from(key).in_hour(hour)),
        }
    }
}

impl Folder {
    /// The records in the pages of a minute.
    ///
    /// # Errors
    /// If the table can't be read, or if a page or state is damaged.
    pub async fn records(
        &self,
        minute: Segment,
        which: Pages<'_>,
        deadline: Option<Instant>,
    ) -> Result<MinuteRecords, Error> {
        let wanted = which.group();
        let states = self.ledger.states(WindowKey::minute(minute, self.ledger.zone), deadline).await?;
        let listed = wanted.as_ref().map(|key| listed(&states, key)).transpose()?;
        let buckets = match which {
            Pages::InUse => used_buckets(&states).max(self.ledger.buckets),
            Pages::All | Pages::FoldedOf(..) => searched_buckets(&states, self.ledger.buckets),
        };
        let pages = self.ledger.pages(minute, 0..buckets, deadline).await?;
        let found: BTreeSet<PageRef> = pages.iter().map(|page| page.reference).collect();
        let gone = listed.iter().flatten().filter(|page| !found.contains(page)).copied().collect();
        let is_folded = |page: &ReadPage| listed.as_ref().is_none_or(|listed| listed.contains(&page.reference));
        let (folded, unfolded): (Vec<ReadPage>, Vec<ReadPage>) = pages.into_iter().partition(is_folded);
        let count = |page: &ReadPage| page.content.groups.iter().map(|group| group.ids.len()).sum();
        let unfolded = unfolded.iter().map(|page| (page.reference, count(page))).collect();
        let minute = Minute::new(folded);
        Ok(MinuteRecords { records: minute.records(wanted.as_ref())?, gone, unfolded })
    }

    /// The rows of these records, given by the first 8 bytes of their ids, as the pages have them that count them: the content
    /// of a page that takes them back. Without those that don't count.
    ///
    /// # Errors
    /// If the table can't be read, or if a page is damaged.
    pub async fn counted_rows(
        &self,
        minute: Segment,
        ids: &BTreeSet<u64>,
        deadline: Option<Instant>,
    ) -> Result<PageContent, Error> {
        let states = self.ledger.states(WindowKey::minute(minute, self.ledger.zone), deadline).await?;
        let buckets = searched_buckets(&states, self.ledger.buckets);
        let pages = self.ledger.pages(minute, 0..buckets, deadline).await?;
        Ok(Minute::new(pages).rows(ids))
    }
}

/// The pages that the part of a minute's state with this group stands for.
fn listed(states: &[StateItem], key: &GroupKey) -> Result<BTreeSet<PageRef>, Error> {
    let read = leaves(states, Mode::Usual)?.unwrap_or_default();
    let state = read.iter().find(|(part, _)| key.is_in_part(part)).map(|(_, state)| state);
    Ok(state.map(|state| state.listed.pages().copied().collect()).unwrap_or_default())
}

impl Minute {
    /// The records of all pages but those that take records back, only of this group if one is given.
    fn records(&self, wanted: Option<&GroupKey>) -> Result<Vec<PageRecord>, Error> {
        let takes_back = self.voids();
        let mut records = Vec::new();
        for (index, page) in self.pages().iter().enumerate() {
            if matches!(page.kind, PageKind::Void(..)) {
                continue;
            }
            for group in page.content.groups.iter().filter(|group| wanted.is_none_or(|wanted| group.key == *wanted)) {
                let damaged = |what| Error::config(format!("read the page {:016x}: {what}", page.reference.name));
                let key = group.key.counter_key().map_err(damaged)?;
                for (row, id) in group.ids.iter().enumerate() {
                    let compared = self.compared(page, *id);
                    let standing = match takes_back.get(&compared) {
                        _ if !self.is_first(index, compared) => Standing::Repeated,
                        Some([_, author, reason]) => Standing::Void((*author).to_owned(), (*reason).to_owned()),
                        None => Standing::Counted,
                    };
                    let (mut amounts, mut values) = (Vec::new(), Vec::new());
                    for (column, measure) in group.columns.iter().zip(page.content.measures.iter()) {
                        match (column.value(row), measure.aggregate) {
                            (Some(Cell::Number(amount)), Aggregate::Sum) => {
                                amounts.push((measure.name.to_string(), *amount));
                            }
                            (Some(cell), _) => values.push((measure.name.to_string(), cell.to_string())),
                            (None, _) => {}
                        }
                    }
                    records.push(PageRecord {
                        id: whole_id(*id, page.content.id_bytes),
                        page: page.reference,
                        kind: page.kind.clone(),
                        generation: page.content.generation,
                        key: key.clone(),
                        event_hour: group.key.event_hour(),
                        amounts,
                        values,
                        standing,
                    });
                }
            }
        }
        Ok(records)
    }

    /// The rows of these records in the pages that count them.
    fn rows(&self, ids: &BTreeSet<u64>) -> PageContent {
        let mut measures = Measures::default();
        let mut groups: BTreeMap<GroupKey, BTreeMap<u128, Row<'_>>> = BTreeMap::new();
        for (index, page) in self.pages().iter().enumerate() {
            for group in page.content.groups.iter().filter(|_| !matches!(page.kind, PageKind::Void(..))) {
                for (row, id) in group.ids.iter().enumerate() {
                    let compared = self.compared(page, *id);
                    let is_wanted = ids.contains(&whole_id(*id, page.content.id_bytes).short());
                    if is_wanted && self.counts(index, compared) {
                        groups.entry(group.key.clone()).or_default().insert(compared, Row { page, group, row });
                    }
                }
            }
        }
        for Row { page, .. } in groups.values().flat_map(BTreeMap::values) {
            page.content.measures.iter().for_each(|measure| _ = measures.number(&measure.name, measure.aggregate));
        }
        let column = |rows: &BTreeMap<u128, Row<'_>>, measure: &Measure| {
            Column::new(rows.values().map(|row| row.value(measure).cloned()).collect())
        };
        let groups = groups.into_iter().map(|(key, rows)| PageGroup {
            key,
            ids: rows.keys().copied().collect(),
            columns: measures.iter().map(|measure| column(&rows, measure)).collect(),
        });
        let generation = self.pages().iter().map(|page| page.content.generation).max().unwrap_or_default();
        PageContent { generation, id_bytes: self.id_bytes(), groups: groups.collect(), measures: measures.clone() }
    }

    /// The kind, author and reason of the page that takes a record back.
    fn voids(&self) -> BTreeMap<u128, [&str; 3]> {
        let pages = self.pages().iter().filter(|page| matches!(page.kind, PageKind::Void(..)));
        let ids = |page: &'_ ReadPage| -> Vec<u128> {
            page.content.groups.iter().flat_map(|group| &group.ids).map(|id| self.compared(page, *id)).collect()
        };
        pages.flat_map(|page| ids(page).into_iter().map(|id| (id, page.kind.texts()))).collect()
    }
}

/// A record's row in a page.
struct Row<'m> {
    page: &'m ReadPage,
    group: &'m PageGroup,
    row: usize,
}

impl Row<'_> {
    fn value(&self, measure: &Measure) -> Option<&Cell> {
        let number = self.page.content.measures.iter().position(|other| other == measure)?;
        self.group.columns.get(number)?.value(self.row)
    }
}

/// The id that begins with these bytes; the rest is zero.
fn whole_id(id: u128, id_bytes: u8) -> RecordId {
    let shift = 8 * 16_u32.saturating_sub(id_bytes.into());
    RecordId(id.checked_shl(shift).unwrap_or_default().to_be_bytes())
}
