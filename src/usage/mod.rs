//! Usage: what records add to counters (`counter`), in which windows (`window`), and how that is committed exactly once
//! (`claim`, `read`, `table`).

mod claim;
mod counter;
mod fraction;
mod group;
mod read;
mod snapshot;
mod table;
mod transaction;
mod window;

pub use counter::{CounterKey, UsageDelta, deltas, departure, outline_deltas, outline_departure};
pub use group::{Effect, Group, Segment, Sums, Totals, totals};
pub use snapshot::{SnapshotItem, check_keys, snapshot_of};
pub use table::{Committed, UsageTables};
pub use window::{Span, Window};

#[cfg(test)]
mod tests;
