//! Commands that work on event files: what the function would do with an event, and what it does.

pub mod alerts;
pub mod changed_snapshots;
pub mod changes;
pub mod explain;
mod input;
pub mod invoke;
mod plan_text;
mod read_items;
pub mod report;
mod skipped;

pub use input::read_event;
