//! What the indicators of a pipeline use: reads and writes of the source table for each target that a batch recomputes. Pure.

use super::model::{entities_of, groups_of};

/// 4 KB: what a read unit reads with strong consistency.
const READ_BYTES: f64 = 4_096.0;

/// The indicators of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndicatorLoad {
    /// Targets over which the changes are spread; 0 if the pipeline has no indicators.
    pub targets: f64,
    /// Items that the query of a target finds.
    pub items: f64,
    /// Bytes of an item.
    pub item_bytes: f64,
}

impl IndicatorLoad {
    /// A pipeline without indicators. If it gets some, a target has ten items of 500 bytes.
    pub const NONE: IndicatorLoad = IndicatorLoad { targets: 0.0, items: 10.0, item_bytes: 500.0 };

    /// The load of which batches of this many records recompute so many targets.
    pub fn of_batches(self, batch: f64, targets: f64) -> IndicatorLoad {
        IndicatorLoad { targets: entities_of(batch, targets), ..self }
    }

    /// Targets that a batch recomputes, each once however many of its records ask.
    pub fn per_batch(self, batch: f64) -> f64 {
        if self.targets > 0.0 { groups_of(batch, self.targets) } else { 0.0 }
    }

    /// Read units of one recomputation: the target, which is read first, and the query.
    pub fn target_read_units(self) -> f64 {
        1.0 + (self.items * self.item_bytes / READ_BYTES).ceil().max(1.0)
    }

    /// Read units per batch.
    pub fn read_units(self, batch: f64) -> f64 {
        self.per_batch(batch) * self.target_read_units()
    }

    /// Write units per batch: one write of each target, of up to 1 KB.
    pub fn write_units(self, batch: f64) -> f64 {
        self.per_batch(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(targets: f64, items: f64) -> IndicatorLoad {
        IndicatorLoad { targets, items, item_bytes: 500.0 }
    }

    #[test]
    fn a_target_is_read_and_written_once_per_batch_and_its_items_are_read_together() {
        let units = |items| {
            let load = load(10.0, items);
            (load.read_units(1_000.0).round(), load.write_units(1_000.0).round())
        };
        assert_eq!([1.0, 8.0, 9.0, 1_000.0].map(units), [(20.0, 10.0), (20.0, 10.0), (30.0, 10.0), (1_240.0, 10.0)]);
        let none = IndicatorLoad::NONE;
        assert_eq!((none.read_units(1_000.0), none.write_units(1_000.0), none.per_batch(1.0)), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_batch_has_no_more_targets_than_records() {
        assert_eq!(load(1.0, 1.0).per_batch(500.0), 1.0);
        assert!(load(1e6, 1.0).per_batch(10.0) <= 10.0);
        let measured = IndicatorLoad::NONE.of_batches(100.0, 40.0);
        assert!((measured.per_batch(100.0) - 40.0).abs() < 0.1 && measured.per_batch(1_000.0) < 100.0, "{measured:?}");
    }
}
