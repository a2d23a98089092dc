//! Commands that read what was counted and archived, and check that it is right.

pub mod cat;
pub mod compact;
pub mod differences;
pub mod export;
mod overlap;
pub mod snapshot_items;
pub mod snapshots;
pub mod sums;
pub mod usage;
