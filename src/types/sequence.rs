//! Sequence numbers: one notion of equality, order and hash.

use std::borrow::Cow;
use std::fmt;

/// A stream's sequence number: decimal digits, ordered as a number. DynamoDB's have up to 40 digits and Kinesis' up
/// to 129 (API models), more than any integer type holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// The digits as they came, which is what the answer must repeat.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same number, owned.
    pub fn into_owned(self) -> SequenceNumber<'static> {
        SequenceNumber(Cow::Owned(self.0.into_owned()))
    }

    fn significant(&self) -> &str {
        self.0.trim_start_matches('0')
    }
}

impl PartialOrd for SequenceNumber<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        let (a, b) = (self.significant(), other.significant());
        Some(a.len().cmp(&b.len()).then_with(|| a.cmp(b)))
    }
}

impl fmt::Display for SequenceNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
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

    proptest! {
        #[test]
        fn sequence_numbers_order_like_integers(a: u128, b: u128, zeros in 0usize..4) {
            let padded = format!("{}{a}", "0".repeat(zeros));
            let (x, y) = (SequenceNumber::parse(padded).unwrap(), SequenceNumber::parse(b.to_string()).unwrap());
            prop_assert_eq!(x.partial_cmp(&y), Some(a.cmp(&b)));
        }
    }
}
