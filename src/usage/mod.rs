//! Usage: what records add to counters (`counter`, `cell`, `key`, `group`), and what the snapshot items look like (`snapshot`).

mod cell;
mod counter;
mod group;
mod key;
mod snapshot;

pub use crate::pipeline::Aggregate;
pub use cell::{Cell, MAX_TEXT_BYTES, Moment, Order, Scalar, hash_of};
pub use counter::{CounterAdditions, Counting, Delta, UsageDelta, additions, deltas, openings, reversal};
pub use group::{Addition, Amounts, Effect, Group, Segment, Sums, Totals, totals};
pub use key::{CounterKey, KeyNumber};
pub use snapshot::{SnapshotItem, check_keys, snapshot_of};

#[cfg(test)]
mod tests;
