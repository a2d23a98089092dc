//! A second reader of the protobuf in an aggregated Kinesis record, written from the format alone.

/// The first bytes of an aggregated record.
pub(super) const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];

/// The data of the user records, if this is the message of an aggregated record.
pub(super) fn user_records(message: &[u8]) -> Option<Vec<&[u8]>> {
    let fields = (!message.is_empty()).then(|| fields(message)).flatten()?;
    let count = |number| fields.iter().filter(|field| field.number == number && field.bytes.is_some()).count() as u64;
    let (partition_keys, hash_keys) = (count(1), count(2));
    let mut found = Vec::new();
    for record in fields.iter().filter(|field| field.number == 3).filter_map(|field| field.bytes) {
        let record = self::fields(record)?;
        let last =
            |number, is_bytes| record.iter().rfind(|field| field.number == number && field.bytes.is_some() == is_bytes);
        let integer =
            |number| record.iter().rfind(|field| field.number == number && field.is_integer).map(|field| field.integer);
        let in_table = integer(1)? < partition_keys && integer(2).is_none_or(|index| index < hash_keys);
        found.push((in_table, last(3, true)?.bytes?));
    }
    found.iter().all(|(in_table, _)| *in_table).then(|| found.into_iter().map(|(_, data)| data).collect())
}

struct Field<'m> {
    number: u64,
    is_integer: bool,
    integer: u64,
    bytes: Option<&'m [u8]>,
}

fn fields(mut message: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = integer(&mut message)?;
        let mut field = Field { number: tag >> 3, is_integer: false, integer: 0, bytes: None };
        let mut skip = |count: u64| {
            let (skipped, rest) = message.split_at_checked(usize::try_from(count).ok()?)?;
            message = rest;
            Some(skipped)
        };
        match tag & 7 {
            0 => {
                field.is_integer = true;
                field.integer = integer(&mut message)?;
            }
            1 => drop(skip(8)?),
            2 => {
                let count = integer(&mut message)?;
                let (bytes, rest) = message.split_at_checked(usize::try_from(count).ok()?)?;
                field.bytes = Some(bytes);
                message = rest;
            }
            5 => drop(skip(4)?),
            _ => return None,
        }
        if field.number == 0 {
            return None;
        }
        fields.push(field);
    }
    Some(fields)
}

fn integer(message: &mut &[u8]) -> Option<u64> {
    let length = message.iter().take(10).position(|byte| *byte < 0x80)? + 1;
    let (bytes, rest) = message.split_at(length);
    *message = rest;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F)))
}
