//! One event: what the function would do with it, or does.

pub mod changed_snapshots;
pub mod changes;
pub mod explain;
pub mod invoke;
pub mod report;
