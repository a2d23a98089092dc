//! Counting usage: what records add to counters (`counter`, `key`, `group`), what the snapshot items look like
//! (`snapshot`, `fraction`), and how both are committed exactly once (`claim`, `read`, `transaction`, `table`).

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
pub use read::read_items;
pub use snapshot::{SnapshotItem, check_keys, snapshot_of};
pub use table::{Committed, UsageTables};

#[cfg(test)]
mod tests;
