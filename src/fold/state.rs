//! States: what a version of a window says, and which pages or child states it stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::engine::Mode;
use super::totals::Totals;
use super::watch::Watches;
use crate::error::Error;
use crate::ledger::{Damaged, MAX_BUCKETS, PageRef, Reader, StateItem, WindowKey, Writer, content_of};
use crate::window::Zone;

/// The format of states without thresholds.
const FORMAT: u8 = 1;
/// The format of states in which groups have crossed thresholds, or have corrections that could take a value back.
const WITH_WATCHES: u8 = 2;

/// A part of a state that holds totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    /// Rises with each write; 0 if there is no state yet.
    pub version: u64,
    /// What the totals stand for.
    pub listed: Listed,
    /// The values of the groups in this part.
    pub totals: Totals,
    /// Which of the groups have crossed thresholds.
    pub watches: Watches,
}

/// What a state stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    /// The pages of a minute.
    Pages(BTreeSet<PageRef>),
    /// The versions of the leaves of the windows below.
    Leaves(BTreeMap<Leaf, u64>),
}

impl Default for Listed {
    fn default() -> Listed {
        Listed::Pages(BTreeSet::new())
    }
}

/// A leaf: a part of a window that holds totals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leaf {
    /// The window.
    pub window: WindowKey,
    /// The binary digits of the part.
    pub part: String,
}

impl State {
    /// The content as a frame.
    pub(super) fn frame(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        let has_watches = !self.watches.is_empty() || !self.totals.corrections.is_empty();
        writer.byte(if has_watches { WITH_WATCHES } else { FORMAT });
        self.listed.write(&mut writer);
        self.totals.write(&mut writer);
        if has_watches {
            self.totals.write_corrections(&mut writer);
            self.watches.write(&mut writer);
        }
        writer.into_frame()
    }

    /// The state and its frame. If that has more than `limit` bytes, the state gives up its largest values, and if it doesn't
    /// fit without values, the names of its measures as well.
    pub(super) fn within(self, limit: usize) -> (State, Vec<u8>) {
        let whole = self.frame();
        if whole.len() <= limit {
            return (self, whole);
        }
        let (mut smaller, mut data) = (self.clone(), whole.clone());
        while data.len() > limit {
            if !smaller.totals.give_up_largest(data.len() - limit) {
                smaller.totals.give_up_all();
                data = smaller.frame();
                break;
            }
            data = smaller.frame();
        }
        if data.len() > limit {
            return (self, whole);
        }
        (smaller, data)
    }

    /// Reads an item that has this content.
    ///
    /// # Errors
    /// If the data is damaged, or if a newer release wrote it.
    pub(super) fn of_item(StateItem { window, part, version, .. }: &StateItem, data: &[u8]) -> Result<State, Error> {
        let read = State::read(*version, data, window.zone());
        read.map_err(|what| Error::config(format!("read the state {window}/{part}: {what}")))
    }

    /// Reads an item's content.
    ///
    /// # Errors
    /// If the data is damaged, or if a newer release wrote it.
    pub(super) fn read(version: u64, data: &[u8], zone: Zone) -> Result<State, Damaged> {
        let content = content_of(data)?;
        let mut reader = Reader::new(&content);
        let format = format(&mut reader)?;
        let (listed, mut totals) = (Listed::read(&mut reader, zone)?, Totals::read(&mut reader)?);
        let mut watches = Watches::default();
        if format == WITH_WATCHES {
            totals.read_corrections(&mut reader)?;
            watches = Watches::read(&mut reader)?;
        }
        if reader.is_at_end() { Ok(State { version, listed, totals, watches }) } else { Err(Damaged("it is too long")) }
    }
}

fn format(reader: &mut Reader<'_>) -> Result<u8, Damaged> {
    let format = reader.byte()?;
    let is_known = matches!(format, FORMAT | WITH_WATCHES);
    is_known.then_some(format).ok_or(Damaged("a newer release wrote it: it has an unknown format"))
}

const PAGES: u8 = 0;
const LEAVES: u8 = 1;

impl Listed {
    fn write(&self, writer: &mut Writer) {
        match self {
            Listed::Pages(pages) => {
                writer.byte(PAGES);
                writer.size(pages.len());
                for page in pages {
                    writer.uint(page.bucket.into());
                    writer.raw(&page.name.to_be_bytes());
                }
            }
            Listed::Leaves(leaves) => {
                writer.byte(LEAVES);
                writer.size(leaves.len());
                for (leaf, version) in leaves {
                    writer.bytes(leaf.window.text().as_bytes());
                    writer.bytes(leaf.part.as_bytes());
                    writer.uint(*version);
                }
            }
        }
    }

    fn read(reader: &mut Reader<'_>, zone: Zone) -> Result<Listed, Damaged> {
        let kind = reader.byte()?;
        let count = reader.count()?;
        match kind {
            PAGES => {
                let mut page = || {
                    let bucket = u32::try_from(reader.uint()?).map_err(|_| Damaged("a bucket is too large"))?;
                    let name = reader.raw(8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
                    Ok(PageRef { bucket, name })
                };
                (0..count).map(|_| page()).collect::<Result<_, _>>().map(Listed::Pages)
            }
            LEAVES => {
                let mut leaf = || {
                    let window = WindowKey::parse(reader.text()?, zone).ok_or(Damaged("it lists no window"))?;
                    Ok((Leaf { window, part: reader.text()?.to_owned() }, reader.uint()?))
                };
                (0..count).map(|_| leaf()).collect::<Result<_, _>>().map(Listed::Leaves)
            }
            _ => Err(Damaged("it lists something unknown")),
        }
    }

    /// Whether it stands for nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Listed::Pages(pages) => pages.is_empty(),
            Listed::Leaves(leaves) => leaves.is_empty(),
        }
    }

    /// The pages, for a minute.
    pub(super) fn pages(&self) -> impl Iterator<Item = &PageRef> {
        let Listed::Pages(pages) = self else { return None.into_iter().flatten() };
        Some(pages).into_iter().flatten()
    }

    /// The leaves, for a window above the minutes.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (&Leaf, u64)> {
        let leaves = match self {
            Listed::Leaves(leaves) => Some(leaves),
            Listed::Pages(_) => None,
        };
        leaves.into_iter().flatten().map(|(leaf, version)| (leaf, *version))
    }
}

/// The leaves of a window by part; one without a version if the window has no state.
pub(super) type Leaves = BTreeMap<String, State>;

/// The leaves among the items of one window, as everybody reads them who doesn't write them. `None` if the halves of a split are
/// missing, so that it must be read again.
///
/// # Errors
/// If an item is damaged, or if a newer release wrote it; not while states are rebuilt.
pub(super) fn leaves(items: &[StateItem], mode: Mode) -> Result<Option<Leaves>, Error> {
    let (leaves, missing) = leaves_left(items, mode)?;
    Ok(missing.is_empty().then_some(leaves))
}

/// The leaves that are left among the items of one window, and the halves of splits that are missing.
///
/// # Errors
/// As for [`leaves`].
pub(super) fn leaves_left(items: &[StateItem], mode: Mode) -> Result<(Leaves, Vec<String>), Error> {
    let (mut leaves, mut missing) = (Leaves::new(), Vec::new());
    let mut open = vec![String::new()];
    while let Some(part) = open.pop() {
        match items.iter().find(|item| item.part == part) {
            None if part.is_empty() => drop(leaves.insert(part, State::default())),
            None => missing.push(part),
            Some(StateItem { data: None, .. }) => open.extend(halves(&part)),
            Some(item @ StateItem { data: Some(data), .. }) => {
                let state = State::of_item(item, data).or_else(|error| match mode {
                    Mode::Usual => Err(error),
                    Mode::Rebuild | Mode::Forget => Ok(State { version: item.version, ..State::default() }),
                });
                leaves.insert(part, state?);
            }
        }
    }
    Ok((leaves, missing))
}

/// How many buckets have pages, as far as the state of a minute knows: as many as there can be if a part of it is damaged.
///
/// What a state lists needs no longer exist after a restore, or when it is forgotten; but pages that do exist in its buckets
/// must be counted all the same.
pub(super) fn used_buckets(items: &[StateItem]) -> u32 {
    let used = |StateItem { window, data, .. }: &StateItem| {
        let content = content_of(data.as_deref()?);
        let listed = content.and_then(|content| {
            let mut reader = Reader::new(&content);
            format(&mut reader)?;
            Listed::read(&mut reader, window.zone())
        });
        match listed {
            Ok(listed) => listed.pages().map(|page| page.bucket.saturating_add(1).min(MAX_BUCKETS)).max(),
            Err(_) => Some(MAX_BUCKETS),
        }
    };
    items.iter().filter_map(used).max().unwrap_or(0)
}

/// Reads the content of a state and writes it again, for the fuzzer, which can't name a state.
///
/// # Errors
/// If the data is damaged.
#[doc(hidden)]
pub fn rewritten_state(data: &[u8]) -> Result<Vec<u8>, Damaged> {
    State::read(1, data, Zone::UTC).map(|state| state.frame())
}

/// The parts into which a part is split.
pub(super) fn halves(part: &str) -> [String; 2] {
    ["0", "1"].map(|digit| format!("{part}{digit}"))
}

#[cfg(test)]
mod tests;
