//! Which shard a partition key belongs to: its MD5 hash as a number, and the ranges of such numbers that shards own.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// The hash keys from `start` to `end`, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HashRange {
    pub start: u128,
    pub end: u128,
}

/// A partition key's hash key.
pub(super) fn hash_key(partition_key: &str) -> u128 {
    u128::from_be_bytes(md5::compute(partition_key).0)
}

impl HashRange {
    pub(super) const ALL: HashRange = HashRange { start: 0, end: u128::MAX };

    /// `count` equal parts of all hash keys, divided as Kinesis divides them.
    pub(super) fn parts(count: NonZeroU32) -> Vec<HashRange> {
        let count = u128::from(count.get());
        if count == 1 {
            return vec![HashRange::ALL];
        }
        // 2^128 / count, rounded down; a u128 can't hold 2^128 itself.
        let size = if u128::MAX % count == count - 1 { u128::MAX / count + 1 } else { u128::MAX / count };
        let start = |part: u128| part.saturating_mul(size);
        let end = |part: u128| if part + 1 == count { u128::MAX } else { start(part + 1) - 1 };
        (0..count).map(|part| HashRange { start: start(part), end: end(part) }).collect()
    }

    pub(super) fn contains(self, hash_key: u128) -> bool {
        (self.start..=self.end).contains(&hash_key)
    }

    /// The range before `at` and the range from `at`, if neither is empty.
    pub(super) fn split(self, at: u128) -> Option<[HashRange; 2]> {
        let inside = self.start < at && at <= self.end;
        let before = HashRange { start: self.start, end: at.checked_sub(1)? };
        inside.then_some([before, HashRange { start: at, end: self.end }])
    }

    /// Where a range is split into halves.
    pub(super) fn middle(self) -> u128 {
        self.start + (self.end - self.start).div_ceil(2)
    }

    /// Both ranges as one, if they are adjacent.
    pub(super) fn join(self, other: HashRange) -> Option<HashRange> {
        let (low, high) = if self.start <= other.start { (self, other) } else { (other, self) };
        (low.end.checked_add(1) == Some(high.start)).then_some(HashRange { start: low.start, end: high.end })
    }
}

/// As in the Kinesis API: decimal text, because these numbers are too large for JSON numbers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Texts {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl Serialize for HashRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = Texts { starting_hash_key: self.start.to_string(), ending_hash_key: self.end.to_string() };
        texts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for HashRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Texts::deserialize(deserializer)?;
        let number = |text: String| text.parse().map_err(serde::de::Error::custom);
        Ok(HashRange { start: number(texts.starting_hash_key)?, end: number(texts.ending_hash_key)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(count: u32) -> Vec<HashRange> {
        HashRange::parts(NonZeroU32::new(count).unwrap())
    }

    #[test]
    fn ranges_are_those_of_kinesis() {
        // From DescribeStream of real streams with one, two and three shards.
        assert_eq!(parts(1), [HashRange { start: 0, end: 340282366920938463463374607431768211455 }]);
        assert_eq!(parts(2)[1].start, 170141183460469231731687303715884105728);
        assert_eq!(parts(3)[0].end, 113427455640312821154458202477256070484);
        assert_eq!(parts(3)[2].start, 226854911280625642308916404954512140970);
    }

    #[test]
    fn a_hash_key_is_the_md5_of_the_partition_key() {
        // md5sum of "a" and of nothing.
        assert_eq!(hash_key("a"), 0x0cc175b9c0f1b6a831c399e269772661);
        assert_eq!(hash_key(""), 0xd41d8cd98f00b204e9800998ecf8427e);
    }

    #[test]
    fn ranges_are_split_anywhere_and_joined_if_adjacent() {
        let [low, high] = HashRange::ALL.split(HashRange::ALL.middle()).unwrap();
        assert_eq!([low, high], parts(2)[..]);
        assert_eq!((low.join(high), high.join(low)), (Some(HashRange::ALL), Some(HashRange::ALL)));
        assert_eq!(parts(3)[0].join(parts(3)[2]), None);
        assert_eq!((high.join(high), low.split(0), low.split(low.end + 1)), (None, None, None));
        assert_eq!(
            low.split(low.end),
            Some([HashRange { start: 0, end: low.end - 1 }, HashRange { start: low.end, end: low.end }])
        );
    }

    proptest! {
        #[test]
        fn every_hash_key_has_one_shard(count in 1_u32..500, hash_key: u128) {
            let parts = parts(count);
            prop_assert_eq!(parts.iter().filter(|part| part.contains(hash_key)).count(), 1);
            prop_assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, u128::MAX));
            let texts = serde_json::to_string(&parts).unwrap();
            prop_assert_eq!(serde_json::from_str::<Vec<HashRange>>(&texts).unwrap(), parts);
        }
    }
}
