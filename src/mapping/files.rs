//! Files that are there whole or not at all, whenever the process dies.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Writes `text` to `path` in one step, in a folder that is made if need be.
///
/// # Errors
/// When it can't be written; what was there before is then still there.
pub fn write_whole(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = folder.and_then(|()| fs::write(&part, text)).and_then(|()| fs::rename(&part, path));
    written.with_context(|| format!("write {}", path.display()))
}
