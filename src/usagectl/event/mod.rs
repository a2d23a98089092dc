//! Commands that work on event files: what the function would do with an event, and what it does.

pub mod changed_snapshots;
pub mod changes;
pub mod explain;
pub mod invoke;
pub mod report;
