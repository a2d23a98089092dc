//! Which records of a shard are in flight. The shard's checkpoint is the last record up to which all are settled, in
//! whichever lane they are.

use std::collections::VecDeque;

use crate::progress::Settlement;
use crate::source::{Position, SourceRecord};
use stream_types::{SequenceNumber, Timestamp};

/// The records of a shard that were read and are not yet behind the checkpoint.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// In stream order.
    in_flight: VecDeque<InFlight>,
    /// How many of them are not settled.
    unsettled: usize,
    /// Where reading continues after the last of them.
    frontier: Option<Position>,
}

#[derive(Debug)]
struct InFlight {
    sequence: SequenceNumber<'static>,
    created_at: Timestamp,
    settlement: Option<Settlement>,
}

/// What a checkpoint passed when it moved.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Advance {
    /// The new checkpoint, if it has moved.
    pub(crate) checkpoint: Option<Position>,
    /// The records that it passed, in stream order.
    pub(crate) passed: Vec<(SequenceNumber<'static>, Settlement)>,
}

impl Tracker {
    /// Adds a record that was read.
    pub(crate) fn add(&mut self, record: &SourceRecord) {
        let (sequence, created_at) = (record.sequence.clone(), record.created_at);
        self.in_flight.push_back(InFlight { sequence, created_at, settlement: None });
        self.unsettled += 1;
    }

    /// How many records were read and are not settled, and when the oldest of them was created. Records up to `counted` were
    /// settled by an earlier run and don't count, although they are delivered again.
    pub(crate) fn unsettled_after(&self, counted: Option<&SequenceNumber<'_>>) -> (usize, Option<Timestamp>) {
        let repeated =
            counted.map_or(0, |counted| self.in_flight.partition_point(|record| record.sequence <= *counted));
        let is_unsettled = |record: &&InFlight| record.settlement.is_none();
        let again = self.in_flight.iter().take(repeated).filter(is_unsettled).count();
        let oldest = self.in_flight.iter().skip(repeated).find(is_unsettled);
        (self.unsettled - again, oldest.map(|record| record.created_at))
    }

    /// Sets where reading continues after the page that was added.
    pub(crate) fn set_frontier(&mut self, next: Position) {
        self.frontier = Some(next);
    }

    /// Marks a record as settled.
    pub(crate) fn settle(&mut self, sequence: &SequenceNumber<'static>, settlement: Settlement) {
        let index = self.in_flight.partition_point(|other| other.sequence < *sequence);
        let found = self.in_flight.get_mut(index).filter(|found| found.sequence == *sequence);
        if let Some(found) = found.filter(|found| found.settlement.is_none()) {
            found.settlement = Some(settlement);
            self.unsettled -= 1;
        }
    }

    /// Moves the checkpoint over all records that are settled.
    pub(crate) fn advance(&mut self) -> Advance {
        let mut passed = Vec::new();
        while let Some(settlement) = self.in_flight.front().and_then(|record| record.settlement) {
            passed.extend(self.in_flight.pop_front().map(|record| (record.sequence, settlement)));
        }
        let done = passed.last().map(|(sequence, _)| Position::After(sequence.clone()));
        let checkpoint = if self.in_flight.is_empty() { self.frontier.take().or(done) } else { done };
        Advance { checkpoint, passed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> SequenceNumber<'static> {
        SequenceNumber::parse(text.to_owned()).unwrap()
    }

    fn record(text: &str) -> SourceRecord {
        let created_at = Timestamp::from_seconds(1_795_219_200 + text.parse::<i64>().unwrap()).unwrap();
        SourceRecord { sequence: number(text), item: 0, created_at, json: String::new() }
    }

    fn advance(tracker: &mut Tracker) -> Option<Position> {
        tracker.advance().checkpoint
    }

    #[test]
    fn the_checkpoint_waits_for_the_slowest_lane() {
        let mut tracker = Tracker::default();
        ["9", "10", "11"].iter().for_each(|text| tracker.add(&record(text)));
        tracker.set_frontier(Position::After(number("12")));
        tracker.settle(&number("10"), Settlement::Processed);
        assert_eq!(advance(&mut tracker), None);
        tracker.settle(&number("9"), Settlement::FilteredOut);
        let passed = vec![(number("9"), Settlement::FilteredOut), (number("10"), Settlement::Processed)];
        assert_eq!(tracker.advance(), Advance { checkpoint: Some(Position::After(number("10"))), passed });
        tracker.settle(&number("11"), Settlement::Discarded);
        assert_eq!(
            advance(&mut tracker),
            Some(Position::After(number("12"))),
            "records that the source left out count too"
        );
        assert_eq!(advance(&mut tracker), None);
    }

    #[test]
    fn settling_an_unknown_record_changes_nothing() {
        let mut tracker = Tracker::default();
        tracker.add(&record("9"));
        tracker.settle(&number("8"), Settlement::Processed);
        tracker.settle(&number("10"), Settlement::Processed);
        assert_eq!(advance(&mut tracker), None);
    }

    #[test]
    fn unsettled_records_are_counted_across_lanes_and_the_oldest_is_the_first() {
        let mut tracker = Tracker::default();
        ["9", "10", "11"].iter().for_each(|text| tracker.add(&record(text)));
        tracker.settle(&number("10"), Settlement::Processed);
        tracker.settle(&number("10"), Settlement::Processed);
        tracker.advance();
        assert_eq!(tracker.unsettled_after(None), (2, Some(record("9").created_at)));
        assert_eq!(tracker.unsettled_after(Some(&number("9"))), (1, Some(record("11").created_at)), "9 is repeated");
        tracker.settle(&number("9"), Settlement::Processed);
        tracker.advance();
        assert_eq!(tracker.unsettled_after(None), (1, Some(record("11").created_at)));
        assert_eq!(tracker.unsettled_after(Some(&number("11"))), (0, None));
    }
}
