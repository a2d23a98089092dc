//! The folder of the embedded services' data: one process at a time, and only a folder of our own is ever cleared.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use event_source_mapping::StreamKind;

/// Its presence says that the folder is ours.
const LOCK: &str = "usagectl.lock";
/// What `local::Services` keeps in its folder.
const DATABASE: &str = "dynamodb.sqlite";
const OBJECTS: &str = "s3";
const STREAMS: &str = "kinesis";
/// What simulations have recorded, which is true of these tables only.
pub const LEDGERS: &str = "simulated";
/// How far mappings are, and what they have made of shards.
pub const MAPPINGS: &str = "mapping";

/// The locked folder; the lock ends with this, however the process ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Locks `path` for this process; creates it if need be.
    pub fn lock(path: &Path) -> anyhow::Result<Folder> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("create the data folder {shown}"))?;
        let foreign =
            !path.join(LOCK).exists() && [DATABASE, OBJECTS, STREAMS].iter().any(|name| path.join(name).exists());
        if foreign {
            bail!(
                "{shown} has {DATABASE}, {OBJECTS} or {STREAMS} of somebody else's: choose another folder with --data DIR"
            );
        }
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK));
        let lock = lock.with_context(|| format!("open {shown}/{LOCK}"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another usagectl is using {shown}: wait for it or end it, choose another folder with --data DIR, or use a running `usagectl serve` by the lines it printed"
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {shown}/{LOCK}")),
        }
    }

    /// Whether a process has the folder at `path`.
    pub fn is_locked(path: &Path) -> bool {
        let lock = File::options().write(true).open(path.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes all tables, objects, streams, ledgers and checkpoints.
    pub fn clear(&self) -> anyhow::Result<()> {
        for end in ["", "-wal", "-shm", "-journal"] {
            let file = self.path.join(format!("{DATABASE}{end}"));
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

/// Where `local` writes down the filter of its mapping.
pub fn filters_file(data: &Path, kind: StreamKind, source: &str) -> PathBuf {
    let kind = match kind {
        StreamKind::DynamoDb => "dynamodb",
        StreamKind::Kinesis => "kinesis",
    };
    data.join(MAPPINGS).join(format!("filters-{kind}-{source}.json"))
}
