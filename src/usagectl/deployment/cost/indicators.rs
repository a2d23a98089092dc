//! What the indicators of a pipeline use: reads and writes of the source table for each target that a batch recomputes. Pure.

/// 4 KB: what a read unit reads with strong consistency.
const READ_BYTES: f64 = 4_096.0;

/// The indicators of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndicatorLoad {
    /// Targets that a batch recomputes; 0 if the pipeline has no indicators.
    pub targets: f64,
    /// Items that the query of a target finds.
    pub items: f64,
    /// Bytes of an item.
    pub item_bytes: f64,
}

impl IndicatorLoad {
    /// A pipeline without indicators. If it gets some, a target has ten items of 500 bytes.
    pub const NONE: IndicatorLoad = IndicatorLoad { targets: 0.0, items: 10.0, item_bytes: 500.0 };

    /// Read units per batch: the target, which is read first, and the query.
    pub fn read_units(self) -> f64 {
        self.targets * (1.0 + (self.items * self.item_bytes / READ_BYTES).ceil().max(1.0))
    }

    /// Write units per batch: one write of each target, of up to 1 KB.
    pub fn write_units(self) -> f64 {
        self.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_and_written_and_its_items_are_read_together() {
        let units = |items| {
            let load = IndicatorLoad { targets: 10.0, items, item_bytes: 500.0 };
            (load.read_units(), load.write_units())
        };
        assert_eq!([1.0, 8.0, 9.0, 1_000.0].map(units), [(20.0, 10.0), (20.0, 10.0), (30.0, 10.0), (1_240.0, 10.0)]);
        assert_eq!((IndicatorLoad::NONE.read_units(), IndicatorLoad::NONE.write_units()), (0.0, 0.0));
    }
}
