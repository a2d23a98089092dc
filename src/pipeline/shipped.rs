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
    /// Reads the `.toml`, `.avsc` and `.sql` files in `path`.
    ///
    /// # Errors
    /// If the folder or a file in it can't be read.
    pub fn read(path: &Path) -> io::Result<Folder> {
        let name =
            path.canonicalize()?.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if [".toml", ".avsc", ".sql"].iter().any(|end| file.ends_with(end)) {
                files.insert(file, std::fs::read_to_string(entry.path())?);
            }
        }
        Ok(Folder { name, files })
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
