//! The primitives of Avro's binary encoding.

/// Appends an int or long: zigzag, seven bits per byte, least significant first.
pub fn long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        let [low, ..] = rest.to_le_bytes();
        out.push(low | 0x80);
        rest >>= 7;
    }
    let [low, ..] = rest.to_le_bytes();
    out.push(low);
}

/// Appends a count, a length or an index.
pub fn count(out: &mut Vec<u8>, value: usize) {
    // Nothing in memory has more than i64::MAX parts.
    long(out, i64::try_from(value).unwrap_or(i64::MAX));
}

/// Appends bytes, or the UTF-8 of a string, preceded by their length.
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    count(out, value.len());
    out.extend_from_slice(value);
}

/// Appends an array or a map: one block with all `length` `parts`, each written by `write`, and the empty block at the
/// end.
///
/// # Errors
/// The first error that `write` returns.
pub fn block<T, E>(
    out: &mut Vec<u8>,
    length: usize,
    parts: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T) -> Result<(), E>,
) -> Result<(), E> {
    if length > 0 {
        count(out, length);
        for part in parts {
            write(out, part)?;
        }
    }
    count(out, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn longs_are_zigzag_varints() {
        let cases: [(i64, &[u8]); 6] =
            [(0, &[0]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 1]), (8192, &[0x80, 0x80, 1])];
        for (value, expected) in cases {
            let mut out = Vec::new();
            super::long(&mut out, value);
            assert_eq!(out, expected, "{value}");
        }
        for value in [i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            super::long(&mut out, value);
            assert_eq!(out.len(), 10, "{value}");
        }
    }
}
