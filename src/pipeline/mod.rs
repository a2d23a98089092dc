//! Pipelines: which record types there are, what they count, and how they are archived. This file has the types that
//! result from a valid `pipeline.toml`. `parse` creates them, and `route` matches records against them.

mod aggregate;
mod alert;
mod closing;
mod condition;
mod definition;
mod document;
mod indicator;
mod nearest;
mod parse;
mod route;
mod shipped;
mod snapshot;
mod source;
mod suggestion;
pub mod template;
mod weight;
mod window_time;

use crate::archive::RecordSchema;
use crate::decimal::Decimal;
use crate::record::Event;
use crate::time::Unit;
use crate::window::Window;
pub use aggregate::{Aggregate, Quantile};
pub use alert::{Alert, Limit, LimitItem, Rule};
pub use closing::{Closing, LateRecords, RESTATED_ATTRIBUTE, adjusted_name};
pub use condition::Condition;
pub use indicator::{INDICATOR_PREVIOUS, INDICATOR_VERSION, Indicator, IndicatorKind, IndicatorQuery, IndicatorRecord};
pub use indicator::{IndicatorValue, MissingTarget};
pub use nearest::Mismatch;
pub use parse::{Mistakes, check_prefix};
pub use route::{Bindings, Routed};
pub use shipped::{Folder, shipped, shipped_names};
pub use snapshot::{MeasureKind, PARTITION_KEY_BYTES, SORT_KEY_BYTES, Snapshot, VERSION_ATTRIBUTE};
use template::{Pattern, Template};
pub use weight::{DurationUnit, Weight};
pub use window_time::{Beyond, WindowTime};

/// A validated pipeline.
#[derive(Debug)]
pub struct Pipeline {
    /// The name of the pipeline's folder.
    pub name: String,
    /// The tables and streams that this pipeline is meant for. Tools use them to choose a pipeline.
    pub sources: Vec<String>,
    /// The kind of stream that the sources are read from. Only tools use it.
    pub stream: Stream,
    /// What happens to records of which no image matches a record type.
    pub unmatched: Unmatched,
    /// The generation of the measures: of two pages with the same record, that with the higher generation counts it.
    pub generation: u64,
    /// The layout of the snapshot items, if the pipeline counts.
    pub snapshot: Option<Snapshot>,
    /// The prefix of object keys, unless ARCHIVE_PREFIX is set.
    pub archive_prefix: String,
    /// The record types in the order of the file. The first match wins.
    pub routes: Vec<Route>,
    /// The aggregates that are kept on items of the source table.
    pub indicators: Vec<Indicator>,
    /// The names of the measures that don't contain a capture, for [`MeasureName::Fixed`].
    pub measures: Vec<String>,
    /// The key with which different values are hashed, from DISTINCT_KEY. Whoever doesn't know it can't choose hashes.
    pub distinct_key: Option<[u8; 32]>,
}

/// The kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Changes of a table, from DynamoDB Streams or from Kinesis Data Streams for DynamoDB.
    DynamoDb,
    /// Plain Kinesis messages.
    Kinesis,
}

/// What happens to a record of which no image matches a record type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmatched {
    /// The record has no effect.
    Skip,
    /// The record is rejected.
    Reject,
}

/// One record type.
#[derive(Debug)]
pub struct Route {
    /// The name of the record type.
    pub record_type: String,
    /// What attributes must match. Key attributes come first.
    matchers: Vec<Matcher>,
    /// Attributes that must exist, and the slots that they fill.
    binds: Vec<(String, usize)>,
    conditions: Vec<Condition>,
    /// The kinds of events that are processed.
    pub events: Vec<Event>,
    /// The attribute that decides in which windows records count; that is their creation otherwise.
    pub window_time: Option<WindowTime>,
    /// Whose usage is counted, and of what. A record adds to each of them.
    pub counters: Vec<Counter>,
    /// How records are archived, if they are.
    pub archive: Option<Archive>,
    /// The variables that `matchers` and `binds` fill, by slot.
    variables: Vec<String>,
}

/// An attribute and what it must match.
#[derive(Debug)]
struct Matcher {
    attribute: String,
    requirement: Requirement,
    /// The requirement as the file has it.
    text: String,
}

#[derive(Debug)]
enum Requirement {
    Pattern(Pattern),
    Equal(condition::Scalar),
}

/// What a record type counts for one entity and resource.
#[derive(Debug)]
pub struct Counter {
    /// One template for each of [`Snapshot::group_variables`].
    pub group: Vec<Template>,
    /// The numbers that are counted.
    pub measures: Vec<Measure>,
}

/// One kind of number that a record type counts.
#[derive(Debug)]
pub struct Measure {
    /// The name of the counter.
    pub name: MeasureName,
    /// How the values of records are combined.
    pub aggregate: Aggregate,
    /// Which images count, and with which sign.
    pub amount: Amount,
    /// The number that is taken from an image.
    pub quantity: Quantity,
    /// Conditions that an image must meet to count.
    pub conditions: Vec<Condition>,
    /// The maximum number of fraction digits of a value.
    pub scale: Option<u32>,
    /// What each value is multiplied by.
    pub factor: Option<Decimal>,
    /// Whether a backfill counts the items that existed before the stream was attached.
    pub baseline: bool,
}

/// The name of a measure's attribute in snapshot items.
#[derive(Debug, PartialEq, Eq)]
pub enum MeasureName {
    /// An index into [`Pipeline::measures`].
    Fixed(usize),
    /// Contains the capture of [`Quantity::Matching`], which is slot 0.
    Captured(Template),
}

/// How the images of a record become an amount.
#[derive(Debug, PartialEq, Eq)]
pub enum Amount {
    /// Any other kind: the quantity of the newest image of each record.
    Each {
        /// The events that count.
        events: Vec<Event>,
        /// The index in [`Counter::measures`] of a delta. If set, only records that change that delta count.
        along_with: Option<usize>,
    },
    /// Delta and level: the quantity of the new image minus the quantity of the old image.
    Difference {
        /// What happens when an item is deleted.
        removed: Removal,
        /// What happens when an item expires.
        expired: Removal,
        /// What happens when an item loses the attribute.
        cleared: Removal,
    },
    /// Weighted: the quantity of the old image times the time that it stood.
    Standing(Weight),
}

/// What a difference does with the old quantity of an item or attribute that no longer exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Subtracts it.
    Subtract,
    /// Leaves it in the counter.
    Ignore,
}

/// The number that is taken from an image.
#[derive(Debug, PartialEq, Eq)]
pub enum Quantity {
    /// 1.
    One,
    /// The value of an attribute.
    Attribute {
        /// The path of the attribute.
        path: String,
        /// What happens if an image doesn't have it.
        missing: Missing,
    },
    /// The values of all attributes whose name matches, each for a counter of its own.
    Matching {
        /// The pattern of the names, with one capture.
        pattern: Pattern,
        /// Captures that are left out.
        except: Vec<String>,
    },
}

/// What happens if an image doesn't have the attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The record is rejected.
    Reject,
    /// The image counts as 0.
    Zero,
    /// The image has no value, for measures that aren't sums.
    Ignore,
}

/// How long the name of a measure may be. All names of a window are in its state, so tenants who choose names could fill it.
pub const MEASURE_NAME_BYTES: std::ops::RangeInclusive<usize> = 1..=255;

/// The variables of the window in snapshot templates. Their slots follow those of the group variables.
pub const WINDOW_VARIABLES: [&str; 4] = ["window", "window_start", "window_end", "window_key"];

/// When snapshot items expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeToLive {
    /// The attribute for DynamoDB's Time to Live.
    pub attribute: String,
    /// Days after the end of the window. Windows that aren't listed never expire.
    pub days: Vec<(Window, i64)>,
}

/// How records are archived.
#[derive(Debug)]
pub struct Archive {
    /// The Avro schema of the rows.
    pub schema: RecordSchema,
    /// The image that becomes the row.
    pub image: ArchivedImage,
    /// What determines the partition of the row.
    pub partition_date: PartitionDate,
    /// The kinds of events that are archived.
    pub events: Vec<Event>,
}

/// The image that becomes the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivedImage {
    /// The new image, or the old image of a removed item.
    Newest,
    /// The new image.
    New,
    /// The old image.
    Old,
}

/// What determines the partition of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionDate {
    /// The creation time of the record.
    CreatedAt,
    /// A date, an instant or a number in an attribute.
    Attribute {
        /// The path of the attribute.
        path: String,
        /// The unit of a number.
        unit: Unit,
    },
}

impl Pipeline {
    /// The first two attributes that the first record type matches. In a single-table design, these are the keys of the
    /// source table, if their names sort in the right order.
    pub fn source_keys(&self) -> Vec<&str> {
        let matchers = self.routes.first().map(|route| route.matchers.as_slice()).unwrap_or_default();
        matchers.iter().map(|matcher| matcher.attribute.as_str()).take(2).collect()
    }

    /// The record types that are archived, with their schemas.
    pub fn schemas(&self) -> impl Iterator<Item = (&str, &RecordSchema)> {
        self.routes.iter().filter_map(|route| Some((route.record_type.as_str(), &route.archive.as_ref()?.schema)))
    }
}

#[cfg(test)]
mod tests;
