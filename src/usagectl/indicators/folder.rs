//! What a rebuild keeps in the data folder while it runs: the finished parts of the scan, and how many targets are done. One that is
//! stopped continues with them within a day. Repeating a part or a target does no harm.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use event_source_mapping::{now, write_atomically};
use serde::de::DeserializeOwned;

use super::open::Table;
use super::scan::{Size, TargetName, Targets};
use crate::shell::console;

const FOLDER: &str = "indicators";
const DONE: &str = "done.json";
/// What was found and done before can be wrong by now, for example if another pipeline was deployed in between.
const RESUMABLE: Duration = Duration::from_secs(24 * 3_600);

/// The folder of one rebuild.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// The folder of the rebuild of these indicators in this table. One that was stopped long ago starts over.
    ///
    /// # Errors
    /// If it can't be created, or emptied.
    pub(super) fn open(data: &Path, table: &Table) -> anyhow::Result<Folder> {
        let indicators: Vec<_> = table.indicators().collect();
        let made_of = format!("{:?} {indicators:?}", table.description.table_arn());
        let hash = blake3::hash(made_of.as_bytes()).to_hex();
        let path = data.join(FOLDER).join(format!("{}-{}", table.name, hash.get(..12).unwrap_or_default()));
        let seconds = u64::try_from(now()?.seconds()).unwrap_or_default();
        let (folder, starts_over) = Folder::at(path, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))?;
        if starts_over {
            let name = &table.name;
            console::note(&format!("note: the last rebuild of {name} was stopped more than a day ago: starting over"));
        }
        Ok(folder)
    }

    /// The folder, and whether it had a rebuild that was stopped too long ago.
    fn at(path: PathBuf, now: SystemTime) -> anyhow::Result<(Folder, bool)> {
        // Each file that is written changes the time of the folder, so this is when the rebuild last did something.
        let last = std::fs::metadata(&path).and_then(|folder| folder.modified()).ok();
        let is_old = last.is_some_and(|last| now.duration_since(last).is_ok_and(|age| age > RESUMABLE));
        if is_old {
            std::fs::remove_dir_all(&path).with_context(|| format!("delete {}", path.display()))?;
        }
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok((Folder(path), is_old))
    }

    /// What a part of the scan found, if it is finished.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn segment(&self, segment: u32) -> anyhow::Result<Option<Targets>> {
        let found: Option<Vec<(TargetName, Size)>> = self.read(&file_of(segment))?;
        Ok(found.map(|found| found.into_iter().collect()))
    }

    /// Keeps what a part of the scan found.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn finish_segment(&self, segment: u32, found: &Targets) -> anyhow::Result<()> {
        let found: Vec<(&TargetName, &Size)> = found.iter().collect();
        write_atomically(&self.0.join(file_of(segment)), &serde_json::to_string(&found)?)
    }

    /// How many targets, in their order, are done.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn done(&self) -> anyhow::Result<usize> {
        Ok(self.read(DONE)?.unwrap_or(0))
    }

    /// Keeps how many targets are done.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn set_done(&self, done: usize) -> anyhow::Result<()> {
        write_atomically(&self.0.join(DONE), &done.to_string())
    }

    /// Forgets everything, so that the next rebuild starts over.
    ///
    /// # Errors
    /// If it can't be deleted.
    pub(super) fn delete(self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(&self.0).with_context(|| format!("delete {}", self.0.display()))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.0.join(name);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.with_context(|| format!("read {}", path.display()))?;
                let start_over = || format!("read {}: delete its folder to start over", path.display());
                serde_json::from_str(&text).map(Some).with_context(start_over)
            }
        }
    }
}

fn file_of(segment: u32) -> String {
    format!("targets-{segment:02}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebuild_that_was_stopped_finds_its_parts_again() {
        let data = tempfile::tempdir().unwrap();
        let open = || Folder::at(data.path().join("orders"), made(&data)).unwrap().0;
        let found = found();
        open().finish_segment(4, &found).unwrap();
        open().set_done(7).unwrap();
        assert_eq!((open().segment(4).unwrap(), open().segment(5).unwrap()), (Some(found), None));
        assert_eq!(open().done().unwrap(), 7);
        open().delete().unwrap();
        assert_eq!((open().segment(4).unwrap(), open().done().unwrap()), (None, 0));
    }

    #[test]
    fn a_rebuild_that_was_stopped_more_than_a_day_ago_starts_over() {
        let data = tempfile::tempdir().unwrap();
        let at = |hours: u64| {
            let now = made(&data) + Duration::from_secs(hours * 3_600);
            Folder::at(data.path().join("orders"), now).unwrap()
        };
        let (folder, _) = at(0);
        folder.finish_segment(4, &found()).unwrap();
        folder.set_done(7).unwrap();
        let (folder, starts_over) = at(23);
        assert_eq!((folder.done().unwrap(), starts_over), (7, false));
        let (folder, starts_over) = at(25);
        assert_eq!((folder.segment(4).unwrap(), folder.done().unwrap(), starts_over), (None, 0, true));
    }

    /// When a folder was last changed.
    fn made(folder: &tempfile::TempDir) -> SystemTime {
        std::fs::metadata(folder.path()).unwrap().modified().unwrap()
    }

    fn found() -> Targets {
        let key = vec![("pk".to_owned(), "GROUP#7".to_owned())];
        Targets::from([((1, key), Size { items: 3, bytes: 500, exists: true })])
    }
}
