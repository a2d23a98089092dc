//! A pipeline: which records are of which type, what they count, where their rows go. This file has the types, as they
//! are once `pipeline.toml` has been validated; `parse` makes them, `route` matches records against them.

mod condition;
mod document;
mod parse;
mod route;
mod shipped;
pub mod template;

use std::collections::BTreeMap;

use crate::archive::RecordSchema;
use crate::decimal::Decimal;
use crate::record::Event;
use crate::time::Unit;
use crate::window::Window;
pub use condition::Condition;
pub use parse::{Mistakes, check_prefix};
pub use route::{Bindings, Routed};
pub use shipped::{Folder, shipped, shipped_names};
use template::{Pattern, Template};

/// A validated pipeline.
#[derive(Debug)]
pub struct Pipeline {
    pub name: String,
    /// Tables and streams this pipeline is meant for; tools choose a pipeline by them.
    pub sources: Vec<String>,
    /// What kind of stream they are read from; for tools.
    pub stream: Stream,
    pub unmatched: Unmatched,
    pub snapshot: Option<Snapshot>,
    /// What object keys start with, unless the environment says otherwise.
    pub archive_prefix: String,
    /// In the order of the file: the first match wins.
    pub routes: Vec<Route>,
    /// The names of the measures that need no capture, for [`MeasureName::Fixed`].
    pub measures: Vec<String>,
}

/// Kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    DynamoDb,
    /// Kinesis messages that aren't changes of a table.
    Kinesis,
}

/// What becomes of a record that no route matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    Skip,
    Reject,
}

/// One record type.
#[derive(Debug)]
pub struct Route {
    pub record_type: String,
    /// Conditions on attributes; those of key attributes come first.
    matchers: Vec<Matcher>,
    /// Attributes that must be there, and the slots they fill.
    binds: Vec<(String, usize)>,
    conditions: Vec<Condition>,
    pub events: Vec<Event>,
    pub usage: Option<Usage>,
    pub archive: Option<Archive>,
    /// How many variables `matchers` and `binds` fill.
    slots: usize,
}

/// An attribute that must match a pattern or equal a value.
#[derive(Debug)]
struct Matcher {
    attribute: String,
    requirement: Requirement,
}

#[derive(Debug)]
enum Requirement {
    Pattern(Pattern),
    Equal(condition::Scalar),
}

/// What a record type counts.
#[derive(Debug)]
pub struct Usage {
    /// One template for each of the snapshot's group variables: entity, resource, then what else its keys name.
    pub group: Vec<Template>,
    pub measures: Vec<Measure>,
}

/// One number that is counted.
#[derive(Debug)]
pub struct Measure {
    pub name: MeasureName,
    pub amount: Amount,
    pub quantity: Quantity,
    pub conditions: Vec<Condition>,
    /// The most fraction digits a value may have.
    pub scale: Option<u32>,
    /// What 1 of the attribute is worth.
    pub factor: Option<Decimal>,
}

/// What a measure's attribute in the snapshot is called.
#[derive(Debug, PartialEq, Eq)]
pub enum MeasureName {
    /// An index into [`Pipeline::measures`].
    Fixed(usize),
    /// Made from the capture of the quantity's attribute pattern, which is slot 0.
    Captured(Template),
}

/// How records become an amount.
#[derive(Debug, PartialEq, Eq)]
pub enum Amount {
    /// The quantity of the newest image, for each record of these events; with another measure of the route, only for
    /// those that change it.
    Each { events: Vec<Event>, along_with: Option<usize> },
    /// The quantity of the new image minus that of the old one.
    Difference { removed: Removal, expired: Removal, cleared: Removal },
}

/// What a difference makes of an item, or of an attribute, that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    Subtract,
    Ignore,
}

/// What is counted of one image.
#[derive(Debug, PartialEq, Eq)]
pub enum Quantity {
    /// 1 for the image.
    One,
    /// A number at this path.
    Attribute { path: String, missing: Missing },
    /// Every attribute whose name matches, but for the captures in `except`.
    Matching { pattern: Pattern, except: Vec<String> },
}

/// What an image without the attribute means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Reject,
    Zero,
}

/// How a snapshot item looks.
#[derive(Debug)]
pub struct Snapshot {
    /// The variables that tell groups apart: `entity`, `resource`, then the further ones that the templates name.
    pub group_variables: Vec<String>,
    pub partition_key: (String, Template),
    pub sort_key: Option<(String, Template)>,
    /// What stands behind the sort key's text in items of these windows.
    pub suffixes: BTreeMap<Window, String>,
    pub attributes: Vec<(String, Template)>,
    pub windows: Vec<Window>,
    /// What `{window}` is, where that isn't the window's own name.
    pub window_names: BTreeMap<Window, String>,
    /// What a counter is called whose name is taken by another attribute; its slot 0 is that name.
    pub if_taken: Option<Template>,
    /// Counters are whole numbers, and what is left is a text in this attribute; slot 0 is the counter's name.
    pub fraction: Option<Template>,
    pub time_to_live: Option<TimeToLive>,
}

/// The names of the window's variables in snapshot templates; their slots follow the group variables'.
pub const WINDOW_VARIABLES: [&str; 4] = ["window", "window_start", "window_end", "window_key"];

/// When snapshots expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeToLive {
    pub attribute: String,
    /// Days after the window's end; a window that isn't here never expires.
    pub days: Vec<(Window, i64)>,
}

/// What of a record is archived.
#[derive(Debug)]
pub struct Archive {
    pub schema: RecordSchema,
    pub image: ArchivedImage,
    pub partition_date: PartitionDate,
    pub events: Vec<Event>,
}

/// Which image becomes the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivedImage {
    /// The new image, or the old one of a removed item.
    Newest,
    New,
    Old,
}

/// What decides the day of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionDate {
    /// The record's own creation time.
    CreatedAt,
    /// A date, an instant or a number of this unit in an attribute.
    Attribute { path: String, unit: Unit },
}

impl Snapshot {
    /// What `{window}` stands for.
    pub fn window_name(&self, window: Window) -> &str {
        self.window_names.get(&window).map_or(window.name(), String::as_str)
    }

    /// What stands behind the sort key's text.
    pub fn suffix(&self, window: Window) -> &str {
        self.suffixes.get(&window).map_or("", String::as_str)
    }
}

impl Pipeline {
    /// The attributes by which the first record type is told, two at most: the keys of its table, in a single-table
    /// design whose keys' names sort as they should.
    pub fn source_keys(&self) -> Vec<&str> {
        let matchers = self.routes.first().map(|route| route.matchers.as_slice()).unwrap_or_default();
        matchers.iter().map(|matcher| matcher.attribute.as_str()).take(2).collect()
    }

    /// The archived record types and their schemas.
    pub fn schemas(&self) -> impl Iterator<Item = (&str, &RecordSchema)> {
        self.routes.iter().filter_map(|route| Some((route.record_type.as_str(), &route.archive.as_ref()?.schema)))
    }
}

#[cfg(test)]
mod tests;
