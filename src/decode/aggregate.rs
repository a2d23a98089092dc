//! Records that the Kinesis Producer Library (KPL) has aggregated: four magic bytes, a protobuf with the user records, and
//! the MD5 of that protobuf. As in the Kinesis Client Library, data that doesn't fit this format is an ordinary record.
//!
//! The format of the protobuf, in which unknown fields are allowed:
//!
//! ```proto
//! message AggregatedRecord {
//!   repeated string partition_key_table = 1;
//!   repeated string explicit_hash_key_table = 2;
//!   repeated Record records = 3;
//! }
//! message Record {
//!   required uint64 partition_key_index = 1;
//!   optional uint64 explicit_hash_key_index = 2;
//!   required bytes data = 3;
//!   repeated Tag tags = 4;
//! }
//! ```
//!
//! Reading it allocates only the list of user records, of which a hostile record of 1 MiB has at most 175,000.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};

/// The first bytes of an aggregated record.
pub(super) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// How the JSON string of an aggregated record's data begins: 30 of the 32 bits of [`MAGIC`] in base64.
pub(super) const MAGIC_JSON: &str = "\"84maw";

/// 16: the size of an MD5.
const DIGEST_BYTES: usize = 16;

/// A user record: one of the messages in an aggregated record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UserRecord {
    /// Its position in the aggregated record, which is part of its identity.
    pub index: usize,
    /// Where its data is in the data of the aggregated record.
    range: Range<usize>,
}

impl UserRecord {
    /// The data, as a part of the data of the aggregated record.
    pub(super) fn of<'d>(&self, aggregate: &'d [u8]) -> &'d [u8] {
        aggregate.get(self.range.clone()).unwrap_or_default()
    }

    /// Decodes the data from the base64 of the aggregated record, without the rest. `bytes` is overwritten. `None` if
    /// this isn't the base64 in which the user record was found.
    pub(super) fn decode<'d>(&self, aggregate: &str, bytes: &'d mut Vec<u8>) -> Option<&'d [u8]> {
        // Four characters are three bytes.
        let Range { start, end } = self.range;
        let characters = aggregate.get(start / 3 * 4..end.div_ceil(3) * 4)?;
        bytes.clear();
        BASE64.decode_vec(characters, bytes).ok()?;
        bytes.get(start % 3..start % 3 + self.range.len())
    }
}

/// The user records in the data of a Kinesis record, in their order. `None` if the data isn't an aggregated record.
pub(super) fn user_records(data: &[u8]) -> Option<Vec<UserRecord>> {
    let (message, digest) = data.strip_prefix(&MAGIC)?.split_last_chunk::<DIGEST_BYTES>()?;
    if message.is_empty() || Md5::digest(message).as_slice() != digest {
        return None;
    }
    let mut reader = Reader { bytes: data, position: MAGIC.len(), end: data.len() - DIGEST_BYTES };
    let (mut partition_keys, mut hash_keys) = (0, 0);
    let (mut needed_partition_keys, mut needed_hash_keys) = (0, 0);
    let mut found = Vec::new();
    while !reader.is_done() {
        match reader.field()? {
            (1, Field::Bytes(_)) => partition_keys += 1,
            (2, Field::Bytes(_)) => hash_keys += 1,
            (3, Field::Bytes(range)) => {
                let Record { partition_key, hash_key, data } =
                    Record::read(Reader { bytes: reader.bytes, position: range.start, end: range.end })?;
                needed_partition_keys = needed_partition_keys.max(partition_key.checked_add(1)?);
                needed_hash_keys = needed_hash_keys.max(hash_key.map_or(Some(0), |index| index.checked_add(1))?);
                found.push(UserRecord { index: found.len(), range: data });
            }
            _ => {}
        }
    }
    // The tables may follow the records.
    let has_all_keys = needed_partition_keys <= partition_keys && needed_hash_keys <= hash_keys;
    has_all_keys.then_some(found)
}

/// One `Record` of the protobuf.
struct Record {
    partition_key: u64,
    hash_key: Option<u64>,
    data: Range<usize>,
}

impl Record {
    fn read(mut reader: Reader<'_>) -> Option<Record> {
        let (mut partition_key, mut hash_key, mut data) = (None, None, None);
        while !reader.is_done() {
            // Of a field that comes twice, the last value counts.
            match reader.field()? {
                (1, Field::Varint(index)) => partition_key = Some(index),
                (2, Field::Varint(index)) => hash_key = Some(index),
                (3, Field::Bytes(range)) => data = Some(range),
                _ => {}
            }
        }
        Some(Record { partition_key: partition_key?, hash_key, data: data? })
    }
}

/// The value of a field.
enum Field {
    Varint(u64),
    /// Where the bytes are: a string, bytes, or a message.
    Bytes(Range<usize>),
    /// Four or eight bytes, which no field of an aggregated record has.
    Fixed,
}

/// Reads the fields of a message, which ends at `end`.
struct Reader<'m> {
    bytes: &'m [u8],
    position: usize,
    end: usize,
}

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.position >= self.end
    }

    /// The number and value of the next field. `None` if the message is invalid or ends within the field.
    fn field(&mut self) -> Option<(u64, Field)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.skip(8).map(|_| Field::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| Field::Fixed)?,
            // Groups, which no version of the format has, and what isn't protobuf.
            _ => return None,
        };
        Some((tag >> 3, field)).filter(|(number, _)| *number > 0)
    }

    /// Seven bits per byte, lowest first. The high bit is set in every byte but the last.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        // Ten bytes have room for 64 bits.
        for shift in (0..64).step_by(7) {
            let at = self.skip(1)?.start;
            let byte = *self.bytes.get(at)?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Skips `length` bytes and returns where they are, if the message has so many.
    fn skip(&mut self, length: usize) -> Option<Range<usize>> {
        let start = self.position;
        let end = start.checked_add(length).filter(|end| *end <= self.end)?;
        self.position = end;
        Some(start..end)
    }
}
