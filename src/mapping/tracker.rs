//! Which records of a shard are in flight. The shard's checkpoint is the last record up to which all are settled, in
//! whichever lane they are.

use std::collections::VecDeque;

use crate::source::Position;
use stream_types::SequenceNumber;

/// The records of a shard that were read and are not yet behind the checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// In stream order, each with whether it is settled.
    in_flight: VecDeque<(SequenceNumber<'static>, bool)>,
    /// Where reading continues after the last of them.
    frontier: Option<Position>,
}

impl Tracker {
    /// Adds a record that was read.
    pub(crate) fn add(&mut self, sequence: SequenceNumber<'static>) {
        self.in_flight.push_back((sequence, false));
    }

    /// Sets where reading continues after the page that was added.
    pub(crate) fn set_frontier(&mut self, next: Position) {
        self.frontier = Some(next);
    }

    /// Marks a record as settled: processed, filtered out or discarded.
    pub(crate) fn settle(&mut self, sequence: &SequenceNumber<'static>) {
        let index = self.in_flight.partition_point(|(other, _)| other < sequence);
        if let Some((found, settled)) = self.in_flight.get_mut(index) {
            *settled |= found == sequence;
        }
    }

    /// The new checkpoint, if it has moved.
    pub(crate) fn advance(&mut self) -> Option<Position> {
        let mut done = None;
        while self.in_flight.front().is_some_and(|(_, settled)| *settled) {
            done = self.in_flight.pop_front().map(|(sequence, _)| Position::After(sequence));
        }
        if self.in_flight.is_empty() { self.frontier.take().or(done) } else { done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber<'static> {
        SequenceNumber::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn the_checkpoint_waits_for_the_slowest_lane() {
        let mut tracker = Tracker::default();
        ["9", "10", "11"].iter().for_each(|text| tracker.add(number(text)));
        tracker.set_frontier(Position::After(number("12")));
        tracker.settle(&number("10"));
        assert_eq!(tracker.advance(), None);
        tracker.settle(&number("9"));
        assert_eq!(tracker.advance(), Some(Position::After(number("10"))));
        tracker.settle(&number("11"));
        assert_eq!(
            tracker.advance(),
            Some(Position::After(number("12"))),
            "records that the source left out count too"
        );
        assert_eq!(tracker.advance(), None);
    }

    #[test]
    fn settling_an_unknown_record_changes_nothing() {
        let mut tracker = Tracker::default();
        tracker.add(number("9"));
        tracker.settle(&number("8"));
        tracker.settle(&number("10"));
        assert_eq!(tracker.advance(), None);
    }
}
