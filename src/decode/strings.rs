//! Finds the end of JSON strings and numbers, many bytes at a time. This is the innermost loop of decoding.

use wide::u8x16;

/// The number of bytes before the first quote, backslash or control character.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    /// Most strings are shorter than this.
    const SHORT: usize = 64;
    let mut at = 0;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let special = special_bytes(*block);
        if special != 0 {
            return at + first_bit(special);
        }
        at += 16;
        if at == SHORT {
            return SHORT + long_plain_length(bytes.get(SHORT..).unwrap_or_default());
        }
    }
    at + short_plain_length(bytes.get(at..).unwrap_or_default())
}

/// The same for a long string, with the widest SIMD instructions available.
#[inline(never)]
fn long_plain_length(bytes: &[u8]) -> usize {
    let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    let before_end = bytes.get(..end).unwrap_or_default();
    let lowest = before_end.iter().fold(u8::MAX, |lowest, byte| lowest.min(*byte));
    if lowest < 0x20 { short_plain_length(before_end) } else { end }
}

/// The same, byte by byte, for the end of a text.
fn short_plain_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| is_special(*byte)).unwrap_or(bytes.len())
}

#[inline]
fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// A bit mask of the special bytes.
#[inline]
fn special_bytes(block: [u8; 16]) -> u32 {
    const LAST_CONTROL: u8x16 = u8x16::splat(0x1F);
    let block = u8x16::new(block);
    let special = block.simd_eq(QUOTE) | block.simd_eq(BACKSLASH) | block.min(LAST_CONTROL).simd_eq(block);
    special.to_bitmask()
}

const QUOTE: u8x16 = u8x16::splat(b'"');
const BACKSLASH: u8x16 = u8x16::splat(b'\\');

/// The index of the lowest bit that is set.
#[inline]
fn first_bit(bits: u32) -> usize {
    usize::try_from(bits.trailing_zeros()).unwrap_or_default()
}

/// The high bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The number of digits at the start of `bytes`. Looks at eight bytes at a time and ignores a shorter rest.
#[inline]
pub(super) fn digits_length(bytes: &[u8]) -> usize {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    /// Added to a byte, sets its high bit if the byte is 10 or more.
    const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;
    let mut length = 0;
    for word in bytes.as_chunks::<8>().0 {
        let digits = u64::from_le_bytes(*word) ^ ZEROS;
        // A carry can only affect bytes that follow a byte that isn't a digit.
        let non_digits = (digits.wrapping_add(ABOVE_NINE) | digits) & HIGH;
        if non_digits != 0 {
            // 8: bits per byte.
            return length + usize::try_from(non_digits.trailing_zeros() / 8).unwrap_or_default();
        }
        length += 8;
    }
    length
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
        fn digits_are_counted(digits in "[0-9]{0,20}", after: Vec<u8>) {
            let mut bytes = digits.clone().into_bytes();
            bytes.extend(after);
            let (words, _) = bytes.as_chunks::<8>();
            let expected = words.as_flattened().iter().take_while(|byte| byte.is_ascii_digit()).count();
            prop_assert_eq!(digits_length(&bytes), expected);
        }

        #[test]
        fn blocks_mark_their_special_bytes(bytes: [u8; 16]) {
            let marked: Vec<usize> = (0..16).filter(|at| special_bytes(bytes) >> at & 1 == 1).collect();
            let special: Vec<usize> = (0..16).filter(|at| is_special(bytes[*at])).collect();
            prop_assert_eq!(marked, special);
        }
    }
}
