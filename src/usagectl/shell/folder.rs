//! The data folder of the embedded services. One process uses it at a time, and only a folder that usagectl created is ever
//! cleared.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use event_source_mapping::StreamKind;
use laptop::emulators::ALERTS;

/// Marks a folder as created by usagectl.
const LOCK: &str = "usagectl.lock";
// The files of `laptop::emulators::Services`.
const DATABASE: &str = "dynamodb.sqlite";
const OBJECTS: &str = "s3";
const STREAMS: &str = "kinesis";
/// The ledgers of simulations, which are valid for the tables in the same folder only.
pub const LEDGERS: &str = "simulated";
/// The mapping's checkpoints, filter and shards.
pub const MAPPINGS: &str = "mapping";
/// The pipeline that the folder was last used with.
pub const PIPELINE: &str = "pipeline.json";

/// The locked folder. The lock is released when this is dropped or the process ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks `path` for this process and creates it if it doesn't exist.
    pub fn lock(path: &Path) -> anyhow::Result<Folder> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("create the data folder {shown}"))?;
        let is_foreign =
            !path.join(LOCK).exists() && [DATABASE, OBJECTS, STREAMS].iter().any(|name| path.join(name).exists());
        if is_foreign {
            bail!(
                "{shown} contains a {DATABASE}, {OBJECTS} or {STREAMS} that usagectl didn't create: choose another folder with --data DIR"
            );
        }
        let Some(lock) = lock(path)? else {
            bail!("another usagectl is using {shown}: stop it, or choose another folder with --data DIR");
        };
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    /// Whether a running process uses the folder at `path`.
    pub fn is_locked(path: &Path) -> bool {
        let lock = File::options().write(true).open(path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes all tables, objects, streams, alerts, ledgers and checkpoints, and forgets the pipeline.
    pub fn clear(&self) -> anyhow::Result<()> {
        for end in ["", "-wal", "-shm", "-journal"] {
            let file = self.path.join(format!("{DATABASE}{end}"));
            unless_missing(fs::remove_file(&file)).with_context(|| format!("delete {}", file.display()))?;
        }
        for file in [ALERTS, PIPELINE].map(|name| self.path.join(name)) {
            unless_missing(fs::remove_file(&file)).with_context(|| format!("delete {}", file.display()))?;
        }
        for folder in [OBJECTS, STREAMS, LEDGERS, MAPPINGS].map(|name| self.path.join(name)) {
            unless_missing(fs::remove_dir_all(&folder)).with_context(|| format!("delete {}", folder.display()))?;
        }
        Ok(())
    }
}

fn unless_missing(deleted: io::Result<()>) -> io::Result<()> {
    deleted.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Locks a folder that exists for this process; `None` if another process has locked it. The lock is released when the file is
/// dropped or the process ends.
pub fn lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let path = folder.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.with_context(|| format!("open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

/// The file in which `usagectl local` records its mapping's filter.
pub fn filters_file(data: &Path, kind: StreamKind, source: &str) -> PathBuf {
    let kind = match kind {
        StreamKind::DynamoDb => "dynamodb",
        StreamKind::Kinesis => "kinesis",
    };
    data.join(MAPPINGS).join(format!("filters-{kind}-{source}.json"))
}
