//! The text of a file, whatever wrote it: editors and PowerShell add a byte order mark or write UTF-16, and exports are
//! compressed.

use std::borrow::Cow;
use std::io::{self, Read};

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most bytes of a file that is read as a whole, packed and unpacked. An event has at most 6 MB, but a draft may be made of
/// many items.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a file or stdin as a whole.
///
/// # Errors
/// If it can't be read or is too large.
pub fn read_whole(file: impl Read) -> io::Result<Vec<u8>> {
    let error = || io::Error::new(io::ErrorKind::FileTooLarge, too_large("", MAX_BYTES));
    read_at_most(file, MAX_BYTES)?.ok_or_else(error)
}

/// What a file has, or `None` if that is more than `max_bytes`, of which only one byte is read.
fn read_at_most(file: impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let count = file.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(count).is_ok_and(|count| count <= max_bytes).then_some(bytes))
}

fn too_large(when: &str, max_bytes: u64) -> String {
    format!("it has more than {} MiB{when}; specify a part of it", max_bytes >> 20)
}

/// The text in `bytes`, which may be UTF-8 or UTF-16, with or without a byte order mark, and compressed with gzip.
///
/// # Errors
/// Why the bytes are not a text, and what to do about it.
pub fn text_of(bytes: &[u8]) -> Result<String, String> {
    let bytes = unpacked(bytes, MAX_BYTES)?;
    let units = |part: &[u8], order: fn([u8; 2]) -> u16| -> Vec<u16> {
        part.as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect()
    };
    match bytes.as_ref() {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|_| NOT_TEXT.to_owned()),
        [0xff, 0xfe, rest @ ..] => {
            String::from_utf16(&units(rest, u16::from_le_bytes)).map_err(|_| NOT_TEXT.to_owned())
        }
        [0xfe, 0xff, rest @ ..] => {
            String::from_utf16(&units(rest, u16::from_be_bytes)).map_err(|_| NOT_TEXT.to_owned())
        }
        // ASCII characters in UTF-16 without a mark.
        [first, 0, ..] if first.is_ascii() => {
            String::from_utf16(&units(&bytes, u16::from_le_bytes)).map_err(|_| NOT_TEXT.to_owned())
        }
        _ => String::from_utf8(bytes.into_owned()).map_err(|_| NOT_TEXT.to_owned()),
    }
}

const NOT_TEXT: &str = "it is not a text file; save it as UTF-8";

fn unpacked(bytes: &[u8], max_bytes: u64) -> Result<Cow<'_, [u8]>, String> {
    if !bytes.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(bytes));
    }
    match read_at_most(flate2::read::MultiGzDecoder::new(bytes), max_bytes) {
        Ok(Some(unpacked)) => Ok(Cow::Owned(unpacked)),
        Ok(None) => Err(too_large(" when it is unpacked", max_bytes)),
        Err(error) => Err(format!("it is a gzip file that can't be unpacked: {error}; download it again")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_text_is_read_in_every_encoding_that_programs_write() {
        let text = "{\"city\":\"Köln\"}";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<_>>();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [vec![0xff, 0xfe], utf16(u16::to_le_bytes)].concat(),
            [vec![0xfe, 0xff], utf16(u16::to_be_bytes)].concat(),
            utf16(u16::to_le_bytes),
            gzip.finish().unwrap(),
        ] {
            assert_eq!(text_of(&bytes).as_deref(), Ok(text), "{bytes:?}");
        }
        assert_eq!(text_of(&[0x80, 0x81]), Err("it is not a text file; save it as UTF-8".to_owned()));
        assert!(text_of(&[0x1f, 0x8b, 1]).unwrap_err().starts_with("it is a gzip file that can't be unpacked"));
    }

    #[test]
    fn a_file_is_refused_if_it_is_too_large_packed_or_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b' '; 2 << 20]).unwrap();
        let packed = gzip.finish().unwrap();
        assert_eq!(unpacked(&packed, 2 << 20).unwrap().len(), 2 << 20);
        let refused = unpacked(&packed, (2 << 20) - 1).unwrap_err();
        assert_eq!(refused, "it has more than 1 MiB when it is unpacked; specify a part of it");
        // What has no end is refused too.
        assert_eq!(read_at_most(io::repeat(b' '), 1000).unwrap(), None);
        assert_eq!(read_at_most(&b"{}"[..], 2).unwrap(), Some(b"{}".to_vec()));
        assert_eq!(read_whole(&b"{}"[..]).unwrap(), b"{}");
    }
}
