//! Which records of a shard are on their way: the checkpoint is the last one before which all are settled, whatever
//! lane they are in.

use std::collections::VecDeque;

use super::source::Position;
use stream_types::SequenceNumber;

#[derive(Debug, Default)]
pub(super) struct Tracker {
    /// In stream order; whether each is settled.
    in_flight: VecDeque<(SequenceNumber<'static>, bool)>,
    /// Where reading goes on behind the last of them.
    frontier: Option<Position>,
}

impl Tracker {
    /// A record has been read.
    pub fn add(&mut self, sequence: SequenceNumber<'static>) {
        self.in_flight.push_back((sequence, false));
    }

    /// A page has been read to its end.
    pub fn set_frontier(&mut self, next: Position) {
        self.frontier = Some(next);
    }

    /// A record is done with: delivered, filtered out or given up.
    pub fn settle(&mut self, sequence: &SequenceNumber<'static>) {
        let index = self.in_flight.partition_point(|(other, _)| other < sequence);
        if let Some((found, settled)) = self.in_flight.get_mut(index) {
            *settled |= found == sequence;
        }
    }

    /// How far the shard may be considered read, if that is further than before.
    pub fn advance(&mut self) -> Option<Position> {
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
        assert_eq!(tracker.advance(), Some(Position::After(number("12"))), "what was read and dropped is done, too");
        assert_eq!(tracker.advance(), None);
    }

    #[test]
    fn an_unknown_record_settles_nothing() {
        let mut tracker = Tracker::default();
        tracker.add(number("9"));
        tracker.settle(&number("8"));
        tracker.settle(&number("10"));
        assert_eq!(tracker.advance(), None);
    }
}
