//! The built-in pipelines, which are compiled in from `schemas/`, and pipelines that are read from a folder.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use include_dir::{Dir, include_dir};

static SCHEMAS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/schemas");

/// The folder of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The name of the folder, which is the name of the pipeline.
    pub name: String,
    /// The text of each file, by name.
    pub files: BTreeMap<String, String>,
}

impl Folder {
    /// Reads the `.toml`, `.avsc` and `.sql` files in `path`, which are UTF-8, or UTF-16 with a byte order mark.
    ///
    /// # Errors
    /// If the folder or a file in it can't be read. The error names the file.
    pub fn read(path: &Path) -> io::Result<Folder> {
        let name =
            path.canonicalize()?.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if [".toml", ".avsc", ".sql"].iter().any(|end| file.ends_with(end)) {
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{file}: {error}"));
                let bytes = std::fs::read(entry.path()).map_err(named)?;
                let text = decoded(bytes).ok_or_else(|| named(io::Error::new(io::ErrorKind::InvalidData, NOT_TEXT)))?;
                files.insert(file, text);
            }
        }
        Ok(Folder { name, files })
    }
}

const NOT_TEXT: &str = "it is not a text file; save it as UTF-8";

/// The text in a file: UTF-8, or UTF-16 with a byte order mark, as some editors and shells on Windows write it.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let utf16 = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|unit| order(*unit)).collect();
        if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes).ok(),
    }
}

/// The names of the built-in pipelines, sorted.
pub fn shipped_names() -> Vec<&'static str> {
    let mut names: Vec<_> = SCHEMAS.dirs().filter_map(|dir| dir.path().to_str()).collect();
    names.sort_unstable();
    names
}

/// The built-in pipeline `name`.
pub fn shipped(name: &str) -> Option<Folder> {
    let dir = SCHEMAS.dirs().find(|dir| dir.path().to_str() == Some(name))?;
    let file = |file: &include_dir::File<'_>| {
        Some((file.path().file_name()?.to_str()?.to_owned(), file.contents_utf8()?.to_owned()))
    };
    Some(Folder { name: name.to_owned(), files: dir.files().filter_map(file).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_in_every_encoding_that_windows_writes() {
        let text = "type = \"größe\"\n";
        let utf16 = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<_>>();
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [vec![0xff, 0xfe], utf16(u16::to_le_bytes)].concat(),
            [vec![0xfe, 0xff], utf16(u16::to_be_bytes)].concat(),
        ] {
            assert_eq!(decoded(bytes).as_deref(), Some(text));
        }
        for bytes in [vec![0x1f, 0x8b], vec![0xff, 0xfe, 0x61]] {
            assert_eq!(decoded(bytes), None);
        }
    }
}
