//! The key of a group as bytes that sort as its texts do, so that sorted keys share their beginnings.

use std::fmt;

use super::wire::Damaged;
use crate::usage::{CounterKey, Segment};

/// Ends each text. A NUL within a text is followed by [`ESCAPED`], so that no text ends too early.
const END: [u8; 2] = [0, 0];
const ESCAPED: u8 = 0xFF;
/// Begins the key of a group that counts in another hour than that of its minute. Four bytes follow: the hour's first minute
/// since the epoch. No text begins so.
const HOUR: [u8; 2] = [0, 1];

/// The key of a group: the texts of a [`CounterKey`] as bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GroupKey(Box<[u8]>);

impl GroupKey {
    /// The key with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> GroupKey {
        GroupKey(bytes.into())
    }

    /// The bytes of the key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the key without texts: the records of such a group count nowhere.
    pub fn is_nowhere(&self) -> bool {
        self.0.is_empty()
    }

    /// The key of the group in this hour, given by its first minute, for records of a minute of another hour.
    #[must_use]
    pub fn in_hour(&self, hour: Segment) -> GroupKey {
        let minutes = u32::try_from(hour.start() / 60).unwrap_or(u32::MAX);
        GroupKey([&HOUR[..], &minutes.to_be_bytes(), self.texts()].concat().into())
    }

    /// The first minute of the hour that the group counts in, if that isn't the hour of its minute.
    pub fn event_hour(&self) -> Option<Segment> {
        let minutes: &[u8; 4] = self.0.strip_prefix(&HOUR)?.first_chunk()?;
        Some(Segment::at(i64::from(u32::from_be_bytes(*minutes)) * 60))
    }

    /// The key without the hour.
    #[must_use]
    pub fn without_hour(&self) -> GroupKey {
        GroupKey(self.texts().into())
    }

    fn texts(&self) -> &[u8] {
        match self.0.strip_prefix(&HOUR) {
            Some(rest) => rest.get(4..).unwrap_or_default(),
            None => &self.0,
        }
    }

    /// The texts of the key.
    ///
    /// # Errors
    /// If the bytes aren't those of a key.
    pub fn counter_key(&self) -> Result<CounterKey, Damaged> {
        let (mut texts, mut text, mut bytes) = (Vec::new(), Vec::new(), self.texts().iter().copied());
        while let Some(byte) = bytes.next() {
            match (byte, if byte == 0 { bytes.next() } else { None }) {
                (0, Some(ESCAPED)) => text.push(0),
                (0, Some(0)) => {
                    let utf8 = String::from_utf8(std::mem::take(&mut text));
                    texts.push(utf8.map_err(|_| Damaged("a key isn't UTF-8"))?);
                }
                (0, _) => return Err(Damaged("a key has a wrong escape")),
                _ => text.push(byte),
            }
        }
        if text.is_empty() { Ok(CounterKey(texts)) } else { Err(Damaged("a key has no end")) }
    }

    /// The first `count` binary digits of the key's hash, highest first: the parts of a state are named by them.
    pub fn is_in_part(&self, part: &str) -> bool {
        let hash = blake3::hash(&self.0);
        part.bytes().enumerate().all(|(position, digit)| {
            let byte = hash.as_bytes().get(position / 8).copied().unwrap_or_default();
            let bit = byte >> (7 - position % 8) & 1;
            digit == b'0' + bit
        })
    }
}

impl From<&CounterKey> for GroupKey {
    fn from(key: &CounterKey) -> GroupKey {
        let mut bytes = Vec::with_capacity(key.0.iter().map(|text| text.len() + END.len()).sum());
        for text in &key.0 {
            for byte in text.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(ESCAPED);
                }
            }
            bytes.extend(END);
        }
        GroupKey(bytes.into())
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.counter_key().map(|key| key.0))?;
        self.event_hour().map_or(Ok(()), |hour| write!(f, " in {}", hour.text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_read_back_and_sort_as_their_texts(one: Vec<String>, other: Vec<String>) {
            let (one, other) = (CounterKey(one), CounterKey(other));
            let (one_key, other_key) = (GroupKey::from(&one), GroupKey::from(&other));
            prop_assert_eq!(one_key.counter_key(), Ok(one.clone()));
            if one.0.len() == other.0.len() {
                prop_assert_eq!(one_key.cmp(&other_key), one.cmp(&other));
            }
        }
    }

    #[test]
    fn texts_with_nul_do_not_collide() {
        let keys =
            [&["a\0", "b"][..], &["a", "\0b"], &["a\0b"], &["a\0\0b"], &["a", "b"], &["", "ab"], &["ab", ""], &[]];
        let keys = keys.map(|texts| GroupKey::from(&CounterKey(texts.iter().map(|text| (*text).to_owned()).collect())));
        assert_eq!(std::collections::BTreeSet::from(keys).len(), 8);
    }

    #[test]
    fn a_key_with_an_hour_reads_back_and_is_another_key() {
        let key = CounterKey(vec!["c1".to_owned(), "\0orders".to_owned()]);
        let plain = GroupKey::from(&key);
        let [one, other] = ["2026-11-28T08:00", "2026-11-28T09:00"].map(|text| Segment::parse(text).unwrap());
        let (in_one, in_other) = (plain.in_hour(one), plain.in_hour(other));
        assert_eq!((plain.event_hour(), in_one.event_hour(), in_other.event_hour()), (None, Some(one), Some(other)));
        assert_eq!((in_one.counter_key(), in_one.without_hour()), (Ok(key), plain.clone()));
        assert_eq!(in_one.in_hour(other), in_other);
        assert_eq!(std::collections::BTreeSet::from([plain, in_one, in_other]).len(), 3);
    }

    #[test]
    fn a_key_is_in_one_half_of_each_part() {
        let key = GroupKey::from(&CounterKey(vec!["c1".to_owned(), "orders".to_owned()]));
        let mut part = String::new();
        for _ in 0..12 {
            assert!(key.is_in_part(&part));
            let halves = ["0", "1"].map(|digit| format!("{part}{digit}"));
            let inside: Vec<&String> = halves.iter().filter(|half| key.is_in_part(half)).collect();
            assert_eq!(inside.len(), 1, "{part}");
            part.clone_from(inside[0]);
        }
    }
}
