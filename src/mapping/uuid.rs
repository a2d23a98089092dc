//! UUIDs as text.

/// The UUID of these 128 bits in its usual form, such as `01234567-89ab-cdef-0123-456789abcdef`.
pub fn uuid(number: u128) -> String {
    let digits = |low_bit: u32, count: u32| (number >> low_bit) & ((1 << (4 * count)) - 1);
    let [time_low, time_mid, time_high] = [digits(96, 8), digits(80, 4), digits(64, 4)];
    let [clock_sequence, node] = [digits(48, 4), digits(0, 12)];
    format!("{time_low:08x}-{time_mid:04x}-{time_high:04x}-{clock_sequence:04x}-{node:012x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_groups_of_8_4_4_4_and_12_digits() {
        assert_eq!(uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef), "01234567-89ab-cdef-0123-456789abcdef");
        assert_eq!(uuid(0), "00000000-0000-0000-0000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-ffff-ffff-ffffffffffff");
    }
}
