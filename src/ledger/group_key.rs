//! The key of a group as bytes that sort as its texts do, so that sorted keys share their beginnings.

use std::fmt;

use super::wire::Damaged;
use crate::usage::CounterKey;

/// Ends each text. A NUL within a text is followed by [`ESCAPED`], so that no text ends too early.
const END: [u8; 2] = [0, 0];
const ESCAPED: u8 = 0xFF;

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

    /// The texts of the key.
    ///
    /// # Errors
    /// If the bytes aren't those of a key.
    pub fn counter_key(&self) -> Result<CounterKey, Damaged> {
        let (mut texts, mut text, mut bytes) = (Vec::new(), Vec::new(), self.0.iter().copied());
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
        write!(f, "{:?}", self.counter_key().map(|key| key.0))
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
