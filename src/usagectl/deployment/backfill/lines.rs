//! The lines of a compressed file, one item on each. Whoever writes the file may be hostile: it is unpacked as it is read, and a line
//! has a limit, so that a small file can't take all memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use crate::shell::console::UsageError;

/// The most bytes of a line. An item has at most 400 KB, and each of them takes at most 9 bytes in DynamoDB JSON: an empty text in a
/// list is `{"S":""},`. A line of an incremental export has two images. That makes 7.4 MB, and this is twice as much, so that an
/// export may have been written again with spaces.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The lines of a file that is unpacked as it is read.
pub(super) struct Lines {
    name: String,
    content: BufReader<MultiGzDecoder<File>>,
    max_line_bytes: u64,
    /// The number of the last line.
    number: u64,
    /// How many of the lines had an item.
    items: u64,
    /// How many items the file must have.
    expected: Option<u64>,
}

impl Lines {
    /// The lines of a file called `name`.
    pub(super) fn new(name: &str, file: File, expected: Option<u64>) -> Lines {
        let content = BufReader::new(MultiGzDecoder::new(file));
        Lines { name: name.to_owned(), content, max_line_bytes: MAX_LINE_BYTES, number: 0, items: 0, expected }
    }

    /// Where the last line is, for messages.
    pub(super) fn place(&self) -> String {
        format!("line {} of {}", self.number, self.name)
    }

    /// The next line without its end, or `None` after the last one. Reads one byte more than a line may have.
    fn line(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = Vec::new();
        let read = self.content.by_ref().take(self.max_line_bytes + 1).read_until(b'\n', &mut line);
        if let Err(error) = read {
            return Err(self.damaged(&format!("can't be unpacked: {error}")));
        }
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        line.pop_if(|byte| *byte == b'\n');
        line.pop_if(|byte| *byte == b'\r');
        if u64::try_from(line.len())? > self.max_line_bytes {
            let limit = self.max_line_bytes;
            let reason = format!("{} has more than {limit} bytes, which no item needs", self.place());
            return Err(UsageError(reason).into());
        }
        String::from_utf8(line).map(Some).map_err(|_| UsageError(format!("{} isn't UTF-8", self.place())).into())
    }

    fn damaged(&self, reason: &str) -> anyhow::Error {
        UsageError(format!("the data file {} {reason}; download the export again", self.name)).into()
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<anyhow::Result<String>> {
        loop {
            match self.line().transpose() {
                Some(Ok(line)) if line.trim().is_empty() => {}
                Some(line) => {
                    self.items += 1;
                    return Some(line);
                }
                None => {
                    let expected = self.expected.take().filter(|expected| *expected != self.items)?;
                    let items = self.items;
                    return Some(Err(self.damaged(&format!("has {items} items, and the manifest counts {expected}"))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// A file with this content, compressed, or with one of `parts` equal parts of it.
    fn lines(content: &[u8], parts: usize) -> Lines {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(content).unwrap();
        let packed = gzip.finish().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&packed[..packed.len() / parts]).unwrap();
        file.rewind().unwrap();
        Lines::new("data/a.json.gz", file, None)
    }

    fn read(lines: Lines) -> Result<Vec<String>, String> {
        lines.map(|line| line.map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn every_line_with_an_item_is_read_whatever_ends_it() {
        assert_eq!(read(lines(b"{}\n\r\n  \n{\"a\":1}\r\n[]", 1)).unwrap(), ["{}", "{\"a\":1}", "[]"]);
        assert_eq!(read(lines(b"", 1)).unwrap(), [""; 0]);
        let mut last = lines(b"\n\n{}\n", 1);
        last.by_ref().for_each(drop);
        assert_eq!(last.place(), "line 3 of data/a.json.gz");
        assert_eq!(read(lines(b"{}\n\x80", 1)).unwrap_err(), "line 2 of data/a.json.gz isn't UTF-8");
    }

    #[test]
    fn a_line_that_is_too_long_is_named_before_the_rest_of_it_is_read() {
        // Random letters stay long when they are compressed.
        let mut random = fastrand::Rng::with_seed(1);
        let long: String = std::iter::repeat_with(|| random.lowercase()).take(400_000).collect();
        let content = format!("0123456789\n0123456789\r\n{long}").into_bytes();
        let limited = |parts| Lines { max_line_bytes: 11, ..lines(&content, parts) };
        let expected = "line 3 of data/a.json.gz has more than 11 bytes, which no item needs";
        assert_eq!(read(limited(1)).unwrap_err(), expected);
        // The second half of the file is missing, which nothing notices.
        assert_eq!(read(limited(2)).unwrap_err(), expected);
        let cut = read(lines(&content, 2)).unwrap_err();
        assert!(cut.starts_with("the data file data/a.json.gz can't be unpacked: "), "{cut}");
    }

    #[test]
    fn the_longest_item_of_dynamodb_fits_into_a_line_twice() {
        const MAX_ITEM_BYTES: u64 = 400 << 10;
        let per_byte = u64::try_from(r#"{"S":""},"#.len()).unwrap();
        assert!(2 * MAX_ITEM_BYTES * per_byte < MAX_LINE_BYTES);
    }
}
