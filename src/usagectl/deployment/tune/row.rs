//! The contract's table of loads: which sizes fit which load.

use super::model::Load;

/// A row of the contract's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    pub name: &'static str,
    pub batch: (f64, f64),
    pub reserved: f64,
    pub factor: (f64, f64),
    pub window: (f64, f64),
}

pub const QUIET: Row =
    Row { name: "below 100 records/s", batch: (100.0, 100.0), reserved: 2.0, factor: (1.0, 1.0), window: (0.0, 5.0) };
pub const STEADY: Row = Row {
    name: "100 to 1,000 records/s",
    batch: (100.0, 1_000.0),
    reserved: 5.0,
    factor: (1.0, 1.0),
    window: (1.0, 5.0),
};
pub const BUSY: Row = Row {
    name: "above 1,000 records/s",
    batch: (1_000.0, 10_000.0),
    reserved: 10.0,
    factor: (2.0, 2.0),
    window: (1.0, 5.0),
};
pub const REAL_TIME: Row =
    Row { name: "real time", batch: (10.0, 50.0), reserved: 10.0, factor: (2.0, 5.0), window: (0.0, 0.0) };

/// The row of a load: a goal below a second is real time.
pub fn row(load: &Load) -> Row {
    match load.goal {
        Some(goal) if goal < 1.0 => REAL_TIME,
        _ if load.rate < 100.0 => QUIET,
        _ if load.rate <= 1_000.0 => STEADY,
        _ => BUSY,
    }
}
