//! The capacity that append and fold use: by bytes, entities and the fold window. Pure. The same model as in docs/cost.md;
//! there are no failures in it.

/// 1 KB: what a write unit writes.
const WRITE_BYTES: f64 = 1_024.0;
/// 4 KB: what a read unit reads with strong consistency.
const READ_BYTES: f64 = 4_096.0;
/// A page without records, with its key and attribute names.
const PAGE_BYTES: f64 = 110.0;
/// A record in a page: an id and an amount, compressed.
const RECORD_BYTES: f64 = 11.0;
/// An entity in a page.
const NAME_BYTES: f64 = 29.0;
/// A state without groups.
const STATE_BYTES: f64 = 110.0;
/// An entity in a state, compressed. 3 for sequential names, 28 for UUIDs.
const GROUP_BYTES: f64 = 18.0;
/// A page's name in the state of its minute.
const LISTED_PAGE_BYTES: f64 = 8.0;
/// A child in the state of a window.
const LISTED_CHILD_BYTES: f64 = 6.0;
/// 200 KB: above it, a state is split into parts.
const PART_BYTES: f64 = 200e3;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

/// What is appended and folded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counted {
    /// Records per second.
    pub rate: f64,
    /// Records per batch.
    pub batch: f64,
    /// Combinations of entity and resource.
    pub entities: f64,
    /// Windows per counter.
    pub windows: f64,
    /// The fold window.
    pub fold_seconds: f64,
}

/// Units per 1,000 records.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Write units of pages.
    pub pages: f64,
    /// Write units of states.
    pub states: f64,
    /// Write units of snapshots.
    pub snapshots: f64,
    /// Read units: pages, states, and the children of windows.
    pub reads: f64,
}

impl Units {
    /// All write units.
    pub fn writes(&self) -> f64 {
        self.pages + self.states + self.snapshots
    }
}

/// The expected number of different entities among so many records.
fn distinct(entities: f64, records: f64) -> f64 {
    entities * (1.0 - (1.0 - 1.0 / entities.max(1.0)).powf(records.max(0.0)))
}

fn write(bytes: f64) -> f64 {
    (bytes / WRITE_BYTES).ceil().max(1.0)
}

fn read(bytes: f64) -> f64 {
    (bytes / READ_BYTES).ceil().max(1.0)
}

/// A state is written in parts.
fn write_state(bytes: f64) -> f64 {
    let parts = (bytes / PART_BYTES).ceil().max(1.0);
    parts * write(bytes / parts)
}

impl Counted {
    fn every(&self) -> f64 {
        self.batch / self.rate
    }

    /// Seconds from fold to fold: the window and about a second for the stream. No batch, no fold.
    fn cycle(&self) -> f64 {
        (self.fold_seconds + 1.0).max(self.every())
    }

    /// The entities that a fold writes the snapshots of.
    pub fn touched(&self) -> f64 {
        distinct(self.entities, self.cycle() * self.rate)
    }

    fn names(&self, records: f64) -> f64 {
        GROUP_BYTES * distinct(self.entities, records)
    }

    /// A batch may touch two minutes, and so write two pages.
    fn minutes_per_batch(&self) -> f64 {
        1.0 + (self.every() / MINUTE).min(1.0)
    }

    fn page_bytes(&self) -> f64 {
        let records = self.batch / self.minutes_per_batch();
        PAGE_BYTES + RECORD_BYTES * records + NAME_BYTES * distinct(self.entities, records)
    }

    /// Write units per second of the pages, which are in one partition for each bucket.
    pub fn page_units_per_second(&self) -> f64 {
        self.minutes_per_batch() / self.every() * write(self.page_bytes())
    }

    /// The units of an hour in the middle of a day in the middle of a month, per 1,000 records.
    pub fn units(&self) -> Units {
        if self.windows <= 0.0 || self.rate <= 0.0 {
            return Units::default();
        }
        let cycle = self.cycle();
        let span = HOUR.max(cycle);
        let mut units = Units { pages: span * self.page_units_per_second(), ..Units::default() };
        let mut time = cycle;
        while time <= span {
            self.fold(time, &mut units);
            time += cycle;
        }
        let thousands = span * self.rate / 1_000.0;
        Units {
            pages: units.pages / thousands,
            states: units.states / thousands,
            snapshots: units.snapshots / thousands,
            reads: units.reads / thousands,
        }
    }

    /// A fold so many seconds after the start of the hour.
    fn fold(&self, time: f64, units: &mut Units) {
        let mut minute = ((time - self.cycle()) / MINUTE).floor() * MINUTE;
        // Minutes with news since the last fold; of a long pause, those that batches are in.
        let step = MINUTE.max(self.every());
        while minute < time {
            let seconds = (time - minute).min(MINUTE);
            let pages = (seconds / self.every()).max(1.0);
            let state = STATE_BYTES + LISTED_PAGE_BYTES * pages + self.names(seconds * self.rate);
            units.reads += read(pages * self.page_bytes()) + read(state);
            units.states += write_state(state);
            minute += step;
        }
        for (state, children) in self.parents(time) {
            units.states += write_state(state);
            units.reads += read(state) + read(children);
        }
        units.snapshots += self.touched() * self.windows;
    }

    /// The states of hour, day and month, each with what is read of its children.
    fn parents(&self, time: f64) -> [(f64, f64); 3] {
        let full = |listed: f64, seconds: f64| STATE_BYTES + listed + self.names(seconds * self.rate);
        let minute = full(LISTED_PAGE_BYTES * MINUTE / self.every(), MINUTE);
        let (hour, day) = (full(LISTED_CHILD_BYTES * 60.0, HOUR), full(LISTED_CHILD_BYTES * 24.0, DAY));
        [
            (full(LISTED_CHILD_BYTES * time / MINUTE, time), minute * time / MINUTE),
            (full(LISTED_CHILD_BYTES * 12.0, 12.0 * HOUR + time), hour * 12.5),
            (full(LISTED_CHILD_BYTES * 15.0, 15.0 * DAY + time), day * 15.5),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(rate: f64, batch: f64, entities: f64, fold_seconds: f64) -> f64 {
        let units = Counted { rate, batch, entities, windows: 3.0, fold_seconds }.units();
        units.writes() + units.reads / 5.0
    }

    /// At 1,000 records/s in batches of 1,000: what DynamoDB's ConsumedCapacity is, in the in-process emulator
    /// (tests/ledger/cost.rs). It measures an hour that has just begun, where the model is in the middle of a month.
    #[test]
    fn the_model_is_near_what_was_measured() {
        for (entities, measured) in [
            (1.0, [13.6, 12.0, 11.6]),
            (10.0, [16.3, 12.9, 12.1]),
            (50.0, [28.4, 17.0, 14.1]),
            (500.0, [167.5, 65.0, 39.4]),
            (5_000.0, [1_325.6, 519.0, 267.8]),
        ] {
            for (fold_seconds, measured) in [10.0, 30.0, 60.0].into_iter().zip(measured) {
                let modeled = price(1_000.0, 1_000.0, entities, fold_seconds);
                let ratio = modeled / measured;
                assert!((0.85..1.35).contains(&ratio), "{entities} entities, W = {fold_seconds}: {modeled:.1}");
            }
        }
    }

    #[test]
    fn a_longer_window_costs_less_and_more_entities_cost_more() {
        for entities in [1.0, 50.0, 5_000.0, 50_000.0] {
            let prices = [0.0, 10.0, 30.0, 60.0, 300.0].map(|window| price(1_000.0, 1_000.0, entities, window));
            assert!(prices.is_sorted_by(|shorter, longer| shorter > longer), "{entities}: {prices:?}");
        }
        assert!(price(12.0, 100.0, 50.0, 30.0) > price(1_000.0, 1_000.0, 50.0, 30.0));
        // A batch an hour.
        assert!(price(0.3, 1_000.0, 50.0, 30.0).is_finite());
    }
}
