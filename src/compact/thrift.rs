//! Checks the structures of a Parquet file (Thrift's compact protocol), its footer and the headers of its pages, before the library
//! reads them. It skips fields that it doesn't know, and takes booleans in a list to have no content: one that states two billion of
//! them keeps it busy for minutes.

/// More levels than any of these structures has.
const DEPTH: u8 = 32;

/// What comes before the number of the next field, if it is a 32-bit number.
const NEXT_IS_I32: u8 = 0x15;

/// Whether a footer is a structure of which every list has its elements, each of at least a byte.
pub(crate) fn is_whole(footer: &[u8]) -> bool {
    Walk { rest: footer }.structure(DEPTH).is_some()
}

/// Whether a column of a row group consists of pages with whole headers.
pub(crate) fn has_whole_pages(column: &[u8]) -> bool {
    let mut walk = Walk { rest: column };
    while !walk.rest.is_empty() {
        if walk.page().is_none() {
            return false;
        }
    }
    true
}

struct Walk<'f> {
    rest: &'f [u8],
}

impl Walk<'_> {
    /// A page: its header, which begins with its type, its size, and its compressed size, and its content.
    fn page(&mut self) -> Option<()> {
        let mut size = 0;
        for _ in 0..3 {
            (self.byte()? == NEXT_IS_I32).then_some(())?;
            size = self.number()?;
        }
        loop {
            match self.byte()? {
                0 => break,
                // Fields that aren't in order could state the size again.
                head if head >> 4 == 0 => return None,
                head => self.value(head & 0x0F, DEPTH)?,
            }
        }
        // A number that isn't negative is written as twice as much.
        if size.is_multiple_of(2) { self.skip(usize::try_from(size / 2).ok()?) } else { None }
    }

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
        // No list of these structures has booleans.
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

    #[test]
    fn a_column_has_whole_pages_only_if_each_header_is_whole() {
        let billions = [0xFF, 0xFF, 0xFF, 0xFF, 0x07];
        // A page of type 0 with 2 bytes, and one of type 1 with none, whose header has a structure and a text.
        let first = [0x15, 0x00, 0x15, 0x08, 0x15, 0x04, 0x00, b'a', b'b'];
        let second = [0x15, 0x02, 0x15, 0x00, 0x15, 0x00, 0x2C, 0x15, 0x02, 0x00, 0x18, 0x01, b'a', 0x00];
        let third = [&second[..6], &[0x69, 0xF1], &billions, &[0x00]].concat();
        for (column, expected) in [
            (Vec::new(), true),
            ([&first[..], &second].concat(), true),
            (first[..8].to_vec(), false),
            (second[..13].to_vec(), false),
            ([&first[..], &third].concat(), false),
            // The compressed size is -1, it comes first, and it comes again.
            (vec![0x15, 0x00, 0x15, 0x08, 0x15, 0x01, 0x00], false),
            (vec![0x35, 0x00, 0x15, 0x08, 0x15, 0x00, 0x00], false),
            (vec![0x15, 0x00, 0x15, 0x08, 0x15, 0x00, 0x05, 0x06, 0x04, 0x00, b'a', b'b'], false),
        ] {
            assert_eq!(has_whole_pages(&column), expected, "{column:02x?}");
        }
    }
}
