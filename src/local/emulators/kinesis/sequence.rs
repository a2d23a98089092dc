//! Sequence numbers that look like those of Kinesis: 56 digits, rising.

use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// The first digits of all of them.
const PREFIX: &str = "49";
/// 56 digits: 2 of the prefix, 42 of the number, 12 of the shard.
const NUMBER_DIGITS: usize = 42;
const SHARD_DIGITS: usize = 12;

/// The number of the record that follows number `last` at `now`. Numbers are microseconds, so that they rise even if all
/// earlier records were deleted.
pub(super) fn next_number(last: u64, now: Timestamp) -> u64 {
    u64::try_from(now.micros()).unwrap_or_default().max(last.saturating_add(1))
}

/// The sequence number of record `number` in the shard with this index.
pub(super) fn sequence_number(number: u64, shard: usize) -> String {
    format!("{PREFIX}{number:0NUMBER_DIGITS$}{shard:0SHARD_DIGITS$}")
}

/// The record's number, if the sequence number is one of ours.
pub(super) fn number_of(sequence: &SequenceNumber<'_>) -> Option<u64> {
    sequence.as_str().strip_prefix(PREFIX)?.get(..NUMBER_DIGITS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_have_56_digits_and_rise_within_a_microsecond_and_over_shards() {
        let now = Timestamp::from_micros(1_795_230_305_000_123).unwrap();
        let numbers: Vec<u64> = std::iter::successors(Some(0), |last| Some(next_number(*last, now))).take(4).collect();
        assert_eq!(numbers, [0, 1_795_230_305_000_123, 1_795_230_305_000_124, 1_795_230_305_000_125]);
        let sequences = [sequence_number(numbers[1], 9), sequence_number(numbers[2], 0), sequence_number(u64::MAX, 1)];
        assert!(sequences.iter().all(|sequence| sequence.len() == 56));
        let sequences = sequences.map(|sequence| SequenceNumber::parse(sequence).unwrap());
        assert!(sequences.is_sorted_by(|a, b| a < b));
        assert_eq!(sequences.each_ref().map(number_of), [Some(numbers[1]), Some(numbers[2]), Some(u64::MAX)]);
        assert_eq!(number_of(&SequenceNumber::parse("7").unwrap()), None);
    }
}
