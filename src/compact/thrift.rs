//! Checks the structures of a Parquet footer (Thrift's compact protocol) before the library reads them. It skips fields that it
//! doesn't know, and takes booleans in a list to have no content: one that states two billion of them keeps it busy for minutes.

/// More levels than any footer has.
const DEPTH: u8 = 32;

/// Whether a footer is a structure of which every list has its elements, each of at least a byte.
pub(crate) fn is_whole(footer: &[u8]) -> bool {
    Walk { rest: footer }.structure(DEPTH).is_some()
}

struct Walk<'f> {
    rest: &'f [u8],
}

impl Walk<'_> {
    fn structure(&mut self, depth: u8) -> Option<()> {
        loop {
            let head = self.byte()?;
            let kind = head & 0x0F;
            if kind == 0 {
                return Some(());
            }
            // Otherwise, the number of the field follows.
            if head >> 4 == 0 {
                self.number()?;
            }
            self.value(kind, depth)?;
        }
    }

    fn value(&mut self, kind: u8, depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            // A boolean is in the kind of its field.
            1 | 2 => Some(()),
            3 => self.skip(1),
            4..=6 => self.number().map(drop),
            7 => self.skip(8),
            8 => self.number().and_then(|length| self.skip(usize::try_from(length).ok()?)),
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 0x0F { self.number()? } else { u64::from(head >> 4) };
                self.elements(count, &[head & 0x0F], depth)
            }
            11 => match self.number()? {
                0 => Some(()),
                count => {
                    let kinds = self.byte()?;
                    self.elements(count, &[kinds >> 4, kinds & 0x0F], depth)
                }
            },
            12 => self.structure(depth),
            13 => self.skip(16),
            _ => None,
        }
    }

    fn elements(&mut self, count: u64, kinds: &[u8], depth: u8) -> Option<()> {
        // No list of a footer has booleans.
        if kinds.iter().any(|kind| matches!(kind, 1 | 2)) {
            return None;
        }
        (0..count).try_for_each(|_| kinds.iter().try_for_each(|kind| self.value(*kind, depth)))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// A number of 7 bits in each byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.rest = self.rest.get(bytes..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_whole_only_with_all_elements_of_its_lists() {
        let billions = [0xFF, 0xFF, 0xFF, 0xFF, 0x07];
        for (footer, expected) in [
            (vec![0x00], true),
            // A list of two numbers, a text, a boolean, and a map from a number to a text.
            (vec![0x19, 0x25, 0x02, 0x04, 0x18, 0x01, b'a', 0x11, 0x1B, 0x01, 0x58, 0x02, 0x01, b'b', 0x00], true),
            (vec![0x19, 0x35, 0x02, 0x04, 0x00], false),
            (vec![0x18, 0x05, b'a', 0x00], false),
            (vec![0x15, 0x02], false),
            // Lists and a map that state two billion booleans.
            ([&[0x19, 0xF1][..], &billions, &[0x00]].concat(), false),
            ([&[0x19, 0xF2][..], &billions, &[0x00]].concat(), false),
            ([&[0x1B][..], &billions, &[0x11, 0x00]].concat(), false),
            ([&[0x1B][..], &billions, &[0x51, 0x02, 0x00]].concat(), false),
            (vec![0x1C; 100], false),
        ] {
            assert_eq!(is_whole(&footer), expected, "{footer:02x?}");
        }
    }
}
