//! What one record says about one measure.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::decimal::Decimal;
use crate::outline::Entry;
use crate::record::{RecordId, SequenceNumber};
use crate::time::Timestamp;

/// What one record says about one measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// For a sum, a maximum, a minimum or a distribution: the number.
    Number(Decimal),
    /// For the number of different values: the hash of the value.
    Hash(u64),
    /// For the first or latest value: the value, and when it was written.
    Moment(Arc<Moment>),
}

/// The value of a record, and when the record was created. Moments are in the order of their times; of equal times, the
/// order of the records decides, and of equal records the value, so that any two different moments have an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When the record was created.
    pub at: Timestamp,
    /// The place of the record among those of the same time.
    pub order: Order,
    /// The value.
    pub value: Scalar,
}

/// A value that a first or latest value may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scalar {
    /// A number.
    Number(Decimal),
    /// A text.
    Text(Arc<str>),
}

/// The place of a record among those that were created at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Box<[u8]>);

/// The sequence numbers of Kinesis have 56 digits.
const KINESIS_BYTES: usize = 28;

/// 1,024 bytes: a state has the text of each group in each window.
pub const MAX_TEXT_BYTES: usize = 1024;

impl Cell {
    /// The number, if it is one.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Cell::Number(number) => Some(*number),
            Cell::Hash(_) | Cell::Moment(_) => None,
        }
    }

    /// How many bytes it takes in a page besides a few.
    pub fn size(&self) -> usize {
        match self {
            Cell::Number(_) | Cell::Hash(_) => 0,
            Cell::Moment(moment) => match &moment.value {
                Scalar::Number(_) => 0,
                Scalar::Text(text) => text.len(),
            },
        }
    }
}

impl Order {
    /// By sequence number and, in an aggregated Kinesis record, by position. Two digits take one byte.
    pub fn of_sequence(sequence: &SequenceNumber<'_>, user_record: Option<usize>) -> Order {
        let digits = sequence.as_str().trim_start_matches('0').as_bytes();
        let (odd, pairs) = digits.split_at(digits.len() % 2);
        let byte = |digits: &[u8]| digits.iter().fold(0, |byte, digit| byte << 4 | (digit & 0x0F));
        let first = odd.chunks(1).map(byte);
        let mut bytes: Vec<u8> = first.chain(pairs.chunks(2).map(byte)).collect();
        if let Some(position) = user_record {
            bytes.extend(u32::try_from(position).unwrap_or(u32::MAX).to_be_bytes());
        }
        Order(bytes.into())
    }

    /// By id, for records that may be repeated under another sequence number.
    pub fn of_id(id: RecordId) -> Order {
        Order(id.0.into())
    }

    /// The order that has these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Order {
        Order(bytes.into())
    }

    /// The bytes, as pages and states contain them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The number, and the position, which is empty in a record that isn't aggregated.
    fn parts(&self) -> (&[u8], &[u8]) {
        let is_aggregated = self.0.len() == KINESIS_BYTES + size_of::<u32>();
        self.0.split_at_checked(KINESIS_BYTES).filter(|_| is_aggregated).unwrap_or((&self.0, &[]))
    }
}

/// A number with more digits is greater. Of the same number, a higher position is.
impl Ord for Order {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((number, position), (other, others)) = (self.parts(), other.parts());
        number.len().cmp(&other.len()).then_with(|| number.cmp(other)).then_with(|| position.cmp(others))
    }
}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Cell {
    /// The number or the value; of a value that is only counted, its hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Number(number) => write!(f, "{number}"),
            Cell::Hash(hash) => write!(f, "{hash:016x}"),
            Cell::Moment(moment) => write!(f, "{}", moment.value),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Number(number) => write!(f, "{number}"),
            Scalar::Text(text) => f.write_str(text),
        }
    }
}

/// The hash of a string or number: the first 8 bytes of BLAKE3 over `S` and the text, or `N` and the plain notation of the
/// number, with the key of the deployment if it has one. Every spelling of a number has the same hash. Part of the format of pages
/// and states.
pub fn hash_of(value: Entry<'_>, key: Option<&[u8; 32]>) -> Option<u64> {
    let mut hasher = key.map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
    match (value.string(), value.number()) {
        (Some(text), _) => hasher.update(b"S").update(text.as_bytes()),
        (None, Some(number)) => hasher.update(b"N").update(number.to_string().as_bytes()),
        (None, None) => return None,
    };
    hasher.finalize().as_bytes().first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(sequence: &str, user_record: Option<usize>) -> Order {
        Order::of_sequence(&SequenceNumber::parse(sequence.to_owned()).unwrap(), user_record)
    }

    proptest! {
        #[test]
        fn records_are_in_the_order_of_their_sequence_numbers(a: u128, b: u128, zeros in 0..3_usize) {
            let zeros = "0".repeat(zeros);
            prop_assert_eq!(order(&format!("{zeros}{a}"), None).cmp(&order(&b.to_string(), None)), a.cmp(&b));
        }
    }

    #[test]
    fn user_records_of_one_kinesis_record_are_in_order() {
        assert!(
            order("49590338271490256608559692538361571095921575989136588898", Some(2))
                < order("49590338271490256608559692538361571095921575989136588898", Some(10))
        );
        assert_eq!(order("4421584500000000017450439091", None).bytes().len(), 14);
    }

    /// The Kinesis Producer Library sends a lone message as it is, between aggregated ones of the same time.
    #[test]
    fn aggregated_and_other_kinesis_records_are_in_the_order_of_their_sequence_numbers() {
        let number = |last| format!("4959033827149025660855969253836157109592157598913658889{last}");
        let ascending = [(7, None), (8, Some(0)), (8, Some(70_000)), (9, None), (9, Some(0))];
        let ascending = ascending.map(|(last, user_record)| order(&number(last), user_record));
        assert!(ascending.is_sorted_by(|one, other| one < other), "{ascending:02x?}");
    }

    #[test]
    fn of_equal_times_the_order_decides_and_then_the_value() {
        let moment = |second, sequence, value| Moment {
            at: Timestamp::from_seconds(second).unwrap(),
            order: order(sequence, None),
            value,
        };
        let (number, text) = (Scalar::Number(Decimal::from(7)), Scalar::Text("a".into()));
        let ascending = [
            moment(1_795_856_220, "300", number.clone()),
            moment(1_795_856_221, "99", text.clone()),
            moment(1_795_856_221, "100", number),
            moment(1_795_856_221, "100", text),
        ];
        assert!(ascending.is_sorted_by(|one, other| one < other));
    }
}
