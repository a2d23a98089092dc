//! The table of loads in docs/tuning.md: which settings fit which load.

use super::model::Load;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// The load.
    pub name: &'static str,
    /// The range of BatchSize.
    pub batch: (f64, f64),
    /// The least ReservedConcurrency.
    pub reserved: f64,
    /// The range of ParallelizationFactor.
    pub factor: (f64, f64),
    /// The range of BatchWindowSeconds.
    pub window: (f64, f64),
}

/// Fewer than 100 records per second.
pub const QUIET: Row =
    Row { name: "below 100 records/s", batch: (100.0, 100.0), reserved: 2.0, factor: (1.0, 1.0), window: (0.0, 5.0) };
/// 100 to 1,000 records per second.
pub const STEADY: Row = Row {
    name: "100 to 1,000 records/s",
    batch: (100.0, 1_000.0),
    reserved: 5.0,
    factor: (1.0, 1.0),
    window: (1.0, 5.0),
};
/// More than 1,000 records per second.
pub const BUSY: Row = Row {
    name: "above 1,000 records/s",
    batch: (1_000.0, 10_000.0),
    reserved: 10.0,
    factor: (2.0, 2.0),
    window: (1.0, 5.0),
};
/// A latency goal below one second.
pub const REAL_TIME: Row =
    Row { name: "real time", batch: (10.0, 50.0), reserved: 10.0, factor: (2.0, 5.0), window: (0.0, 0.0) };

/// The row of a load.
pub fn row(load: &Load) -> Row {
    match load.goal {
        Some(goal) if goal < 1.0 => REAL_TIME,
        _ if load.rate < 100.0 => QUIET,
        _ if load.rate <= 1_000.0 => STEADY,
        _ => BUSY,
    }
}
