//! The layout of snapshot items.

use std::collections::BTreeMap;

use super::TimeToLive;
use super::template::Template;
use crate::window::{Window, Zone};

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
}
