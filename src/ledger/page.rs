//! Pages: the records of one minute that one batch counted, by group.

mod column;

use std::collections::BTreeMap;

use super::frame::content_of;
use super::group_key::GroupKey;
use super::measure::Measures;
use super::wire::{Damaged, Reader, Writer};
use crate::record::RecordId;
use crate::usage::{Cell, Effect, Group, Segment};
pub use column::Column;

/// The format of a page whose groups count in the hour of its minute.
const FORMAT: u8 = 1;
/// The format of a page with a group that counts in another hour. Earlier releases must not read it as the first format.
const FORMAT_WITH_HOURS: u8 = 2;
/// 300 KB: a larger page is cut. A DynamoDB item has at most 400 KB.
const MAX_BYTES: usize = 300 * 1024;
/// 128 Ki: a page with more groups times measures, or with more records times measures of their group, is cut, too. Both take memory in
/// the function that writes the page and in the one that reads it, and hardly any bytes of the page.
const MAX_CELLS: usize = 128 << 10;

/// A page, ready to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The minute of its records.
    pub minute: Segment,
    /// The name: a hash of the content.
    pub name: u64,
    /// The content as a frame.
    pub data: Vec<u8>,
    /// The positions in the batch of its records, ascending.
    pub records: Vec<usize>,
}

/// What a page is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PageKind {
    /// It counts records.
    #[default]
    Usage,
    /// It counts a correction. With its author and reason.
    Correction(String, String),
    /// Its records count nowhere. With its author and reason.
    Void(String, String),
}

impl PageKind {
    /// The kind, author and reason, as the attributes of the item and the name of the page contain them.
    pub fn texts(&self) -> [&str; 3] {
        match self {
            PageKind::Usage => ["", "", ""],
            PageKind::Correction(author, reason) => ["correction", author, reason],
            PageKind::Void(author, reason) => ["void", author, reason],
        }
    }
}

/// The content of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageContent {
    /// The generation of the pipeline's measures by which the records were counted.
    pub generation: u64,
    /// How many bytes of a record id it holds.
    pub id_bytes: u8,
    /// The measures of its columns.
    pub measures: Measures,
    /// The groups in the order of their keys.
    pub groups: Vec<PageGroup>,
}

/// The records of one group in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageGroup {
    /// The key of the group.
    pub key: GroupKey,
    /// The beginnings of the ids of its records, as numbers, ascending.
    pub ids: Vec<u128>,
    /// A column for each measure of the page.
    pub columns: Vec<Column>,
}

/// The pages of the groups of a batch: one for each minute, or several if one would be too large. The same records make
/// the same pages. A page holds the first `id_bytes` of a record's id, at most 16. At 1,000 records per second and 8 bytes, 4
/// records in a million months collide.
pub fn pages(groups: &[Group], generation: u64, id_bytes: u8) -> Vec<Page> {
    let mut minutes: BTreeMap<Segment, Vec<&Group>> = BTreeMap::new();
    groups.iter().for_each(|group| minutes.entry(group.segment).or_default().push(group));
    let mut pages = Vec::new();
    for (minute, mut groups) in minutes {
        groups.sort_unstable_by(|a, b| (a.event_hour, &a.key).cmp(&(b.event_hour, &b.key)));
        let entries: Vec<Entries<'_>> = groups.into_iter().map(Entries::new).collect();
        add_pages(minute, &entries, generation, id_bytes, &mut pages);
    }
    pages
}

/// Some records of a group, ascending by id.
struct Entries<'g> {
    group: &'g Group,
    effects: Vec<&'g Effect>,
}

/// Adds the page of these entries, or two that divide them by id if it would be too large.
fn add_pages(minute: Segment, entries: &[Entries<'_>], generation: u64, id_bytes: u8, pages: &mut Vec<Page>) {
    let page = |max_cells: usize| {
        content(entries, generation, id_bytes, max_cells).map(|content| content.into_page(minute, &PageKind::Usage))
    };
    let narrow = page(MAX_CELLS);
    let effects = || entries.iter().flat_map(|entries| &entries.effects);
    if narrow.as_ref().is_none_or(|page| page.data.len() > MAX_BYTES)
        && let Some(middle) = middle(effects().map(|effect| effect.id).collect())
    {
        for is_lower in [true, false] {
            let part: Vec<Entries<'_>> = entries.iter().filter_map(|entries| entries.part(middle, is_lower)).collect();
            add_pages(minute, &part, generation, id_bytes, pages);
        }
        return;
    }
    let mut records: Vec<usize> = effects().map(|effect| effect.record).collect();
    records.sort_unstable();
    records.dedup();
    // A single record isn't divided; the plan has limited what it adds.
    pages.extend(narrow.or_else(|| page(usize::MAX)).map(|page| Page { records, ..page }));
}

/// The id that divides these into two halves, if there are at least two.
fn middle(mut ids: Vec<RecordId>) -> Option<RecordId> {
    ids.sort_unstable();
    ids.dedup();
    ids.get(ids.len() / 2).filter(|_| ids.len() > 1).copied()
}

/// The content of a page, unless it would have more cells. Whether it does depends only on the records, not on their order.
fn content(entries: &[Entries<'_>], generation: u64, id_bytes: u8, max_cells: usize) -> Option<PageContent> {
    let mut measures = Measures::default();
    let mut groups = Vec::with_capacity(entries.len());
    let mut cells_left = max_cells;
    for group in entries {
        groups.push(group.page_group(&mut measures, id_bytes, &mut cells_left)?);
        if measures.len().saturating_mul(entries.len()) > max_cells {
            return None;
        }
    }
    // A later group may have added measures.
    groups.iter_mut().for_each(|group| group.columns.resize(measures.len(), Column::None));
    Some(PageContent { generation, id_bytes, measures, groups })
}

impl<'g> Entries<'g> {
    fn new(group: &'g Group) -> Entries<'g> {
        let mut effects: Vec<&Effect> = group.effects.iter().collect();
        effects.sort_unstable_by_key(|effect| effect.id);
        Entries { group, effects }
    }

    /// The records whose ids are lower than `middle`, or the others; nothing if there are none.
    fn part(&self, middle: RecordId, is_lower: bool) -> Option<Entries<'g>> {
        let effects: Vec<&Effect> =
            self.effects.iter().filter(|effect| (effect.id < middle) == is_lower).copied().collect();
        (!effects.is_empty()).then_some(Entries { group: self.group, effects })
    }

    /// The group in a page, which takes one of the cells left for each of its records and measures; nothing if there are too few.
    fn page_group(&self, measures: &mut Measures, id_bytes: u8, cells_left: &mut usize) -> Option<PageGroup> {
        let rows = self.effects.len();
        let mut cells: Vec<Vec<Option<Cell>>> = Vec::new();
        for (row, effect) in self.effects.iter().enumerate() {
            for addition in &effect.amounts {
                let number = measures.number(&addition.measure, addition.aggregate);
                if cells.len() <= number {
                    cells.resize(number + 1, Vec::new());
                }
                if let Some(column) = cells.get_mut(number) {
                    if column.is_empty() {
                        *cells_left = cells_left.checked_sub(rows)?;
                    }
                    // Rows without a value were skipped.
                    column.resize(row, None);
                    column.push(Some(addition.cell.clone()));
                }
            }
        }
        let column = |mut cells: Vec<Option<Cell>>| {
            if !cells.is_empty() {
                cells.resize(rows, None);
            }
            Column::new(cells)
        };
        Some(PageGroup {
            key: match self.group.event_hour {
                Some(hour) => GroupKey::from(&self.group.key).in_hour(hour),
                None => GroupKey::from(&self.group.key),
            },
            ids: self.effects.iter().map(|effect| first_bytes(effect.id, id_bytes)).collect(),
            columns: cells.into_iter().map(column).collect(),
        })
    }
}

/// The first `count` bytes of an id as a number.
fn first_bytes(id: RecordId, count: u8) -> u128 {
    u128::from_be_bytes(id.0) >> (8 * (16 - u32::from(count)))
}

/// The name of a page: the beginning of a hash of its content, kind, author and reason. The minute isn't part of it.
fn name_of(content: &[u8], kind: &PageKind) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in [content].into_iter().chain(kind.texts().map(str::as_bytes)) {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = *hasher.finalize().as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl PageContent {
    /// Reads the content of a page, which must have this name.
    ///
    /// # Errors
    /// If the data is damaged, or if a newer release wrote it.
    pub fn read(data: &[u8], kind: &PageKind, name: u64) -> Result<PageContent, Damaged> {
        let content = content_of(data)?;
        if name_of(&content, kind) != name {
            return Err(Damaged("its content doesn't match its name"));
        }
        let mut reader = Reader::new(&content);
        if !matches!(reader.byte()?, FORMAT | FORMAT_WITH_HOURS) {
            return Err(Damaged("a newer release wrote it: it has an unknown format"));
        }
        let (generation, id_bytes) = (reader.uint()?, reader.byte()?);
        if !(1..=16).contains(&id_bytes) {
            return Err(Damaged("its ids have a wrong length"));
        }
        let measures = Measures::read(&mut reader)?;
        let count = reader.count()?;
        let mut groups = Vec::with_capacity(count);
        for _ in 0..count {
            groups.push(PageGroup::read(&mut reader, id_bytes, &measures)?);
        }
        if !reader.is_at_end() {
            return Err(Damaged("it is too long"));
        }
        Ok(PageContent { generation, id_bytes, measures, groups })
    }

    fn bytes(&self) -> Writer {
        let mut writer = Writer::default();
        let has_hours = self.groups.iter().any(|group| group.key.event_hour().is_some());
        writer.byte(if has_hours { FORMAT_WITH_HOURS } else { FORMAT });
        writer.uint(self.generation);
        writer.byte(self.id_bytes);
        self.measures.write(&mut writer);
        writer.size(self.groups.len());
        self.groups.iter().for_each(|group| group.write(&mut writer, self.id_bytes));
        writer
    }

    /// A page with this content, for a tool that corrects what was counted.
    pub fn into_page(self, minute: Segment, kind: &PageKind) -> Page {
        let bytes = self.bytes();
        let name = name_of(bytes.written(), kind);
        Page { minute, name, data: bytes.into_frame(), records: Vec::new() }
    }
}

impl PageGroup {
    fn write(&self, writer: &mut Writer, id_bytes: u8) {
        writer.bytes(self.key.bytes());
        writer.size(self.ids.len());
        for id in &self.ids {
            let bytes = id.to_be_bytes();
            writer.raw(bytes.get(16 - usize::from(id_bytes)..).unwrap_or_default());
        }
        self.columns.iter().for_each(|column| column.write(writer, self.ids.len()));
    }

    fn read(reader: &mut Reader<'_>, id_bytes: u8, measures: &Measures) -> Result<PageGroup, Damaged> {
        let key = GroupKey::from_bytes(reader.bytes()?);
        let count = reader.count()?;
        let ids = reader.raw(count.saturating_mul(usize::from(id_bytes)))?;
        let id = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
        let ids = ids.chunks_exact(usize::from(id_bytes)).map(id).collect();
        let columns = measures.iter().map(|measure| Column::read(measure.aggregate, reader, count));
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(PageGroup { key, ids, columns })
    }
}

#[cfg(test)]
mod tests;
