//! Where other commands learn what waits for `usagectl local`: from the run itself, or from what the last run left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use axum::http::Method;
use event_source_mapping::write_atomically;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::shell::folder::MAPPINGS;
use crate::shell::running::{self, Running};
use crate::shell::waiting::Waiting;

const FILE: &str = "waiting.json";
/// What the file has while a run uses the folder, and after a run that was killed.
const RUNNING: &str = r#"{"running":true}"#;
/// How often a run is asked whether it has folded everything.
const POLL: Duration = Duration::from_millis(100);

/// What waits, and in which stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The ARN of the stream.
    pub source_arn: String,
    /// The records that wait in it.
    pub waiting: Waiting,
    /// The pages of the ledger that wait to be folded.
    #[serde(default)]
    pub unfolded: Waiting,
}

impl Unsettled {
    /// Whether these are changes of this table, or messages of this Kinesis stream.
    pub fn is_of(&self, source: &str) -> bool {
        // arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-… or arn:aws:kinesis:…:stream/alleycat
        self.source_arn.split('/').nth(1) == Some(source)
    }

    /// Leaves this behind in the data folder of a run that ends, for the commands that run before the next one.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn leave(&self, folder: &Path) -> anyhow::Result<()> {
        write_atomically(&file(folder), &serde_json::to_string(self)?)
    }
}

/// Marks a data folder as used by a run, which replaces the mark by what it leaves behind.
///
/// # Errors
/// If the file can't be written.
pub fn begin(folder: &Path) -> anyhow::Result<()> {
    write_atomically(&file(folder), RUNNING)
}

/// Where to read what waits. It must be found before the data folder is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A run that uses the data folder.
    Running {
        /// The URL of its control endpoint.
        control: String,
        /// The ARN of the stream that it reads.
        source_arn: String,
    },
    /// What the last run may have left behind.
    Stopped(PathBuf),
}

impl Origin {
    /// The origin for a data folder.
    pub fn find(folder: &Path) -> Origin {
        let running = Running::read(folder).and_then(|running| {
            Some(Origin::Running { control: running.control?, source_arn: running.mapping?.source_arn })
        });
        running.unwrap_or_else(|| Origin::Stopped(file(folder)))
    }

    /// Whether the last run was killed or failed, so that it is unknown what waits.
    pub fn is_unknown(&self) -> bool {
        match self {
            Origin::Running { .. } => false,
            Origin::Stopped(file) => std::fs::read_to_string(file).is_ok_and(|text| text == RUNNING),
        }
    }

    /// Waits until every page that is in the ledger now is folded, at most for `patience`. Without a run, nothing folds.
    ///
    /// # Errors
    /// If the run doesn't answer.
    pub async fn until_folded(&self, patience: Duration) -> anyhow::Result<()> {
        let Origin::Running { control, .. } = self else { return Ok(()) };
        let end = Instant::now() + patience;
        let mut known_since = None;
        loop {
            let Some(fold) = status(control).await?.fold else { return Ok(()) };
            // Each shard has been read to its end once more than when this began.
            let polled = *known_since.get_or_insert(fold.mapping.polls) + 2 * fold.shards + 1;
            let is_folded = fold.mapping.polls >= polled && !fold.waiting.is_some();
            if is_folded || Instant::now() + POLL > end {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What waits; `None` if nothing does.
    ///
    /// # Errors
    /// If the run doesn't answer.
    pub async fn read(&self) -> anyhow::Result<Option<Unsettled>> {
        let unsettled = match self {
            Origin::Running { control, source_arn } => {
                let Status { waiting, fold } = status(control).await?;
                let unfolded = fold.map(|fold| fold.waiting).unwrap_or_default();
                Some(Unsettled { source_arn: source_arn.clone(), waiting, unfolded })
            }
            // Without a file, or with one of another version, nothing is known to wait.
            Origin::Stopped(file) => {
                std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok())
            }
        };
        Ok(unsettled.filter(|unsettled: &Unsettled| unsettled.waiting.is_some() || unsettled.unfolded.is_some()))
    }
}

/// The status of the run with this control endpoint.
async fn status(control: &str) -> anyhow::Result<Status> {
    let (_, text) = running::call(Method::GET, &format!("{control}/status"), String::new()).await?;
    serde_json::from_str(&text).context("read the status of the local run")
}

/// The part of the status of a local run that is read here.
#[derive(Deserialize)]
struct Status {
    waiting: Waiting,
    #[serde(default)]
    fold: Option<FoldStatus>,
}

#[derive(Deserialize)]
struct FoldStatus {
    waiting: Waiting,
    mapping: FoldCounts,
    shards: u64,
}

#[derive(Deserialize)]
struct FoldCounts {
    polls: u64,
}

fn file(folder: &Path) -> PathBuf {
    folder.join(MAPPINGS).join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_stopped_run_leaves_behind_is_read_until_nothing_waits() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(MAPPINGS)).unwrap();
        let origin = Origin::find(folder.path());
        assert_eq!((origin.read().await.unwrap(), origin.is_unknown()), (None, false));
        begin(folder.path()).unwrap();
        assert_eq!((origin.read().await.unwrap(), origin.is_unknown()), (None, true), "the run was killed");
        let source_arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026".to_owned();
        let waiting = Waiting { records: 5, ..Waiting::default() };
        let left = Unsettled { source_arn, waiting: waiting.clone(), unfolded: Waiting::default() };
        left.leave(folder.path()).unwrap();
        assert_eq!((origin.read().await.unwrap().as_ref(), origin.is_unknown()), (Some(&left), false));
        assert!(left.is_of("orders") && !left.is_of("order"));
        let unfolded = Unsettled { waiting: Waiting::default(), unfolded: waiting, ..left.clone() };
        unfolded.leave(folder.path()).unwrap();
        assert_eq!(origin.read().await.unwrap(), Some(unfolded));
        Unsettled { waiting: Waiting::default(), ..left }.leave(folder.path()).unwrap();
        assert_eq!(origin.read().await.unwrap(), None);
    }
}
