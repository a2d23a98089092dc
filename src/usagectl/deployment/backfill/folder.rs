//! What a backfill keeps in the data folder: the items it scanned, what the stream said, and which files are finished. A
//! command that is killed continues with them, so that it makes the same batches. Another ledger gets the same items, also after
//! the stream has lost what they were made of.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::{Context, bail};
use event_source_mapping::write_atomically;
use serde::{Deserialize, Serialize};
use stream_types::Timestamp;

use crate::shell::folder;

const FOLDER: &str = "backfill";
const PROGRESS: &str = "progress.json";
const CHANGES: &str = "changes.json.gz";

/// The progress of a backfill.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// What is backfilled, for people.
    made_of: Vec<String>,
    /// When the scan began and ended, in microseconds since the epoch.
    pub(super) scanned: Option<(i64, i64)>,
    /// How many items the scan found.
    #[serde(default)]
    pub(super) scanned_items: u64,
    /// The files of the scan.
    pub(super) scan_files: Vec<PathBuf>,
    /// The time of the records, in seconds since the epoch, once the stream has been read.
    pub(super) created_at: Option<i64>,
    /// The ledger and the archive to which the finished files were sent.
    #[serde(default)]
    sent_to: Vec<String>,
    /// The files of which every item is written.
    pub(super) finished: BTreeSet<String>,
}

/// The folder of one backfill, which this process has locked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
    progress: Mutex<Progress>,
}

impl Folder {
    /// The folder of the backfill that is made of these parts, such as a table, an export and a pipeline.
    ///
    /// # Errors
    /// If it can't be created or read, or if another process uses it.
    pub(super) fn open(data: &Path, table: &str, made_of: Vec<String>) -> anyhow::Result<Folder> {
        let hash = blake3::hash(made_of.join("\n").as_bytes()).to_hex();
        let path = data.join(FOLDER).join(format!("{table}-{}", hash.get(..12).unwrap_or_default()));
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        // Two scans at once would write the same files, and send items that neither of them has seen so.
        let Some(lock) = folder::lock(&path)? else {
            bail!("another usagectl backfill uses {}: wait until it has ended, or stop it", path.display());
        };
        let file = path.join(PROGRESS);
        let progress = match std::fs::read_to_string(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Progress { made_of, ..Progress::default() },
            text => {
                let text = text.with_context(|| format!("read {}", file.display()))?;
                let start_over = || format!("read {}: delete its folder to start over", file.display());
                serde_json::from_str(&text).with_context(start_over)?
            }
        };
        Ok(Folder { path, _lock: lock, progress: Mutex::new(progress) })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file with what the stream said.
    pub(super) fn changes(&self) -> PathBuf {
        self.path.join(CHANGES)
    }

    /// The progress so far.
    pub(super) fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the progress and saves it.
    ///
    /// # Errors
    /// If it can't be saved.
    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) -> anyhow::Result<()> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        write_atomically(&self.path.join(PROGRESS), &serde_json::to_string_pretty(&*progress)?)
    }

    /// Sends to this ledger and archive from now on. Files that were sent to others are not finished. Returns whether there are any.
    ///
    /// # Errors
    /// If that can't be saved.
    pub(super) fn send_to(&self, places: Vec<String>) -> anyhow::Result<bool> {
        let mut starts_over = false;
        self.update(|progress| {
            if progress.sent_to != places {
                starts_over = !progress.finished.is_empty();
                progress.finished.clear();
                progress.sent_to = places;
            }
        })?;
        Ok(starts_over)
    }

    /// The time of the records, if it is known.
    pub(super) fn created_at(&self) -> Option<Timestamp> {
        self.progress().created_at.and_then(Timestamp::from_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_found_again_and_another_export_has_its_own() {
        let data = tempfile::tempdir().unwrap();
        let open = |export: &str| Folder::open(data.path(), "orders", vec![export.to_owned()]).unwrap();
        let folder = open("one");
        folder.update(|progress| progress.finished.extend(["file".to_owned()])).unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(open("one").progress().finished.contains("file"));
        assert!(open("two").progress().finished.is_empty());
        assert_eq!(open("one").path(), path);
    }

    #[test]
    fn a_folder_is_used_by_one_process_at_a_time() {
        let data = tempfile::tempdir().unwrap();
        let open = || Folder::open(data.path(), "orders", vec!["scan".to_owned()]);
        let first = open().unwrap();
        let refused = open().unwrap_err().to_string();
        assert!(refused.starts_with("another usagectl backfill uses ") && refused.contains("/orders-"), "{refused}");
        drop(first);
        assert!(open().is_ok());
    }

    #[test]
    fn what_was_sent_to_another_ledger_is_not_finished() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder::open(data.path(), "orders", Vec::new()).unwrap();
        let send_to = |ledger: &str| folder.send_to(vec![ledger.to_owned()]).unwrap();
        assert!(!send_to("ledger 1"), "nothing is finished");
        folder.update(|progress| progress.finished.extend(["file".to_owned()])).unwrap();
        assert!(!send_to("ledger 1") && folder.progress().finished.contains("file"));
        assert!(send_to("ledger 2") && folder.progress().finished.is_empty());
    }
}
