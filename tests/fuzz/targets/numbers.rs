//! Decimals and sequence numbers, against digit by digit arithmetic.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use stream_types::{Decimal, SequenceNumber};

use exact::Exact;

/// The number in a text.
pub(crate) fn decimal(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = Decimal::parse(text);
    assert_eq!(parsed.ok().map(Decimal::parts), exact::parse(data).and_then(Exact::parts));
    let Ok(number) = parsed else { return };
    let shown = number.to_string();
    assert_eq!(Decimal::parse(&shown), Ok(number), "{shown}");
    let (mantissa, exponent) = number.parts();
    assert_eq!(Some(number.to_f64()), format!("{mantissa}e{exponent}").parse().ok(), "{shown}");
    let (whole, rest) = number.nearest_whole();
    assert_eq!(whole.scale(), 0, "{shown}");
    assert_eq!(whole.checked_add(rest), Ok(number), "{shown}");
    assert!(rest.to_f64().abs() <= 0.5, "{shown}");
}

/// Sums and products of two numbers, given by their mantissas and exponents.
pub(crate) fn arithmetic(data: &[u8]) {
    let Some((a, rest)) = number(data) else { return };
    let Some((b, _)) = number(rest) else { return };
    let parts = |number: Decimal| Some(number.parts());
    assert_eq!(
        a.checked_add(b).ok().and_then(parts),
        Exact::of(a).plus(Exact::of(b)).and_then(Exact::parts),
        "{a} + {b}"
    );
    assert_eq!(
        a.checked_sub(b).ok().and_then(parts),
        Exact::of(a).plus(Exact::of(-b)).and_then(Exact::parts),
        "{a} - {b}"
    );
    assert_eq!(a.checked_mul(b).ok().and_then(parts), Exact::of(a).times(Exact::of(b)).parts(), "{a} * {b}");
    assert_eq!(a.checked_add(b), b.checked_add(a), "{a} + {b}");
    let order = Exact::of(a).plus(Exact::of(-b)).map(Exact::sign);
    assert!(order.is_none_or(|sign| a.cmp(&b) == sign), "{a} and {b}");
}

/// The next number, if it is one that DynamoDB could store: 16 bytes of its mantissa and 4 of its exponent.
fn number(data: &[u8]) -> Option<(Decimal, &[u8])> {
    let (mantissa, rest) = data.split_first_chunk()?;
    let (exponent, rest) = rest.split_first_chunk()?;
    let (mantissa, exponent) = (i128::from_le_bytes(*mantissa), i32::from_le_bytes(*exponent));
    let number = Decimal::from_parts(mantissa, exponent).ok();
    assert_eq!(number.map(Decimal::parts), Exact::new(mantissa, exponent).parts(), "{mantissa}E{exponent}");
    Some((number?, rest))
}

/// Two sequence numbers, one on each line.
pub(crate) fn sequence_number(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (one, other) = text.split_once('\n').unwrap_or((text, "7"));
    let is_number = |text: &str| (1..=129).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = [one, other].map(SequenceNumber::parse);
    assert_eq!([&parsed[0], &parsed[1]].map(Option::is_some), [one, other].map(is_number));
    let [Some(a), Some(b)] = parsed else { return };
    let order = padded(one).cmp(&padded(other));
    assert_eq!((a.cmp(&b), b.cmp(&a)), (order, order.reverse()));
    assert_eq!(a == b, order == Ordering::Equal);
    let hash = |number: &SequenceNumber<'_>| {
        let mut hasher = DefaultHasher::new();
        number.hash(&mut hasher);
        hasher.finish()
    };
    assert!(order != Ordering::Equal || hash(&a) == hash(&b));
    assert_eq!(a.as_str(), one);
}

/// The digits with as many zeros in front as the longest number has.
fn padded(digits: &str) -> [u8; 129] {
    let mut padded = [b'0'; 129];
    padded[129 - digits.len()..].copy_from_slice(digits.as_bytes());
    padded
}

mod exact {
    //! A slow model of decimals: an array of digits.

    use std::cmp::Ordering;

    use stream_types::Decimal;

    /// Enough for the product of two mantissas, and for a sum that still has a chance to have 38 digits.
    const PLACES: usize = 160;

    /// A number: digits with the lowest first, times a power of ten.
    #[derive(Clone, Copy)]
    pub(super) struct Exact {
        digits: [i32; PLACES],
        exponent: i64,
    }

    impl Exact {
        pub(super) fn of(number: Decimal) -> Exact {
            let (mantissa, exponent) = number.parts();
            Exact::new(mantissa, exponent.into())
        }

        pub(super) fn new(mantissa: i128, exponent: i32) -> Exact {
            let (mut digits, mut rest) = ([0; PLACES], mantissa.unsigned_abs());
            for digit in digits.iter_mut().take(39) {
                let value = i32::try_from(rest % 10).unwrap_or_default();
                *digit = if mantissa < 0 { -value } else { value };
                rest /= 10;
            }
            Exact { digits, exponent: exponent.into() }
        }

        /// The sum; `None` if it needs far more than 38 digits.
        pub(super) fn plus(self, other: Exact) -> Option<Exact> {
            if self.is_zero() || other.is_zero() {
                return Some(if self.is_zero() { other } else { self });
            }
            let (low, high) = if self.exponent <= other.exponent { (self, other) } else { (other, self) };
            let shift = usize::try_from(high.exponent - low.exponent).ok().filter(|shift| *shift <= 80)?;
            let mut digits = low.digits;
            for (sum, digit) in digits.iter_mut().skip(shift).zip(high.digits) {
                *sum += digit;
            }
            Some(Exact { digits, exponent: low.exponent }.carried())
        }

        pub(super) fn times(self, other: Exact) -> Exact {
            let mut digits = [0; PLACES];
            for (place, a) in self.digits.iter().enumerate().take(40).filter(|(_, a)| **a != 0) {
                for (b, product) in other.digits.iter().take(40).zip(digits.iter_mut().skip(place)) {
                    *product += a * b;
                }
            }
            Exact { digits, exponent: self.exponent + other.exponent }.carried()
        }

        fn is_zero(&self) -> bool {
            self.digits.iter().all(|digit| *digit == 0)
        }

        pub(super) fn sign(self) -> Ordering {
            self.digits.iter().rfind(|digit| **digit != 0).map_or(Ordering::Equal, |digit| digit.cmp(&0))
        }

        /// The same number with digits from 0 to 9, all of the sign of the number.
        fn carried(mut self) -> Exact {
            let is_negative = carry(&mut self.digits) < 0;
            if is_negative {
                self.digits.iter_mut().for_each(|digit| *digit = -*digit);
                carry(&mut self.digits);
                self.digits.iter_mut().for_each(|digit| *digit = -*digit);
            }
            self
        }

        /// What DynamoDB would store, if it could: at most 38 digits, and a magnitude from 1E-130 to 9.99E+125.
        pub(super) fn parts(self) -> Option<(i128, i16)> {
            let Some(lowest) = self.digits.iter().position(|digit| *digit != 0) else { return Some((0, 0)) };
            let highest = self.digits.iter().rposition(|digit| *digit != 0)?;
            let magnitude = self.exponent + i64::try_from(highest).ok()?;
            if highest - lowest >= 38 || !(-130..=125).contains(&magnitude) {
                return None;
            }
            let mantissa =
                self.digits[lowest..=highest].iter().rev().fold(0, |all, digit| all * 10 + i128::from(*digit));
            Some((mantissa, i16::try_from(self.exponent + i64::try_from(lowest).ok()?).ok()?))
        }
    }

    /// Carries from each place to the next, and returns what is left above the last one.
    fn carry(digits: &mut [i32; PLACES]) -> i32 {
        let mut above = 0;
        for digit in digits {
            let sum = *digit + above;
            (*digit, above) = (sum.rem_euclid(10), sum.div_euclid(10));
        }
        above
    }

    /// The number in a text: an optional sign, digits with at most one point, and an optional exponent.
    pub(super) fn parse(text: &[u8]) -> Option<Exact> {
        let (is_negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let end = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(end);
        let mut exponent = match exponent {
            [] => 0,
            [_, b'-', digits @ ..] => -whole(digits)?,
            [_, b'+', digits @ ..] | [_, digits @ ..] => whole(digits)?,
        };
        let points = mantissa.iter().filter(|byte| **byte == b'.').count();
        let places = mantissa.iter().position(|byte| *byte == b'.').map_or(0, |point| mantissa.len() - point - 1);
        if points > 1 || mantissa.len() == points || !mantissa.iter().all(|byte| *byte == b'.' || byte.is_ascii_digit())
        {
            return None;
        }
        let all = || mantissa.iter().rev().filter(|byte| **byte != b'.');
        let zeros = all().take_while(|digit| **digit == b'0').count();
        exponent += i64::try_from(zeros).ok()? - i64::try_from(places).ok()?;
        let mut digits = [0; PLACES];
        for (place, digit) in all().skip(zeros).enumerate() {
            let digit = i32::from(digit - b'0');
            match digits.get_mut(place) {
                Some(slot) => *slot = if is_negative { -digit } else { digit },
                None if digit == 0 => {}
                None => return None,
            }
        }
        Some(Exact { digits, exponent })
    }

    /// A whole number, at most a million.
    fn whole(digits: &[u8]) -> Option<i64> {
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let capped = |all: i64, digit: &u8| (all * 10 + i64::from(digit - b'0')).min(1_000_000);
        is_number.then(|| digits.iter().fold(0, capped))
    }
}
