//! Usage: what records add to counters (`counter`, `key`, `group`), and what the snapshot items look like (`snapshot`).

mod counter;
mod group;
mod key;
mod snapshot;

pub use counter::{Counting, Delta, UsageDelta, deltas, reversal};
pub use group::{Amounts, Effect, Group, Segment, Sums, Totals, totals};
pub use key::{CounterKey, KeyNumber};
pub use snapshot::{SnapshotItem, check_keys, snapshot_of};

#[cfg(test)]
mod tests;
