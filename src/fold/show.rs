//! Describes what the ledger holds of a window, for people and tools. Reads only.

use tokio::time::Instant;

use super::attributes::published;
use super::engine::Mode;
use super::raise::raised;
use super::searched::searched_buckets;
use super::state::{Listed, leaves_left};
use super::totals::is_whole_group;
use super::value::Value;
use super::{Folder, Totals};
use crate::error::Error;
use crate::ledger::{Level, Measure, ReadPage, WindowKey};
use crate::pipeline::Snapshot;
use crate::usage::CounterKey;
use crate::usage::Segment;

/// What the ledger holds of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// The pages of a minute; none for a longer window.
    pub pages: Vec<ShownPage>,
    /// The parts of the state.
    pub states: Vec<ShownState>,
}

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownPage {
    /// The partition that it is in.
    pub bucket: u32,
    /// Its name.
    pub name: u64,
    /// The kind, author and reason; empty for usage.
    pub kind: [String; 3],
    /// The generation of its measures.
    pub generation: u64,
    /// The number of its groups.
    pub groups: usize,
    /// The number of its records; one that feeds several groups counts in each.
    pub records: usize,
    /// Whether the state stands for it.
    pub is_folded: bool,
}

/// Values by measure, without those that no record feeds; `None` for one that isn't known: a sum of more than 38 digits, or
/// one that didn't fit into an item.
pub type ShownValues = Vec<(String, Option<String>)>;

/// A group of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownGroup {
    /// The entity, resource, and other variables.
    pub key: CounterKey,
    /// In a minute, the first minute of the hour that it counts in, if that is another hour.
    pub event_hour: Option<Segment>,
    /// Its values.
    pub values: ShownValues,
    /// Those that aren't published, because another measure has their attribute.
    pub unpublished: ShownValues,
}

/// A part of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownState {
    /// The binary digits of the part; empty if the state isn't split.
    pub part: String,
    /// How often it was written, with the epoch in the upper 16 bits.
    pub version: u64,
    /// How many pages or states it stands for.
    pub lists: usize,
    /// The size of its content in bytes.
    pub bytes: usize,
    /// The values of its groups.
    pub groups: Vec<ShownGroup>,
    /// The sort keys of the alerts that its groups have raised.
    pub alerts: Vec<String>,
}

impl Folder {
    /// Describes what the ledger holds of a window. `snapshot` says which quantiles are shown; without it, none are.
    ///
    /// # Errors
    /// If the table can't be read, or if a page or state is damaged.
    pub async fn show(
        &self,
        snapshot: Option<&Snapshot>,
        window: WindowKey,
        deadline: Option<Instant>,
    ) -> Result<Shown, Error> {
        let items = self.ledger.states(window, deadline).await?;
        let (read, _) = leaves_left(&items, Mode::Usual)?;
        let listed =
            |page: &ReadPage| read.values().all(|state| state.listed.pages().any(|other| *other == page.reference));
        let mut shown = Shown::default();
        if window.level == Level::Minute {
            let buckets = searched_buckets(&items, self.ledger.buckets);
            let pages = self.ledger.pages(Segment::at(window.start()), 0..buckets, deadline).await?;
            shown.pages.extend(pages.iter().map(|page| shown_page(page, listed(page))));
        }
        for (part, state) in read.iter().filter(|(_, state)| state.version > 0) {
            let bytes =
                items.iter().find(|item| item.part == *part).and_then(|item| item.data.as_ref()).map_or(0, Vec::len);
            let lists = match &state.listed {
                Listed::Pages(pages) => pages.len(),
                Listed::Leaves(leaves) => leaves.len(),
            };
            let groups = groups(snapshot, &state.totals);
            let alerts = raised(window, state).map(|crossing| crossing.name()).collect();
            shown.states.push(ShownState { part: part.clone(), version: state.version, lists, bytes, groups, alerts });
        }
        Ok(shown)
    }
}

fn shown_page(page: &ReadPage, is_folded: bool) -> ShownPage {
    ShownPage {
        bucket: page.reference.bucket,
        name: page.reference.name,
        kind: page.kind.texts().map(str::to_owned),
        generation: page.content.generation,
        groups: page.content.groups.len(),
        records: page.content.groups.iter().map(|group| group.ids.len()).sum(),
        is_folded,
    }
}

/// The values of a measure by attribute; `None` if they aren't known.
pub(super) fn shown(snapshot: Option<&Snapshot>, measure: &Measure, value: &Value) -> ShownValues {
    if *value == Value::Overflow {
        let name = if is_whole_group(measure) { "all measures" } else { &*measure.name };
        return vec![(name.to_owned(), None)];
    }
    let quantiles = snapshot.map_or(&[][..], |snapshot| snapshot.quantiles(&measure.name));
    let attributes = value.attributes(&measure.name, quantiles).into_iter();
    attributes.filter_map(|(name, value)| Some((name, Some(value?.to_string())))).collect()
}

fn groups(snapshot: Option<&Snapshot>, totals: &Totals) -> Vec<ShownGroup> {
    let group = |key: &crate::ledger::GroupKey| {
        let values = || totals.group(key).into_iter().flatten();
        let published = snapshot.map(|snapshot| published(snapshot, values().map(|(measure, _)| measure)));
        let is_published = |measure: &Measure| published.as_ref().is_none_or(|published| published.contains(measure));
        let shown = |wanted: bool| {
            let values = values().filter(|(measure, _)| is_published(measure) == wanted);
            values.flat_map(|(measure, value)| shown(snapshot, measure, value)).collect()
        };
        let (values, unpublished) = (shown(true), shown(false));
        Some(ShownGroup { key: key.counter_key().ok()?, event_hour: key.event_hour(), values, unpublished })
    };
    totals.keys().filter_map(group).collect()
}
