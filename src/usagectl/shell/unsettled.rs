//! Where other commands learn what waits for `usagectl local`: from the run itself, or from what the last run left behind.

use std::path::{Path, PathBuf};

use anyhow::Context;
use axum::http::Method;
use event_source_mapping::write_atomically;
use serde::{Deserialize, Serialize};

use crate::shell::folder::MAPPINGS;
use crate::shell::running::{self, Running};
use crate::shell::waiting::Waiting;

const FILE: &str = "waiting.json";

/// What waits, and in which stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The ARN of the stream.
    pub source_arn: String,
    /// The records that wait in it.
    pub waiting: Waiting,
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

    /// What waits; `None` if nothing does.
    ///
    /// # Errors
    /// If the run doesn't answer.
    pub async fn read(&self) -> anyhow::Result<Option<Unsettled>> {
        let unsettled = match self {
            Origin::Running { control, source_arn } => {
                let (_, text) = running::call(Method::GET, &format!("{control}/status"), String::new()).await?;
                let Status { waiting } = serde_json::from_str(&text).context("read the status of the local run")?;
                Some(Unsettled { source_arn: source_arn.clone(), waiting })
            }
            // Without a file, or with one of another version, nothing is known to wait.
            Origin::Stopped(file) => {
                std::fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok())
            }
        };
        Ok(unsettled.filter(|unsettled: &Unsettled| unsettled.waiting.is_some()))
    }
}

/// The part of the status of a local run that is read here.
#[derive(Deserialize)]
struct Status {
    waiting: Waiting,
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
        assert_eq!(origin.read().await.unwrap(), None);
        let source_arn = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026".to_owned();
        let left = Unsettled { source_arn, waiting: Waiting { records: 5, ..Waiting::default() } };
        left.leave(folder.path()).unwrap();
        assert_eq!(origin.read().await.unwrap().as_ref(), Some(&left));
        assert!(left.is_of("orders") && !left.is_of("order"));
        Unsettled { waiting: Waiting::default(), ..left }.leave(folder.path()).unwrap();
        assert_eq!(origin.read().await.unwrap(), None);
    }
}
