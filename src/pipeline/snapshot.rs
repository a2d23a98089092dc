//! The layout of snapshot items.

use std::collections::BTreeMap;

use super::template::Template;
use super::{Aggregate, Alert, Closing, Quantile, TimeToLive};
use crate::time::{DAY_SECONDS, Timestamp};
use crate::window::{Span, Window, Zone};

/// The attribute of a snapshot that holds the version of the state that it was written from, as 8 bytes.
pub const VERSION_ATTRIBUTE: &str = "usage_version";

/// 2048 and 1024 bytes: DynamoDB's limits for partition keys and sort keys, of tables and of indexes.
pub const PARTITION_KEY_BYTES: usize = 2048;
/// See [`PARTITION_KEY_BYTES`].
pub const SORT_KEY_BYTES: usize = 1024;

/// The layout of snapshot items.
#[derive(Debug)]
pub struct Snapshot {
    /// The variables that identify a group: `entity`, `resource`, then any other variables in the templates.
    pub group_variables: Vec<String>,
    /// The name and the template of the partition key.
    pub partition_key: (String, Template),
    /// The name and the template of the sort key.
    pub sort_key: Option<(String, Template)>,
    /// What is appended to the sort key, by window.
    pub suffixes: BTreeMap<Window, String>,
    /// The names and templates of descriptive attributes.
    pub attributes: Vec<(String, Template)>,
    /// The descriptive attributes that are keys of an index, each with the most bytes that DynamoDB allows.
    pub index_keys: Vec<(String, usize)>,
    /// The windows that are counted.
    pub windows: Vec<Window>,
    /// The time zone in which windows begin and end.
    pub zone: Zone,
    /// The value of `{window}`, where it differs from the name of the window.
    pub window_names: BTreeMap<Window, String>,
    /// The name of a counter whose own name is used by another attribute. Slot 0 is the counter's own name.
    pub if_taken: Option<Template>,
    /// If set, counters are whole numbers, and the remainder is a text in this attribute. Slot 0 is the counter's name.
    pub fraction: Option<Template>,
    /// When snapshot items expire, if they do.
    pub time_to_live: Option<TimeToLive>,
    /// When windows are closed, if they ever are.
    pub closing: Option<Closing>,
    /// The names of the measures that don't contain a capture.
    pub measures: Vec<String>,
    /// The measures that aren't sums, by name.
    pub kinds: BTreeMap<String, MeasureKind>,
    /// The alerts of all counters.
    pub alerts: Vec<Alert>,
}

/// What a measure is, and what is published of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasureKind {
    /// How it combines the values of records.
    pub aggregate: Aggregate,
    /// For a distribution, the quantiles that are published.
    pub quantiles: Vec<Quantile>,
}

impl MeasureKind {
    /// The attributes of a measure with this name.
    pub fn attributes(&self, measure: &str) -> Vec<String> {
        match self.aggregate {
            Aggregate::Quantile => self.quantiles.iter().map(|quantile| quantile.attribute(measure)).collect(),
            _ => vec![measure.to_owned()],
        }
    }
}

impl Snapshot {
    /// The value of `{window}`.
    pub fn window_name(&self, window: Window) -> &str {
        self.window_names.get(&window).map_or(window.name(), String::as_str)
    }

    /// What is appended to the sort key.
    pub fn suffix(&self, window: Window) -> &str {
        self.suffixes.get(&window).map_or("", String::as_str)
    }

    /// When the snapshots of a window expire, in seconds since the epoch, if they do.
    pub fn expires_at(&self, span: Span) -> Option<i64> {
        let (_, days) = self.time_to_live.as_ref()?.days.iter().find(|(window, _)| *window == span.window)?;
        Some(span.end() + days * DAY_SECONDS)
    }

    /// Whether the snapshots of a window have expired. Nobody writes them any more, and DynamoDB deletes them within a few days.
    pub fn has_expired(&self, span: Span, now: Timestamp) -> bool {
        self.expires_at(span).is_some_and(|at| at < now.seconds())
    }

    /// How a measure combines the values of records.
    pub fn aggregate(&self, measure: &str) -> Aggregate {
        self.kinds.get(measure).map_or(Aggregate::Sum, |kind| kind.aggregate)
    }

    /// The quantiles of a measure that are published.
    pub fn quantiles(&self, measure: &str) -> &[Quantile] {
        self.kinds.get(measure).map_or(&[], |kind| &kind.quantiles)
    }

    /// Whether an attribute belongs to a measure that isn't a sum.
    pub fn has_attribute(&self, attribute: &str) -> bool {
        self.kinds.iter().any(|(name, kind)| kind.attributes(name).iter().any(|own| own == attribute))
    }

    /// The attribute with the fraction of a counter, if counters have one.
    pub fn fraction_of(&self, counter: &str) -> Option<String> {
        Some(self.fraction.as_ref()?.render(|_| counter))
    }

    /// Whether an attribute of this name could have the fraction of a counter.
    pub fn is_fraction(&self, attribute: &str) -> bool {
        let read_back = self.fraction.as_ref().and_then(|template| template.read_back(attribute));
        read_back.is_some_and(|counter| counter.iter().all(|(_, name)| !name.is_empty()))
    }

    /// The name of the counter that gets the name `counter` if its own is taken.
    pub fn named_if_taken(&self, counter: &str) -> Option<String> {
        let template = self.if_taken.as_ref()?;
        let (_, name) = template.read_back(counter)?.pop()?;
        (template.render(|_| name.as_str()) == counter).then_some(name)
    }

    /// How the measure that an attribute is part of combines the values of records.
    pub fn aggregate_of(&self, attribute: &str) -> Aggregate {
        let has = |(name, kind): &(&String, &MeasureKind)| kind.attributes(name).iter().any(|own| own == attribute);
        self.kinds.iter().find(has).map_or(Aggregate::Sum, |(_, kind)| kind.aggregate)
    }
}
