//! Usage: what records add to counters (`counter`), in which windows (`window`), and how that is committed exactly once
//! (`claim`, `read`, `table`).

mod claim;
mod counter;
mod fraction;
mod group;
mod key;
mod read;
mod snapshot;
mod table;
mod transaction;

pub use counter::{Counting, Delta, UsageDelta, deltas, reversal};
pub use group::{Amounts, Effect, Group, Segment, Sums, Totals, totals};
pub use key::{CounterKey, KeyNumber};
pub use snapshot::{SnapshotItem, check_keys, snapshot_of};
pub use table::{Committed, UsageTables};

#[cfg(test)]
mod tests;
