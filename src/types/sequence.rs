//! Sequence numbers: one notion of equality, order and hash.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A sequence number of a stream: decimal digits, compared as a number. DynamoDB has up to 40 digits and Kinesis up to 129
/// (API models), more than any integer type can hold.
#[derive(Debug, Clone)]
pub struct SequenceNumber<'a>(Cow<'a, str>);

/// 129: the longest sequence number in Kinesis' API model.
const SEQUENCE_NUMBER_DIGITS: usize = 129;

impl<'a> SequenceNumber<'a> {
    /// Takes `text` if it is a sequence number: 1 to 129 decimal digits.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (digits && text.len() <= SEQUENCE_NUMBER_DIGITS).then_some(SequenceNumber(text))
    }

    /// The digits exactly as received, as a response must repeat them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same number, owned.
    pub fn into_owned(self) -> SequenceNumber<'static> {
        SequenceNumber(Cow::Owned(self.0.into_owned()))
    }

    /// The digits without leading zeros, which alone decide what a number equals and where it stands.
    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl PartialEq for SequenceNumber<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.significant() == other.significant()
    }
}

impl Eq for SequenceNumber<'_> {}

impl Hash for SequenceNumber<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.significant().hash(state);
    }
}

impl PartialOrd for SequenceNumber<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SequenceNumber<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.significant(), other.significant());
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    }
}

impl fmt::Display for SequenceNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sequence_numbers_of_forty_digits_order_as_numbers() {
        let number = |text: &'static str| SequenceNumber::parse(text).unwrap();
        assert!(
            number("9999999999999999999999999999999999999998") < number("9999999999999999999999999999999999999999")
        );
        assert!(number("0100") > number("99"));
        assert!(SequenceNumber::parse("").is_none());
        assert!(SequenceNumber::parse("12a").is_none());
        assert!(SequenceNumber::parse("9".repeat(130)).is_none());
    }

    /// "007" and "7" were neither equal nor ordered: equality compared text and order compared values.
    #[test]
    fn leading_zeros_change_neither_equality_nor_order_nor_hash() {
        let number = |text: &'static str| SequenceNumber::parse(text).unwrap();
        let hash = |number: &SequenceNumber<'_>| BuildHasherDefault::<DefaultHasher>::default().hash_one(number);
        assert_eq!(number("007"), number("7"));
        assert_eq!(number("007").cmp(&number("7")), Ordering::Equal);
        assert_eq!(hash(&number("007")), hash(&number("7")));
        assert_eq!(number("007").as_str(), "007");
        assert_ne!(number("70"), number("7"));
        assert_eq!(number("0"), number("000"));
    }

    proptest! {
        #[test]
        fn sequence_numbers_order_like_integers(a: u128, b: u128, zeros in 0usize..4) {
            let padded = format!("{}{a}", "0".repeat(zeros));
            let (x, y) = (SequenceNumber::parse(padded).unwrap(), SequenceNumber::parse(b.to_string()).unwrap());
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(x == y, a == b);
        }
    }
}
