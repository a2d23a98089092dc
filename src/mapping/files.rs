//! Files that are never half written.

use std::fs;
use std::path::Path;

use anyhow::Context;

/// Replaces the file at `path` by `text` in one step, and creates its folder if necessary. Whenever the process dies, the
/// file has either its old content or the new one.
///
/// # Errors
/// If the file can't be written; its old content is then still there.
pub fn write_atomically(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = folder.and_then(|()| fs::write(&part, text)).and_then(|()| fs::rename(&part, path));
    written.with_context(|| format!("failed to write {}", path.display()))
}
