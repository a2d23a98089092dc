//! Integers, texts and frames, as pages and states contain them. Integers are LEB128, signed ones zigzag; texts and bytes
//! have their length in front; a frame is compressed by Zstandard.

use std::cell::RefCell;

use crate::decimal::Decimal;

/// Level 3, zstd's default: a page is compressed once and read a few times.
const LEVEL: i32 = 3;

/// Bytes that are not a page or state. Reads after its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is damaged: {0}")]
pub struct Damaged(pub &'static str);

/// Bytes under construction.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes a byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Writes bytes, without their length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes a whole number.
    pub fn uint(&mut self, mut number: u64) {
        loop {
            let [bits, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.bytes.push(bits);
            }
            self.bytes.push(bits | 0x80);
        }
    }

    /// Writes a length or an index.
    pub fn size(&mut self, size: usize) {
        self.uint(u64::try_from(size).unwrap_or(u64::MAX));
    }

    /// Writes a signed number.
    pub fn int(&mut self, number: i128) {
        let mut zigzag = ((number << 1) ^ (number >> 127)).cast_unsigned();
        loop {
            let [bits, ..] = zigzag.to_le_bytes();
            zigzag >>= 7;
            if zigzag == 0 {
                return self.bytes.push(bits);
            }
            self.bytes.push(bits | 0x80);
        }
    }

    /// Writes bytes after their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.raw(bytes);
    }

    /// Writes a number with its exponent.
    pub fn decimal(&mut self, number: Decimal) {
        let (mantissa, exponent) = number.parts();
        self.int(i128::from(exponent));
        self.int(mantissa);
    }

    /// The bytes so far.
    pub fn written(&self) -> &[u8] {
        &self.bytes
    }

    /// Compresses the bytes into one frame.
    pub fn into_frame(self) -> Vec<u8> {
        thread_local! {
            /// Zstandard's tables, reused because setting them up takes longer than compressing a small page.
            static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
        }
        COMPRESSOR.with_borrow_mut(|reused| {
            let compressor = match reused {
                Some(compressor) => Some(compressor),
                None => zstd::bulk::Compressor::new(LEVEL).ok().map(|new| reused.insert(new)),
            };
            // Compression fails only without memory, which aborts; an uncompressed frame would be read the same way.
            compressor.and_then(|compressor| compressor.compress(&self.bytes).ok()).unwrap_or_default()
        })
    }
}

/// Bytes that are read from front to back.
#[derive(Debug, Clone)]
pub struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// Reads these bytes.
    pub fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { rest: bytes }
    }

    /// The next byte.
    ///
    /// # Errors
    /// At the end of the bytes.
    pub fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.rest.split_first().ok_or(Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn raw(&mut self, count: usize) -> Result<&'b [u8], Damaged> {
        let (found, rest) = self.rest.split_at_checked(count).ok_or(Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(found)
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it doesn't fit into 64 bits.
    pub fn uint(&mut self) -> Result<u64, Damaged> {
        u64::try_from(self.leb128()?).map_err(|_| Damaged("a number is too large"))
    }

    /// A length or an index. Lengths of things that are still to be read are checked by reading them.
    ///
    /// # Errors
    /// If it doesn't fit.
    pub fn size(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.uint()?).map_err(|_| Damaged("a number is too large"))
    }

    /// The number of things that follow, each of which has at least one byte.
    ///
    /// # Errors
    /// If there are fewer bytes left.
    pub fn count(&mut self) -> Result<usize, Damaged> {
        self.size()
            .and_then(|count| if count <= self.rest.len() { Ok(count) } else { Err(Damaged("a count is too large")) })
    }

    /// A signed number.
    ///
    /// # Errors
    /// If it doesn't fit into 128 bits.
    pub fn int(&mut self) -> Result<i128, Damaged> {
        let zigzag = self.leb128()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    fn leb128(&mut self) -> Result<u128, Damaged> {
        let mut number = 0_u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7F);
            if shift >= 128 || bits << shift >> shift != bits {
                return Err(Damaged("a number is too large"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                break;
            }
        }
        Ok(number)
    }

    /// Bytes after their length.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn bytes(&mut self) -> Result<&'b [u8], Damaged> {
        let count = self.size()?;
        self.raw(count)
    }

    /// A text after its length.
    ///
    /// # Errors
    /// If it isn't UTF-8.
    pub fn text(&mut self) -> Result<&'b str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text isn't UTF-8"))
    }

    /// A number with its exponent.
    ///
    /// # Errors
    /// If DynamoDB couldn't store it.
    pub fn decimal(&mut self) -> Result<Decimal, Damaged> {
        let exponent = i32::try_from(self.int()?).map_err(|_| Damaged("an exponent is out of range"))?;
        Decimal::from_parts(self.int()?, exponent).map_err(|_| Damaged("a number is out of range"))
    }

    /// The next 8 bytes as a number.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn hash(&mut self) -> Result<u64, Damaged> {
        Ok(self.raw(8)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::frame::content_of;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_texts_read_back(whole: u64, signed: i128, text: String, mantissa in -10_i64.pow(17)..10_i64.pow(17), exponent in -100..100_i32) {
            let decimal = Decimal::from_parts(i128::from(mantissa), exponent).unwrap();
            let mut writer = Writer::default();
            writer.uint(whole);
            writer.int(signed);
            writer.bytes(text.as_bytes());
            writer.decimal(decimal);
            let frame = writer.into_frame();
            let content = content_of(&frame).unwrap();
            let mut reader = Reader::new(&content);
            prop_assert_eq!((reader.uint(), reader.int(), reader.text(), reader.decimal()), (Ok(whole), Ok(signed), Ok(&*text), Ok(decimal)));
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.decimal().and_then(|_| reader.text()).is_ok() {}
            let _ = content_of(&bytes);
        }
    }

    #[test]
    fn the_largest_numbers_fit_and_larger_ones_are_refused() {
        let mut writer = Writer::default();
        [i128::MIN, i128::MAX].into_iter().for_each(|number| writer.int(number));
        let mut reader = Reader::new(writer.written());
        assert_eq!((reader.int(), reader.int()), (Ok(i128::MIN), Ok(i128::MAX)));
        assert!(Reader::new(&[0xFF; 30]).int().is_err());
        assert!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02]).uint().is_err());
    }
}
