//! How far a JSON string goes without anything special in it: the innermost loop of all decoding, many bytes at a time.

/// How many bytes of `bytes` come before the first quote, backslash or control character.
#[inline]
pub fn plain_length(bytes: &[u8]) -> usize {
    /// What most strings end within.
    const SHORT: usize = 64;
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + place(special);
        }
        at += 8;
        if at == SHORT {
            return SHORT + long_plain_length(bytes.get(SHORT..).unwrap_or_default());
        }
    }
    at + short_plain_length(bytes.get(at..).unwrap_or_default())
}

/// The same for a long string.
#[inline(never)]
fn long_plain_length(bytes: &[u8]) -> usize {
    // Whether a block has anything special is asked with the widest instructions there are; where, only once.
    let (blocks, _) = bytes.as_chunks::<32>();
    let plain = |block: &&[u8; 32]| !block.iter().fold(false, |any, byte| any | is_special(*byte));
    let passed = 32 * blocks.iter().take_while(plain).count();
    let (words, _) = bytes.get(passed..).unwrap_or_default().as_chunks::<8>();
    let mut at = passed;
    for word in words {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + place(special);
        }
        at += 8;
    }
    at + short_plain_length(bytes.get(at..).unwrap_or_default())
}

/// The same byte by byte, at the end of a text.
fn short_plain_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len())
}

/// The place of the first mark: the lowest set bit is of the first special byte, and bits per byte are 8.
#[inline]
fn place(special: u64) -> usize {
    usize::try_from(special.trailing_zeros() / 8).unwrap_or_default()
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// Marks, in the high bit of each byte of `word`, at least the first byte that is special (a later one may be marked
/// wrongly by a borrow, which doesn't matter: only the first mark is used).
#[inline]
fn special_bytes(word: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let zero_bytes = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let quote = zero_bytes(word ^ (LOW * 0x22));
    let backslash = zero_bytes(word ^ (LOW * 0x5C));
    let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
    quote | backslash | control
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(plain in "[ !a-zé😀\u{7f}]{0,140}", after: Vec<u8>, special in prop::sample::select(b"\"\\\x00\x1f\n".to_vec())) {
            let mut bytes = plain.clone().into_bytes();
            bytes.push(special);
            bytes.extend(after);
            prop_assert_eq!(plain_length(&bytes), plain.len());
            prop_assert_eq!(plain_length(plain.as_bytes()), plain.len());
        }

        #[test]
        fn words_mark_their_first_special_byte(bytes: [u8; 8]) {
            let first = bytes.iter().position(|byte| is_special(*byte));
            let marks = special_bytes(u64::from_le_bytes(bytes));
            prop_assert_eq!((marks != 0).then(|| marks.trailing_zeros() / 8), first.map(|at| u32::try_from(at).unwrap()));
        }
    }
}
